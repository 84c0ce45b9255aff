"""Calendars: a person's, a group's, the optional activities, and the feed for calendar apps."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from haven.scheduling.v1 import calendar_pb2 as pb

from haven_kit import relations
from haven_kit.call import Call
from haven_kit.errors import Invalid, NotFound
from haven_kit.paging import Page
from haven_scheduling import patterns, planning, policy
from haven_scheduling.api.base import Base
from haven_scheduling.domain import icalendar
from haven_scheduling.domain.intervals import Interval
from haven_scheduling.store import calendar, groups
from haven_scheduling.store.rows import SessionRow

DEFAULT_SPAN = timedelta(weeks=4)
LONGEST_SPAN = timedelta(days=400)


class CalendarsApi(Base):
    """Calendars."""

    async def list_sessions(self, call: Call, request: pb.ListSessionsRequest) -> pb.ListSessionsResponse:
        """The caller's calendar, a person's, or a group's."""
        whose = await _whose(call, request)
        zone = await self._zone(call, whose.person_id, request.time_zone)
        page = Page.of(request)
        found = await calendar.sessions(
            call.tx,
            _span(request, call.now),
            person_id=whose.person_id,
            facilitator_id=whose.facilitator_id,
            group_id=request.group_id or None,
            cancelled=request.include_cancelled,
            after=_after(page),
            limit=page.size + 1,
        )
        cared = (whose.person_id,) if whose.person_id else ()
        shown, token = page.cut(found, _key)
        sessions = self._page(call, shown, zone, cared)
        call.about(*(person for each in sessions for person in each.person_ids), *cared)
        return pb.ListSessionsResponse(sessions=sessions, next_page_token=token)

    async def list_activities(self, call: Call, request: pb.ListActivitiesRequest) -> pb.ListActivitiesResponse:
        """The calendar of optional activities."""
        zone = await self._zone(call, call.principal.person_id, request.time_zone)
        page = Page.of(request)
        span = _span(request, call.now)
        found = await calendar.sessions(call.tx, span, optional=True, after=_after(page), limit=page.size + 1)
        shown, token = page.cut(found, _key)
        sessions = self._page(call, shown, zone, ())
        call.about(*(person for each in sessions for person in each.person_ids))
        return pb.ListActivitiesResponse(sessions=sessions, next_page_token=token)

    async def get_calendar_feed(self, call: Call, request: pb.GetCalendarFeedRequest) -> pb.CalendarFeed:
        """The person's own sessions for a calendar app."""
        await relations.require(call, request.person_id)
        span = Interval(call.now, call.now + planning.HORIZON)
        found = await calendar.sessions(call.tx, span, person_id=request.person_id, cancelled=True)
        entries = [
            icalendar.Entry(each.session_id, each.when, each.version, each.state == calendar.CANCELLED)
            for each in found
        ]
        return pb.CalendarFeed(icalendar=icalendar.calendar(entries, call.now))

    def _page(
        self, call: Call, shown: Sequence[SessionRow], zone: ZoneInfo | None, cared: Collection[str]
    ) -> list[pb.Session]:
        return [self._words.session(each, call.principal, zone, cared) for each in shown]


@dataclass(frozen=True, slots=True)
class _Whose:
    person_id: str | None = None
    facilitator_id: str | None = None


async def _whose(call: Call, request: pb.ListSessionsRequest) -> _Whose:
    me = call.principal
    if request.person_id:
        await relations.require(call, request.person_id)
        return _Whose(person_id=request.person_id)
    if not me.is_staff:
        if not me.person_id:
            raise NotFound("person")
        return _Whose(person_id=me.person_id)
    if request.group_id:
        group = await groups.group(call.tx, request.group_id)
        if policy.sees_all(me, group.details.facilitator_id):
            return _Whose()
    return _Whose(facilitator_id=me.id)


def _span(request: pb.ListSessionsRequest | pb.ListActivitiesRequest, now: datetime) -> Interval:
    # `from` is a word of the language, so the field is read by name.
    start = patterns.moment("from", getattr(request, "from")) if request.HasField("from") else now
    end = patterns.moment("to", request.to) if request.HasField("to") else start + DEFAULT_SPAN
    if end - start > LONGEST_SPAN:
        raise Invalid("to", "span", "A calendar covers at most 400 days at once.")
    return patterns.span(start, end, "to")


def _after(page: Page) -> tuple[datetime, str] | None:
    return (datetime.fromtimestamp(page.after[0], UTC), page.after[1]) if page.after else None


def _key(row: SessionRow) -> tuple[float, str]:
    return row.when.start.timestamp(), row.session_id
