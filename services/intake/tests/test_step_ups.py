"""More care is proposed when symptoms rise and stay up, or calls for help repeat; people decide."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from haven.crisis.v1 import events_pb2 as crisis
from haven.intake.v1 import care_pb2, care_service_pb2, events_pb2
from haven.intake.v1 import step_up_service_pb2 as pb
from haven.intake.v1.step_up_service_pb2_grpc import StepUpServiceStub

from haven_intake import facts
from haven_intake.__main__ import SPEC
from haven_intake.domain import step_up as rules
from haven_kit import ids
from haven_kit.clock import FakeClock
from haven_kit.errors import Denied, NotFound, Refused, Stale
from haven_kit.testing import eventually

from .conftest import People

RULE = facts.step_up_rules().rises["phq-9"]
START = datetime(2026, 1, 5, tzinfo=UTC)


def totals(*pairs: tuple[int, int]) -> list[tuple[datetime, int]]:
    return [(START + timedelta(days=day), total) for day, total in pairs]


@pytest.mark.parametrize(
    ("pairs", "risen"),
    [
        ([(0, 8), (7, 13), (14, 14)], rules.Risen(8, 14)),
        ([(0, 8), (7, 9), (14, 14)], None),  # only once
        ([(0, 8), (7, 13), (14, 12)], None),  # down again
        ([(0, 4), (7, 9), (14, 9)], None),  # risen, and still mild
        ([(7, 20), (14, 21)], None),  # high from the start
        ([(0, 8), (7, 13), (8, 14)], None),  # too soon after the other
        ([(0, 8), (5, 15), (6, 15), (11, 15)], rules.Risen(8, 15)),
        ([(0, 8), (190, 14), (200, 14)], None),  # the low one is long ago
        ([(0, 15), (7, 8), (14, 13), (21, 13)], rules.Risen(8, 13)),
        ([], None),
    ],
)
def test_a_rise_is_large_lasts_and_needs_treatment(pairs: list[tuple[int, int]], risen: rules.Risen | None) -> None:
    assert rules.risen(RULE, totals(*reversed(pairs))) == risen


def test_the_rules_speak_of_instruments_that_there_are_and_name_their_sources() -> None:
    known = facts.step_up_rules()
    assert set(known.rises) <= set(facts.all_instruments())
    named = [(each.rule_id, each.source) for each in known.rises.values()]
    for rule_id, source in (*named, (known.repeated.rule_id, known.repeated.source)):
        assert len(source) > 40
        assert rule_id.endswith("/1")


def test_more_care_is_the_next_level_that_the_program_gives_or_else_the_next_there_is() -> None:
    levels, offered = list(facts.levels_of_care().values()), facts.offered_levels()
    found = {each.id: rules.next_level(levels, each.id, offered) for each in levels}
    assert {name: level and level.id for name, level in found.items()} == {
        "outpatient": "iop",
        "iop": "php",
        "php": "residential",
        "residential": "inpatient",
        "inpatient": None,
    }


class World:
    def __init__(self, intake: Any, clock: FakeClock) -> None:
        self.intake, self.clock = intake, clock

    @property
    def people(self) -> People:
        """Signed in now: days pass here."""
        return People(self.intake)

    async def screened(self, person_id: str, total: int, after_days: int = 7) -> None:
        self.clock.advance(timedelta(days=after_days))
        whole, rest = divmod(total, 8)
        items = {f"phq9_{number}": whole + (number <= rest) for number in range(1, 9)}
        await self.people.answered(person_id, "phq-9", 0, **items)

    def proposals(self, who: Any) -> Any:
        return self.intake.as_role("individual_therapist", sub=who.id).stub(StepUpServiceStub)

    async def proposed(self, person_id: str, who: Any, **given: Any) -> list[pb.StepUpProposal]:
        ask = pb.ListStepUpProposalsRequest(person_id=person_id, **given)
        return list((await self.proposals(who).ListStepUpProposals(ask)).proposals)

    async def one(self, person_id: str, who: Any) -> pb.StepUpProposal:
        async def there() -> Any:
            return await self.proposed(person_id, who)

        found: list[pb.StepUpProposal] = await eventually(there)
        return found[0]

    async def alerts(self, person_id: str, *, drill: bool = False) -> None:
        event = crisis.AlertRaised(alert_id=ids.new_id(), person_id=person_id, drill=drill)
        event.raised_at.FromDatetime(self.clock.now())
        await self.intake.react(event)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(serve: Any) -> World:
    clock = FakeClock()
    return World(await serve(SPEC, clock=clock), clock)


async def risen(world: World) -> tuple[str, Any, pb.StepUpProposal]:
    person_id, therapist = await world.people.admitted()
    for total in (13, 14):
        await world.screened(person_id, total)
    return person_id, therapist, await world.one(person_id, therapist)


async def test_a_rise_that_lasts_is_proposed_once_and_taken_up_by_stepping_up(world: World) -> None:
    person_id, therapist, proposal = await risen(world)
    assert (proposal.from_level, proposal.to_level, proposal.by_referral) == ("iop", "php", False)
    (reason,) = proposal.reasons
    assert reason.rule_id == "phq-9-rise/1"
    assert reason.sentence == "Patient Health Questionnaire, nine items: rose from 0 to 14, and stayed up."
    for _ in range(2):
        await world.alerts(person_id)
    both = (await world.one(person_id, therapist)).reasons
    assert [each.rule_id for each in both] == ["phq-9-rise/1", "repeated-alerts/1"]
    events = [e for e in await world.intake.told(events_pb2.StepUpProposed) if e.person_id == person_id]
    assert [each.proposal_id for each in events] == [proposal.proposal_id]
    await world.people.staff("individual_therapist", therapist.id).care.ChangeLevelOfCare(
        care_service_pb2.ChangeLevelOfCareRequest(
            person_id=person_id,
            level_of_care="php",
            days_per_week=5,
            hours_per_week=20,
            reason="needs more",
            facts=care_pb2.EligibilityFacts(emotional_behavioral=3),
        )
    )
    assert await world.proposed(person_id, therapist) == []
    (after,) = await world.proposed(person_id, therapist, include_decided=True)
    assert (after.state, after.decided_by) == (pb.STEP_UP_STATE_TAKEN_UP, therapist.id)


async def test_a_declined_proposal_does_not_come_again_at_once(world: World) -> None:
    person_id, therapist, proposal = await risen(world)
    stub = world.proposals(therapist)
    decline = pb.DeclineStepUpRequest(proposal_id=proposal.proposal_id, reason="a hard week", etag="v9")
    with pytest.raises(Stale):
        await stub.DeclineStepUp(decline)
    decline.etag = proposal.etag
    declined = await stub.DeclineStepUp(decline)
    assert (declined.state, declined.decision) == (pb.STEP_UP_STATE_DECLINED, "a hard week")
    decline.ClearField("etag")
    with pytest.raises(Refused):
        await stub.DeclineStepUp(decline)
    await world.screened(person_id, 15)
    await world.screened(person_id, 15, after_days=8)
    again = await world.one(person_id, therapist)
    assert again.proposal_id != proposal.proposal_id
    assert again.proposed_at.ToDatetime(UTC) == world.clock.now(), "and not a week earlier"


async def test_calls_for_help_that_repeat_are_enough_and_drills_count_for_nothing(world: World) -> None:
    person_id, therapist = await world.people.admitted()
    for _ in range(3):
        await world.alerts(person_id, drill=True)
    await world.alerts(person_id)
    world.clock.advance(timedelta(days=31))
    await world.alerts(person_id)
    assert await world.proposed(person_id, therapist) == []
    await world.alerts(person_id)
    assert (await world.one(person_id, therapist)).reasons[0].sentence == "2 calls for help in 30 days."


async def test_nobody_is_proposed_more_care_who_is_not_in_the_program(world: World) -> None:
    person_id = await world.people.referred()
    therapist = world.people.staff("individual_therapist")
    await world.people.care_team(person_id, (therapist.id, "individual_therapist"))
    for _ in range(2):
        await world.alerts(person_id)
        await world.alerts(ids.new_id())
    assert await world.proposed(person_id, therapist, include_decided=True) == []


async def test_only_the_care_team_and_the_office_see_it_and_a_clinician_decides(world: World) -> None:
    person_id, therapist, proposal = await risen(world)
    ask = pb.GetStepUpProposalRequest(proposal_id=proposal.proposal_id)
    assert (await world.proposals(therapist).GetStepUpProposal(ask)).proposal_id == proposal.proposal_id
    stranger = world.people.staff("individual_therapist")
    assert await world.proposed(person_id, stranger) == []
    with pytest.raises(NotFound):
        await world.proposals(stranger).GetStepUpProposal(ask)
    office = world.intake.as_role("care_coordinator").stub(StepUpServiceStub)
    listed = (await office.ListStepUpProposals(pb.ListStepUpProposalsRequest(page_size=200))).proposals
    assert proposal.proposal_id in {each.proposal_id for each in listed}
    with pytest.raises(Denied):
        await office.DeclineStepUp(pb.DeclineStepUpRequest(proposal_id=proposal.proposal_id, reason="no"))
    async with world.intake.process.database.transaction(_system()) as tx:
        (row,) = await tx.fetch("SELECT sealed FROM step_up WHERE proposal_id = $1", proposal.proposal_id)
    assert b"rose from" not in row["sealed"]


def _system() -> Any:
    from haven_kit.identity import system

    return system("test")
