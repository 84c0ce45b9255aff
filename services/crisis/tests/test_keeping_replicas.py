"""The database is away: replicas stay ready, start, die, and take up what others or an earlier run have left."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from haven.crisis.v1 import signals_pb2 as pb

from haven_crisis.__main__ import READINESS, SPEC
from haven_kit.testing import eventually

from .keeping_world import Trouble
from .world import WAIT


async def test_a_replica_that_died_is_taken_over_by_another(trouble: Trouble, person_id: str) -> None:
    """Its pages in flight are sent again and say so; what had arrived is not."""
    world = trouble.world
    other = await trouble.replica()
    async with trouble.away():
        who = other.as_role("participant", person_id=person_id)
        answer = await trouble.signal(person_id, caller=who)
        assert answer.kept == pb.KEPT_STREAM
        await world.paged("first", answer.alert_id)
        await other.stop()
        world.clock.advance(WAIT + timedelta(seconds=7))
        await world.paged("second", answer.alert_id)
        assert len(world.pages("first", answer.alert_id)) == 1
    alert = await trouble.whole(person_id)
    assert alert["stage"] == 1


async def test_what_the_journal_holds_is_taken_up_at_the_next_start(trouble: Trouble, person_id: str) -> None:
    world = trouble.world
    folder = trouble.journal.parent / f"{trouble.journal.name}-other"
    other = await trouble.serve(SPEC, **trouble.settings | {"crisis_journal_dir": folder})
    await trouble.on_call_is_known(other)
    async with trouble.away(nats=True):
        answer = await trouble.signal(person_id, caller=other.as_role("participant", person_id=person_id))
        assert answer.kept == pb.KEPT_JOURNAL
        await world.paged("first", answer.alert_id)
        await other.stop()
    assert await trouble.fetch("SELECT 1 FROM signal WHERE person_id = $1", person_id) == []
    again = await trouble.serve(SPEC, **trouble.settings | {"crisis_journal_dir": folder})
    await trouble.whole(person_id)
    assert len(world.pages("first", answer.alert_id)) == 1
    await again.stop()


async def test_a_replica_stays_ready_while_any_road_is_open(trouble: Trouble) -> None:
    server = trouble.world.crisis.process.server
    async with trouble.away():
        await eventually(lambda: server.state["database"] is False)
        assert server.state[READINESS]
        assert server.ready
    await eventually(lambda: server.state["database"])


@pytest.mark.parametrize("known", [True, False], ids=["who is on call is known", "nothing is known"])
async def test_it_starts_and_accepts_while_the_database_is_away(
    trouble: Trouble, person_id: str, known: bool, tmp_path: Path
) -> None:
    """With the sealed copy of an earlier run it pages who is on call, otherwise the last resort."""
    await trouble.on_call_is_known()
    await trouble.world.step("keeping")
    folder = tmp_path / "journal"
    if known:
        folder.mkdir()
        sealed = (trouble.journal / "on-call.sealed").read_bytes()
        assert b"first" not in sealed
        (folder / "on-call.sealed").write_bytes(sealed)
    async with trouble.away():
        late = await trouble.serve(SPEC, **trouble.settings | {"crisis_journal_dir": folder})
        answer = await trouble.signal(person_id, caller=late.as_role("participant", person_id=person_id))
        assert answer.kept == pb.KEPT_STREAM
        await trouble.world.paged("first" if known else "last", answer.alert_id)
    await trouble.whole(person_id)
    await late.stop()
