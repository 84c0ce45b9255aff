"""What is due after a crisis and was not done in time: signatures, answers, debriefs, reviews of emergency access.

Nobody is paged: the person has been helped by then. It is told once, counted, and found until it is done.
"""

from __future__ import annotations

from datetime import timedelta

from haven.crisis.v1 import review_service_pb2 as pb

from haven_crisis.api import tell
from haven_crisis.findings import Board, Finding
from haven_crisis.settings import CrisisSettings
from haven_crisis.store import break_glass, reviews
from haven_kit import logs, words
from haven_kit.identity import system
from haven_kit.service import Parts

EVERY = timedelta(seconds=30)
BATCH = 50
_log = logs.get(__name__)
_PRINCIPAL = system("crisis/reviews")


class LateReviews:
    """Says what is late. Safe on many replicas: each takes rows that no other holds."""

    def __init__(self, parts: Parts[CrisisSettings], board: Board) -> None:
        self._parts = parts
        self._board = board

    async def look(self) -> bool:
        """One look. True when there may be more."""
        async with self._parts.database.transaction(_PRINCIPAL) as tx:
            late = await reviews.claim_late(tx, tx.now, BATCH)
            for row in late:
                kind = words.word(pb.ReviewKind, row["kind"])
                tell.late(tx, row["alert_id"], kind, row["due_at"])
                _log.warning("review.late", alert_id=row["alert_id"], kind=kind)
            glass = await break_glass.claim_late(tx, tx.now, BATCH)
            for row in glass:
                tell.late(tx, row["alert_id"], "break_glass", row["review_due_at"])
                _log.warning("review.late", alert_id=row["alert_id"], kind="break_glass")
            self._board.put(Finding.LATE_REVIEWS, await reviews.overdue(tx, tx.now))
            self._board.put(Finding.UNREVIEWED_BREAK_GLASS, await break_glass.overdue(tx, tx.now))
        return BATCH in (len(late), len(glass))
