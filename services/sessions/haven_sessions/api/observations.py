"""ObservationService: recognizing distress early. Nothing of it is an event of the room: the group never sees it."""

from __future__ import annotations

import uuid

from haven.crisis.v1 import signals_pb2
from haven.crisis.v1.crisis_service_pb2_grpc import CrisisServiceStub
from haven.sessions.v1 import events_pb2
from haven.sessions.v1 import observation_service_pb2 as pb

from haven_kit import logs, relations, times, words
from haven_kit.call import Call
from haven_kit.clients import IDEMPOTENCY_KEY
from haven_kit.errors import HavenError, Invalid, NotFound, Refused
from haven_kit.ids import new_id
from haven_kit.paging import Page
from haven_sessions.api.desk import Desk
from haven_sessions.domain import distress
from haven_sessions.store import observations, rooms

_log = logs.get(__name__)


class ObservationApi:
    """Answers ObservationService."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._cipher = desk.parts.cipher
        self._crisis = desk.parts.client("crisis", CrisisServiceStub)

    async def list_distress_signs(
        self, call: Call, request: pb.ListDistressSignsRequest
    ) -> pb.ListDistressSignsResponse:
        call.about()
        page = Page.of(request)
        start = int(page.after[0]) if page.after else 0
        signs = list(self._desk.facts.signs.values())
        end = start + page.size
        shown = [
            pb.DistressSign(
                sign_id=each.sign_id,
                label=each.label,
                looks_like=each.looks_like,
                suggestion=pb.Suggestion.ValueType(each.suggestion),
                source=each.source,
            )
            for each in signs[start:end]
        ]
        return pb.ListDistressSignsResponse(
            signs=shown, next_page_token=page.next_token([end]) if end < len(signs) else ""
        )

    async def record_observation(self, call: Call, request: pb.RecordObservationRequest) -> pb.Observation:
        await self._desk.staff(call.tx, call.principal, request.session_id)
        person_id = await self._person(call, request.session_id, request.member_id)
        call.about(person_id)
        signs = [self._sign(place, sign_id) for place, sign_id in enumerate(request.sign_ids)]
        observation = pb.Observation(
            observation_id=new_id(),
            session_id=request.session_id,
            person_id=person_id,
            observed_at=times.stamp(call.now),
            observed_by=call.principal.id,
            sign_ids=request.sign_ids,
            note=request.note,
            suggestions=[
                pb.Suggestion.ValueType(each) for each in distress.suggestions(signs, call_help=request.call_help)
            ],
        )
        if level := distress.level(signs, call_help=request.call_help):
            observation.signal_id = _signal_id(call)
            self._tell_all(call, observation, level)
            observation.reached_crisis = await self._tell_crisis(observation, level)
        await observations.add(call.tx, self._cipher, observation)
        return observation

    async def _person(self, call: Call, session_id: str, member_id: str) -> str:
        member = (await rooms.members(call.tx, session_id)).get(member_id)
        if member is None:
            raise NotFound("member")
        if not member.person_id:
            raise Refused("no_person", "This is a member of staff.")
        return member.person_id

    def _sign(self, place: int, sign_id: str) -> distress.Sign:
        found = self._desk.facts.signs.get(sign_id)
        if found is None:
            raise Invalid(f"sign_ids[{place}]", "known_sign", "There is no such sign in the list.")
        return found

    def _tell_all(self, call: Call, observation: pb.Observation, level: str) -> None:
        """The road by event: it arrives even if crisis does not answer now."""
        event = events_pb2.DistressObserved(
            signal_id=observation.signal_id,
            person_id=observation.person_id,
            session_id=observation.session_id,
            facilitator_id=observation.observed_by,
            raised_at=observation.observed_at,
            level=level,
        )
        call.tx.emit(event, key=observation.signal_id)

    async def _tell_crisis(self, observation: pb.Observation, level: str) -> bool:
        """The road at once, before the commit: what reached crisis stays, whatever becomes of the record here."""
        raised = signals_pb2.RaiseSignalRequest(
            signal_id=observation.signal_id,
            person_id=observation.person_id,
            source=signals_pb2.SIGNAL_SOURCE_FACILITATOR,
            session_id=observation.session_id,
            facilitator_id=observation.observed_by,
            raised_at=observation.observed_at,
            note=observation.note,
            level=words.number(signals_pb2.SignalLevel, level),
        )
        try:
            await self._crisis.RaiseSignal(
                raised,
                timeout=self._desk.settings.location_timeout_seconds,
                metadata=((IDEMPOTENCY_KEY, observation.signal_id),),
            )
        except HavenError as error:
            _log.warning("observation.not_told", signal_id=observation.signal_id, reason=error.reason)
            return False
        return True

    async def list_observations(self, call: Call, request: pb.ListObservationsRequest) -> pb.ListObservationsResponse:
        await self._desk.staff(call.tx, call.principal, request.session_id)
        page = Page.of(request)
        found = await observations.of_session(call.tx, self._cipher, request.session_id, page)
        shown, token = page.cut(found, lambda each: [each.observation_id])
        call.about(*(each.person_id for each in shown))
        return pb.ListObservationsResponse(observations=shown, next_page_token=token)

    async def list_person_observations(
        self, call: Call, request: pb.ListPersonObservationsRequest
    ) -> pb.ListPersonObservationsResponse:
        await relations.require(call, request.person_id)
        call.about(request.person_id)
        page = Page.of(request)
        found = await observations.of_person(call.tx, self._cipher, request.person_id, page)
        shown, token = page.cut(found, lambda each: [each.observation_id])
        return pb.ListPersonObservationsResponse(observations=shown, next_page_token=token)

    async def say_how_i_am(self, call: Call, request: pb.SayHowIAmRequest) -> pb.SayHowIAmResponse:
        await self._desk.standing(call.tx, call.principal, request.session_id)
        member = await rooms.member_of(call.tx, request.session_id, call.principal.id)
        if member is None or not member.person_id:
            raise Refused("not_joined", "Join the room first.")
        call.about(member.person_id)
        facts = self._desk.facts
        suggested = facts.how_i_am.suggestions(request.how_i_am)
        observation = pb.Observation(
            observation_id=new_id(),
            session_id=request.session_id,
            person_id=member.person_id,
            observed_at=times.stamp(call.now),
            how_i_am=request.how_i_am,
            suggestions=[pb.Suggestion.ValueType(each) for each in suggested],
        )
        await observations.add(call.tx, self._cipher, observation)
        answer = pb.SayHowIAmResponse(text=facts.texts.how_i_am_heavy if suggested else facts.texts.how_i_am)
        if distress.Suggestion.GROUNDING in suggested:
            answer.exercise.CopyFrom(next(iter(facts.exercises.values())))
        return answer


def _signal_id(call: Call) -> str:
    """The same for a call that is sent again: crisis may have been told before the record here failed."""
    if not call.idempotency_key:
        return new_id()
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{call.principal.id}/{call.idempotency_key}"))
