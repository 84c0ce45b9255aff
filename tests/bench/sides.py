"""The two sides that are compared, and everything they run on: one PostgreSQL, one webhook receiver, one client."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import sys
import sysconfig
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import aiohttp
import asyncpg
import bare
import psutil

from haven_dev import ports, project
from haven_dev.codes import Codes
from haven_dev.process import Child
from haven_dev.runner import Platform

PEOPLE = 32
"""Participants who take turns, so that no call waits for another's record."""
PARTS = ("crisis", "intake", "billing", "gateway")
SAMPLE_RATIO = "0.05"
"""The default of a deployment; crisis keeps every trace."""
_OUTSIDE = ("collector", "webhook")
_NO_LIMIT = "1000000000"
_READY_S = 60.0
_POLICY = "0197c0de-0000-7000-8000-000000000001"
_CHECK_IN = {"checkIn": {"mood": 6, "sleepQuality": 5, "journal": "Slept better, walked the dog before breakfast."}}
_AGREED = {"kind": "CONSENT_KIND_TREATMENT", "documentVersion": "2026-01", "signature": "Rosa Marin"}


class Services(Platform):
    """The platform as it would be deployed: its clock is the machine's, its collector elsewhere."""

    def environment(self, part: str, *, replica: int = 0) -> dict[str, str]:
        values = super().environment(part, replica=replica)
        del values["HAVEN_CLOCK_FILE"]
        return values


def _settings(collector: int) -> dict[str, Mapping[str, str]]:
    tracing = {
        "HAVEN_OTLP_ENDPOINT": f"http://{ports.LOOPBACK}:{collector}",
        "HAVEN_TRACE_SAMPLE_RATIO": SAMPLE_RATIO,
    }
    # One client stands for many: the limits are counted, and never reached.
    names = ("PERSON_RATE", "PERSON_BURST", "ADDRESS_RATE", "ADDRESS_BURST", "HELP_RATE", "HELP_BURST")
    limits = {f"HAVEN_{name}": _NO_LIMIT for name in names}
    serves = json.dumps([part for part in PARTS if part != "gateway"])
    return dict.fromkeys(PARTS, tracing) | {"gateway": tracing | limits | {"HAVEN_SERVES": serves}}


@dataclass
class Side:
    """One of the two: its address, the people who call, and where its commits can be seen."""

    name: str
    http: aiohttp.ClientSession
    url: str
    people: list[tuple[str, dict[str, str]]]
    """Person and headers."""
    staff: dict[str, str]
    commits: Callable[[datetime], Any]
    """From the commit of each consent given since to the commit of its event's effect, in ms."""
    processes: dict[str, psutil.Process]
    """What works for this side; PostgreSQL works for one side at a time."""
    biller: dict[str, str] = field(default_factory=dict)
    _turn: int = 0

    async def check_in(self) -> None:
        """One command of two rows."""
        person, headers = self._next()
        await self.post(f"/v1/people/{person}/check-ins", _CHECK_IN, headers)

    async def consent(self) -> None:
        """One command that tells an event."""
        person, headers = self._next()
        await self.post(f"/v1/people/{person}/consents", _AGREED, headers)

    async def bill(self) -> None:
        """One question to billing; where there is none, one more check-in."""
        if not self.biller:
            await self.check_in()
            return
        async with self.http.get(f"{self.url}/v1/ledger/trial-balance", headers=self.biller) as answer:
            if answer.status != 200:
                raise RuntimeError(f"{self.name}: trial balance: {answer.status} {await answer.text()}")

    async def signal(self) -> str:
        """One call for help, for somebody who has none open. Returns its alert."""
        body = {
            "signalId": str(uuid.uuid4()),
            "personId": str(uuid.uuid4()),
            "source": "SIGNAL_SOURCE_FACILITATOR",
        }
        answer = await self.post("/v1/signals", body, self.staff)
        return str(answer["alertId"])

    async def post(self, path: str, body: Any, headers: dict[str, str]) -> Any:
        """The answer. Raises RuntimeError where it is not 200."""
        async with self.http.post(self.url + path, json=body, headers=headers) as answer:
            text = await answer.text()
            if answer.status != 200:
                raise RuntimeError(f"{self.name}: {path}: {answer.status} {text}")
            return json.loads(text)

    def cpu(self) -> dict[str, float]:
        """Processor time used so far by each process and its children, in ms."""
        return {name: _cpu(process) for name, process in self.processes.items()}

    def _next(self) -> tuple[str, dict[str, str]]:
        self._turn = (self._turn + 1) % len(self.people)
        return self.people[self._turn]


