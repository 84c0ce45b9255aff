"""What Helm makes of the chart, as objects."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy" / "helm" / "haven"
HELM = ROOT / ".tools" / "kube" / "helm"
WITH_OPERATORS = ("monitoring.coreos.com/v1", "cert-manager.io/v1", "external-secrets.io/v1")
FULL = "ci/production-values.yaml"
PRESETS: dict[str, dict[str, Any]] = {
    "presets/minimal.yaml": {"auth": {"issuerUrl": "https://id.example.org"}},
    "presets/production.yaml": {
        "auth": {"issuerUrl": "https://id.example.org"},
        "services": {
            "gateway": {
                "ingress": {"host": "api.example.org", "tlsSecret": "api-tls", "trustedProxies": ["10.244.0.0/16"]}
            }
        },
    },
    "presets/crisis-only.yaml": {
        "auth": {"issuerUrl": "https://id.example.org"},
        "services": {
            "crisis": {
                "ingress": {
                    "host": "crisis.example.org",
                    "tlsSecret": "crisis-tls",
                    "trustedProxies": ["10.244.0.0/16"],
                },
                "settings": {"crisis_last_resort_email": "supervisor@example.org"},
            }
        },
    },
}
"""Each preset, with what it asks its user to name."""
INSTALLS: dict[str, dict[str, Any]] = {
    **{path.relative_to(CHART).as_posix(): {} for path in sorted((CHART / "ci").glob("*-values.yaml"))},
    **PRESETS,
}


class Refused(Exception):
    """Helm refused the values. The message is what it said."""


@dataclass(frozen=True, slots=True)
class Release:
    """One rendered release."""

    objects: tuple[Mapping[str, Any], ...]

    def of(self, kind: str) -> dict[str, Mapping[str, Any]]:
        """The objects of a kind, by name."""
        return {each["metadata"]["name"]: each for each in self.objects if each["kind"] == kind}

    def workloads(self) -> dict[str, Mapping[str, Any]]:
        """Deployments and StatefulSets of Haven's own services, by component."""
        found = [*self.of("Deployment").values(), *self.of("StatefulSet").values()]
        return {each["metadata"]["labels"]["app.kubernetes.io/component"]: each for each in found if is_service(each)}

    def pods(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Every pod that the release makes, with the name of what makes it."""
        for each in self.objects:
            if each["kind"] in {"Deployment", "StatefulSet", "Job"}:
                yield each["metadata"]["name"], each["spec"]["template"]
            elif each["kind"] == "Pod":
                yield each["metadata"]["name"], each


def is_service(workload: Mapping[str, Any]) -> bool:
    """Whether it is one of Haven's services, and not the database or NATS of an evaluation."""
    return workload["metadata"]["labels"]["app.kubernetes.io/component"] not in {"postgresql", "nats"}


def render(
    *values: str | Mapping[str, Any],
    kube_version: str = "1.30.0",
    operators: Sequence[str] = WITH_OPERATORS,
    namespace: str = "haven",
    release: str = "haven",
) -> Release:
    """Render with values files of the chart and mappings, in order. Raises Refused."""
    asked = tuple(each if isinstance(each, str) else json.dumps(each) for each in values)
    return _render(asked, kube_version, tuple(operators), namespace, release)


@cache
def _render(
    values: tuple[str, ...], kube_version: str, operators: tuple[str, ...], namespace: str, release: str
) -> Release:
    command = [str(HELM), "template", release, str(CHART), "--namespace", namespace, "--kube-version", kube_version]
    for each in operators:
        command += ["--api-versions", each]
    given = ""
    for each in values:
        if each.startswith("{"):
            given = each
            command += ["--values", "-"]
        else:
            command += ["--values", str(CHART / each)]
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Refused(done.stderr)
    return Release(tuple(each for each in yaml.safe_load_all(done.stdout) if each))


def install(path: str, **options: Any) -> Release:
    """One of the ways to install, with what it asks its user to name."""
    named = INSTALLS[path]
    return render(path, *([named] if named else []), **options)
