"""The same servers in containers, for `pytest --containers`. Needs Docker and its official images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import asyncpg
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import LogMessageWaitStrategy

from haven_dev import ports
from haven_dev.embedded.nats import configuration, passwords
from haven_dev.pki import Pki
from haven_kit.testing.wait import eventually

POSTGRES_IMAGE = "postgres:18"
NATS_IMAGE = "nats:2.15"
PASSWORD = "test"  # noqa: S105  (of a server that lives as long as a test session)
_MOUNT = "/haven"
START_S = 60.0


class ContainerPostgres:
    """PostgreSQL as production runs it."""

    def __init__(self) -> None:
        self._container = (
            DockerContainer(POSTGRES_IMAGE)
            .with_env("POSTGRES_PASSWORD", PASSWORD)
            .with_exposed_ports(5432)
            .with_command("postgres -c fsync=off -c max_connections=400")
        )

    async def start(self) -> str:
        """Start it. Returns the superuser's address."""
        self._container.start()
        host, port = self._container.get_container_host_ip(), self._container.get_exposed_port(5432)
        url = f"postgresql://postgres:{PASSWORD}@{host}:{port}/postgres"

        async def answers() -> bool:
            # While the image sets the server up, it answers on its own socket alone.
            try:
                await (await asyncpg.connect(url, timeout=2)).close()
            except (OSError, TimeoutError, asyncpg.PostgresError):
                return False
            return True

        await eventually(answers, timeout=START_S)
        return url

    async def stop(self) -> None:
        """Remove it."""
        self._container.stop()


class ContainerNats:
    """nats-server with the configuration of the embedded one."""

    def __init__(self, state: Path, authority: Pki) -> None:
        self._state = state
        self._authority = authority
        self._port = ports.free_port()
        self._container: DockerContainer | None = None

    @property
    def url(self) -> str:
        """Where to connect."""
        return f"tls://{ports.LOOPBACK}:{self._port}"

    def password(self, user: str) -> str:
        """The password of a part, or of `admin`."""
        return passwords(self._state)[user]

    async def start(self) -> None:
        """Start, or start again on the same port."""
        self._state.mkdir(parents=True, exist_ok=True)
        certificate = self._authority.issue("nats")
        made: dict[str, Any] = configuration(
            host="0.0.0.0",  # noqa: S104  (inside the container)
            port=4222,
            monitor_port=8222,
            store=f"{_MOUNT}/store",
            certificate=f"{_MOUNT}/tls",
            user_passwords=passwords(self._state),
        )
        (self._state / "nats.conf").write_text(json.dumps(made))
        self._container = (
            DockerContainer(NATS_IMAGE)
            .with_volume_mapping(str(self._state), _MOUNT, "rw")
            .with_volume_mapping(str(certificate), f"{_MOUNT}/tls", "ro")
            .with_bind_ports(4222, self._port)
            .with_command(f"-c {_MOUNT}/nats.conf")
            .waiting_for(LogMessageWaitStrategy("Server is ready"))
        )
        self._container.start()

    async def stop(self) -> None:
        """Stop; what was acknowledged stays."""
        if self._container is not None:
            self._container.stop()
            self._container = None
