"""Where each replica of each part listens, and what it is called."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from haven_dev import ports
from haven_dev.project import EDGES, GATEWAY, PARTS

_FILE = "ports.json"

Replica = tuple[str, int]
"""A part, and which of its replicas: 0 is the first."""


def name_of(replica: Replica) -> str:
    """What a replica's log, process and files are called: `crisis`, `crisis-1`, …"""
    part, number = replica
    return f"{part}-{number}" if number else part


class Places:
    """Ports on loopback. They stay while the platform runs: a replica that starts again has the same."""

    def __init__(self, counts: Mapping[str, int], state: Path, *, gateway_port: int = 0) -> None:
        unknown = sorted(set(counts) - set(PARTS))
        if unknown or any(count < 1 for count in counts.values()):
            raise ValueError(f"replicas: {', '.join(unknown) or 'at least one of each'}")
        self._counts = {part: counts.get(part, 1) for part in PARTS}
        self._file = state / _FILE
        self._wanted = {GATEWAY: gateway_port, "crisis": self.last("crisis")}
        self._grpc: dict[Replica, int] = {}
        self._http: dict[Replica, int] = {}
        self._listen: dict[Replica, int] = {}

    def replicas(self, part: str) -> list[Replica]:
        """All replicas of a part."""
        return [(part, number) for number in range(self._counts[part])]

    def all(self) -> list[Replica]:
        """All replicas of all parts."""
        return [replica for part in PARTS for replica in self.replicas(part)]

    def last(self, name: str) -> int:
        """The port of that name in the run before; 0 where there was none."""
        used: dict[str, int] = json.loads(self._file.read_text()) if self._file.exists() else {}
        return used.get(name, 0)

    def remember(self, **used: int) -> None:
        """Note ports for the next run, where addresses are written down: in tokens, plans and bookmarks."""
        self._file.write_text(json.dumps(used | {"crisis": self.listen(("crisis", 0))}))

    def choose(self) -> None:
        """Take free ports."""
        for replica in self.all():
            part, number = replica
            self._http[replica] = ports.free_port()
            if part != GATEWAY:
                self._grpc[replica] = ports.free_port()
            if part in EDGES:
                self._listen[replica] = ports.free_port(0 if number else self._wanted[part])

    def grpc(self, replica: Replica) -> int:
        """Where a replica of a service listens for gRPC."""
        return self._grpc[replica]

    def http(self, replica: Replica) -> int:
        """Where a replica serves /metrics, /livez and /readyz."""
        return self._http[replica]

    def listen(self, replica: Replica) -> int:
        """Where a replica of a part with an HTTP edge answers clients."""
        return self._listen[replica]

    def target(self, service: str) -> str:
        """What callers of a service are told: all its replicas."""
        found = [f"{ports.LOOPBACK}:{self._grpc[each]}" for each in self.replicas(service)]
        return f"dns:///{found[0]}" if len(found) == 1 else f"ipv4:{','.join(found)}"
