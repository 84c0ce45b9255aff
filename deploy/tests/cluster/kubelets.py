"""The kubelets, played: no container runs, and the API server is told what kubelets would tell it.

A pod that is bound to a node waits until what it refers to is there, is then ready, ends well if it is not to be
restarted, and goes when it is deleted. A pod whose image has the tag `broken` fails. Each step takes a moment, so that
a controller that takes two at once is seen.
"""

from __future__ import annotations

import json
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

STEP_S = 0.5
LOOK_S = 0.1


class Kubelets:
    """Those of all nodes, in a thread of their own."""

    def __init__(self, server: str, authority: Path, token: str) -> None:
        self._server = server
        self._tls = ssl.create_default_context(cafile=str(authority))
        self._headers = {"Authorization": f"Bearer {token}"}
        self._since: dict[tuple[str, str], float] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kubelets")
        self._failure: Exception | None = None

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End. Raises what they failed of."""
        self._ended.set()
        self._thread.join()
        if self._failure:
            raise self._failure

    def _run(self) -> None:
        try:
            while not self._ended.wait(LOOK_S):
                for pod in self._ask("GET", "/api/v1/pods")["items"]:
                    if pod["spec"].get("nodeName"):
                        self._look(pod)
        except Exception as failure:
            self._failure = failure
            raise

    def _look(self, pod: Mapping[str, Any]) -> None:
        path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"
        phase = pod["status"]["phase"]
        if "deletionTimestamp" in pod["metadata"]:
            if self._rested(pod, "leaving"):
                self._ask("DELETE", path, {"gracePeriodSeconds": 0, "preconditions": {"uid": pod["metadata"]["uid"]}})
        elif phase == "Pending" and any(each["image"].endswith(":broken") for each in pod["spec"]["containers"]):
            self._tell(path, pod, "Failed", {"terminated": {"exitCode": 1, "reason": "Error"}})
        elif phase == "Pending" and not self._missing(pod) and self._rested(pod, phase):
            self._tell(path, pod, "Running", {"running": {"startedAt": _now()}})
        elif phase == "Running" and pod["spec"]["restartPolicy"] == "Never" and self._rested(pod, phase):
            self._tell(path, pod, "Succeeded", {"terminated": {"exitCode": 0, "reason": "Completed"}})

    def _rested(self, pod: Mapping[str, Any], state: str) -> bool:
        """Whether a pod has been seen in a state for long enough."""
        now = time.monotonic()
        return now - self._since.setdefault((pod["metadata"]["uid"], state), now) >= STEP_S

    def _tell(self, path: str, pod: Mapping[str, Any], phase: str, state: Mapping[str, Any]) -> None:
        ready = phase == "Running"
        conditions = [
            {"type": each, "status": str(ready or each == "Initialized"), "lastTransitionTime": _now()}
            for each in ("Initialized", "ContainersReady", "Ready")
        ]
        containers = [
            {
                "name": each["name"], "image": each["image"], "imageID": "", "ready": ready, "started": ready,
                "restartCount": 0, "state": state,
            }
            for each in pod["spec"]["containers"]
        ]  # fmt: skip
        status = {"phase": phase, "conditions": conditions, "containerStatuses": containers, "startTime": _now()}
        self._ask("PATCH", f"{path}/status", {"status": status})

    def _missing(self, pod: Mapping[str, Any]) -> bool:
        """Whether a Secret, a key or a ConfigMap is not there that a kubelet would wait for."""
        base = f"/api/v1/namespaces/{pod['metadata']['namespace']}"
        for kind, name, keys in references(pod["spec"]):
            found = self._ask("GET", f"{base}/{kind}/{name}")
            if not found or keys - set(found.get("data") or {}):
                return True
        return False

    def _ask(self, verb: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """What the API server says; nothing where the object is not there, or not as it was."""
        kind = "application/strategic-merge-patch+json" if verb == "PATCH" else "application/json"
        request = urllib.request.Request(
            self._server + path,
            method=verb,
            headers={**self._headers, "Content-Type": kind},
            data=json.dumps(body).encode() if body else None,
        )
        try:
            with urllib.request.urlopen(request, context=self._tls) as answer:
                found: dict[str, Any] = json.load(answer)
                return found
        except urllib.error.HTTPError as error:
            if error.code in {404, 409}:
                return {}
            raise


def references(spec: Mapping[str, Any]) -> Iterator[tuple[str, str, set[str]]]:
    """What a pod cannot start without: kind, name, and keys."""
    for volume in spec.get("volumes", ()):
        if "secret" in volume:
            of = volume["secret"]
            yield "secrets", of["secretName"], {each["key"] for each in of.get("items", ())}
        elif "configMap" in volume:
            yield "configmaps", volume["configMap"]["name"], set()
    for container in (*spec["containers"], *spec.get("initContainers", ())):
        for variable in container.get("env", ()):
            if "valueFrom" in variable:
                of = variable["valueFrom"]["secretKeyRef"]
                yield "secrets", of["name"], {of["key"]}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
