import asyncio
from datetime import timedelta

import grpc
import pytest
import pytest_asyncio
from haven.crisis.v1 import people_pb2, signals_pb2
from haven.intake.v1 import events_pb2
from haven.intake.v1 import screening_service_pb2 as pb

from haven_intake.__main__ import SPEC
from haven_intake.store import screenings as store
from haven_kit import ids
from haven_kit.errors import NotFound
from haven_kit.identity import system
from haven_kit.testing import eventually
from haven_kit.tls import Folder

DAY = timedelta(days=1)


class Crisis:
    """Takes signals and cards at crisis's own address, behind mutual TLS, and writes down what it is told."""

    def __init__(self, credentials):
        self.signals = []
        self.cards = []
        self.port = 0
        self._credentials = credentials
        self._server = None

    async def start(self):
        methods = {
            "RaiseSignal": (signals_pb2.RaiseSignalRequest, self._raised),
            "PutPersonCard": (people_pb2.PutPersonCardRequest, self._put),
        }
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(
                answer,
                request_deserializer=kind.FromString,
                response_serializer=lambda message: message.SerializeToString(),
            )
            for name, (kind, answer) in methods.items()
        }
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("haven.crisis.v1.CrisisService", handlers),)
        )
        self.port = self._server.add_secure_port(f"127.0.0.1:{self.port}", self._credentials())
        await self._server.start()

    async def stop(self):
        await self._server.stop(0)

    async def _raised(self, request, context):
        self.signals.append(request)
        return signals_pb2.RaiseSignalResponse(signal_id=request.signal_id)

    async def _put(self, request, context):
        self.cards.append(request)
        return people_pb2.PutPersonCardResponse(version=request.version)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def crisis(shared_servers):
    there = Crisis(lambda: Folder(shared_servers.authority.issue("crisis")).server_credentials())
    await there.start()
    yield there
    await there.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def intake(serve, crisis):
    return await serve(SPEC, targets={"crisis": f"dns:///127.0.0.1:{crisis.port}"})


def submit(person_id, instrument_id, **answers):
    return pb.SubmitScreeningRequest(
        person_id=person_id,
        instrument_id=instrument_id,
        answers=[pb.Answer(item_id=key.replace("_", "-"), value=value) for key, value in answers.items()],
    )


async def concerns(intake, person_id):
    return [each for each in await intake.told(events_pb2.ConcernRaised) if each.person_id == person_id]


async def test_scores_by_the_published_bands(people):
    person_id = await people.referred()
    screening = await people.answered(person_id, "phq-9", 1, phq9_9=0)
    assert (screening.state, screening.score.total, screening.score.severity) == (pb.SCREENING_STATE_SCORED, 8, "mild")
    assert not screening.concern_raised
    assert not screening.HasField("help")


async def test_names_what_is_missing_and_scores_with_the_last_answer(people, intake):
    person_id = await people.referred()
    me = people.person(person_id).screenings
    draft = await me.SubmitScreening(submit(person_id, "gad-7", gad7_1=3, gad7_2=3))
    assert draft.state == pb.SCREENING_STATE_DRAFT
    assert list(draft.missing_items) == [f"gad7-{number}" for number in range(3, 8)]
    for number in range(3, 8):
        draft = await me.SaveAnswer(
            pb.SaveAnswerRequest(
                person_id=person_id,
                screening_id=draft.screening_id,
                answer=pb.Answer(item_id=f"gad7-{number}", value=3),
            )
        )
    assert (draft.state, draft.score.total, draft.score.severity) == (pb.SCREENING_STATE_SCORED, 21, "severe")
    assert [e.screening_id for e in await intake.told(events_pb2.ScreeningScored) if e.person_id == person_id] == [
        draft.screening_id
    ]
    read = await me.GetScreening(pb.GetScreeningRequest(person_id=person_id, screening_id=draft.screening_id))
    assert len(read.answers) == 7


async def test_one_answer_that_calls_for_help_goes_out_at_once_on_both_roads(people, intake, crisis):
    person_id = await people.referred()
    draft = await people.person(person_id).screenings.SubmitScreening(submit(person_id, "phq-9", phq9_9=1))
    assert draft.state == pb.SCREENING_STATE_DRAFT
    assert draft.concern_raised
    assert "988" in [line.contact for line in draft.help.lines]
    (told,) = await concerns(intake, person_id)
    await eventually(lambda: [s for s in crisis.signals if s.person_id == person_id])
    (signal,) = [s for s in crisis.signals if s.person_id == person_id]
    assert (signal.signal_id, signal.source) == (told.signal_id, signals_pb2.SIGNAL_SOURCE_SCREENING)
    assert signal.raised_at == told.raised_at
    assert (signal.level, told.level) == (signals_pb2.SIGNAL_LEVEL_HIGH, "high")


@pytest.mark.parametrize("wrong", [{"phq9_1": 9}, {"no_such_item": 1}, {"phq9_9": 7}])
async def test_wrong_answers_beside_it_never_hold_a_call_for_help_back(people, intake, wrong):
    person_id = await people.referred()
    screening = await people.person(person_id).screenings.SubmitScreening(
        submit(person_id, "phq-9", **({"phq9_9": 2} | wrong))
    )
    assert screening.concern_raised
    assert [each.item_id for each in screening.problems] == [key.replace("_", "-") for key in wrong]
    assert len(await concerns(intake, person_id)) == 1


