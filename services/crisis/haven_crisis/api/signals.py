"""CrisisService: calls for help, and what is kept ready for one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

from haven.crisis.v1 import people_pb2 as people_pb
from haven.crisis.v1 import signals_pb2 as pb

from haven_crisis import facts, policy, texts
from haven_crisis.acceptance import Signal
from haven_crisis.api.desk import Desk
from haven_crisis.domain.alerts import ANSWERED, State, withdraw
from haven_crisis.entrances import OfCall
from haven_crisis.keeping.case import Kept, Withdrawn
from haven_crisis.store import alerts, people
from haven_crisis.store.alerts import Told
from haven_kit import etags, ids, logs, relations
from haven_kit.call import Call, own_transactions
from haven_kit.cipher import CannotOpen
from haven_kit.errors import Invalid, NotFound, Overloaded, Unavailable

_log = logs.get(__name__)
MOST_OF_A_NOTE = 2000
MOST_OF_AN_ID = 255
OLDEST = timedelta(days=30)
LONGEST_WATCH = timedelta(days=366)
_NAMESPACE = UUID("0197c0de-5160-7a11-8a5e-2b6f3f0c9d41")


class CrisisApi:
    """Answers CrisisService."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._cipher = desk.parts.cipher

    @own_transactions
    async def raise_signal(self, call: Call, request: pb.RaiseSignalRequest) -> pb.RaiseSignalResponse:
        now = call.now
        person_id, source, linked = policy.caller_for(call, request.person_id, request.source)
        signal = Signal(
            signal_id=_signal_id(call, request.signal_id),
            person_id=person_id,
            source=source,
            actor=call.principal.id,
            raised_at=_moment(request, now),
            session_id=_uuid(request.session_id),
            facilitator_id=request.facilitator_id[:MOST_OF_AN_ID].replace("\0", ""),
            note=request.note[:MOST_OF_A_NOTE],
            level=policy.level_of(call.principal, request.level),
            pressed=not call.principal.is_service,
        )
        taken = await self._desk.roads.take(OfCall(call), signal, linked=linked)
        message = _answer(source, person_id == call.principal.person_id)
        # A partner or family member learns nothing of what became of it: not even whether it joined an alert of before,
        # or whether one of before is closed by now.
        response = pb.RaiseSignalResponse(
            signal_id=signal.signal_id if linked else taken.signal_id,
            alert_id="" if linked else taken.alert_id,
            message=f"{message} {texts.CALL_AS_WELL}" if taken.kept is Kept.NOWHERE else message,
            help_lines=self._lines(person_id, taken.place if person_id == call.principal.person_id else None),
            withdraw=texts.HOW_TO_WITHDRAW,
            kept=pb.Kept.ValueType(taken.kept),
        )
        response.accepted_at.FromDatetime(now)
        return response

    def _lines(self, person_id: str, place: bytes | None) -> tuple[pb.HelpLine, ...]:
        """Whom the person can reach meanwhile, where they are. Whatever is wrong with the place, there are some."""
        try:
            where = people.open_place(self._cipher, person_id, place) if place else people_pb.Location()
        except CannotOpen:
            _log.error("place.unreadable")
            where = people_pb.Location()
        return facts.lines_for_person(where.country, where.region)

    @own_transactions
    async def withdraw_signal(self, call: Call, request: pb.WithdrawSignalRequest) -> pb.WithdrawSignalResponse:
        """The same again by the same caller is one withdrawal."""
        response = pb.WithdrawSignalResponse(message=texts.WITHDRAWN)
        if await self._withdrawn_from_kept(call, request):
            return response
        try:
            async with call.transaction():
                await self._withdraw(call, request)
        except (NotFound, Unavailable, Overloaded):
            # Another replica may keep it, and have told this one a moment ago.
            await self._desk.roads.keeping.callers.hear()
            if not await self._withdrawn_from_kept(call, request):
                raise
        return response

    async def _withdrawn_from_kept(self, call: Call, request: pb.WithdrawSignalRequest) -> bool:
        callers = self._desk.roads.keeping.callers
        kept = callers.signal(request.signal_id)
        if kept is None:
            return False
        policy.may_withdraw(call.principal, kept.signal.person_id, kept.asked.principal_id)
        asked, by_person = OfCall(call).asked(unverified=False), _by_person(call, kept.signal.person_id)
        return await callers.withdraw(Withdrawn(request.signal_id, asked, call.now, by_person, request.note))

    async def _withdraw(self, call: Call, request: pb.WithdrawSignalRequest) -> None:
        signal = await call.tx.fetch_one(
            "SELECT person_id::text, principal_id FROM signal WHERE signal_id = $1", request.signal_id
        )
        if signal is None:
            raise NotFound("signal")
        policy.may_withdraw(call.principal, signal["person_id"], signal["principal_id"])
        call.about(signal["person_id"])
        alert = await alerts.of_signal(call.tx, request.signal_id, lock=True)
        by = call.principal.id
        if request.note in await alerts.withdrawals(call.tx, self._cipher, alert.alert_id, by, request.signal_id):
            return
        by_person = _by_person(call, signal["person_id"])
        entries = withdraw(alert, by, request.signal_id, call.now, by_person=by_person)
        await alerts.add(call.tx, self._cipher, alert, entries, Told(request.note))

    @own_transactions
    async def get_my_help(self, call: Call, request: pb.GetMyHelpRequest) -> pb.Help:
        if request.person_id != call.principal.person_id:
            raise NotFound("person")
        callers = self._desk.roads.keeping.callers
        kept = callers.help_for(request.person_id)
        if kept is None:
            try:
                async with call.transaction():
                    return await self._help(call, request)
            except (Unavailable, Overloaded):
                kept = await callers.help_without_the_record(request.person_id)
                if kept is None:
                    raise
        shown = help_of(kept.state, self._desk.directory.name(kept.responder_id))
        shown.help_lines.extend(facts.lines_for_person())
        shown.signal_id = kept.signal_id
        shown.updated_at.FromDatetime(call.now)
        return shown

    async def _help(self, call: Call, request: pb.GetMyHelpRequest) -> pb.Help:
        call.about(request.person_id)
        place, _, _ = await people.get(call.tx, self._cipher, request.person_id, people.LOCATION, people_pb.Location)
        lines = facts.lines_for_person(place.country, place.region) if place else facts.lines_for_person()
        alert = await alerts.open_of(call.tx, request.person_id)
        if alert is None:
            return pb.Help(state=pb.HELP_STATE_NONE, message=texts.NONE_OPEN, help_lines=lines)
        await self._desk.book(call.tx)
        shown = help_of(alert.state, self._desk.directory.name(alert.responder_id))
        shown.help_lines.extend(lines)
        row = await call.tx.fetch_one(
            """SELECT signal_id::text FROM timeline WHERE alert_id = $1 AND signal_id IS NOT NULL
            ORDER BY seq DESC LIMIT 1""",
            alert.alert_id,
        )
        shown.signal_id = row["signal_id"] if row is not None and not alert.withdrawn else ""
        shown.updated_at.FromDatetime(call.now)
        return shown

    async def put_risk_watch(self, call: Call, request: pb.PutRiskWatchRequest) -> pb.RiskWatch:
        await relations.require(call, request.person_id)
        call.about(request.person_id)
        watch = request.watch
        if watch.until.ToDatetime(UTC) > call.now + LONGEST_WATCH:
            raise Invalid("watch.until", "within_a_year", "Choose a time within a year; it can be set again.")
        version = await people.locked_version(call.tx, request.person_id, people.RISK_WATCH)
        if watch.etag or version:
            etags.check(watch.etag or etags.of(0), version)
        watch.person_id, watch.set_by = request.person_id, call.principal.id
        watch.ClearField("etag")
        await people.put(call.tx, self._cipher, request.person_id, people.RISK_WATCH, version + 1, watch)
        watch.etag = etags.of(version + 1)
        return watch

    async def get_risk_watch(self, call: Call, request: pb.GetRiskWatchRequest) -> pb.RiskWatch:
        await relations.require(call, request.person_id)
        call.about(request.person_id)
        watch, version, _ = await people.get(call.tx, self._cipher, request.person_id, people.RISK_WATCH, pb.RiskWatch)
        if watch is None:
            raise NotFound("risk watch")
        watch.etag = etags.of(version)
        return watch

    async def put_person_card(
        self, call: Call, request: people_pb.PutPersonCardRequest
    ) -> people_pb.PutPersonCardResponse:
        call.about(request.person_id)
        held = await people.put(call.tx, self._cipher, request.person_id, people.CARD, request.version, request)
        return people_pb.PutPersonCardResponse(version=held)

    async def confirm_location(
        self, call: Call, request: people_pb.ConfirmLocationRequest
    ) -> people_pb.ConfirmLocationResponse:
        if not (call.principal.is_service or request.person_id == call.principal.person_id):
            raise NotFound("person")
        call.about(request.person_id)
        location = request.location
        if not location.HasField("confirmed_at") or location.confirmed_at.ToDatetime(UTC) > call.now:
            location.confirmed_at.FromDatetime(call.now)
        version = location.confirmed_at.ToMicroseconds()
        held = await people.put(call.tx, self._cipher, request.person_id, people.LOCATION, version, location)
        response = people_pb.ConfirmLocationResponse()
        response.confirmed_at.FromMicroseconds(held)
        return response


