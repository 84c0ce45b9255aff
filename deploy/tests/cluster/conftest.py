"""One control plane for all, with Haven as its guide installs it: crisis and the rest, each in its namespace."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import Commands
from control_plane import ControlPlane
from world import CRISIS, KEYS, REPLICAS, REST, certificates, furnish, namespace, secret

from haven_dev import project


@pytest.fixture(scope="session")
def cluster() -> Iterator[Commands]:
    folder = Path(tempfile.mkdtemp(prefix="haven-cluster-"))
    plane = ControlPlane(folder)
    try:
        plane.start()
        commands = Commands(plane.kubeconfig)
        furnish(commands)
        yield commands
    finally:
        plane.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def haven(cluster: Commands) -> Iterator[Commands]:
    """Both releases, all of it ready. They go with the module."""
    for name in (CRISIS, REST):
        cluster.apply(namespace(name))
    for service in project.SERVICES:
        keys = (*KEYS, "provider.yaml") if service == "billing" else KEYS
        cluster.apply(secret(f"haven-{service}", CRISIS if service == "crisis" else REST, *keys))
    cluster.install("install", CRISIS, "presets/crisis-only.yaml")
    cluster.install("install", REST, "presets/production.yaml")
    certificates(cluster, CRISIS, REST)
    cluster.until_ready(CRISIS, "crisis", 3)
    for service, replicas in REPLICAS.items():
        cluster.until_ready(REST, service, replicas)
    yield cluster
    for name in (CRISIS, REST):
        cluster.kubectl("uncordon", "--selector", "kubernetes.io/os=linux")
        cluster.helm("uninstall", "haven", "--namespace", name, "--ignore-not-found", "--wait")
        cluster.kubectl("delete", "namespace", name)
