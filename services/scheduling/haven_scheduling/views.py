"""Rows as callers read them."""

from __future__ import annotations

from collections.abc import Collection
from zoneinfo import ZoneInfo

from haven.scheduling.v1 import calendar_pb2, groups_pb2

from haven_kit import etags, times
from haven_kit.cipher import Cipher
from haven_kit.identity import Principal
from haven_scheduling import patterns, policy
from haven_scheduling.store import calendar
from haven_scheduling.store.rows import EnrolmentRow, GroupRow, SeriesRow, SessionRow


def group(row: GroupRow) -> groups_pb2.Group:
    """A group of the catalogue."""
    return groups_pb2.Group(
        group_id=row.group_id,
        details=row.details,
        seats_taken=row.seats_taken,
        waiting=row.waiting,
        etag=etags.of(row.version),
    )


def series(row: SeriesRow, clashes: Collection[tuple[str, str]] = ()) -> groups_pb2.Series:
    """A series, with the seats that could not be taken."""
    return groups_pb2.Series(
        series_id=row.series_id,
        group_id=row.group_id,
        person_ids=row.person_ids,
        pattern=row.pattern,
        facilitator_id=row.facilitator_id,
        planned_through=row.planned_through.isoformat(),
        follows_series_id=row.follows_series_id,
        etag=etags.of(row.version),
        clashes=[groups_pb2.Clash(session_id=session_id, holder_id=holder) for session_id, holder in clashes],
    )


def enrolment(row: EnrolmentRow) -> groups_pb2.Enrolment:
    """A place in a group or on its waiting list."""
    return groups_pb2.Enrolment(
        enrolment_id=row.enrolment_id,
        group_id=row.group_id,
        person_id=row.person_id,
        state=groups_pb2.EnrolmentState.ValueType(row.state),
        waiting_position=row.waiting_position,
        asked_at=times.stamp(row.asked_at),
        enrolled_at=times.stamp(row.enrolled_at) if row.enrolled_at else None,
        ended_at=times.stamp(row.ended_at) if row.ended_at else None,
    )


class Words:
    """What sessions outside groups are called, sealed. Those of a series share its words."""

    def __init__(self, cipher: Cipher) -> None:
        self._cipher = cipher

    def seal_session(self, session_id: str, title: str, place: str) -> bytes:
        """The words of one session."""
        return self._cipher.seal(calendar_pb2.Session(title=title, place=place), context=f"session/{session_id}")

    def seal_series(self, series_id: str, title: str) -> bytes:
        """The words of a series."""
        return self._cipher.seal(calendar_pb2.Session(title=title), context=f"series/{series_id}")

    def of_series(self, row: SeriesRow) -> str:
        """The title of a series outside a group; empty for one of a group."""
        if row.sealed is None:
            return ""
        return self._cipher.open(calendar_pb2.Session, row.sealed, context=f"series/{row.series_id}").title

    def of_session(self, row: SessionRow) -> tuple[str, str]:
        """Title and place of a session."""
        if row.sealed is not None:
            own = self._cipher.open(calendar_pb2.Session, row.sealed, context=f"session/{row.session_id}")
            return own.title, own.place
        if row.group is not None:
            return row.group.title, row.group.place
        if row.series_sealed is not None:
            shared = self._cipher.open(calendar_pb2.Session, row.series_sealed, context=f"series/{row.series_id}")
            return shared.title, ""
        return "", ""

    def session(
        self, row: SessionRow, principal: Principal, where: ZoneInfo | None, cared_for: Collection[str] = ()
    ) -> calendar_pb2.Session:
        """A session as the caller may see it, with local times in that zone, or the session's own."""
        shown = where or ZoneInfo(row.time_zone)
        title, place = self.of_session(row)
        return calendar_pb2.Session(
            session_id=row.session_id,
            series_id=row.series_id,
            group_id=row.group_id,
            kind=calendar_pb2.SessionKind.ValueType(row.kind),
            title=title,
            starts_at=times.stamp(row.when.start),
            ends_at=times.stamp(row.when.end),
            time_zone=row.time_zone,
            starts_local=patterns.local(row.when.start, shown),
            ends_local=patterns.local(row.when.end, shown),
            shown_time_zone=shown.key,
            facilitator_id=row.facilitator_id,
            state=calendar_pb2.SessionState.ValueType(row.state),
            format=groups_pb2.Format.ValueType(row.group.format if row.group else row.format),
            place=place,
            optional=row.optional,
            seats_taken=len(row.person_ids) if row.state == calendar.PLANNED else 0,
            capacity=row.seats,
            person_ids=policy.visible_people(principal, row, cared_for),
            has_agenda=row.has_agenda,
            etag=etags.of(row.version),
        )
