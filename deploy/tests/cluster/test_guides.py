"""docs/operate/install.md and upgrade.md, followed to the letter, one command after the other.

Two things are a kubelet's, and a played one has neither: `port-forward`, and the log of a pod. `make kube-test` has
the ports, and the drill with what it says.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import Commands
from install_page import OPERATE, commands, write
from rendering import ROOT
from world import CRISIS, REPLICAS, REST, certificates, secret

PROVIDER = ROOT / "services" / "billing" / "haven_billing" / "data" / "provider.yaml"
TRIAL = "haven-trial"
EVALUATION = ("gateway", "intake", "scheduling", "sessions", "crisis", "billing", "postgresql", "nats")
BY_KUBELETS = "port-forward"


class Engineer:
    """Who follows the pages: in a folder with the chart and the files that the page has written there."""

    def __init__(self, cluster: Commands, folder: Path) -> None:
        self._cluster = cluster
        self._folder = folder
        self.did: list[str] = []
        write(folder)
        cluster.environment["PATH"] = f"{ROOT / '.venv' / 'bin'}:{cluster.environment['PATH']}"

    def follow(self, line: str) -> None:
        """One command, and what the page's text asks for around it."""
        words = shlex.split(line)
        if BY_KUBELETS in words:
            self._has_port(words)
        elif words[:2] == ["helm", "test"]:
            assert "Succeeded" in self._run(*(each for each in words if each != "--logs"))
        elif words != ["make", "images"]:
            self._run(*words)
        self.did.append(line)
        if words[:3] == ["kubectl", "label", "namespace"]:
            # CloudNativePG makes these as soon as its clusters have a namespace.
            for where, name in ((CRISIS, "haven-crisis-ca"), (REST, "haven-ca")):
                self._cluster.apply(secret(name, where, "ca.crt", "ca.key"))
        if words[:5] == ["kubectl", "create", "secret", "generic", "haven-intake"]:
            self._likewise(line)
        elif words[0] == "helm" and words[1] in {"install", "upgrade", "rollback"}:
            self._wait(words[words.index("--namespace") + 1])

    def _run(self, *words: str) -> str:
        return self._cluster(*words, folder=self._folder)

    def _has_port(self, words: list[str]) -> None:
        """The service that is named has the port that is named."""
        where, at = words[words.index("--namespace") + 1], words.index(BY_KUBELETS)
        found = {each["metadata"]["name"]: each for each in self._cluster.of("services", where)}
        service = found[words[at + 1].removeprefix("service/")]
        assert int(words[at + 2].split(":")[1]) in {each["port"] for each in service["spec"]["ports"]}

    def _likewise(self, line: str) -> None:
        """The keys and the Secret of the services that the page does not spell out."""
        for service in ("scheduling", "sessions", "billing"):
            self._run("haven", "keys", "create", f"{service}.keyset.json", "--kek", f"{service}.kek.json")
            provider = [f"--from-file=provider.yaml={PROVIDER}"] if service == "billing" else []
            self._run(*shlex.split(line.replace("intake", service)), *provider)

    def _wait(self, where: str) -> None:
        if where == TRIAL:
            for each in EVALUATION:
                self._cluster.until_ready(TRIAL, each, 1)
            return
        certificates(self._cluster, where)
        for service, replicas in ({"crisis": 3} if where == CRISIS else REPLICAS).items():
            self._cluster.until_ready(where, service, replicas)


@pytest.fixture(scope="module")
def engineer(cluster: Commands, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engineer]:
    def clear() -> None:
        for name in (CRISIS, REST, TRIAL):
            cluster.helm("uninstall", "haven", "--namespace", name, "--ignore-not-found", "--wait")
            cluster.kubectl("delete", "namespace", name, "--ignore-not-found")

    clear()
    yield Engineer(cluster, tmp_path_factory.mktemp("guides"))
    clear()


def test_what_install_says(engineer: Engineer) -> None:
    lines = commands()
    for line in lines:
        engineer.follow(line)
    assert engineer.did == lines
    assert sum(line.startswith("helm install") for line in lines) == 3


def test_what_upgrade_says(engineer: Engineer) -> None:
    lines = commands(OPERATE / "upgrade.md")
    for line in lines:
        engineer.follow(line)
    assert {line.split()[1] for line in lines} == {"upgrade", "rollback", "patch", "delete", "rollout"}
