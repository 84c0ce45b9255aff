"""Calls for help made at crisis's own edges, by clients that try again as ours do, and what became of each."""

from __future__ import annotations

import asyncio
import itertools
import time
import uuid
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import nats
import orjson
from effects import connected
from nats.js.api import ConsumerInfo

from haven_crisis.domain.alerts import replay
from haven_crisis.store import alerts
from haven_dev.codes import Codes
from haven_dev.receivers import Webhook
from haven_dev.runner import Platform
from haven_kit.clock import SystemClock
from haven_kit.database import Database
from haven_kit.identity import system
from haven_kit.messaging import NATS_HOST
from haven_kit.testing import eventually
from haven_kit.tls import Folder

PATIENCE_S = 30.0
"""How long a client tries."""
ONE_TRY_S = 5.0
FIRST_PAUSE_S, LAST_PAUSE_S = 0.05, 0.5
_POLICY = "0197c0de-0000-7000-8000-000000000002"


@dataclass
class Call:
    """One call for help."""

    person_id: str
    signal_id: str
    sent_at: float
    """When the client first tried, in seconds of `time.time()`."""
    kept: str = ""
    alert_id: str = ""
    tries: int = 0


@dataclass
class Calls:
    """The clients, and the one responder who is paged and does not answer."""

    platform: Platform
    http: aiohttp.ClientSession
    edges: list[str]
    made: list[Call] = field(default_factory=list)
    _turn: itertools.count[int] = field(default_factory=itertools.count)

    async def on_call(self) -> None:
        """One responder with two channels, who is given longer to answer than a test takes."""
        responder = str(uuid.uuid4())
        step = {"targets": [{"responderId": responder}], "wait": "900s"}
        policy = {"policyId": _POLICY, "name": "On call", "steps": [step], "lastResort": step, "isDefault": True}
        channels = [
            {"webhook": {"url": self.platform.webhook.url.replace("/page", "/page/on-call")}},
            {"email": {"address": "on-call@example.org"}},
        ]
        path = f"/v1/on-call/responders/{responder}"
        saved = await self._office("PUT", path, {"name": "Responder", "channels": channels})
        codes = Codes([self.platform.webhook], self.platform.smtp)
        for each in saved["channels"]:
            channel = {"channelId": each["channelId"]}
            await self._office("POST", f"{path}:sendCode", channel)
            address = each["webhook"]["url"] if each.get("webhook") else each["email"]["address"]
            await self._office("POST", f"{path}:verifyChannel", channel | {"code": await codes.take(address)})
        await self._office("PUT", f"/v1/on-call/policies/{_POLICY}", {"policy": policy})

    async def _office(self, method: str, path: str, body: dict[str, Any]) -> Any:
        headers = bearer(self.platform.token("administrator"))
        async with self.http.request(method, self.edges[0] + path, json=body, headers=headers) as answer:
            text = await answer.text()
            assert answer.status == 200, text
            return orjson.loads(text)

    async def call(self, source: str = "SIGNAL_SOURCE_HELP_BUTTON") -> Call:
        """Somebody new calls for help; tries the replicas in turn until one has taken it."""
        made = Call(str(uuid.uuid4()), str(uuid.uuid4()), time.time())
        self.made.append(made)
        headers = bearer(self.platform.token("participant", person_id=made.person_id))
        body = {"signalId": made.signal_id, "personId": made.person_id, "source": source}
        pause, until, first = FIRST_PAUSE_S, time.monotonic() + PATIENCE_S, next(self._turn)
        while True:
            url = self.edges[(first + made.tries) % len(self.edges)]
            made.tries += 1
            answer = await self._try(f"{url}/v1/signals", body, headers)
            if answer is not None:
                made.kept, made.alert_id = answer.get("kept", ""), answer["alertId"]
                return made
            assert time.monotonic() < until, f"{made} was never taken"
            await asyncio.sleep(pause)
            pause = min(pause * 2, LAST_PAUSE_S)

    async def _try(self, url: str, body: dict[str, str], headers: dict[str, str]) -> dict[str, Any] | None:
        try:
            timeout = aiohttp.ClientTimeout(total=ONE_TRY_S)
            async with self.http.post(url, json=body, headers=headers, timeout=timeout) as answer:
                text = await answer.text()
                if answer.status >= 500:
                    return None
                assert answer.status == 200, text
                taken: dict[str, Any] = orjson.loads(text)
                return taken
        except (aiohttp.ClientError, TimeoutError):
            return None

    async def many(self, count: int, apart_s: float = 0.02) -> list[Call]:
        """Several people call, one a moment after the other."""

        async def later(number: int) -> Call:
            await asyncio.sleep(number * apart_s)
            return await self.call()

        return await asyncio.gather(*(later(number) for number in range(count)))

    async def consumer(self, stream: str, name: str) -> ConsumerInfo:
        """How far a service has come with the events of another."""
        nats_server = self.platform.nats
        folder = Folder(self.platform.pki.issue("intake"))
        client = await nats.connect(
            nats_server.url,
            user="admin",
            password=nats_server.password("admin"),
            tls=folder.client_context(),
            tls_hostname=NATS_HOST,
        )
        try:
            info: ConsumerInfo = await client.jetstream().consumer_info(stream, name)
            return info
        finally:
            await client.close()

    def pages(self, calls: list[Call]) -> dict[str, list[tuple[float, str]]]:
        """When pages for these calls were received, and their ids, by the alert that they told."""
        wanted = {each.alert_id for each in calls}
        found: defaultdict[str, list[tuple[float, str]]] = defaultdict(list)
        for each in self.platform.webhook.received:
            alert_id = _alert_of(each)
            if alert_id in wanted:
                found[alert_id].append((each.at, each.headers["webhook-id"]))
        return found

    async def paged(self, calls: list[Call], timeout: float = 20) -> list[float]:
        """Wait until a page was received for each; how many seconds after the call was first tried, in order."""

        def all_paged() -> bool:
            pages = self.pages(calls)
            return all(pages[each.alert_id] for each in calls)

        await eventually(all_paged, timeout=timeout)
        pages = self.pages(calls)
        return sorted(min(at for at, _ in pages[each.alert_id]) - each.sent_at for each in calls)

    def twice(self, calls: list[Call]) -> int:
        """How many pages more than one were received for each call."""
        return sum(len(each) - 1 for each in self.pages(calls).values())

    async def told_twice(self, calls: list[Call]) -> str:
        """What the record says of each page of a call that more than one page was received for; empty if none was."""
        found = [alert_id for alert_id, pages in self.pages(calls).items() if len(pages) > 1]
        async with connected(self.platform, "crisis") as connection:
            rows = await connection.fetch("SELECT * FROM page WHERE alert_id::text = ANY($1) ORDER BY page_id", found)
        return "\n".join(str({key: each[key] for key in each.keys()}) for each in rows)  # noqa: SIM118 - of a Record

    async def whole(self, calls: list[Call], timeout: float = 30) -> None:
        """Wait until the record is complete: each call once, with its alert, its pages and who called."""
        await eventually(lambda: self._complete(calls), timeout=timeout)

    async def _complete(self, calls: list[Call]) -> bool:
        people = [each.person_id for each in calls]
        async with connected(self.platform, "crisis") as connection:
            signals = Counter(
                str(row[0])
                for row in await connection.fetch("SELECT signal_id FROM signal WHERE person_id = ANY($1)", people)
            )
            assert signals == Counter(each.signal_id for each in calls)
            rows = await connection.fetch("SELECT * FROM alert WHERE person_id = ANY($1)", people)
            held = {str(row["person_id"]): str(row["alert_id"]) for row in rows}
            assert len(rows) == len(held) == len(calls), "one alert for each person"
            became = dict(
                await connection.fetch(
                    "SELECT alert_id::text, became_alert_id::text FROM kept WHERE alert_id IS NOT NULL"
                )
            )
            open_pages = await connection.fetchval(
                "SELECT count(*) FROM page JOIN alert USING (alert_id)"
                " WHERE person_id = ANY($1) AND page.state IN (1, 2)",
                people,
            )
            assert not open_pages, "pages are on their way"
            sent = {str(row[0]): str(row[1]) for row in await connection.fetch("SELECT page_id, alert_id FROM page")}
            audited = Counter(
                row[0]
                for row in await connection.fetch(
                    "SELECT DISTINCT person_id, principal_id FROM audit_entry"
                    " WHERE person_id = ANY($1) AND action LIKE '%/RaiseSignal'",
                    people,
                )
            )
        assert audited == Counter(people), "the access history names who called"
        for call in calls:
            for _, page_id in self.pages([call])[call.alert_id]:
                assert sent.get(page_id) == became.get(call.alert_id, call.alert_id) == held[call.person_id], page_id
        await self._replays(list(held.items()))
        return True

    async def _replays(self, held: list[tuple[str, str]]) -> None:
        """Each timeline gives the very alert that the table holds."""
        database = Database(self.platform.database_url("crisis"), clock=SystemClock())
        try:
            async with database.transaction(system("test/chaos")) as tx:
                for person_id, alert_id in held:
                    alert = await alerts.get(tx, alert_id)
                    assert replay(alert_id, person_id, await alerts.entries(tx, alert_id)) == alert
        finally:
            await database.close()


def referral() -> dict[str, Any]:
    """Somebody new is referred: a command of another service, to be done once."""
    word = "".join(chr(97 + int(each, 16)) for each in uuid.uuid4().hex[:12])
    person = {"givenName": word[:6].title(), "familyName": word[6:].title(), "birthDate": "1980-02-03"}
    return {"person": person, "kind": "REFERRAL_KIND_HOSPITAL", "reason": "Rollout"}


def _alert_of(received: Webhook) -> str:
    return str(orjson.loads(received.body).get("alert_id", ""))


def bearer(token: str) -> dict[str, str]:
    """The header of whoever has this token."""
    return {"Authorization": f"Bearer {token}"}
