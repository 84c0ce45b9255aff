"""The database, NATS, the disk are away: calls for help are kept and paged, and the record is whole afterwards.

Each test takes away what it says, from a crisis service of its own, and gives it back.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from haven.crisis.v1 import signals_pb2 as pb
from haven.crisis.v1.integration_service_pb2 import CreateSystemRequest

from haven_crisis.__main__ import READINESS, SPEC
from haven_crisis.store.pages import PageState
from haven_dev.receivers import SmtpReceiver, WebhookReceiver
from haven_kit import ids
from haven_kit.clock import FakeClock
from haven_kit.errors import NotFound
from haven_kit.testing import eventually
from haven_kit.testing.proxy import Proxy
from haven_kit.testing.running import Running
from haven_kit.testing.servers import Road

from .test_inbound import System, admin
from .world import WAIT, World


@dataclass
class Trouble:
    """A world whose database and NATS can be taken away."""

    world: World
    database: Proxy
    nats: Road
    serve: Callable[..., Awaitable[Running]]
    settings: dict[str, Any]
    journal: Path

    @property
    def keeping(self) -> Any:
        """What the service keeps."""
        roads: Any = self.world.crisis.process.service.checks[READINESS]
        return roads.__self__.keeping

    @asynccontextmanager
    async def away(self, *, database: bool = True, nats: bool = False) -> AsyncIterator[None]:
        """What is named is away in the block, and back after it."""
        if nats:
            await self.nats.stop()
        if database:
            await self.database.refuse()
        try:
            yield
        finally:
            if database:
                await self.database.start()
            if nats:
                await self.nats.start()
                await eventually(lambda: self.world.crisis.process.messaging.connected)

    async def complete(self) -> None:
        """Wait until all that was kept is in the record."""
        await eventually(lambda: self.keeping.cases == 0, timeout=20)

    def noted(self, alert_id: str) -> bool:
        """Whether it is known how every page of a kept alert went."""
        return not list(self.keeping._keeper.cases[alert_id].case.open_pages())

    def failed(self, alert_id: str) -> int:
        """How many pages of a kept alert failed so far."""
        held = self.keeping._keeper.cases[alert_id]
        return sum(each.state is PageState.FAILED for each in held.case.pages)

    async def fetch(self, sql: str, *args: Any) -> list[Any]:
        """Rows of the record."""
        async with self.world.transaction() as tx:
            rows: list[Any] = await tx.fetch(sql, *args)
        return rows

    async def whole(self, person_id: str, signals: int = 1) -> Any:
        """The person's alert, once its record is whole: it replays, and every page that came is in it once."""
        await self.complete()

        async def there() -> list[Any]:
            return await self.fetch(
                """SELECT * FROM alert WHERE person_id = $1 AND state <> 6 AND signals >= $2 AND NOT EXISTS
                (SELECT 1 FROM page WHERE page.alert_id = alert.alert_id AND page.state = 2)""",
                person_id,
                signals,
            )

        (alert,) = await eventually(there, timeout=20)
        await self.world.replays(str(alert["alert_id"]))
        rows = await self.fetch("SELECT page_id::text FROM page WHERE alert_id = $1 AND state = 3", alert["alert_id"])
        told = {each.headers["webhook-id"] for each in self.received(person_id)}
        assert told == {row["page_id"] for row in rows}
        assert alert["signals"] == signals
        assert len(await self.fetch("SELECT 1 FROM signal WHERE person_id = $1", person_id)) == signals
        return alert

    def received(self, person_id: str) -> list[Any]:
        """Every page for the alert that this person's signal was told to belong to."""
        alerts = self._alerts.get(person_id, set())
        return [
            each for hook in self.world.hooks.values() for each in hook.received
            if json.loads(each.body)["alert_id"] in alerts
        ]  # fmt: skip

    async def signal(self, person_id: str, **given: Any) -> pb.RaiseSignalResponse:
        """The person calls for help."""
        answer = await self.world.signal(person_id, **given)
        self._alerts.setdefault(person_id, set()).add(answer.alert_id or self.kept_alert(person_id))
        return answer

    def kept_alert(self, person_id: str) -> str:
        """The alert that is kept for a person."""
        cases = self.keeping._keeper.cases.items()
        return next(alert_id for alert_id, held in cases if held.case.person_id == person_id)

    def __post_init__(self) -> None:
        self._alerts: dict[str, set[str]] = {}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def trouble(
    haven: Any,
    serve: Callable[..., Awaitable[Running]],
    nats_server: Road,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Trouble]:
    hooks = {name: WebhookReceiver() for name in ("first", "second", "boss", "last")}
    mail = SmtpReceiver()
    for each in (*hooks.values(), mail):
        await each.start()
    clock = FakeClock()
    database = Proxy(await haven.database_url("crisis"))
    await database.start()
    journal = tmp_path_factory.mktemp("journal")
    settings = {
        "clock": clock,
        "database_url": database.url,
        "crisis_last_resort_webhook": hooks["last"].url,
        "smtp_port": mail.port,
        "crisis_journal_dir": journal,
    }
    crisis = await serve(SPEC, **settings)
    world = World(crisis, clock, hooks, mail)
    await world.plan()
    yield Trouble(world, database, nats_server, serve, settings, journal)
    for each in (*hooks.values(), mail):
        await each.stop()


