"""Keeps cases: in the stream, else in the journal, else in memory alone; and learns of those of other replicas."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from haven_crisis.keeping.case import Case, Kept, dump, load, merge
from haven_crisis.keeping.journal import Journal, JournalFull
from haven_crisis.keeping.stream import Changed, Found, NotKept, Stream
from haven_kit import ids, logs
from haven_kit.cipher import CannotOpen, Cipher

AT_ONCE = 500
"""Cases of others that are read at one look."""
TRIES = 3
"""How often something is tried at once where another replica was first."""
_log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Became:
    """The alert that a case is part of, now that it is in the record."""

    alert_id: str
    cycle: int


@dataclass(slots=True, eq=False)
class Held:
    """A case as this replica knows it. Change it only under its lock."""

    case: Case
    road: Kept = Kept.NOWHERE
    """The best that has ever held it."""
    revision: int = 0
    """Of its message in the stream, as this replica knows it; 0: none."""
    became: Became | None = None
    behind: bool = False
    """The record does not have all of it: another replica wrote into it after it was written there."""
    completing: bool = False
    """It is being written into the record now."""
    lost: bool = False
    """Another replica has it."""
    tried_at: float = 0.0
    """When it was last tried to write it into the record, by the monotonic clock."""
    seen_at: float = field(default_factory=time.monotonic)
    told: str = ""
    """The alert's id that its pages have told, and the journal has it under, where that is another one."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def in_journal_alone(self) -> bool:
        """Whether no other replica can have it."""
        return self.road is Kept.JOURNAL and self.revision == 0 and self.became is None


