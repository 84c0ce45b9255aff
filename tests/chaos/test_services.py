"""Any one service is killed and comes back: no event is lost, no effect is doubled."""

from __future__ import annotations

import random

import pytest
from trouble import Story, Trouble

MOMENT = {
    "intake": ":admit",
    "scheduling": "/series",
    "sessions": "/series",  # while it is away, forty sessions are planned
    "crisis": ":callForHelp",
    "billing": ":close",
}
"""For each service, a command right before which it is killed: one that it, or its reactions, cannot do without."""


@pytest.mark.parametrize("service", MOMENT)
async def test_a_service_is_killed_at_any_moment(story: Story, rng: random.Random, service: str) -> None:
    platform = story.platform
    trouble = Trouble(
        f"{service} killed",
        strike=lambda: platform.kill(service),
        mend=lambda: platform.start(service),
        pointed=MOMENT[service],
    )
    await story.survives(trouble, rng, 2)


async def test_the_gateway_is_killed(story: Story, rng: random.Random) -> None:
    platform = story.platform
    trouble = Trouble("gateway killed", strike=lambda: platform.kill("gateway"), mend=lambda: platform.start("gateway"))
    await story.survives(trouble, rng, 3)
