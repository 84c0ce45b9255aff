"""`haven_crisis.store.pages` on the model of the server, statement for statement."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from haven_crisis.domain.alerts import Alert, Entry, Kind, State
from haven_crisis.store import pages as store
from haven_crisis.store.pages import Draft, Job, PageState, Round, wanted
from haven_kit import ids
from haven_kit.database import Tx
from simulation.database import memory
from simulation.rows import AlertRow, PageRow, replace, write_entry
from simulation.server import View

_MAY_HAVE_ARRIVED = (PageState.SENDING, PageState.ACCEPTED, PageState.UNKNOWN)


class Pages:
    """As `store.pages`."""

    async def create(self, tx: Tx, of: Round, drafts: Sequence[Draft], worker: str, lease_until: datetime) -> list[Job]:
        """Make pages that this replica sends after the commit. The alert must be locked."""
        made = await self._insert(tx, of, drafts, PageState.SENDING, tx.now, worker, lease_until)
        if any(state is PageState.QUEUED for _, _, state in made):
            tx.wake("gathered")
        return [
            store.job(of, draft, page_id, lease_until) for page_id, draft, state in made if state is PageState.SENDING
        ]

    async def queue(self, tx: Tx, of: Round, drafts: Sequence[Draft], due_at: datetime) -> None:
        """Make pages that any replica claims when they are due."""
        await self._insert(tx, of, drafts, PageState.QUEUED, due_at, "", None)

    async def _insert(
        self,
        tx: Tx,
        of: Round,
        drafts: Sequence[Draft],
        state: PageState,
        due_at: datetime,
        worker: str,
        lease: datetime | None,
    ) -> list[tuple[str, Draft, PageState]]:
        if not drafts:
            return []
        by_id = {ids.new_id(): draft for draft in drafts}

        def work(view: View) -> list[tuple[str, Draft, PageState]]:
            if not view.once("wanted", lambda: _asked_for(view, of)):
                return []
            rows = [
                replace(page_of(of, draft, page_id, state, due_at, worker, lease), created_at=tx.now)
                for page_id, draft in by_id.items()
            ]
            if view.once("gathered", lambda: view.get("alert", of.alert_id).gathered) and _of_a_step(of.stage):
                rows = [queued(each) for each in rows]
            return [(each.page_id, by_id[each.page_id], each.state) for each in rows if insert_page(view, each)]

        return await memory(tx).statement(work)

    async def claim(self, tx: Tx, worker: str, lease_until: datetime, limit: int) -> list[Job]:
        """Pages that are due, claimed for this replica."""
        now = tx.now
        await memory(tx).statement(lambda view: _expire(view, now, limit))
        await memory(tx).statement(lambda view: _drop(view, now, limit))
        return await memory(tx).statement(lambda view: _claim(view, now, limit, worker, lease_until))

    async def gather(self, tx: Tx, worker: str, lease_until: datetime, apart: timedelta, limit: int) -> list[Job]:
        """Pages of a flood that go to one responder on one channel as one message, claimed for this replica."""
        now = tx.now
        turn = await memory(tx).statement(lambda view: _turn(view, now, apart))
        if turn is None:
            return []
        jobs = await memory(tx).statement(lambda view: _gather(view, now, limit, worker, lease_until, turn))
        if not jobs:
            await memory(tx).statement(lambda view: view.put("gathering", turn, None))
        return jobs

    async def together(self, tx: Tx, page_id: str) -> list[tuple[str, str]]:
        """The pages that went out as one message with this one, each with its alert."""

        def work(view: View) -> list[tuple[str, str]]:
            page: PageRow | None = view.get("page", page_id)
            if page is None:
                return []
            mates = [each for each in view.scan("page") if each is page or (page.lead and each.lead == page.lead)]
            return sorted(((each.page_id, each.alert_id) for each in mates), key=lambda pair: pair[1])

        return await memory(tx).look(work)

    async def accepted(
        self, tx: Tx, page_id: str, worker: str, facts: Mapping[str, str], event: tuple[Any, ...]
    ) -> bool:
        """Note that a provider took a page. False when its lease had run out."""

        def work(view: View) -> bool:
            page = _mine(view, page_id, worker)
            if page is None:
                return False
            view.put("page", page_id, replace(page, state=PageState.ACCEPTED, lease_until=None))
            view.lock("alert", page.alert_id)
            row: AlertRow = view.get("alert", page.alert_id)
            alert = row.alert
            first = alert.state is State.RAISED and alert.cycle == page.cycle
            after = replace(alert, seq=alert.seq + 1, state=State.PAGED if first else alert.state)
            view.put("alert", page.alert_id, replace(row, alert=after))
            write_entry(view, page.alert_id, after.seq, Entry(Kind.PAGED, tx.now, tx.principal.id, dict(facts)))
            return True

        return await memory(tx).final(work)

    async def ended(self, tx: Tx, page_id: str, worker: str, state: PageState, failure: str) -> bool:
        """Note a page that no provider took for certain. False when its lease had run out."""

        def work(view: View) -> bool:
            page = _mine(view, page_id, worker)
            if page is not None:
                view.put("page", page_id, replace(page, state=state, failure=failure, lease_until=None))
            return page is not None

        return await memory(tx).statement(work)

    async def given_back(self, tx: Tx, page_id: str, worker: str) -> bool:
        """Queue a claimed page that was not sent. False when its lease had run out."""

        def work(view: View) -> bool:
            page = _mine(view, page_id, worker)
            if page is not None:
                view.put("page", page_id, replace(queued(page), lead=""))
            return page is not None

        return await memory(tx).statement(work)

    async def failed_later(self, tx: Tx, page_id: str, failure: str) -> Job | None:
        """Note that a page which a provider had taken never arrived."""

        def work(view: View) -> Job | None:
            page = _matching(view, page_id, lambda page: page.state in _MAY_HAVE_ARRIVED)
            if page is None:
                return None
            view.put("page", page_id, replace(page, state=PageState.FAILED, failure=failure, lease_until=None))
            return _job(view, page, page.due_at)

        return await memory(tx).statement(work)

    async def being_paged(self, tx: Tx, alert_id: str, cycle: int) -> list[tuple[int, str, int]]:
        """Stage, responder and place of the pages of a cycle."""

        def work(view: View) -> list[tuple[int, str, int]]:
            rows = (page for page in view.scan("page") if page.alert_id == alert_id and page.cycle == cycle)
            return sorted({(page.stage, page.responder_id, page.place) for page in rows if page.attempt > 0})

        return await memory(tx).statement(work)

    async def stuck(self, tx: Tx, before: datetime) -> int:
        """How many pages should be on their way and are not."""

        def work(view: View) -> int:
            rows = (page for page in view.open_pages() if _wanted(view, page))
            return sum((page.lease_until or page.due_at) < before for page in rows)

        return await memory(tx).statement(work)


def page_of(
    of: Round, draft: Draft, page_id: str, state: PageState, due_at: datetime, worker: str, lease: datetime | None
) -> PageRow:
    """The row of a page to be made."""
    return PageRow(
        page_id,
        of.alert_id,
        of.cycle,
        of.stage,
        draft.responder_id,
        draft.place,
        draft.channel,
        draft.attempt,
        state,
        draft.resent,
        due_at,
        lease,
        worker,
        of.traceparent,
        due_at,
    )


def insert_page(view: View, page: PageRow) -> bool:
    """A new page; False where it was made before."""
    return view.insert("page_key", page.key, page.page_id) and view.insert("page", page.page_id, page)


def queued(page: PageRow) -> PageRow:
    """The page, for whoever claims it."""
    return replace(page, state=PageState.QUEUED, lease_until=None, worker="")


def _mine(view: View, page_id: str, worker: str) -> PageRow | None:
    return _matching(view, page_id, lambda page: page.worker == worker and page.state is PageState.SENDING)


def _matching(view: View, page_id: str, fits: Callable[[PageRow], bool]) -> PageRow | None:
    """The page that an UPDATE changes: one that fits, and still does once it is locked. It stays locked either way."""

    def found() -> PageRow | None:
        page: PageRow | None = view.get("page", page_id)
        return page if page is not None and fits(page) else None

    if view.once("matching", found) is None:
        return None
    view.lock("page", page_id)
    return found()


def _asked_for(view: View, of: Round) -> bool:
    row: AlertRow | None = view.get("alert", of.alert_id)
    return row is not None and wanted(row.alert, of.cycle, of.stage)


def _wanted(view: View, page: PageRow) -> bool:
    return wanted(view.get("alert", page.alert_id).alert, page.cycle, page.stage)


def _expired(page: PageRow, now: datetime) -> bool:
    return page.state is PageState.SENDING and page.lease_until is not None and page.lease_until <= now


def _expire(view: View, now: datetime, limit: int) -> None:
    # All are locked before the first is sent again, which may have to wait for an insert of others.
    for page in list(_free(view, lambda page: _expired(page, now), limit)):
        ended = replace(page, state=PageState.UNKNOWN, lease_until=None, failure="lease ran out")
        view.put("page", page.page_id, ended)
        again = replace(
            page,
            page_id=ids.new_id(),
            attempt=page.attempt + 1,
            state=PageState.QUEUED,
            resent=True,
            due_at=now,
            lease_until=None,
            worker="",
            created_at=now,
            lead="",
        )
        insert_page(view, again)


def _drop(view: View, now: datetime, limit: int) -> None:
    for page in _free(view, lambda page: _due(page, now) and not _wanted(view, page), limit):
        view.put("page", page.page_id, replace(page, state=PageState.NOT_NEEDED))


def _claim(view: View, now: datetime, limit: int, worker: str, lease_until: datetime) -> list[Job]:
    jobs: list[Job] = []
    for page in _free(view, lambda page: _due(page, now) and _wanted(view, page) and not _gathered(view, page), None):
        if len(jobs) == limit:
            break
        if not view.lock("alert", page.alert_id, shared=True, skip=True):
            continue
        claimed = replace(page, state=PageState.SENDING, worker=worker, lease_until=lease_until)
        view.put("page", page.page_id, claimed)
        jobs.append(_job(view, claimed, lease_until))
    return jobs


def _gathered(view: View, page: PageRow) -> bool:
    row: AlertRow = view.get("alert", page.alert_id)
    return row.gathered and _of_a_step(page.stage)


def _of_a_step(stage: int) -> bool:
    return 0 <= stage <= store.LAST_OF_STEPS


def _way(view: View, page: PageRow) -> tuple[str, str, int]:
    return (view.get("alert", page.alert_id).origin, page.responder_id, page.place)


def _waiting(view: View, now: datetime) -> list[PageRow]:
    """Pages of floods that are due, the oldest first."""
    due = (page for page in view.open_pages() if _due(page, now) and _wanted(view, page) and _gathered(view, page))
    return sorted(due, key=lambda page: (page.due_at, page.page_id))


def _turn(view: View, now: datetime, apart: timedelta) -> tuple[str, str, int] | None:
    def lately(way: tuple[str, str, int]) -> bool:
        began = view.get("gathering", way)
        return began is not None and began > now - apart

    way = next((each for each in (_way(view, page) for page in _waiting(view, now)) if not lately(each)), None)
    if way is None:
        return None
    view.lock("gathering", way)
    if lately(way):
        return None  # another replica's, which committed while this one waited
    view.put("gathering", way, now)
    return way


def _gather(
    view: View, now: datetime, limit: int, worker: str, lease_until: datetime, way: tuple[str, str, int]
) -> list[Job]:
    claimed: list[PageRow] = []
    for page in _waiting(view, now):
        if len(claimed) == limit:
            break
        if _way(view, page) != way or not view.lock("page", page.page_id, skip=True):
            continue
        if not view.lock("alert", page.alert_id, shared=True, skip=True):
            continue
        lead = claimed[0].page_id if claimed else page.page_id
        mine = replace(page, state=PageState.SENDING, worker=worker, lease_until=lease_until, lead=lead)
        view.put("page", page.page_id, mine)
        claimed.append(mine)
    return [_job(view, page, lease_until) for page in claimed]


def _due(page: PageRow, now: datetime) -> bool:
    return page.state is PageState.QUEUED and page.due_at <= now


def _free(view: View, chosen: Callable[[PageRow], bool], limit: int | None) -> Iterator[PageRow]:
    """Chosen pages that nobody holds, locked."""
    rows = sorted((page for page in view.open_pages() if chosen(page)), key=lambda page: page.due_at)
    locked = (page for page in rows if view.lock("page", page.page_id, skip=True))
    return locked if limit is None else (page for _, page in zip(range(limit), locked, strict=False))


def _job(view: View, page: PageRow, lease_until: datetime) -> Job:
    alert: Alert = view.get("alert", page.alert_id).alert
    of = Round(page.alert_id, page.cycle, page.stage, alert.drill, alert.raised_at, page.traceparent)
    draft = Draft(page.responder_id, page.place, page.channel, page.attempt, page.resent)
    return store.job(of, draft, page.page_id, lease_until)