async def test_the_same_concern_is_raised_once_and_a_new_one_again(people, intake):
    person_id = await people.referred()
    me = people.person(person_id).screenings
    draft = await me.SubmitScreening(submit(person_id, "c-ssrs-screener", cssrs_1=1))

    async def answer(item, value):
        return await me.SaveAnswer(
            pb.SaveAnswerRequest(
                person_id=person_id,
                screening_id=draft.screening_id,
                answer=pb.Answer(item_id=item, value=value),
            )
        )

    await answer("cssrs-1", 1)
    assert len(await concerns(intake, person_id)) == 1
    await answer("cssrs-2", 1)
    assert len(await concerns(intake, person_id)) == 2
    for item in ("cssrs-3", "cssrs-4", "cssrs-5", "cssrs-6"):
        done = await answer(item, 0)
    assert (done.state, done.score.severity) == (pb.SCREENING_STATE_SCORED, "low")


async def test_a_call_for_help_in_a_late_answer_still_goes_out(people, intake):
    person_id = await people.referred()
    done = await people.answered(person_id, "phq-9", 0)
    late = await people.person(person_id).screenings.SaveAnswer(
        pb.SaveAnswerRequest(
            person_id=person_id, screening_id=done.screening_id, answer=pb.Answer(item_id="phq9-9", value=3)
        )
    )
    assert late.score.total == 0
    assert [each.rule for each in late.problems] == ["finished"]
    assert len(await concerns(intake, person_id)) == 1


async def test_crisis_down_holds_nothing_up_and_is_told_when_it_is_back(people, intake, crisis):
    person_id = await people.referred()
    await crisis.stop()
    async with asyncio.timeout(2):
        screening = await people.answered(person_id, "phq-9", 0, phq9_9=1)
    assert screening.concern_raised
    assert not [s for s in crisis.signals if s.person_id == person_id]
    await crisis.start()
    await eventually(lambda: [s for s in crisis.signals if s.person_id == person_id], timeout=30)

    async def accepted():
        async with intake.process.database.transaction(system("test")) as tx:
            return await tx.fetch("SELECT 1 FROM concern WHERE person_id = $1 AND accepted_at IS NOT NULL", person_id)

    await eventually(accepted)


async def test_crisis_gets_the_card_and_the_safe_ways_only(people, crisis):
    from haven.intake.v1 import people_pb2 as intake_pb
    from haven.intake.v1 import people_service_pb2

    person_id = await people.referred()
    await eventually(lambda: [c for c in crisis.cards if c.person_id == person_id])
    await people.person(person_id).people.SetPreferences(
        people_service_pb2.SetPreferencesRequest(
            person_id=person_id,
            preferences=intake_pb.Preferences(
                chosen_name="Robin",
                pronouns="they/them",
                never_contact_partner=True,
                code_word="blue kettle",
                safe_contacts=[intake_pb.SafeContact(channel="text", value="+13165550100", when="before three")],
                triggers=[intake_pb.Trigger(what="raised voices")],
                grounding=["five things I see"],
            ),
        )
    )

    def card():
        return next((c for c in crisis.cards if c.person_id == person_id and c.version == 2), None)

    await eventually(card)
    assert (card().chosen_name, card().pronouns, card().danger_at_home) == ("Robin", "they/them", True)
    assert [(way.kind, way.address) for way in card().ways] == [("text", "+13165550100")]
    assert "blue kettle" in card().ways[0].safe_words
    assert (list(card().avoid), list(card().helps)) == (["raised voices"], ["five things I see"])


async def test_others_see_no_screening(people):
    person_id, other = await people.referred(), await people.referred()
    screening = await people.answered(person_id, "phq-9", 0)
    request = pb.GetScreeningRequest(person_id=person_id, screening_id=screening.screening_id)
    for stranger in (people.person(other), people.staff("individual_therapist")):
        with pytest.raises(NotFound):
            await stranger.screenings.GetScreening(request)


async def test_a_concern_that_was_told_in_vain_waits_behind_the_others(intake):
    older, newer = ids.new_id(), ids.new_id()
    async with intake.process.database.transaction(system("test")) as tx:
        for signal_id in (older, newer):
            await store.add_concern(tx, signal_id, ids.new_id(), ids.new_id(), "high")
        for signal_id, raised, due in ((older, 3, 1), (newer, 2, 2)):
            await tx.fetch(
                "UPDATE concern SET raised_at = $2, try_at = $3 WHERE signal_id = $1",
                signal_id,
                tx.now - raised * DAY,
                tx.now - due * DAY,
            )
        assert (await store.claim_concern(tx, DAY))["signal_id"] == newer
        assert (await store.claim_concern(tx, DAY))["signal_id"] == older
        await tx.fetch("DELETE FROM concern WHERE signal_id = ANY($1::uuid[])", [older, newer])