class World:
    """Everything that runs. Use it as `async with`."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._state = project.home() / "bench"
        self._collector, self._webhook, self._gateway, self._service, self._nats = (ports.free_port() for _ in range(5))
        shutil.rmtree(self._state, ignore_errors=True)
        self.platform = Services(
            self._state, parts=(), replicas={"crisis": 2}, environment=_settings(self._collector), say=say
        )
        names = ("collector", "webhook", "nats", "service", "consumer", "gateway")
        self._children = {name: Child(f"bare-{name}", self._state) for name in names}
        self._connections: list[asyncpg.Connection] = []

    async def __aenter__(self) -> Self:
        try:
            await self._up()
        except BaseException:
            await self._down()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._down()

    async def _up(self) -> None:
        self.http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        await self.platform.up()
        await self._note_commit_times()
        self._run("collector", port=self._collector)
        self._run("webhook", port=self._webhook)
        await self._answers(f"{self._receiver}/taken")
        for part in PARTS:
            self._say(f"{part}: starting")
            await self.platform.start(part, replica=0)
        await self._start_bare()
        self.sides = (await self._bare(), await self._haven())

    async def _down(self) -> None:
        for connection in self._connections:
            await connection.close()
        for child in self._children.values():
            child.kill()
        await self.http.close()
        await self.platform.down()
        self.platform.postgres.remove()
        shutil.rmtree(self._state, ignore_errors=True)

    async def taken(self) -> dict[str, float]:
        """When each alert's page was received since the last time this was asked, by `time.perf_counter()`."""
        async with self.http.get(f"{self._receiver}/taken") as answer:
            told: dict[str, float] = await answer.json()
        return told

    @property
    def _receiver(self) -> str:
        return f"http://{ports.LOOPBACK}:{self._webhook}"

    async def _note_commit_times(self) -> None:
        connection = await self.platform.postgres.connect()
        await connection.execute("ALTER SYSTEM SET track_commit_timestamp = on")
        await connection.close()
        await self.platform.postgres.restart()

    def _run(self, role: str, **given: Any) -> None:
        command = [sys.executable, str(Path(bare.__file__)), role, json.dumps(given)]
        self._children[role].spawn(command)

    async def _start_bare(self) -> None:
        url = await self.platform.postgres.create_database("bare", "bare", "bare")
        connection = await asyncpg.connect(url)
        await connection.execute(bare.TABLES)
        self._connections.append(connection)
        store = str(self._state / "bare-nats")
        self._children["nats"].spawn(
            [
                Path(sysconfig.get_path("scripts"), "nats-server"),
                "-a",
                ports.LOOPBACK,
                "-p",
                str(self._nats),
                "-js",
                "-sd",
                store,
            ]
        )
        nats_url = f"nats://{ports.LOOPBACK}:{self._nats}"
        await self._listening(self._nats)
        page = f"{self._receiver}/page"
        self._run("service", port=self._service, database=url, nats_url=nats_url, page_url=page)
        await self._listening(self._service)
        self._run("consumer", database=url, nats_url=nats_url)
        self._run("gateway", port=self._gateway, service=self._service)
        await self._answers(f"http://{ports.LOOPBACK}:{self._gateway}/readyz")

    async def _bare(self) -> Side:
        connection = self._connections[0]

        async def commits(since: datetime) -> list[float]:
            told = await connection.fetch("SELECT id, pg_xact_commit_timestamp(xmin) AS at FROM consumed")
            return await _lags(connection, "SELECT id, pg_xact_commit_timestamp(xmin) AS at FROM entity", told, since)

        people = [(str(uuid.uuid4()), dict[str, str]()) for _ in range(PEOPLE)]
        return Side(
            "bare",
            self.http,
            f"http://{ports.LOOPBACK}:{self._gateway}",
            people,
            {},
            commits,
            self._processes("bare-", *self._children),
        )

    async def _haven(self) -> Side:
        url, token = self.platform.gateway_url, self.platform.token
        intake, crisis = [
            await asyncpg.connect(self.platform.database_url(service)) for service in ("intake", "crisis")
        ]
        self._connections += [intake, crisis]

        async def commits(since: datetime) -> list[float]:
            query = "SELECT consent_id AS id, pg_xact_commit_timestamp(xmin) AS at FROM {}"
            told = await crisis.fetch(query.format("consent_in_force"))
            return await _lags(intake, query.format("consent"), told, since)

        side = Side(
            "haven",
            self.http,
            url,
            [],
            _bearer(token("facilitator", "administrator")),
            commits,
            self._processes("", "nats", *PARTS),
            _bearer(token("biller")),
        )
        desk = _bearer(token("care_coordinator"))
        for number in range(PEOPLE):
            person = {"givenName": f"Given{number}", "familyName": f"Family{number * 7919}", "birthDate": "1990-04-23"}
            made = await side.post("/v1/referrals", {"person": person}, desk)
            person_id = made["personId"]
            side.people.append((person_id, _bearer(token("participant", person_id=person_id))))
        await self._on_call()
        return side

    def process_of(self, file: str) -> psutil.Process:
        """The process that a pid file names."""
        return psutil.Process(json.loads((self._state / f"{file}.pid").read_text())["pid"])

    def _processes(self, prefix: str, *names: str) -> dict[str, psutil.Process]:
        files = {"postgres": "postgres"} | {name: f"{prefix}{name}" for name in names if name not in _OUTSIDE}
        return {name: self.process_of(file) for name, file in files.items()}

    async def _on_call(self) -> None:
        """One responder, paged by webhook, who is given longer to answer than the run takes."""
        office = _bearer(self.platform.token("administrator"))
        responder = str(uuid.uuid4())
        step = {"targets": [{"responderId": responder}], "wait": "900s"}
        policy = {"policyId": _POLICY, "name": "On call", "steps": [step], "lastResort": step, "isDefault": True}
        channels = [{"webhook": {"url": f"{self._receiver}/page"}}, {"email": {"address": "on-call@example.org"}}]
        path = f"/v1/on-call/responders/{responder}"
        saved = await self._office("PUT", path, {"name": "Responder", "channels": channels}, office)
        codes = Codes([], self.platform.smtp)
        for each in saved["channels"]:
            channel = {"channelId": each["channelId"]}
            await self._office("POST", f"{path}:sendCode", channel, office)
            code = await self._code() if each.get("webhook") else await codes.take(each["email"]["address"])
            await self._office("POST", f"{path}:verifyChannel", channel | {"code": code}, office)
        await self._office("PUT", f"/v1/on-call/policies/{_POLICY}", {"policy": policy}, office)

    async def _code(self) -> str:
        async with self.http.get(f"{self._receiver}/code") as answer:
            return await answer.text()

    async def _office(self, method: str, path: str, body: Any, office: dict[str, str]) -> Any:
        url = self.platform.gateway_url + path
        async with self.http.request(method, url, json=body, headers=office) as answer:
            if answer.status != 200:
                raise RuntimeError(f"{path}: {answer.status} {await answer.text()}")
            return await answer.json()

    async def _answers(self, url: str) -> None:
        async with asyncio.timeout(_READY_S):
            while True:
                try:
                    async with self.http.get(url):
                        return
                except aiohttp.ClientError:
                    await asyncio.sleep(0.05)

    async def _listening(self, port: int) -> None:
        async with asyncio.timeout(_READY_S):
            while True:
                try:
                    _, writer = await asyncio.open_connection(ports.LOOPBACK, port)
                except OSError:
                    await asyncio.sleep(0.05)
                else:
                    writer.close()
                    return


def _cpu(process: psutil.Process) -> float:
    total = 0.0
    for each in (process, *process.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = each.cpu_times()
            total += (times.user + times.system) * 1000
    return total


async def _lags(connection: asyncpg.Connection, query: str, told: list[Any], since: datetime) -> list[float]:
    """From each commit after `since` to the commit of its event's effect, in ms. Raises where an event is missing."""
    effects = {row["id"]: row["at"] for row in told}
    commits = [row for row in await connection.fetch(query) if row["at"] >= since]
    return [(effects[row["id"]] - row["at"]).total_seconds() * 1000 for row in commits]


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
