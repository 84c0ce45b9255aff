"""docs/operate/install.md, followed: its files are written, its commands run as far as they can without a cluster."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from install_page import PAGE, commands, write
from rendering import HELM, ROOT

KUBECTL = HELM.with_name("kubectl")
ON_A_CLUSTER = (
    re.compile(r"kubectl --namespace \S+ (get pods.*|port-forward service/haven-\w+-http \d+:\d+)"),
    re.compile(r"kubectl get (nodes --label-columns topology.kubernetes.io/zone|storageclass)"),
    re.compile(r"kubectl (label|delete) namespace .*"),
    re.compile(r"kubectl delete secret haven-test-token --namespace haven-crisis --ignore-not-found"),
    re.compile(r"helm (test haven --namespace haven-crisis --logs|uninstall haven --namespace \S+)"),
)
"""What only a cluster can answer. `make kube-test` has the same pods, ports and drill."""
BY_OTHERS = re.compile(r"make images")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder with the files that the page has one write, beside the chart."""
    made = tmp_path_factory.mktemp("install")
    write(made)
    return made


def _run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PATH": f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}", "KUBECONFIG": "/dev/null"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_no_command_of_the_page_is_overlooked() -> None:
    assert commands() == re.findall(r"^(?:helm|kubectl|haven|make) [^#\n]*[^#\s]", PAGE.read_text(), re.MULTILINE)


def test_every_command_of_the_page_works(folder: Path) -> None:
    seen = set()
    for line in commands():
        if any(each.fullmatch(line) for each in ON_A_CLUSTER) or BY_OTHERS.fullmatch(line):
            continue
        words = shlex.split(line)
        seen.add(words[0])
        if words[0] == "helm":
            named, chart, rest = words[2], words[3], [each for each in words[4:] if each != "--create-namespace"]
            done = _run(folder, str(HELM), "template", named, chart, *rest)
        elif words[0] == "kubectl":
            done = _run(folder, str(KUBECTL), *words[1:], "--dry-run=client", "--output=yaml")
        else:
            done = _run(folder, *words)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
    assert seen == {"helm", "kubectl", "haven"}


def test_what_only_a_cluster_can_answer_is_about_services_that_the_chart_makes() -> None:
    ports = set(re.findall(r"service/(haven-\w+-http) \d+:(\d+)", PAGE.read_text()))
    assert ports == {("haven-gateway-http", "8080"), ("haven-crisis-http", "8080")}
    assert {line for line in commands() if any(each.fullmatch(line) for each in ON_A_CLUSTER)}
