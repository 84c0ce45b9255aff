"""Rows as the rest of the service sees them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from haven.scheduling.v1 import groups_pb2 as pb

from haven_scheduling.domain.intervals import Interval

PERSON, STAFF = 1, 2
"""Kinds of holders of a seat."""


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A group, with its seats."""

    group_id: str
    details: pb.GroupDetails
    seats_taken: int
    waiting: int
    version: int

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> GroupRow:
        """From the database."""
        details = pb.GroupDetails.FromString(row["details"])
        return cls(str(row["group_id"]), details, row["seats_taken"], row["waiting"], row["version"])

    @property
    def free_seats(self) -> int:
        """Seats that nobody has."""
        return max(0, self.details.capacity - self.seats_taken)


@dataclass(frozen=True, slots=True)
class SeriesRow:
    """A weekly run of sessions."""

    series_id: str
    group_id: str
    kind: int
    pattern: pb.WeeklyPattern
    sealed: bytes | None
    person_ids: tuple[str, ...]
    facilitator_id: str
    planned_through: date
    finished: bool
    follows_series_id: str
    version: int

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> SeriesRow:
        """From the database."""
        return cls(
            str(row["series_id"]),
            text(row["group_id"]),
            row["kind"],
            pb.WeeklyPattern.FromString(row["pattern"]),
            row["sealed"],
            tuple(str(each) for each in row["person_ids"]),
            row["facilitator_id"],
            row["planned_through"],
            row["finished"],
            text(row["follows_series_id"]),
            row["version"],
        )


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session, with who has a seat in it."""

    session_id: str
    series_id: str
    group_id: str
    kind: int
    day: date
    when: Interval
    time_zone: str
    facilitator_id: str
    state: int
    format: int
    optional: bool
    capacity: int
    sealed: bytes | None
    version: int = 1
    series_sealed: bytes | None = None
    """The words of the series, which hold for a session of one outside a group."""
    person_ids: tuple[str, ...] = ()
    """Who has a seat; of a cancelled session, who had one."""
    has_agenda: bool = False
    group: pb.GroupDetails | None = None
    """Of the session's group; its words, form and capacity hold for the session."""

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> SessionRow:
        """From the database."""
        return cls(
            str(row["session_id"]),
            text(row["series_id"]),
            text(row["group_id"]),
            row["kind"],
            row["day"],
            Interval(row["starts_at"], row["ends_at"]),
            row["time_zone"],
            row["facilitator_id"],
            row["state"],
            row["format"],
            row["optional"],
            row["capacity"],
            row["sealed"],
            row["version"],
            row["series_sealed"],
            tuple(row["person_ids"]),
            row["has_agenda"],
            pb.GroupDetails.FromString(row["details"]) if row["details"] is not None else None,
        )

    @property
    def seats(self) -> int:
        """How many people can have a seat."""
        return self.group.capacity if self.group else self.capacity


@dataclass(frozen=True, slots=True)
class EnrolmentRow:
    """A person's place in a group or on its waiting list."""

    enrolment_id: str
    group_id: str
    person_id: str
    state: int
    asked_at: datetime
    enrolled_at: datetime | None
    ended_at: datetime | None
    waiting_position: int

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> EnrolmentRow:
        """From the database."""
        return cls(
            str(row["enrolment_id"]),
            str(row["group_id"]),
            str(row["person_id"]),
            row["state"],
            row["asked_at"],
            row["enrolled_at"],
            row["ended_at"],
            row["waiting_position"],
        )


@dataclass(frozen=True, slots=True)
class PlanRow:
    """What the treatment plan asks for."""

    person_id: str
    admission_id: str
    track: str
    days: int
    hours: int
    time_zone: str
    discharged: bool

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> PlanRow:
        """From the database."""
        return cls(
            str(row["person_id"]),
            str(row["admission_id"]),
            row["track"],
            row["days_per_week"],
            row["hours_per_week"],
            row["time_zone"],
            row["discharged_at"] is not None,
        )


def text(value: object) -> str:
    """An id as text; empty for none."""
    return "" if value is None else str(value)
