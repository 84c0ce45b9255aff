"""Availability, staff profiles, and the copy of treatment plans."""

from __future__ import annotations

from haven.intake.v1 import events_pb2 as intake
from haven.scheduling.v1 import people_pb2 as pb

from haven_kit.database import Tx
from haven_scheduling.store.rows import PlanRow


async def availability(tx: Tx, person_id: str) -> tuple[bytes, int] | None:
    """The sealed availability and its version, if there is one."""
    row = await tx.fetch_one("SELECT sealed, version FROM availability WHERE person_id = $1 FOR UPDATE", person_id)
    return (row["sealed"], row["version"]) if row else None


async def write_availability(tx: Tx, person_id: str, sealed: bytes, time_zone: str) -> int:
    """Keep a person's availability in place of the one before. Returns its version."""
    rows = await tx.fetch(
        """INSERT INTO availability (person_id, sealed, time_zone, version) VALUES ($1, $2, $3, 1)
        ON CONFLICT (person_id) DO UPDATE SET sealed = excluded.sealed, time_zone = excluded.time_zone,
        version = availability.version + 1 RETURNING version""",
        person_id,
        sealed,
        time_zone,
    )
    return int(rows[0]["version"])


async def time_zone(tx: Tx, person_id: str) -> str:
    """The zone the person said they are in, or intake knows; empty for neither."""
    row = await tx.fetch_one(
        """SELECT COALESCE((SELECT time_zone FROM availability WHERE person_id = $1),
        (SELECT time_zone FROM plan WHERE person_id = $1), '') AS time_zone""",
        person_id,
    )
    return str(row["time_zone"]) if row else ""


async def profile(tx: Tx, principal_id: str) -> tuple[pb.StaffProfile, int] | None:
    """A profile and its version, if there is one."""
    row = await tx.fetch_one("SELECT details, version FROM staff_profile WHERE principal_id = $1", principal_id)
    return (pb.StaffProfile.FromString(row["details"]), row["version"]) if row else None


async def write_profile(tx: Tx, details: pb.StaffProfile) -> int:
    """Keep a profile in place of the one before. Returns its version."""
    rows = await tx.fetch(
        """INSERT INTO staff_profile (principal_id, details, accepts_new, version) VALUES ($1, $2, $3, 1)
        ON CONFLICT (principal_id) DO UPDATE SET details = excluded.details, accepts_new = excluded.accepts_new,
        version = staff_profile.version + 1 RETURNING version""",
        details.principal_id,
        details.SerializeToString(),
        details.accepts_new,
    )
    return int(rows[0]["version"])


async def profiles_accepting(tx: Tx, limit: int) -> list[pb.StaffProfile]:
    """Staff who take new people."""
    rows = await tx.fetch("SELECT details FROM staff_profile WHERE accepts_new ORDER BY principal_id LIMIT $1", limit)
    return [pb.StaffProfile.FromString(row["details"]) for row in rows]


async def plan(tx: Tx, person_id: str) -> PlanRow | None:
    """What the person's treatment plan asks for, if they were admitted."""
    row = await tx.fetch_one("SELECT * FROM plan WHERE person_id = $1", person_id)
    return PlanRow.of(row) if row else None


async def admit(tx: Tx, event: intake.PersonAdmitted) -> None:
    """Keep the plan of an admission. An earlier admission that arrives late changes nothing."""
    await tx.fetch(
        """INSERT INTO plan (person_id, admission_id, track, days_per_week, hours_per_week, time_zone, admitted_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (person_id) DO UPDATE SET admission_id = excluded.admission_id,
        track = excluded.track, days_per_week = excluded.days_per_week, hours_per_week = excluded.hours_per_week,
        time_zone = excluded.time_zone, admitted_at = excluded.admitted_at, discharged_at = NULL
        WHERE plan.admitted_at < excluded.admitted_at""",
        event.person_id,
        event.admission_id,
        event.track,
        event.days_per_week,
        event.hours_per_week,
        event.time_zone,
        event.admitted_at.ToDatetime(tx.now.tzinfo),
    )


async def change_plan(tx: Tx, event: intake.LevelOfCareChanged) -> None:
    """Other days and hours from now on."""
    await tx.fetch(
        "UPDATE plan SET days_per_week = $3, hours_per_week = $4 WHERE person_id = $1 AND admission_id = $2",
        event.person_id,
        event.admission_id,
        event.days_per_week,
        event.hours_per_week,
    )


async def discharge(tx: Tx, event: intake.PersonDischarged) -> bool:
    """Note that the person left. Says whether it was from the admission they are in."""
    rows = await tx.fetch(
        "UPDATE plan SET discharged_at = $3 WHERE person_id = $1 AND admission_id = $2 RETURNING 1",
        event.person_id,
        event.admission_id,
        event.discharged_at.ToDatetime(tx.now.tzinfo),
    )
    return bool(rows)
