"""What a cluster has before Haven comes: nodes in zones, volumes, custom resources, namespaces, Secrets."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from commands import Commands, until
from control_plane import BUILT

ZONES = ("a", "b", "c")
NODES = {f"{zone}{number}": zone for zone in ZONES for number in (1, 2)}
"""Two nodes in each zone."""
CRISIS, REST = "haven-crisis", "haven"
"""The namespaces of the guide."""
REPLICAS = {"gateway": 3, "intake": 2, "scheduling": 2, "sessions": 3, "billing": 2}
"""What `production` has of each beside crisis, which has three."""
KEYS = ("database-url", "nats-password", "keyset.json", "kek.json")
"""What the Secret of every service holds."""
VOLUMES = 24
"""Volumes in each zone: what a test has used is not used again."""


def furnish(commands: Commands) -> None:
    """Make nodes, volumes and the definitions of custom resources, and wait until they are there."""
    folder = Path(os.environ.get("CONTROL_PLANE") or BUILT) / "crds"
    commands.kubectl("apply", "--server-side", "--filename", str(folder))
    commands.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
    join(commands, *(node(name, zone) for name, zone in NODES.items()))
    commands.apply(*_storage())
    commands.kubectl("wait", "--for=condition=Ready", "nodes", "--all", "--timeout=60s")
    until(lambda: not [each for each in commands.of("nodes") if each["spec"].get("taints")])


def node(name: str, zone: str, taint: str = "") -> dict[str, Any]:
    """A node in a zone."""
    size = {"cpu": "16", "memory": "64Gi", "pods": "110"}
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "topology.kubernetes.io/zone": zone,
    }
    taints = [{"key": taint, "effect": "NoSchedule"}] if taint else []
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": {"taints": taints},
        "status": {"capacity": size, "allocatable": size, "conditions": [{"type": "Ready", "status": "True"}]},
    }


def join(commands: Commands, *nodes: Mapping[str, Any]) -> None:
    """Make nodes, with their status, as kubelets do when they start."""
    commands.kubectl("create", "--filename", "-", given=yaml.safe_dump_all(nodes))


def _storage() -> Iterator[dict[str, Any]]:
    """A default class, and volumes that lie in one zone each, as disks of a cloud do."""
    yield {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "zonal", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
        "allowVolumeExpansion": True,
    }
    for zone in ZONES:
        for number in range(VOLUMES):
            term = {"key": "topology.kubernetes.io/zone", "operator": "In", "values": [zone]}
            yield {
                "apiVersion": "v1",
                "kind": "PersistentVolume",
                "metadata": {"name": f"{zone}-{number}"},
                "spec": {
                    "capacity": {"storage": "10Gi"},
                    "accessModes": ["ReadWriteOnce"],
                    "storageClassName": "zonal",
                    "persistentVolumeReclaimPolicy": "Retain",
                    "hostPath": {"path": f"/volumes/{zone}-{number}"},
                    "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [term]}]}},
                },
            }


def namespace(name: str) -> dict[str, Any]:
    """A namespace under the strictest of the Pod Security Standards."""
    labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def secret(name: str, within: str, *keys: str) -> dict[str, Any]:
    """A Secret with keys. No container reads it."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": within},
        "stringData": dict.fromkeys(keys, "not read by anybody"),
    }


def certificates(commands: Commands, *namespaces: str) -> None:
    """Make the Secrets that cert-manager makes of Certificates."""
    for within in namespaces:
        for each in commands.of("certificates.cert-manager.io", within):
            commands.apply(secret(each["spec"]["secretName"], within, "ca.crt", "tls.crt", "tls.key"))
