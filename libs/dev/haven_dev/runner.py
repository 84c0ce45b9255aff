"""The whole platform on this machine: embedded servers, issuer, receivers, and each service in a process of its own.

async with Platform(folder, replicas={"crisis": 2}) as platform:
    platform.kill("crisis", replica=1)
    await platform.start("crisis", replica=1)
    token = platform.token("participant", person_id=person_id)
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import secrets
import shutil
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import IO, Self

import aiohttp

from haven_dev import ports
from haven_dev.embedded import Nats, Postgres
from haven_dev.issuer import Issuer
from haven_dev.otlp import OtlpReceiver
from haven_dev.pki import Pki
from haven_dev.places import Places, Replica, name_of
from haven_dev.process import Child, StartFailed
from haven_dev.project import EDGES, GATEWAY, PARTS, SERVICES
from haven_dev.providers import Doubles
from haven_dev.receivers import SmtpReceiver, WebhookReceiver
from haven_kit import migrations
from haven_kit.cipher import create_keyset

READY_S = 120
DRAIN_S = 5
Say = Callable[[str], None]


class AlreadyRunning(Exception):
    """Another process runs a platform in the same folder."""


def quiet(_: str) -> None:
    """Say nothing."""


class Platform:
    """Everything, on loopback. Data, keys and logs are kept in `state`; `ephemeral` removes them when it stops.

    `gateway_port` is taken when it is free. `environment` adds settings by part, as environment variables. `parts` are
    those to start; the others can be started later. `replicas` says of which parts there are several: callers spread
    their calls over them. What is done to a part is done to all its replicas, unless one is named.
    """

    def __init__(
        self,
        state: Path,
        *,
        gateway_port: int = 0,
        ephemeral: bool = False,
        environment: Mapping[str, Mapping[str, str]] | None = None,
        parts: Sequence[str] = PARTS,
        replicas: Mapping[str, int] | None = None,
        say: Say = quiet,
    ) -> None:
        self.state = state
        self._ephemeral = ephemeral
        self._extra = environment or {}
        self._parts = tuple(parts)
        self._say = say
        self._lock: IO[str] | None = None
        self._places = Places(replicas or {}, state, gateway_port=gateway_port)
        self._children = {each: Child(name_of(each), state) for each in self._places.all()}
        self._database_urls: dict[str, str] = {}
        state.mkdir(parents=True, exist_ok=True)
        self.pki = Pki(state / "pki")
        self.postgres = Postgres(state, durable=not ephemeral)
        self.nats = Nats(state, self.pki)
        # The same addresses as last time, if they are free: tokens name the issuer, responders name their receivers.
        last = self._places.last
        self.issuer = Issuer(state, port=last("issuer"))
        self.webhook = WebhookReceiver(port=last("webhook"))
        self.smtp = SmtpReceiver(port=last("smtp"))
        self.otlp = OtlpReceiver()
        self.doubles = Doubles(state)

    async def __aenter__(self) -> Self:
        """Start everything; what was started is stopped again when something fails."""
        try:
            await self.up()
        except BaseException:
            await self.down()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop everything."""
        await self.down()

    @property
    def gateway_url(self) -> str:
        """Where clients reach the platform."""
        return self.edge_url(GATEWAY)

    @property
    def crisis_url(self) -> str:
        """Where clients reach crisis without the gateway: its first replica."""
        return self.edge_url("crisis")

    def edge_url(self, part: str, *, replica: int = 0) -> str:
        """Where a replica of the gateway or of crisis answers clients."""
        return f"http://{ports.LOOPBACK}:{self._places.listen((part, replica))}"

    def grpc_address(self, service: str) -> str:
        """Where a service listens for gRPC, with mutual TLS: all its replicas."""
        return self._places.target(service)

    def http_url(self, part: str, *, replica: int = 0) -> str:
        """Where a replica serves /metrics, /livez and /readyz."""
        return f"http://{ports.LOOPBACK}:{self._places.http((part, replica))}"

    def database_url(self, service: str) -> str:
        """A service's database, for its own login."""
        return self._database_urls[service]

    def token(self, *roles: str, person_id: str | None = None, sub: str | None = None) -> str:
        """A sign-in token, as of the platform's time of day. Raises ValueError for a role that does not exist."""
        at = time.time() + float(self._clock_file().read_text())
        return self.issuer.token(*roles, person_id=person_id, sub=sub, at=at)

    def log(self, part: str, *, replica: int = 0) -> Path:
        """The log file of a replica, of `postgres` or of `nats`."""
        return self.state / "logs" / f"{name_of((part, replica))}.log"

    def running(self, part: str, *, replica: int | None = None) -> bool:
        """Whether the processes of the part run."""
        return all(self._children[each].running for each in self._of(part, replica))

    def _of(self, part: str, replica: int | None) -> list[Replica]:
        return self._places.replicas(part) if replica is None else [(part, replica)]

    async def up(self) -> None:
        """Start everything, in order."""
        self._take_lock()
        began = time.monotonic()
        self.pki.issue_all()
        await asyncio.gather(
            self._step("PostgreSQL", self.postgres.start()),
            self._step("NATS", self.nats.start()),
            self.issuer.start(),
            self.webhook.start(),
            self.smtp.start(),
            self.otlp.start(),
            self.doubles.start(),
        )
        for part in self._parts:
            await self._prepare(part)
        self._places.choose()
        # The gateway last: its first call then finds every service.
        for group in (set(self._parts) - {GATEWAY}, set(self._parts) & {GATEWAY}):
            starting = [each for part in sorted(group) for each in self._places.replicas(part)]
            for each in starting:
                self._spawn(each)
            await asyncio.gather(*(self._step(name_of(each), self._ready(each)) for each in starting))
        self._note()
        self._places.remember(issuer=self.issuer.port, webhook=self.webhook.port, smtp=self.smtp.port)
        self._say(f"platform ready in {time.monotonic() - began:.1f} s")

    async def down(self) -> None:
        """Stop everything: first what takes calls, last what holds data."""
        try:
            await self.stop(GATEWAY)
            await asyncio.gather(*(self.stop(service) for service in SERVICES))
            taking = (self.otlp, self.smtp, self.webhook, self.doubles, self.issuer)
            await asyncio.gather(*(each.stop() for each in taking))
            await asyncio.gather(self.nats.stop(), self.postgres.stop())
        finally:
            for child in self._children.values():
                child.kill()
            self.nats.kill()
            self.postgres.kill()
            self._release()
        self._say("platform stopped")

    async def start(self, part: str, *, replica: int | None = None) -> None:
        """Start a part again, at the same address, and wait until it is ready."""
        await self._prepare(part)
        wanted = self._of(part, replica)
        starting = [each for each in wanted if not self._children[each].running] or wanted
        for each in starting:
            self._spawn(each)
        await asyncio.gather(*(self._ready(each) for each in starting))

    async def stop(self, part: str, *, replica: int | None = None) -> None:
        """Ask a part to end (SIGTERM) and wait for it."""
        await asyncio.gather(*(self._children[each].stop(grace_s=DRAIN_S * 2) for each in self._of(part, replica)))

    def kill(self, part: str, *, replica: int | None = None) -> None:
        """End a part as a crash would (SIGKILL)."""
        for each in self._of(part, replica):
            self._children[each].kill()

    async def _step(self, name: str, work: Awaitable[None]) -> None:
        began = time.monotonic()
        self._say(f"{name}: starting")
        await work
        self._say(f"{name}: ready ({time.monotonic() - began:.1f} s)")

    async def _prepare(self, service: str) -> None:
        if service == GATEWAY or service in self._database_urls:
            return
        began = time.monotonic()
        password = self._password(service)
        url = await self.postgres.create_database(f"haven_{service}", f"haven_{service}", password)
        self._database_urls[service] = url
        keys = self._keys(service)
        if not keys.exists():
            keys.parent.mkdir(parents=True, exist_ok=True)
            create_keyset(keys)
        await self._migrate(service)
        self._say(f"database of {service}: migrated ({time.monotonic() - began:.1f} s)")

    async def _migrate(self, service: str) -> None:
        await migrations.migrate(self._database_urls[service], f"haven_{service}")

    def _keys(self, service: str) -> Path:
        return self.state / "keys" / f"{service}.json"

    def _clock_file(self) -> Path:
        path = self.state / "clock"
        if not path.exists():
            path.write_text("0")
        return path

    def turn_clock(self, to_seconds: float) -> None:
        """Set every part's time of day forward: to this many seconds after the real one."""
        moved = self.state / "clock.new"
        moved.write_text(str(to_seconds))
        moved.replace(self._clock_file())

    def _password(self, service: str) -> str:
        path = self.state / "keys" / f"{service}.database"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            path.write_text(secrets.token_urlsafe(24))
        return path.read_text()

    def _spawn(self, replica: Replica) -> None:
        part, number = replica
        self._children[replica].spawn(
            [sys.executable, "-m", f"haven_{part}"],
            environment=inherited() | self.environment(part, replica=number),
            folder=self.state,
        )

    def environment(self, part: str, *, replica: int = 0) -> dict[str, str]:
        """The settings of a replica, as environment variables."""
        which = (part, replica)
        values = {
            "HAVEN_ENVIRONMENT": "development",
            "HAVEN_HTTP_PORT": str(self._places.http(which)),
            "HAVEN_TLS_DIR": str(self.pki.issue(part)),
            "HAVEN_ISSUER_URL": self.issuer.url,
            "HAVEN_ALLOW_DEVELOPMENT_ISSUER": "true",
            "HAVEN_JWKS_CACHE": str(self.state / f"jwks-{name_of(which)}.json"),
            "HAVEN_OTLP_ENDPOINT": self.otlp.endpoint,
            "HAVEN_TRACE_SAMPLE_RATIO": "1",
            "HAVEN_CLOCK_FILE": str(self._clock_file()),
            "HAVEN_DRAIN_SECONDS": str(DRAIN_S),
        }
        values |= {f"HAVEN_TARGET_{name.upper()}": self.grpc_address(name) for name in called_by(part)}
        if part in EDGES:
            values["HAVEN_LISTEN_PORT"] = str(self._places.listen(which))
        if part != GATEWAY:
            values |= {
                "HAVEN_GRPC_PORT": str(self._places.grpc(which)),
                "HAVEN_DATABASE_URL": self._database_urls[part],
                "HAVEN_NATS_URL": self.nats.url,
                "HAVEN_NATS_USER": part,
                "HAVEN_NATS_PASSWORD": self.nats.password(part),
                "HAVEN_NATS_TLS": "true",
                "HAVEN_KEYSET_FILE": str(self._keys(part)),
            }
        if part == "crisis":
            values |= {
                "HAVEN_SMTP_PORT": str(self.smtp.port),
                "HAVEN_CRISIS_URL": self.crisis_url,
                **self.doubles.environment(self.crisis_url),
                "HAVEN_CRISIS_JOURNAL_DIR": str(self.state / "crisis-journal"),
                "HAVEN_CRISIS_LAST_RESORT_WEBHOOK": self.webhook.url.replace("/page", "/last-resort"),
            }
        return values | dict(self._extra.get(part, {}))

    async def _ready(self, replica: Replica) -> None:
        part, number = replica
        timeout = aiohttp.ClientTimeout(total=5)
        async with aiohttp.ClientSession(timeout=timeout) as session:

            async def answers() -> bool:
                try:
                    async with session.get(f"{self.http_url(part, replica=number)}/readyz") as answer:
                        return answer.status == 200
                except (aiohttp.ClientError, TimeoutError):
                    return False

            await self._children[replica].ready(answers, READY_S)

    def _note(self) -> None:
        """Tell commands of the same checkout where everything is."""
        noted = {
            "process": {"pid": os.getpid()},
            "gateway": {"url": self.gateway_url},
            "crisis": {"url": self.crisis_url},
            "issuer": {"url": self.issuer.url},
            "doubles": self.doubles.urls,
            "databases": self._database_urls,
        }
        path = self.state / "platform.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(noted, indent=2))

    def _take_lock(self) -> None:
        lock = (self.state / "lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise AlreadyRunning(f"a platform runs already in {self.state}") from None
        self._lock = lock

    def _release(self) -> None:
        if self._lock is None:
            return
        (self.state / "platform.json").unlink(missing_ok=True)
        if self._ephemeral:
            self.postgres.remove()
            shutil.rmtree(self.state, ignore_errors=True)
        self._lock.close()
        self._lock = None


def inherited() -> dict[str, str]:
    """The environment of this process without settings of Haven."""
    return {name: value for name, value in os.environ.items() if not name.startswith("HAVEN_")}


def called_by(part: str) -> list[str]:
    """The services that a part may call, by the generated allow-list."""
    callers: dict[str, list[str]] = json.loads(resources.files("haven").joinpath("callers.json").read_text())
    return sorted(service for service, allowed in callers.items() if part in allowed)


async def until_stopped(platform: Platform, ready: Callable[[Platform], None], say: Say) -> int:
    """Run the platform until Ctrl-C, SIGTERM or SIGHUP; `ready` is called once it stands. Returns an exit status."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(each, stopping.set)
    running = asyncio.create_task(_keep(platform, ready, say))
    stopped = asyncio.create_task(stopping.wait())
    await asyncio.wait({running, stopped}, return_when=asyncio.FIRST_COMPLETED)
    if not running.done():
        say("stopping")
        running.cancel()
    stopped.cancel()
    try:
        await running
    except asyncio.CancelledError:
        return 0
    except (StartFailed, AlreadyRunning) as error:
        say(str(error))
        return 1
    return 0


async def _keep(platform: Platform, ready: Callable[[Platform], None], say: Say) -> None:
    async with platform:
        ready(platform)
        reported: set[str] = set()
        while True:
            await asyncio.sleep(1)
            for part in PARTS:
                if not platform.running(part) and part not in reported:
                    reported.add(part)
                    say(f"{part} ended by itself; its log is {platform.log(part)}")
