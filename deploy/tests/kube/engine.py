"""A container engine, Docker or Podman, by its command line: as much of it as a pod needs."""

from __future__ import annotations

import asyncio
import json
import shutil
from dataclasses import dataclass, field


class EngineFailed(Exception):
    """The engine refused. The message is what it said."""


@dataclass(frozen=True, slots=True)
class Container:
    """How one container of a pod is run."""

    name: str
    image: str
    user: str
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    mounts: tuple[str, ...] = ()
    """`source:target:ro` or `:rw`."""
    aliases: tuple[str, ...] = ()
    hosts: dict[str, str] = field(default_factory=dict)


class Engine:
    """The engine, and one network of its own."""

    def __init__(self, network: str) -> None:
        found = next((name for name in ("podman", "docker") if shutil.which(name)), None)
        if found is None:
            raise EngineFailed("neither podman nor docker is on PATH")
        self.name = found
        self.network = network

    async def __call__(self, *arguments: str) -> str:
        """Run a command of the engine. Raises EngineFailed."""
        process = await asyncio.create_subprocess_exec(
            self.name, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, err = await process.communicate()
        if process.returncode != 0:
            raise EngineFailed(f"{self.name} {' '.join(arguments[:3])}: {err.decode().strip()[-2000:]}")
        return out.decode()

    async def create_network(self) -> str:
        """Make the network. Returns the address that this machine has in it."""
        await self("network", "create", self.network)
        described = json.loads(await self("network", "inspect", self.network))[0]
        subnets = described.get("subnets") or described["IPAM"]["Config"]
        first: dict[str, str] = subnets[0]
        return first.get("gateway") or first["Gateway"]

    async def hold(self, image: str) -> str:
        """Keep the network up: its bridge is there only while a container is in it. Returns the container's name."""
        name = f"{self.network}-hold"
        wait = "import signal; signal.signal(signal.SIGTERM, lambda *_: exit()); signal.pause()"
        await self(
            "run", "--detach", "--name", name, "--network", self.network,
            "--entrypoint", "/opt/haven/bin/python", image, "-c", wait,
        )  # fmt: skip
        return name

    async def start(self, container: Container) -> str:
        """Start a container as Kubernetes would under "restricted". Returns its address in the network."""
        await self("run", "--detach", *self._options(container), container.image, *container.arguments)
        return await self.address(container.name)

    async def run(self, container: Container) -> tuple[int, str]:
        """Run a container to its end. Returns its exit status and what it said."""
        await self("run", "--detach", *self._options(container), container.image, *container.arguments)
        status = int((await self("wait", container.name)).strip())
        return status, await self.logs(container.name)

    def _options(self, container: Container) -> list[str]:
        options = ["--name", container.name, "--network", self.network, "--user", container.user, "--read-only"]
        options += ["--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
        if self.name == "podman":
            options.append("--read-only-tmpfs=false")
        for alias in container.aliases:
            options += ["--network-alias", alias]
        for host, address in container.hosts.items():
            options += ["--add-host", f"{host}:{address}"]
        for key, value in container.environment.items():
            options += ["--env", f"{key}={value}"]
        for mount in container.mounts:
            options += ["--volume", mount]
        return options

    async def address(self, name: str) -> str:
        """The address of a container in the network."""
        described = json.loads(await self("inspect", name))[0]
        return str(described["NetworkSettings"]["Networks"][self.network]["IPAddress"])

    async def running(self, name: str) -> bool:
        """Whether a container runs."""
        return bool(json.loads(await self("inspect", name))[0]["State"]["Running"])

    async def logs(self, name: str) -> str:
        """What a container has said."""
        process = await asyncio.create_subprocess_exec(
            self.name, "logs", name, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        out, _ = await process.communicate()
        return out.decode(errors="replace")

    async def stop(self, name: str, grace_s: int) -> None:
        """SIGTERM, and SIGKILL when the grace is over."""
        await self("stop", "--time", str(grace_s), name)

    async def remove_all(self, names: list[str]) -> None:
        """Remove containers and the network."""
        for name in names:
            await self("rm", "--force", "--volumes", name)
        await self("network", "rm", "--force", self.network)
