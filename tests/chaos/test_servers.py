"""NATS stops for a while, PostgreSQL is restarted: commands go on or wait, and everything arrives once."""

from __future__ import annotations

import random
import time

from trouble import Story, Trouble

from haven_kit.testing import eventually


async def test_nats_stops_for_a_while(story: Story, rng: random.Random) -> None:
    """Commands succeed without NATS, and the quiet button pages at once."""
    platform, paged_ms = story.platform, 0.0

    async def until_paged() -> None:
        """NATS stays away until somebody was paged for a call for help made without it, and a little longer."""
        nonlocal paged_ms
        began, before = time.time(), len(platform.webhook.received)
        await eventually(lambda: len(platform.webhook.received) > before, timeout=30)
        paged_ms = (platform.webhook.received[before].at - began) * 1000
        await platform.nats.start()

    trouble = Trouble("NATS stopped", strike=platform.nats.stop, mend=until_paged, pointed=":callForHelp")
    await story.survives(trouble, rng, 0, faults=frozenset({500, 502, 503, 504}))
    assert trouble.times == 1
    assert 0 < paged_ms < 10_000


async def test_postgres_is_restarted(story: Story, rng: random.Random) -> None:
    platform = story.platform
    trouble = Trouble("PostgreSQL stopped", strike=platform.postgres.stop, mend=platform.postgres.start)
    await story.survives(trouble, rng, 1)