async def _known_on_call(trouble: Trouble) -> None:
    await trouble.world.step("on-call")


ROADS = [
    pytest.param({}, pb.KEPT_STREAM, id="database away"),
    pytest.param({"nats": True}, pb.KEPT_JOURNAL, id="database and NATS away"),
    pytest.param({"nats": True, "database": False}, pb.KEPT_DATABASE, id="NATS away"),
]


@pytest.mark.parametrize(("away", "road"), ROADS)
async def test_a_call_is_kept_paged_at_once_and_in_the_record_later(
    trouble: Trouble, person_id: str, away: dict[str, bool], road: int
) -> None:
    await _known_on_call(trouble)
    async with trouble.away(**away):
        began = time.monotonic()
        answer = await trouble.signal(person_id, note="I cannot go on")
        assert answer.kept == road
        assert answer.message
        assert answer.help_lines
        await trouble.world.paged("first", answer.alert_id)
        assert time.monotonic() - began < 5
    alert = await trouble.whole(person_id)
    assert len(trouble.world.pages("first", answer.alert_id)) == 1
    kept = await trouble.fetch("SELECT road, signals FROM kept WHERE became_alert_id = $1", alert["alert_id"])
    assert [tuple(row) for row in kept] == ([] if road == pb.KEPT_DATABASE else [(road, 1)])
    audited = await trouble.fetch(
        "SELECT principal_id, role, action FROM audit_entry WHERE person_id = $1 AND action LIKE '%RaiseSignal'",
        person_id,
    )
    assert [(row["role"], row["action"]) for row in audited] == [
        ("participant", "/haven.crisis.v1.CrisisService/RaiseSignal")
    ]
    (first,) = await trouble.fetch(
        "SELECT facts::text, sealed, at FROM timeline WHERE alert_id = $1 AND seq = 1", alert["alert_id"]
    )
    assert b"I cannot go on" not in first["sealed"]
    assert first["at"] == alert["raised_at"]


async def test_what_is_kept_is_sealed(trouble: Trouble, person_id: str) -> None:
    async with trouble.away(nats=True):
        await trouble.signal(person_id, note="words that nobody else may read")
        stored = b"".join(each.read_bytes() for each in trouble.journal.rglob("*.journal"))
        assert len(stored) > 500
        assert b"words that nobody" not in stored
        assert person_id.encode() not in stored
    await trouble.whole(person_id)


async def test_a_database_that_says_nothing_costs_a_second_once(trouble: Trouble) -> None:
    await _known_on_call(trouble)
    people = [ids.new_id() for _ in range(5)]
    trouble.database.stall()
    try:
        took = []
        for each in people:
            began = time.monotonic()
            answer = await trouble.signal(each)
            took.append(time.monotonic() - began)
            assert answer.kept == pb.KEPT_STREAM
            await trouble.world.paged("first", answer.alert_id)
    finally:
        trouble.database.resume()
    assert max(took) < 2
    assert sorted(took)[1] < 0.5
    for each in people:
        await trouble.whole(each)


async def test_a_commit_whose_answer_was_lost_is_one_signal_and_one_page(trouble: Trouble, person_id: str) -> None:
    await _known_on_call(trouble)
    await trouble.signal(ids.new_id())  # a connection stands
    trouble.database.mute()
    try:
        answer = await trouble.signal(person_id)
        assert answer.kept == pb.KEPT_STREAM
        await trouble.world.paged("first", answer.alert_id)
    finally:
        trouble.database.resume()
    await trouble.whole(person_id)
    for _ in range(3):
        await trouble.world.step("pages")
    assert len(trouble.world.pages("first", answer.alert_id)) == 1


