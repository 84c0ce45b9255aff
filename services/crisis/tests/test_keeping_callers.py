"""The database is away: whoever called sees how far help has come, and can say that it was a mistake."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from haven.crisis.v1 import alert_service_pb2, alerts_pb2
from haven.crisis.v1 import signals_pb2 as pb
from haven.crisis.v1.crisis_service_pb2_grpc import CrisisServiceStub

from haven_crisis.domain.severity import Severity
from haven_kit import ids
from haven_kit.errors import NotFound, Unavailable
from haven_kit.testing import eventually
from haven_kit.testing.running import Running

from .keeping_world import Trouble
from .world import WAIT


def me(trouble: Trouble, person_id: str, replica: Running | None = None) -> Any:
    """The person, at a replica."""
    return (
        (replica or trouble.world.crisis)
        .as_role("participant", person_id=person_id, sub=person_id)
        .stub(CrisisServiceStub)
    )


async def test_the_person_sees_how_far_help_has_come(
    trouble: Trouble, person_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each replica, from the call until the record is complete."""
    await trouble.on_call_is_known()
    ask = pb.GetMyHelpRequest(person_id=person_id)
    other = await trouble.replica()
    with monkeypatch.context() as patched:
        async with trouble.away():
            with pytest.raises(Unavailable):
                await me(trouble, person_id).GetMyHelp(ask)
            answer = await trouble.signal(person_id)
            await trouble.world.paged("first", answer.alert_id)
            for replica in (None, other):
                calling = await me(trouble, person_id, replica).GetMyHelp(ask)
                assert (calling.state, calling.signal_id) == (pb.HELP_STATE_CALLING, answer.signal_id)
                assert calling.help_lines
            assert await trouble.keeping.acknowledge(answer.alert_id, "first", "link")
            coming = await me(trouble, person_id).GetMyHelp(ask)
            assert (coming.state, coming.helper_name) == (pb.HELP_STATE_COMING, "First")
            hangs: list[str] = []

            async def never(*_: Any) -> None:
                hangs.append("")
                await asyncio.Event().wait()

            for each in (trouble.keeping, trouble.keeping_of(other)):
                patched.setattr(each._completer, "_write", never)
        await eventually(lambda: hangs)
        assert (await me(trouble, person_id).GetMyHelp(ask)).state == pb.HELP_STATE_COMING
    await trouble.whole(person_id)
    assert (await me(trouble, person_id).GetMyHelp(ask)).state == pb.HELP_STATE_COMING
    await other.stop()


async def test_the_person_sees_what_the_record_last_said(trouble: Trouble, person_id: str) -> None:
    answer = await trouble.signal(person_id)
    await trouble.world.paged("first", answer.alert_id)
    await trouble.world.step("keeping")
    async with trouble.away():
        calling = await me(trouble, person_id).GetMyHelp(pb.GetMyHelpRequest(person_id=person_id))
        assert calling.state == pb.HELP_STATE_CALLING


async def test_a_kept_call_can_be_taken_back_and_is_looked_after_all_the_same(trouble: Trouble, person_id: str) -> None:
    await trouble.on_call_is_known()
    other = await trouble.replica()
    async with trouble.away():
        answer = await trouble.signal(person_id)
        await trouble.world.paged("first", answer.alert_id)
        ask = pb.WithdrawSignalRequest(signal_id=answer.signal_id, note="pressed by mistake")
        with pytest.raises(NotFound):
            await me(trouble, ids.new_id()).WithdrawSignal(ask)
        for replica in (other, None, None):
            assert (await me(trouble, person_id, replica).WithdrawSignal(ask)).message
        calling = await me(trouble, person_id).GetMyHelp(pb.GetMyHelpRequest(person_id=person_id))
        assert (calling.state, calling.signal_id) == (pb.HELP_STATE_CALLING, "")
    alert = await trouble.whole(person_id)
    assert (await me(trouble, person_id).WithdrawSignal(ask)).message
    assert (alert["withdrawn"], alert["state"]) == (True, 2)
    timeline = await trouble.world.alerts().GetAlertTimeline(
        alert_service_pb2.GetAlertTimelineRequest(alert_id=answer.alert_id)
    )
    (entry,) = [each for each in timeline.entries if each.kind == alerts_pb2.ENTRY_KIND_SIGNAL_WITHDRAWN]
    assert (entry.note, entry.facts["signal_id"]) == ("pressed by mistake", answer.signal_id)
    audited = await trouble.fetch(
        "SELECT role FROM audit_entry WHERE person_id = $1 AND action LIKE '%WithdrawSignal' ORDER BY at", person_id
    )
    assert [row["role"] for row in audited] == ["participant"] * 2
    await other.stop()


async def test_whoever_calls_again_after_taking_it_back_has_not_taken_it_back(trouble: Trouble, person_id: str) -> None:
    async with trouble.away():
        answer = await trouble.signal(person_id)
        await me(trouble, person_id).WithdrawSignal(pb.WithdrawSignalRequest(signal_id=answer.signal_id))
        trouble.world.clock.advance(WAIT / 60)
        again = await trouble.signal(person_id)
        seen = await me(trouble, person_id).GetMyHelp(pb.GetMyHelpRequest(person_id=person_id))
        assert seen.signal_id == again.signal_id
    alert = await trouble.whole(person_id, signals=2)
    assert not alert["withdrawn"]


async def test_every_channel_is_used_once_another_replica_hears_that_life_is_in_danger(
    trouble: Trouble, person_id: str
) -> None:
    """Its owner learns of the call from the stream, and pages."""
    await trouble.on_call_is_known()
    other = await trouble.replica()
    async with trouble.away():
        answer = await trouble.signal(person_id)
        await trouble.world.paged("first", answer.alert_id)
        await eventually(lambda: trouble.noted(answer.alert_id))
        await me(trouble, person_id, other).GetMyHelp(pb.GetMyHelpRequest(person_id=person_id))  # it heard of the case
        case = trouble.keeping._keeper.cases[answer.alert_id].case
        (kept,) = case.signals
        plan = trouble.roads_of(other)._acceptance.plan(kept.renamed(ids.new_id()).signal, trouble.world.clock.now())
        await trouble.keeping_of(other).take(replace(plan, severity=int(Severity.IMMEDIATE)), kept.asked)
        await eventually(lambda: {each.place for each in case.pages} == {0, 1})
        await eventually(lambda: trouble.noted(answer.alert_id))
        assert len(trouble.world.pages("first", answer.alert_id)) == 1
    await other.stop()
    await trouble.complete()
    (alert,) = await trouble.fetch("SELECT severity, signals FROM alert WHERE person_id = $1", person_id)
    assert tuple(alert) == (Severity.IMMEDIATE, 2)
    await trouble.world.replays(answer.alert_id)
