"""helm and kubectl against the control plane, and what is in it."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from control_plane import KUBECTL
from rendering import CHART, HELM, PRESETS

UNTIL_S = 90


class CommandFailed(Exception):
    """A command ended badly. The message is what it said."""


class Commands:
    """The command lines, as a platform engineer has them."""

    def __init__(self, kubeconfig: Path) -> None:
        self.environment = os.environ | {
            "KUBECONFIG": str(kubeconfig),
            "HELM_CACHE_HOME": str(kubeconfig.with_name("helm")),
            "PATH": f"{HELM.parent}:{os.environ['PATH']}",
        }

    def __call__(self, *command: str, given: str = "", folder: Path | None = None) -> str:
        """What a command said. Raises CommandFailed."""
        done = subprocess.run(
            command, input=given, capture_output=True, text=True, check=False, env=self.environment, cwd=folder
        )
        if done.returncode != 0:
            raise CommandFailed(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def kubectl(self, *arguments: str, given: str = "") -> str:
        """kubectl."""
        return self(str(KUBECTL), *arguments, given=given)

    def helm(self, *arguments: str, given: str = "") -> str:
        """helm."""
        return self(str(HELM), *arguments, given=given)

    def install(self, verb: str, namespace: str, preset: str, *arguments: str, **values: Any) -> str:
        """`helm install` or `helm upgrade` of the release `haven`, with what the preset asks its user to name."""
        return self.helm(
            verb, "haven", str(CHART), "--namespace", namespace, "--values", str(CHART / preset),
            "--values", "-", "--timeout", "90s", *arguments, given=json.dumps(merged(PRESETS[preset], values)),
        )  # fmt: skip

    def apply(self, *objects: Mapping[str, Any]) -> None:
        """Make objects."""
        self.kubectl("apply", "--server-side", "--filename", "-", given=yaml.safe_dump_all(objects))

    def of(self, kind: str, namespace: str = "", selector: str = "") -> list[dict[str, Any]]:
        """Every object of a kind, of a namespace, of a label."""
        where = ["--namespace", namespace] if namespace else ["--all-namespaces"]
        found = self.kubectl("get", kind, *where, "--selector", selector, "--output", "json")
        return list(json.loads(found)["items"])

    def pods(self, namespace: str, component: str) -> list[dict[str, Any]]:
        """The pods of a service that are not on their way out."""
        found = self.of("pods", namespace, f"app.kubernetes.io/component={component}")
        return [each for each in found if "deletionTimestamp" not in each["metadata"]]

    def ready(self, namespace: str, component: str) -> list[dict[str, Any]]:
        """Those of them that are ready."""
        return [each for each in self.pods(namespace, component) if is_ready(each)]

    def until_ready(self, namespace: str, component: str, count: int) -> None:
        """Wait until so many pods of a service are ready, and no others are there."""
        until(
            lambda: len(self.ready(namespace, component)) == len(self.pods(namespace, component)) == count,
            lambda: self.kubectl("get", "pods,events", "--namespace", namespace),
        )


def is_ready(pod: Mapping[str, Any]) -> bool:
    """Whether a pod is ready."""
    return any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", ()))


def merged(*mappings: Mapping[str, Any]) -> dict[str, Any]:
    """Values over values, as Helm lays them."""
    found: dict[str, Any] = {}
    for mapping in mappings:
        for key, value in mapping.items():
            both = isinstance(value, Mapping) and isinstance(found.get(key), Mapping)
            found[key] = merged(found[key], value) if both else value
    return found


def until(condition: Callable[[], Any], says: Callable[[], Any] | Sequence[Any] = ()) -> Any:
    """Wait until it holds, and return what it returned. Raises TimeoutError with what `says` says."""
    end = time.monotonic() + UNTIL_S
    while not (found := condition()):
        if time.monotonic() > end:
            raise TimeoutError(says() if callable(says) else says)
        time.sleep(0.2)
    return found