async def test_nowhere_to_keep_it_people_are_called_and_the_caller_is_told(
    trouble: Trouble, person_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    async with trouble.away(nats=True):
        with monkeypatch.context() as patched:
            patched.setattr("haven_crisis.keeping.journal.os.fsync", full)
            answer = await trouble.signal(person_id)
        assert answer.kept == pb.KEPT_NOWHERE
        assert "call one of these numbers" in answer.message
        await trouble.world.paged("first", answer.alert_id)
    await trouble.whole(person_id)


async def test_it_escalates_from_memory_and_the_record_goes_on_from_there(trouble: Trouble, person_id: str) -> None:
    await _known_on_call(trouble)
    world = trouble.world
    async with trouble.away():
        answer = await trouble.signal(person_id)
        await world.paged("first", answer.alert_id)
        await eventually(lambda: trouble.noted(answer.alert_id))
        world.clock.advance(WAIT + timedelta(seconds=1))
        await world.paged("second", answer.alert_id)
        assert len(world.pages("first", answer.alert_id)) == 1
    alert = await trouble.whole(person_id)
    assert alert["stage"] == 1
    assert alert["next_deadline"] > world.clock.now()
    await world.later(timedelta(seconds=5))
    assert len(world.pages("first", answer.alert_id)) == 1
    assert len(world.pages("second", answer.alert_id)) == 1
    await world.later(WAIT)
    await world.paged("boss", answer.alert_id)


async def test_a_provider_that_fails_moves_on_to_the_next_and_is_tried_again(trouble: Trouble, person_id: str) -> None:
    world = trouble.world
    await _known_on_call(trouble)
    world.hooks["first"].status = 503
    try:
        async with trouble.away():
            answer = await trouble.signal(person_id)
            await eventually(lambda: trouble.failed(answer.alert_id))
            world.hooks["first"].status = 204
            world.clock.advance(timedelta(seconds=3))
            await world.paged("first", answer.alert_id, 2)
    finally:
        world.hooks["first"].status = 204
    await trouble.complete()
    rows = await trouble.fetch(
        "SELECT place, attempt, state FROM page WHERE alert_id = $1 ORDER BY place, attempt", answer.alert_id
    )
    assert [tuple(row) for row in rows] == [(0, 1, 4), (0, 2, 3), (1, 1, 3)]
    await world.replays(answer.alert_id)


async def test_the_same_call_again_and_another_call_are_one_alert(trouble: Trouble, person_id: str) -> None:
    await _known_on_call(trouble)
    signal_id = ids.new_id()
    async with trouble.away():
        first = await trouble.signal(person_id, signal_id=signal_id)
        again = await trouble.signal(person_id, signal_id=signal_id)
        other = await trouble.signal(person_id)
        assert first.alert_id == again.alert_id == other.alert_id
        assert first.signal_id == again.signal_id != other.signal_id
        await trouble.world.paged("first", first.alert_id)
    await trouble.whole(person_id, signals=2)
    assert len(trouble.world.pages("first", first.alert_id)) == 1


async def test_a_call_of_someone_whose_alert_is_open_belongs_to_it(trouble: Trouble, person_id: str) -> None:
    before = await trouble.signal(person_id)
    await trouble.world.paged("first", before.alert_id)
    await trouble.world.step("keeping")
    async with trouble.away():
        answer = await trouble.signal(person_id)
        assert answer.alert_id == before.alert_id
        await trouble.world.paged("first", before.alert_id, 2)
    await trouble.whole(person_id, signals=2)


async def test_a_call_whose_alert_was_not_known_becomes_part_of_it(trouble: Trouble, person_id: str) -> None:
    """The id that its pages told leads there, and each page is in the record beside those from before."""
    world = trouble.world
    before = await trouble.signal(person_id)
    await world.paged("first", before.alert_id)
    other = await trouble.serve(SPEC, **trouble.settings | {"crisis_journal_dir": None})
    roads: Any = other.process.service.checks[READINESS]
    async with trouble.away():
        # It learned nothing of the alert before the database went away.
        roads.__self__.keeping._open.clear()
        answer = await trouble.signal(person_id, caller=other.as_role("participant", person_id=person_id))
        assert answer.alert_id != before.alert_id
        await eventually(lambda: len(trouble.received(person_id)) == 2)
    alert = await trouble.whole(person_id, signals=2)
    assert str(alert["alert_id"]) == before.alert_id
    assert (await world.alert(answer.alert_id)).alert_id == before.alert_id
    await other.stop()


async def test_a_responder_takes_it_while_the_record_is_away(trouble: Trouble, person_id: str) -> None:
    await _known_on_call(trouble)
    world = trouble.world
    async with trouble.away():
        answer = await trouble.signal(person_id)
        await world.paged("first", answer.alert_id)
        assert not await trouble.keeping.acknowledge(answer.alert_id, "somebody-else", "link")
        assert await trouble.keeping.acknowledge(answer.alert_id, "first", "link")
        assert await trouble.keeping.acknowledge(answer.alert_id, "first", "link")
        world.clock.advance(WAIT * 2)
        await world.step("keeping")
    alert = await trouble.whole(person_id)
    assert (alert["state"], alert["responder_id"]) == (3, "first")
    assert world.pages("second", answer.alert_id) == []


async def test_a_tap_on_the_link_takes_it_while_the_record_is_away(trouble: Trouble, person_id: str) -> None:
    await _known_on_call(trouble)
    world = trouble.world
    async with trouble.away():
        answer = await trouble.signal(person_id)
        (page,) = await world.paged("first", answer.alert_id)
        edge = world.crisis.process.edge
        assert edge is not None
        link = f"http://127.0.0.1:{edge.port}/p/" + page["link"].rpartition("/")[2]
        async with aiohttp.ClientSession(headers={"Accept": "application/json"}) as http:
            async with http.get(link) as opened:
                told = await opened.json()
            assert told["state"] == "open"
            async with http.post(link, data={"tap": told["tap"]}) as tapped:
                assert (await tapped.json())["state"] == "yours"
    alert = await trouble.whole(person_id)
    assert (alert["state"], alert["responder_id"]) == (3, "first")
    audited = await trouble.fetch(
        "SELECT principal_id FROM audit_entry WHERE person_id = $1 AND action = 'crisis/push'", person_id
    )
    assert [row[0] for row in audited] == ["first"]


async def test_a_link_that_cannot_be_looked_up_refuses_nobody_and_is_looked_up_later(trouble: Trouble) -> None:
    await _known_on_call(trouble)
    linked, stranger, about, other = (ids.new_id() for _ in range(4))
    await trouble.fetch(
        """INSERT INTO person_link (link_id, person_id, linked_person_id, kind, ended, version)
        VALUES (gen_random_uuid(), $1, $2, 'couple', FALSE, 1)""",
        about,
        linked,
    )
    async with trouble.away():
        for caller, person in ((linked, about), (stranger, other)):
            who = trouble.world.crisis.as_role("partner", person_id=caller)
            answer = await trouble.signal(person, caller=who)
            assert answer.kept == pb.KEPT_STREAM
            await trouble.world.paged("first", trouble.kept_alert(person))
    for person, found in ((about, "found"), (other, "not_found")):
        alert = await trouble.whole(person)
        (entry,) = await trouble.fetch(
            "SELECT facts->>'link' AS link, facts->>'kept' AS kept FROM timeline WHERE alert_id = $1 AND seq = 1",
            alert["alert_id"],
        )
        assert (entry["link"], entry["kept"]) == (found, "stream")
    with pytest.raises(NotFound):
        await trouble.world.signal(other, caller=trouble.world.crisis.as_role("partner", person_id=ids.new_id()))


async def test_an_unanswered_alert_of_the_record_is_escalated_by_one_replica(trouble: Trouble, person_id: str) -> None:
    world = trouble.world
    answer = await trouble.signal(person_id)
    await world.paged("first", answer.alert_id)
    other = await trouble.serve(SPEC, **trouble.settings | {"crisis_journal_dir": None})
    await world.step("keeping")
    await world.step("keeping", other)
    async with trouble.away():
        world.clock.advance(WAIT + timedelta(seconds=1))
        await world.step("keeping")
        await world.step("keeping", other)
        world.clock.advance(timedelta(seconds=5))
        await world.paged("second", answer.alert_id)
        await world.step("keeping", other)
        assert len(world.pages("second", answer.alert_id)) == 1
    await other.stop()
    alert = await trouble.whole(person_id)
    assert alert["stage"] == 1
    assert len(world.pages("second", answer.alert_id)) == 1


async def test_a_replica_that_died_is_taken_over_by_another(trouble: Trouble, person_id: str) -> None:
    """Its pages in flight are sent again and say so; what had arrived is not."""
    world = trouble.world
    other = await trouble.serve(SPEC, **trouble.settings | {"crisis_journal_dir": None})
    async with trouble.away():
        who = other.as_role("participant", person_id=person_id)
        answer = await trouble.signal(person_id, caller=who)
        assert answer.kept == pb.KEPT_STREAM
        await world.paged("first", answer.alert_id)
        await other.stop()
        world.clock.advance(WAIT + timedelta(seconds=7))
        await world.paged("second", answer.alert_id)
        assert len(world.pages("first", answer.alert_id)) == 1
    alert = await trouble.whole(person_id)
    assert alert["stage"] == 1


async def test_what_the_journal_holds_is_taken_up_at_the_next_start(trouble: Trouble, person_id: str) -> None:
    world = trouble.world
    folder = trouble.journal.parent / f"{trouble.journal.name}-other"
    other = await trouble.serve(SPEC, **trouble.settings | {"crisis_journal_dir": folder})
    await world.step("on-call", other)
    async with trouble.away(nats=True):
        answer = await trouble.signal(person_id, caller=other.as_role("participant", person_id=person_id))
        assert answer.kept == pb.KEPT_JOURNAL
        await world.paged("first", answer.alert_id)
        await other.stop()
    assert await trouble.fetch("SELECT 1 FROM signal WHERE person_id = $1", person_id) == []
    again = await trouble.serve(SPEC, **trouble.settings | {"crisis_journal_dir": folder})
    await trouble.whole(person_id)
    assert len(world.pages("first", answer.alert_id)) == 1
    await again.stop()


async def test_a_replica_stays_ready_while_any_road_is_open(trouble: Trouble) -> None:
    server = trouble.world.crisis.process.server
    async with trouble.away():
        await eventually(lambda: server.state["database"] is False)
        assert server.state[READINESS]
        assert server.ready
    await eventually(lambda: server.state["database"])


@pytest.mark.parametrize("known", [True, False], ids=["who is on call is known", "nothing is known"])
async def test_it_starts_and_accepts_while_the_database_is_away(
    trouble: Trouble, person_id: str, known: bool, tmp_path: Path
) -> None:
    """With the sealed copy of an earlier run it pages who is on call, otherwise the last resort."""
    await trouble.world.step("on-call")
    await trouble.world.step("keeping")
    folder = tmp_path / "journal"
    if known:
        folder.mkdir()
        sealed = (trouble.journal / "on-call.sealed").read_bytes()
        assert b"first" not in sealed
        (folder / "on-call.sealed").write_bytes(sealed)
    async with trouble.away():
        late = await trouble.serve(SPEC, **trouble.settings | {"crisis_journal_dir": folder})
        answer = await trouble.signal(person_id, caller=late.as_role("participant", person_id=person_id))
        assert answer.kept == pb.KEPT_STREAM
        await trouble.world.paged("first" if known else "last", answer.alert_id)
    await trouble.whole(person_id)
    await late.stop()


async def test_the_signal_of_another_system_is_kept_like_any_other(trouble: Trouble, person_id: str) -> None:
    world = trouble.world
    await world.plan()
    async with aiohttp.ClientSession() as http:
        made = await admin(world).CreateSystem(CreateSystemRequest(name="Night sensor"))
        system = System(world, http, made)
        assert (await system.post({"person_id": ids.new_id()}))[0] == 202
        async with trouble.away():
            status, body = await system.post({"person_id": person_id, "note": "No movement."}, message_id="evt-9")
            assert (status, body["identified"]) == (202, True)
            alert_id = trouble.kept_alert(person_id)
            await world.paged("first", alert_id)
        await trouble.complete()
        again = await system.post({"person_id": person_id}, message_id="evt-9")
    assert again[1]["signal_id"] == body["signal_id"]
    (row,) = await trouble.fetch("SELECT signals FROM alert WHERE person_id = $1", person_id)
    assert row["signals"] == 1
    noted = await trouble.fetch("SELECT principal_id FROM audit_entry WHERE person_id = $1", person_id)
    assert f"system:crisis/inbound/{system.system_id}" in {each["principal_id"] for each in noted}
