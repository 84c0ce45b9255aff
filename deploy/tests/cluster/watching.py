"""What happened to objects, in the order in which the API server tells it."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from commands import Commands, is_ready, until
from control_plane import KUBECTL


@dataclass
class Seen:
    """The events of a watch, complete once the watch has ended."""

    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def fewest_ready(self) -> int:
        """How many pods were ready, and not on their way out, at the worst moment after all of the first were."""
        ready: dict[str, bool] = {}
        fewest = None
        for kind, pod in self.events:
            leaving = kind == "DELETED" or "deletionTimestamp" in pod["metadata"]
            ready[pod["metadata"]["name"]] = is_ready(pod) and not leaving
            if kind != "ADDED":
                count = sum(ready.values())
                fewest = count if fewest is None else min(fewest, count)
        return fewest or 0

    def gone(self) -> list[str]:
        """Which went, in order."""
        return [each["metadata"]["name"] for kind, each in self.events if kind == "DELETED"]

    def came(self) -> list[str]:
        """Which were made, in order."""
        return [each["metadata"]["name"] for kind, each in self.events if kind == "ADDED"]


@contextmanager
def watched(commands: Commands, kind: str, namespace: str, selector: str = "") -> Iterator[Seen]:
    """Watch what happens meanwhile."""
    seen = Seen()
    there = len(commands.of(kind, namespace, selector))
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen(
            [KUBECTL, "get", kind, "--namespace", namespace, "--selector", selector, "--watch", "--output-watch-events",
             "--output", "json"],
            stdout=out, stderr=subprocess.DEVNULL, env=commands.environment,
        )  # fmt: skip
        try:
            until(lambda: len(_events(out)) >= there)
            yield seen
        finally:
            process.terminate()
            process.wait()
            seen.events += _events(out)


def _events(out: Any) -> list[tuple[str, dict[str, Any]]]:
    out.seek(0)
    text, decoder, at, found = out.read(), json.JSONDecoder(), 0, []
    while at < len(text):
        try:
            event, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError:  # the last one is still being written
            break
        found.append((event["type"], event["object"]))
        at += len(text[at:]) - len(text[at:].lstrip())
    return found
