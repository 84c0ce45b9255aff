"""Series."""

from __future__ import annotations

from datetime import timedelta

from haven.scheduling.v1 import calendar_pb2 as cal
from haven.scheduling.v1 import groups_pb2 as pb

from haven_kit import etags
from haven_kit.call import Call
from haven_kit.errors import Invalid, Refused
from haven_kit.ids import new_id
from haven_kit.paging import Page
from haven_scheduling import patterns, planning, policy, views
from haven_scheduling.api.base import Base, may_see
from haven_scheduling.api.groups import UNLICENSED, require_licence
from haven_scheduling.api.sessions import check_people
from haven_scheduling.planning import Following
from haven_scheduling.store import calendar, groups
from haven_scheduling.store.rows import SeriesRow


class SeriesApi(Base):
    """Series."""

    async def create_series(self, call: Call, request: pb.CreateSeriesRequest) -> pb.Series:
        """Put a group's weekly sessions on the calendar."""
        group = await groups.lock_group(call.tx, request.group_id)
        policy.require_lead(call.principal, group.details.facilitator_id)
        pattern = _within(request.pattern, group.details)
        call.about(*(person for _, person in await groups.active(call.tx, group.group_id)))
        row = _new(pattern, cal.SESSION_KIND_GROUP, group.details.facilitator_id, group_id=group.group_id)
        return views.series(await planning.start(call.tx, row, may_see(call)))

    async def plan_series(self, call: Call, request: cal.PlanSeriesRequest) -> pb.Series:
        """Put weekly sessions outside a group on the calendar."""
        check_people(request.kind, request.person_ids)
        await policy.require_people(call, request.person_ids)
        call.about(*request.person_ids)
        await require_licence(call.tx, request.facilitator_id, call.now.date())
        patterns.pattern(request.pattern)
        series_id = new_id()
        row = _new(
            request.pattern,
            request.kind,
            request.facilitator_id,
            series_id=series_id,
            person_ids=tuple(sorted(request.person_ids)),
            sealed=self._words.seal_series(series_id, request.title),
        )
        return views.series(await planning.start(call.tx, row, may_see(call)))

    async def get_series(self, call: Call, request: pb.GetSeriesRequest) -> pb.Series:
        """One series, with seats that could not be taken."""
        row = await groups.series(call.tx, request.series_id)
        await policy.require_series(call, row)
        call.about(*row.person_ids)
        clashes = []
        if policy.sees_all(call.principal, row.facilitator_id):
            clashes = await calendar.clashes(call.tx, row.series_id)
        return views.series(row, clashes)

    async def list_series(self, call: Call, request: pb.ListSeriesRequest) -> pb.ListSeriesResponse:
        """The series of a group."""
        page = Page.of(request)
        group = await groups.group(call.tx, request.group_id)
        found = await groups.series_of_group(
            call.tx, group.group_id, after=page.after[0] if page.after else None, limit=page.size + 1
        )
        shown, token = page.cut(found, lambda each: [each.series_id])
        return pb.ListSeriesResponse(
            series=[views.series(each) for each in shown],
            next_page_token=token,
        )

    async def change_series(self, call: Call, request: pb.ChangeSeriesRequest) -> pb.Series:
        """Change a series from a day on."""
        row = await self._locked(call, request.series_id, request.etag)
        pattern = patterns.pattern(request.pattern)
        if pattern.first < call.now.astimezone(pattern.zone).date():
            raise Invalid("pattern.first_date", "not_past", "A series can be changed from today on.")
        facilitator_id = request.facilitator_id or row.facilitator_id
        if facilitator_id != row.facilitator_id:
            await self._check_leader(call, row, facilitator_id)
        message = request.pattern
        if row.group_id:
            message = _within(message, (await groups.group(call.tx, row.group_id)).details)
        series_id = new_id()
        sealed = self._words.seal_series(series_id, self._words.of_series(row)) if row.sealed else None
        following = Following(series_id, message, facilitator_id, sealed)
        return views.series(await planning.follow(call.tx, row, following, may_see(call)))

    async def end_series(self, call: Call, request: pb.EndSeriesRequest) -> pb.Series:
        """End a series."""
        row = await self._locked(call, request.series_id, request.etag)
        return views.series(await planning.finish(call.tx, row, patterns.day("from_date", request.from_date)))

    async def _locked(self, call: Call, series_id: str, etag: str) -> SeriesRow:
        row = await groups.lock_series(call.tx, series_id)
        await policy.require_series(call, row)
        if row.group_id or not await _cares_for_all(call, row):
            policy.require_lead(call.principal, row.facilitator_id)
        call.about(*row.person_ids)
        etags.check(etag, row.version)
        last = row.pattern.last_date
        if last and patterns.day("pattern.last_date", last) < (call.now - timedelta(days=1)).date():
            raise Refused("series_ended", "The series has ended; plan a new one.")
        return row

    async def _check_leader(self, call: Call, row: SeriesRow, facilitator_id: str) -> None:
        details = (await groups.group(call.tx, row.group_id)).details if row.group_id else None
        if details is None or details.kind not in UNLICENSED:
            await require_licence(call.tx, facilitator_id, call.now.date())


async def _cares_for_all(call: Call, row: SeriesRow) -> bool:
    return len(await policy.cared_for(call, row.person_ids)) == len(row.person_ids)


def _within(message: pb.WeeklyPattern, details: pb.GroupDetails) -> pb.WeeklyPattern:
    """The pattern, ended where the group's cohort ends."""
    pattern = patterns.pattern(message)
    if not details.ends_on:
        return message
    ends = patterns.day("details.ends_on", details.ends_on)
    if pattern.first > ends:
        raise Invalid("pattern.first_date", "within_cohort", "The group ends before the series would begin.")
    if pattern.last is not None and pattern.last <= ends:
        return message
    bounded = pb.WeeklyPattern()
    bounded.CopyFrom(message)
    bounded.last_date = details.ends_on
    return bounded


def _new(
    message: pb.WeeklyPattern,
    kind: int,
    facilitator_id: str,
    *,
    series_id: str = "",
    group_id: str = "",
    person_ids: tuple[str, ...] = (),
    sealed: bytes | None = None,
) -> SeriesRow:
    return SeriesRow(
        series_id=series_id or new_id(),
        group_id=group_id,
        kind=kind,
        pattern=message,
        sealed=sealed,
        person_ids=person_ids,
        facilitator_id=facilitator_id,
        planned_through=patterns.day("pattern.first_date", message.first_date) - timedelta(days=1),
        finished=False,
        follows_series_id="",
        version=1,
    )