def _signal_id(call: Call, given: str) -> str:
    """The call's id. What is no UUID is a name that the caller gave it: the same name, or the same idempotency key, is
    the same call."""
    name = given or call.idempotency_key
    if not name:
        return ids.new_id()
    return _uuid(given) or str(uuid5(_NAMESPACE, f"{call.principal.id}/{name}"))


def _uuid(given: str) -> str:
    """A UUID as PostgreSQL writes it; empty for what is none."""
    try:
        return str(UUID(given))
    except ValueError:
        return ""


def _moment(request: pb.RaiseSignalRequest, now: datetime) -> datetime:
    """When it happened; now for a time that is none, or is too long ago to be meant."""
    try:
        at = request.raised_at.ToDatetime(UTC)
    except (ValueError, OverflowError):
        return now
    return at if now - OLDEST < at < now else now


def _answer(source: int, for_self: bool) -> str:
    if source == pb.SIGNAL_SOURCE_DRILL:
        return texts.DRILL_STARTED
    return texts.HELP_IS_COMING if for_self else texts.HELP_FOR_OTHER


def _by_person(call: Call, person_id: str) -> bool:
    """Whether the caller's word is the person's own."""
    return call.principal.is_service or call.principal.person_id == person_id


def help_of(state: State, helper: str) -> pb.Help:
    """How far help has come, in calm words."""
    if state not in ANSWERED:
        return pb.Help(state=pb.HELP_STATE_CALLING, message=texts.CALLING)
    if state is State.ACKNOWLEDGED:
        message = texts.COMING.format(name=helper) if helper else texts.COMING_UNNAMED
        return pb.Help(state=pb.HELP_STATE_COMING, message=message, helper_name=helper)
    message = texts.IN_TOUCH.format(name=helper) if helper else texts.IN_TOUCH_UNNAMED
    return pb.Help(state=pb.HELP_STATE_IN_TOUCH, message=message, helper_name=helper)
