"""Where pods go, what a drain may take, and what crisis does when nodes are away."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator

import pytest
from commands import CommandFailed, Commands, until
from world import CRISIS, NODES, REST, ZONES, join, node

DRAIN = ("--ignore-daemonsets", "--delete-emptydir-data")


@pytest.fixture(autouse=True)
def everything_back(haven: Commands) -> Iterator[None]:
    yield
    haven.kubectl("uncordon", "--selector", "kubernetes.io/os=linux")
    haven.kubectl("scale", "statefulset", "haven-crisis", "--namespace", CRISIS, "--replicas", "3")
    _whole(haven)


def _whole(cluster: Commands) -> None:
    until(
        lambda: all(
            each["status"]["currentHealthy"] == each["status"]["expectedPods"] and each["status"]["disruptionsAllowed"]
            for each in cluster.of("poddisruptionbudgets")
        ),
        lambda: cluster.kubectl("get", "pods,poddisruptionbudgets", "--all-namespaces"),
    )


def _zones(cluster: Commands, namespace: str, service: str) -> Counter[str]:
    return Counter(NODES[each["spec"]["nodeName"]] for each in cluster.ready(namespace, service))


def test_crisis_is_in_every_zone(haven: Commands) -> None:
    assert _zones(haven, CRISIS, "crisis") == Counter(ZONES)
    volumes = {each["metadata"]["name"]: each["spec"]["volumeName"] for each in haven.of("pvc", CRISIS)}
    for pod in haven.ready(CRISIS, "crisis"):
        assert volumes[f"state-{pod['metadata']['name']}"][0] == NODES[pod["spec"]["nodeName"]]


def test_no_service_is_on_one_node(haven: Commands) -> None:
    for service in ("gateway", "intake", "scheduling", "sessions", "billing"):
        nodes = [each["spec"]["nodeName"] for each in haven.ready(REST, service)]
        assert len(set(nodes)) == len(nodes), service
        assert len(_zones(haven, REST, service)) == len(nodes), service


def test_crisis_goes_before_others(haven: Commands) -> None:
    priority = {each["spec"]["priority"] for each in haven.ready(CRISIS, "crisis")}
    assert priority == {1_000_000}
    assert {each["spec"]["priority"] for each in haven.ready(REST, "gateway")} == {0}


def test_every_node_can_be_drained_one_after_the_other(haven: Commands) -> None:
    for name in NODES:
        before = {each["metadata"]["uid"] for each in haven.of("pods") if each["spec"].get("nodeName") == name}
        haven.kubectl("drain", name, *DRAIN, "--timeout=60s")
        assert not before & {each["metadata"]["uid"] for each in haven.of("pods")}
        haven.kubectl("uncordon", name)
        _whole(haven)


def test_what_the_budget_does_not_allow_is_refused(haven: Commands) -> None:
    pods = {NODES[each["spec"]["nodeName"]]: each for each in haven.ready(CRISIS, "crisis")}
    for name, zone in NODES.items():
        if zone == "a":
            haven.kubectl("cordon", name)
    first, second = (pods[zone]["metadata"]["name"] for zone in ("a", "b"))
    _evict(haven, first)
    until(lambda: len(haven.ready(CRISIS, "crisis")) == 2)
    with pytest.raises(CommandFailed, match="violate the pod's disruption budget"):
        _evict(haven, second)
    assert len(haven.ready(CRISIS, "crisis")) == 2
    haven.kubectl("uncordon", "a1")
    haven.until_ready(CRISIS, "crisis", 3)
    _whole(haven)
    _evict(haven, second)


def _evict(cluster: Commands, pod: str) -> None:
    asked = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": CRISIS}}
    cluster.kubectl(
        "create",
        "--raw",
        f"/api/v1/namespaces/{CRISIS}/pods/{pod}/eviction",
        "--filename",
        "-",
        given=json.dumps(asked),
    )


def test_crisis_grows_while_a_zone_is_away_and_again_when_it_is_back(haven: Commands) -> None:
    """Its nodes are tainted, as the node controller does when they do not answer: they count for no one's spread.

    The volumes of that day lie in two zones, and shall keep nobody waiting on another day.
    """
    for name, zone in NODES.items():
        if zone == "c":
            haven.kubectl("cordon", name)
    _scale(haven, 12)
    zones = _zones(haven, CRISIS, "crisis")
    assert abs(zones["a"] - zones["b"]) <= 1
    haven.kubectl("uncordon", "--selector", "kubernetes.io/os=linux")
    _scale(haven, 3)
    _scale(haven, 12)
    first = {each["metadata"]["name"]: NODES[each["spec"]["nodeName"]] for each in haven.ready(CRISIS, "crisis")}
    assert {first[f"haven-crisis-{index}"] for index in range(3)} == set(ZONES)


def _scale(cluster: Commands, replicas: int) -> None:
    cluster.kubectl("scale", "statefulset", "haven-crisis", "--namespace", CRISIS, "--replicas", str(replicas))
    cluster.until_ready(CRISIS, "crisis", replicas)


def test_nodes_that_are_for_others_do_not_keep_crisis_from_growing(haven: Commands) -> None:
    join(haven, node("gpu", "a", taint="example.org/gpu"))
    try:
        _scale(haven, 12)
    finally:
        haven.kubectl("delete", "node", "gpu")
