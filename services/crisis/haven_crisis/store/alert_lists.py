"""Lists of alerts: those that a caller may see, in the order and the choice they ask for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from haven_crisis.domain.alerts import Alert
from haven_crisis.domain.signals import NOBODY
from haven_crisis.store.alerts import COLUMNS, IN_HAND, of_row
from haven_kit.database import Tx

# $1 the caller. Theirs are the alerts that they hold, were offered, or look on at.
_MINE = "(responder_id = $1 OR offered_to = $1 OR $1 = ANY (observers))"
# $2 whether every alert is theirs to see. Who is on the care team sees the alert; who has it or was paged, while there
# is something to do about it.
_VISIBLE = f"""($2
    OR ({_MINE} OR EXISTS (SELECT 1 FROM page WHERE page.alert_id = alert.alert_id AND page.responder_id = $1))
        AND {IN_HAND}
    OR EXISTS (SELECT 1 FROM care_team WHERE care_team.person_id = alert.person_id AND care_team.principal_id = $1))"""

_LIST = f"""SELECT {COLUMNS} FROM alert WHERE {_VISIBLE}
AND ($3::uuid IS NULL OR person_id = $3) AND ($4 OR state <> 6)
AND ($5::timestamptz IS NULL OR (raised_at, alert_id) < ($5, $6::uuid))
AND ($8::smallint[] = '{{}}' OR state = ANY ($8::smallint[])) AND severity >= $9
AND ($10::boolean IS NULL OR drill = $10) AND (NOT $11 OR {_MINE})
ORDER BY raised_at DESC, alert_id DESC LIMIT $7"""

# A synthetic drill is over in a moment and meant for nobody: it makes no screen ring.
_CHANGED = f"""SELECT {COLUMNS}, changed_at FROM alert WHERE {_VISIBLE}
AND (changed_at >= $3 OR ($4 AND state <> 6)) AND person_id <> '{NOBODY}'
AND ($5::timestamptz IS NULL OR (changed_at, alert_id) > ($5, $6::uuid))
ORDER BY changed_at, alert_id LIMIT $7"""

_COUNT = f"""SELECT state, severity, drill, count(*) AS found, count(*) FILTER (WHERE {_MINE}) AS mine FROM alert
WHERE {_VISIBLE} AND state <> 6 GROUP BY state, severity, drill ORDER BY drill, severity DESC, state"""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which alerts a list shows. What is left empty chooses nothing."""

    person_id: str = ""
    closed: bool = False
    """Closed ones too. Naming the state does the same."""
    states: Sequence[int] = ()
    at_least: int = 0
    drill: bool | None = None
    mine: bool = False


async def visible(
    tx: Tx, caller: str, sees_all: bool, choice: Choice, *, before: tuple[datetime, str] | None, limit: int
) -> list[Alert]:
    """Alerts that the caller may see, the newest first."""
    at, alert_id = before or (None, None)
    rows = await tx.fetch(
        _LIST,
        caller,
        sees_all,
        choice.person_id or None,
        choice.closed or bool(choice.states),
        at,
        alert_id,
        limit,
        list(choice.states),
        choice.at_least,
        choice.drill,
        choice.mine,
    )
    return [of_row(row) for row in rows]


async def changed(
    tx: Tx,
    caller: str,
    sees_all: bool,
    since: datetime,
    *,
    all_open: bool,
    after: tuple[datetime, str] | None,
    limit: int,
) -> list[tuple[datetime, Alert]]:
    """Alerts that the caller may see and that changed since a moment, in order; `all_open` adds every open one."""
    at, alert_id = after or (None, None)
    rows = await tx.fetch(_CHANGED, caller, sees_all, since, all_open, at, alert_id, limit)
    return [(row["changed_at"], of_row(row)) for row in rows]


async def count(tx: Tx, caller: str, sees_all: bool) -> list[asyncpg.Record]:
    """How many open alerts the caller may see, and how many of them are `mine`, by state, severity and drill."""
    return await tx.fetch(_COUNT, caller, sees_all)