class Keeper:
    """All cases that this replica knows: its own, and those of others."""

    def __init__(self, cipher: Cipher, stream: Stream, journal: Journal | None, replica: str, timeout: float) -> None:
        self._cipher = cipher
        self._stream = stream
        self._journal = journal
        self._timeout = timeout
        self.replica = replica
        self.cases: dict[str, Held] = {}
        """By alert id."""
        self.looked = False
        """Whether the last look at the stream was one."""

    def mine(self, held: Held) -> bool:
        """Whether this replica pages for it."""
        return held.case.owner == self.replica and not held.lost and held.became is None

    async def open(self) -> None:
        """Take up what the journal holds. A journal that cannot be used is told, and done without."""
        if self._journal is None:
            _log.warning("journal.none")
            return
        try:
            await asyncio.to_thread(self._journal.open)
        except OSError as error:
            _log.error("journal.unusable", error=type(error).__name__)
            return
        for alert_id, blob in self._journal.live.items():
            if (case := self._opened(alert_id, blob)) is not None:
                self.cases[alert_id] = Held(case, Kept.JOURNAL)

    async def close(self) -> None:
        """Let go of the journal."""
        if self._journal is not None:
            await self._journal.close()

    @property
    def can_keep(self) -> bool:
        """Whether there is a place to keep a case now."""
        return self._stream.connected or (self._journal is not None and self._journal.usable)

    async def keep(self, held: Held) -> Kept:
        """Keep the newest state of a case; says where. Raises Changed where another replica has it now, or the record
        does; `cases` is as that one has left it."""
        if held.lost:
            self._replace(held, None)
            raise Changed
        if await self._in_stream(held):
            held.road = Kept.STREAM
            return Kept.STREAM
        if await self._in_journal(held.case.alert_id, self._sealed(held.case)):
            held.road = min(held.road, Kept.JOURNAL)
            return Kept.JOURNAL
        _log.error("kept.nowhere", alert_id=held.case.alert_id)
        return Kept.NOWHERE

    async def claim(self, held: Held) -> bool:
        """Be the owner of an alert of the record, or be it still, for as long as that is away; in the stream alone,
        where no other replica can be the same."""
        try:
            if not await self._in_stream(held):
                return False
        except Changed:
            return False
        held.road = Kept.STREAM
        return True

    async def _in_stream(self, held: Held) -> bool:
        for _ in range(TRIES):
            try:
                held.revision = await self._stream.put(held.case.alert_id, self._sealed(held.case), held.revision)
            except NotKept:
                return False
            except Changed:
                if not await self.still_mine(held):
                    raise
            else:
                return True
        return False

    async def still_mine(self, held: Held) -> bool:
        """Whether the message that is there is ours after all: one whose acknowledgement was lost on the way, or into
        which another replica wrote that somebody took it, or called. Then `held` has that too."""
        try:
            found = await self._stream.get(held.case.alert_id)
        except NotKept:
            return True
        case = self._opened(found.alert_id, found.blob) if found is not None else None
        if found is None and held.revision == 0:
            return True  # It was never there, and may be written as a new one. Otherwise gone means: in the record.
        if case is not None and case.case_id != held.case.case_id and held.in_journal_alone:
            self._part(held)
            return True
        if found is None or case is None or case.case_id != held.case.case_id or case.owner != self.replica:
            held.lost = True
            self._replace(held, Held(case, Kept.STREAM, found.revision) if found is not None and case else None)
            return False
        merge(held.case, case)
        held.revision = found.revision
        return True

    def _part(self, held: Held) -> None:
        """Another replica has a case of the same alert, and this one holds calls that the journal alone has: it goes on
        under an id of its own. In the record both are part of the person's alert."""
        held.told = held.case.alert_id
        held.case.alert_id = ids.new_id()
        if self.cases.get(held.told) is held:
            del self.cases[held.told]
        self.cases[held.case.alert_id] = held
        _log.warning("kept.parted", alert_id=held.case.alert_id, told=held.told)

    def _replace(self, lost: Held, by: Held | None) -> None:
        alert_id = lost.case.alert_id
        if self.cases.get(alert_id, lost) is not lost:
            return
        self.cases.pop(alert_id, None)
        if by is not None:
            self.cases[alert_id] = by

    def _sealed(self, case: Case) -> bytes:
        return self._cipher.seal_bytes(dump(case), _context(case.alert_id))

    async def _in_journal(self, alert_id: str, blob: bytes) -> bool:
        if self._journal is None:
            return False
        try:
            async with asyncio.timeout(self._timeout):
                await self._journal.put(alert_id, blob)
        except (OSError, TimeoutError, JournalFull) as error:
            _log.error("journal.failed", error=type(error).__name__)
            return False
        return True

    async def forget(self, held: Held) -> bool:
        """Take a case away that is in the record, or that nothing was done for. False where another replica has written
        into it meanwhile: that is to be written into the record first. What cannot be removed now is found there later,
        and removed then."""
        alert_id = held.case.alert_id
        try:
            if held.revision and not await self._stream.forget(held.revision) and await self._written_into(held):
                return False
            await self._forget_in_journal(held)
        except (NotKept, OSError) as error:
            _log.warning("kept.not_forgotten", alert_id=alert_id, error=type(error).__name__)
            return True
        if self.cases.get(alert_id) is held:
            del self.cases[alert_id]
        return True

    async def _forget_in_journal(self, held: Held) -> None:
        others = {each.told for each in self.cases.values() if each is not held}
        for key in {held.case.alert_id, held.told} - others:
            if self._journal is not None:
                await self._journal.forget(key)

    async def _written_into(self, held: Held) -> bool:
        """Whether the stream has another state of the case than this replica knew; it is taken up."""
        found = await self._stream.get(held.case.alert_id)
        case = self._opened(found.alert_id, found.blob) if found is not None else None
        if found is None or case is None or case.case_id != held.case.case_id:
            return False
        if held.became is not None:
            self._catch_up(held, case, found.revision)
        else:
            held.lost = True
            self._replace(held, Held(case, Kept.STREAM, found.revision))
        return True

    def _catch_up(self, held: Held, case: Case, revision: int) -> None:
        """A case that is in the record was written into: the record is behind."""
        merge(held.case, case)
        held.revision, held.behind = revision, True

    async def look(self) -> None:
        """Learn what other replicas, or an earlier run, have left in the stream."""
        self.looked = False
        try:
            found = await self._stream.news(AT_ONCE)
        except NotKept:
            return
        self.looked = True
        for each in found:
            self._learn(each)

    async def get(self, alert_id: str) -> Held | None:
        """The case of an alert, looked up in the stream where this replica does not know it."""
        if alert_id not in self.cases:
            try:
                found = await self._stream.get(alert_id)
            except NotKept:
                return None
            if found is not None:
                self._learn(found)
        return self.cases.get(alert_id)

    async def take_over(self, held: Held) -> bool:
        """Become the owner of a case whose owner does not act. False where another replica was first."""
        held.case.owner = self.replica
        try:
            await self.keep(held)
        except Changed:
            return False
        _log.warning("kept.taken_over", alert_id=held.case.alert_id)
        return True

    def _learn(self, found: Found) -> None:
        known = self.cases.get(found.alert_id)
        if known is not None and (known.revision >= found.revision or known.lock.locked()):
            return
        case = self._opened(found.alert_id, found.blob)
        if case is None:
            return
        if known is not None and case.case_id == known.case.case_id:
            if known.became is not None:
                self._catch_up(known, case, found.revision)
                return
            if self.mine(known) and case.owner == self.replica:
                merge(known.case, case)
                known.revision = found.revision
                return
        if known is not None and known.in_journal_alone:
            self._part(known)
        elif known is not None:
            known.lost = True
        self.cases[found.alert_id] = Held(case, Kept.STREAM, found.revision)

    def _opened(self, alert_id: str, blob: bytes) -> Case | None:
        try:
            return load(self._cipher.open_bytes(blob, _context(alert_id)))
        except (CannotOpen, ValueError) as error:
            _log.error("kept.unreadable", alert_id=alert_id, error=type(error).__name__)
            return None


def _context(alert_id: str) -> str:
    return f"kept/{alert_id}"
