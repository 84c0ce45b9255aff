"""The pager: sends pages, notes how they went, and moves on to the next channel."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Coroutine, Iterable, Sequence
from contextlib import nullcontext
from datetime import datetime, timedelta
from typing import Any

from haven.crisis.v1 import events_pb2
from haven.crisis.v1.page_pb2 import PageText

from haven_crisis import metrics, texts
from haven_crisis.channels import Channels, Outcome
from haven_crisis.directory import Directory
from haven_crisis.domain.alerts import UNANSWERED, Alert, Entry, Kind
from haven_crisis.domain.severity import Severity
from haven_crisis.journeys import JOURNEYS
from haven_crisis.links import Links
from haven_crisis.records import POSTGRES, Records
from haven_crisis.settings import CrisisSettings
from haven_crisis.store.pages import Draft, Job, PageState, Round, wanted
from haven_kit import ids, logs, telemetry
from haven_kit.database import RETRYABLE, Tx
from haven_kit.errors import Overloaded, Unavailable
from haven_kit.identity import system
from haven_kit.service import Parts

BATCH = 100
TOGETHER = 500
"""Pages that go out as one message at most."""
NOTE_TRIES = 3
"""How often a note is tried at once where others in the database were in its way; then it is left for later."""
NOTES_AT_ONCE = 2
"""Connections to the database that noting accepted pages may hold: calls for help that come in go first."""
MOST_UNNOTED = 10_000
"""Outcomes that wait for the record to come back; the oldest are forgotten, and their pages sent again."""
BY_RULE = 0
"""The attempt of a page that a responder's own rule asked for: it takes no other page's place."""
BACKOFF = (timedelta(seconds=1), timedelta(seconds=2), timedelta(seconds=4))
_log = logs.get(__name__)
_PRINCIPAL = system("crisis/pager")


class Pager:
    """One replica's pager."""

    def __init__(
        self, parts: Parts[CrisisSettings], directory: Directory, channels: Channels, records: Records = POSTGRES
    ) -> None:
        self._parts = parts
        self._directory = directory
        self._channels = channels
        self._links = Links(parts.cipher, parts.settings)
        self._records = records
        self._rooms: defaultdict[str, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(parts.settings.page_concurrency)
        )
        """For each provider its own, so that a slow one holds back no page of another's."""
        self._noting = asyncio.Semaphore(NOTES_AT_ONCE)
        self._running: set[asyncio.Task[None]] = set()
        self._unnoted: deque[tuple[Job, Outcome]] = deque(maxlen=MOST_UNNOTED)
        self.worker_id = ids.new_id()

    def drafts(self, responders: Sequence[str], severity: int) -> list[Draft]:
        """The first pages to each responder: their first channel; every one at once where life is in danger."""
        found = []
        for each in responders:
            channels = self._directory.channels(each)
            everywhere = severity >= Severity.IMMEDIATE
            found += [Draft(each, place, ch.kind) for place, ch in enumerate(channels) if place == 0 or everywhere]
        return found

    def lease_until(self, now: datetime) -> datetime:
        """Until when a page claimed now belongs to this replica."""
        return now + timedelta(seconds=self._parts.settings.page_lease_seconds)

    async def page(self, tx: Tx, of: Round, drafts: Sequence[Draft]) -> None:
        """Make pages, and send them right after the commit. The alert must be locked."""
        self.post(tx, await self._records.pages.create(tx, of, drafts, self.worker_id, self.lease_until(tx.now)))

    async def follow(self, tx: Tx, of: Round, responders: Iterable[str], severity: int) -> None:
        """Queue the further channels that responders asked for by rules of their own: each is paged when its time comes
        and nobody has answered. They are no attempts of the escalation, which goes through the channels as ever."""
        for each in responders:
            for place, after in self._directory.later_pages_of(each, severity):
                draft = Draft(each, place, self._directory.channels(each)[place].kind, attempt=BY_RULE)
                await self._records.pages.queue(tx, of, [draft], tx.now + timedelta(seconds=after))
                tx.wake("pages")

    async def widen(self, tx: Tx, alert_id: str) -> None:
        """Life is in danger: those who are being paged are paged on all their channels at once. Once each, however
        often this is asked for; nothing while the alert is not immediate, or somebody has it."""
        alert = await self._records.alerts.get(tx, alert_id, lock=True)
        if alert.state not in UNANSWERED or alert.severity < Severity.IMMEDIATE:
            return
        known = await self._records.pages.being_paged(tx, alert_id, alert.cycle)
        for stage, responder in dict.fromkeys((stage, responder) for stage, responder, _ in known):
            of = Round(alert_id, alert.cycle, stage, alert.drill, alert.raised_at, telemetry.traceparent())
            drafts = self.drafts([responder], alert.severity)
            # A page that exists may be held by whoever notes how it went, who then waits for the alert: it is not asked
            # for again.
            await self.page(tx, of, [each for each in drafts if (stage, responder, each.place) not in known])

    def post(self, tx: Tx, jobs: Sequence[Job]) -> None:
        """Send claimed pages right after the commit."""
        if jobs:
            tx.after_commit(lambda: self._begin(jobs))

    def _begin(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self._begin_together(job)

    def _begin_together(self, *jobs: Job) -> None:
        self._run(self._send(*jobs))
        if not self._channels.healthy(self._provider(jobs[0])):
            for job in jobs:
                self._run(self._beside(job))

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="page")
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def sweep(self) -> bool:
        """Claim and send what is due: retries, and pages of replicas that died. True when there may be more."""
        async with self._parts.database.transaction(_PRINCIPAL) as tx:
            await self._directory.read(tx)
            jobs = await self._records.pages.claim(tx, self.worker_id, self.lease_until(tx.now), BATCH)
            self.post(tx, jobs)
        return len(jobs) == BATCH

    async def gather(self) -> bool:
        """Claim pages of a flood that go to one responder on one channel, and send them as one message. True when there
        may be more."""
        apart = timedelta(seconds=self._parts.settings.crisis_gather_seconds)
        async with self._parts.database.transaction(_PRINCIPAL) as tx:
            await self._directory.read(tx)
            lease = self.lease_until(tx.now)
            jobs = await self._records.pages.gather(tx, self.worker_id, lease, apart, TOGETHER)
            if jobs:
                tx.after_commit(lambda: self._begin_together(*jobs))
        return bool(jobs)

    async def settle(self) -> None:
        """Wait for the pages under way."""
        while self._running:
            await asyncio.gather(*self._running, return_exceptions=True)

    async def failed_later(self, tx: Tx, page_id: str, reason: str) -> bool:
        """A provider that took a page says that it did not arrive: the next channel at once, while nobody answered.
        Likewise for all that were one message with it.

        `reason` is our word, not the provider's text. False where the page is unknown, or was known to have failed.
        """
        failed = False
        for each, alert_id in await self._records.pages.together(tx, page_id):
            alert = await self._records.alerts.get(tx, alert_id, lock=True)
            job = await self._records.pages.failed_later(tx, each, reason)
            if job is not None:
                await self._move_on(tx, alert, job, Outcome(PageState.FAILED, reason))
                failed = True
        return failed

    async def _send(self, *jobs: Job) -> None:
        try:
            outcome = await self.deliver(*jobs)
        except Exception:  # noqa: BLE001 - nobody else would hear of it
            # The pages stay claimed; when their lease runs out they are sent again.
            _log.exception("page.not_sent", page_id=jobs[0].page_id, alert_id=jobs[0].alert_id)
            return
        if outcome is None:
            await self._give_back(*jobs)
            return
        for job in jobs:
            await self._see_noted(job, outcome)

    async def _see_noted(self, job: Job, outcome: Outcome) -> None:
        try:
            await self.note_now_or_later(job, outcome)
        except Exception:  # noqa: BLE001 - as above
            _log.exception("page.not_noted", page_id=job.page_id, alert_id=job.alert_id)

    async def _give_back(self, *jobs: Job) -> None:
        """Pages found no place with a slow provider in time, and were not sent: the next channel at once, and these
        when there is a place, by whichever replica has one.

        The one that led them goes last, so that it leads no other message while one of them still counts as of this
        one. Where one stays, it stays, until their leases run out."""
        for job in reversed(jobs):
            if not await self._given_back(job):
                return

    async def _given_back(self, job: Job) -> bool:
        try:
            async with self._parts.database.transaction(_PRINCIPAL) as tx:
                alert = await self._records.alerts.get(tx, job.alert_id, lock=True)
                given_back = await self._records.pages.given_back(tx, job.page_id, self.worker_id)
                if given_back and wanted(alert, job.cycle, job.stage):
                    await self._next_channel(tx, job)
                tx.wake("pages")
                tx.wake("gathered")
        except Exception:  # noqa: BLE001 - it stays claimed; when its lease runs out it is sent again
            _log.exception("page.not_given_back", page_id=job.page_id, alert_id=job.alert_id)
            return False
        return given_back

    async def _beside(self, job: Job) -> None:
        """The provider has failed again and again: the next channel is not kept waiting for it to fail once more."""
        if job.place + 1 >= len(self._directory.channels(job.responder_id)):
            return
        try:
            async with self._parts.database.transaction(_PRINCIPAL) as tx:
                alert = await self._records.alerts.get(tx, job.alert_id, lock=True)
                if wanted(alert, job.cycle, job.stage):
                    await self._next_channel(tx, job)
        except Exception:  # noqa: BLE001 - the page itself goes on, and starts the next channel when it fails
            _log.exception("page.next_not_begun", page_id=job.page_id, alert_id=job.alert_id)

    async def note_now_or_later(self, job: Job, outcome: Outcome) -> bool:
        """Write down how a claimed page went. False where it cannot be written now; `note_late` does it then."""
        try:
            await self.note(job, outcome)
        except (Unavailable, Overloaded, *RETRYABLE):
            self._unnoted.append((job, outcome))
            return False
        return True

    async def note_late(self) -> None:
        """Write down what could not be while the record was away, so that nobody takes those pages for lost."""
        for _ in range(len(self._unnoted)):
            if not await self.note_now_or_later(*self._unnoted.popleft()):
                return

    async def deliver(self, *jobs: Job) -> Outcome | None:
        """Hand pages to their provider as one message that the first of them leads, whether or not there is a record of
        them. None where their lease left no time."""
        async with self._rooms[self._provider(jobs[0])]:
            outcome = await self._hand_over(*jobs)
        if outcome is not None and outcome.state is PageState.ACCEPTED:
            for job in jobs:
                JOURNEYS.paged(job.alert_id, self._parts.clock.now())
        return outcome

    def _provider(self, job: Job) -> str:
        channels = self._directory.channels(job.responder_id)
        return channels[job.place].provider if job.place < len(channels) else ""

    async def _hand_over(self, *jobs: Job) -> Outcome | None:
        job = jobs[0]
        settings = self._parts.settings
        if self._parts.clock.now() + timedelta(seconds=settings.page_timeout_seconds) > job.lease_until:
            _log.warning("page.waited_too_long", page_id=job.page_id)
            return None
        channels = self._directory.channels(job.responder_id)
        if job.place >= len(channels):
            return Outcome(PageState.FAILED, "no such channel")
        with telemetry.consumer_span(
            f"page {job.channel}",
            {"traceparent": job.traceparent},
            haven__alert_id=job.alert_id,
            haven__page_id=job.page_id,
            haven__channel=job.channel,
            haven__step=job.stage,
            haven__attempt=job.attempt,
        ) as span:
            outcome = await self._channels.send(channels[job.place], self._text(*jobs))
            span.set(haven__outcome=outcome.state.name.lower())
            if outcome.state not in (PageState.ACCEPTED, PageState.NOT_NEEDED):
                span.fail(outcome.reason.replace(" ", "_"))
        metrics.PAGES.labels(job.channel, outcome.state.name.lower()).inc()
        return outcome

    def _text(self, *jobs: Job) -> PageText:
        job = jobs[0]
        text = PageText(
            page_id=job.page_id,
            alert_id=job.alert_id,
            title=texts.page_title(len(jobs), drill=job.drill),
            link=self._links.address(job.page_id, self._parts.clock.now()),
            drill=job.drill,
            resent=any(each.resent for each in jobs),
            stage=job.stage,
            cycle=job.cycle,
            alerts=len(jobs),
        )
        text.raised_at.FromDatetime(job.raised_at)
        return text

    async def note(self, job: Job, outcome: Outcome) -> None:
        """Write down how a claimed page went, and try on where it failed. A page that is not noted before its lease
        ends is sent again, so a note that others in the database were in the way of is tried again at once."""
        # A page that failed starts the next channel, so its note waits for no other.
        turn = self._noting if outcome.state is PageState.ACCEPTED else nullcontext()
        async with turn:
            for tries_left in reversed(range(NOTE_TRIES)):
                try:
                    await self._note(job, outcome)
                except RETRYABLE as error:
                    _log.warning("page.note_again", page_id=job.page_id, error=type(error).__name__)
                    if not tries_left:
                        raise
                else:
                    break
        _log.info("page.sent", page_id=job.page_id, alert_id=job.alert_id, outcome=outcome.state.name.lower())

    async def _note(self, job: Job, outcome: Outcome) -> None:
        async with self._parts.database.transaction(_PRINCIPAL) as tx:
            if outcome.state is not PageState.ACCEPTED:
                alert = await self._records.alerts.get(tx, job.alert_id, lock=True)
                ended = await self._records.pages.ended(tx, job.page_id, self.worker_id, outcome.state, outcome.reason)
                # A drill in somebody's quiet hours is not sent, and has not failed.
                if ended and outcome.state is not PageState.NOT_NEEDED:
                    await self._move_on(tx, alert, job, outcome)
            elif await self._records.pages.accepted(
                tx, job.page_id, self.worker_id, _facts(job, outcome), _paged(tx, job)
            ):
                tx.wake("relay")
                tx.wake("watch")

    async def _move_on(self, tx: Tx, alert: Alert, job: Job, outcome: Outcome) -> None:
        """A page did not arrive, or nobody knows: note it, and try on while it is wanted. The alert is locked."""
        entry = Entry(Kind.PAGE_FAILED, tx.now, _PRINCIPAL.id, _facts(job, outcome))
        await self._records.alerts.add(tx, self._parts.cipher, alert, [entry])
        if wanted(alert, job.cycle, job.stage):
            await self._try_on(tx, job, unknown=outcome.state is PageState.UNKNOWN)

    async def _try_on(self, tx: Tx, job: Job, *, unknown: bool) -> None:
        """The next channel at once, and this one again after a while."""
        await self._next_channel(tx, job)
        if job.attempt < self._parts.settings.page_attempts:
            again = Draft(job.responder_id, job.place, job.channel, job.attempt + 1, job.resent or unknown)
            at = tx.now + BACKOFF[min(job.attempt, len(BACKOFF)) - 1]
            await self._records.pages.queue(tx, _round(job), [again], at)

    async def _next_channel(self, tx: Tx, job: Job) -> None:
        """Page the same responder on the channel after this one, unless it was. The alert is locked."""
        channels = self._directory.channels(job.responder_id)
        if job.place + 1 < len(channels):
            draft = Draft(job.responder_id, job.place + 1, channels[job.place + 1].kind)
            await self.page(tx, _round(job), [draft])


def _round(job: Job) -> Round:
    return Round(job.alert_id, job.cycle, job.stage, job.drill, job.raised_at, job.traceparent)


def _facts(job: Job, outcome: Outcome) -> dict[str, str]:
    return {
        "page_id": job.page_id,
        "responder_id": job.responder_id,
        "channel": job.channel,
        "cycle": str(job.cycle),
        "stage": str(job.stage),
        "reason": outcome.reason,
    }


def _paged(tx: Tx, job: Job) -> tuple[Any, ...]:
    event = events_pb2.AlertPaged(
        alert_id=job.alert_id, page_id=job.page_id, responder_id=job.responder_id, channel=job.channel
    )
    event.paged_at.FromDatetime(tx.now)
    return tx.event(event, key=job.alert_id)
