"""Releases on a cluster: upgrades, failures, ways back, scaling and the end."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from commands import CommandFailed, Commands, merged, until
from install_page import OPERATE, commands
from watching import watched
from world import CRISIS, KEYS, REST, certificates, namespace, secret

CRISIS_ONLY, PRODUCTION, MINIMAL = "presets/crisis-only.yaml", "presets/production.yaml", "presets/minimal.yaml"
IS_CRISIS = "app.kubernetes.io/component=crisis"


def _changed(level: str) -> dict[str, Any]:
    return {"services": {"crisis": {"settings": {"log_level": level}}, "gateway": {"settings": {"log_level": level}}}}


def _level(cluster: Commands, within: str, service: str) -> set[str]:
    """What the ready pods have as their log level, once as many are ready as should be."""
    return {
        {each["name"]: each.get("value", "") for each in pod["spec"]["containers"][0]["env"]}.get("HAVEN_LOG_LEVEL", "")
        for pod in cluster.ready(within, service)
    }


def _until_level(cluster: Commands, within: str, service: str, level: str, count: int) -> None:
    until(
        lambda: _level(cluster, within, service) == {level} and len(cluster.ready(within, service)) == count,
        lambda: cluster.of("pods", within),
    )


def _scaler(cluster: Commands, within: str, name: str) -> dict[str, str]:
    found = {each["metadata"]["name"]: each for each in cluster.of("hpa", within)}[name]
    return {each["type"]: each["status"] for each in found["status"].get("conditions", ())}


def test_hooks_leave_nothing_behind(haven: Commands) -> None:
    assert not haven.of("jobs", CRISIS)
    assert not haven.of("jobs", REST)
    for kind in ("networkpolicies", "serviceaccounts"):
        assert not [each for each in haven.of(kind, REST) if each["metadata"]["name"].endswith("-migrate")]


def test_the_scaler_finds_what_it_scales(haven: Commands) -> None:
    assert _scaler(haven, CRISIS, "haven-crisis")["AbleToScale"] == "True"
    found = {each["metadata"]["name"]: each["spec"]["minReplicas"] for each in haven.of("hpa", REST)}
    assert found == {
        "haven-gateway": 3, "haven-intake": 2, "haven-scheduling": 2, "haven-sessions": 3, "haven-billing": 2
    }  # fmt: skip


def test_an_upgrade_replaces_crisis_one_by_one_and_the_way_back_too(haven: Commands) -> None:
    pods = ["haven-crisis-2", "haven-crisis-1", "haven-crisis-0"]
    with watched(haven, "pods", CRISIS, IS_CRISIS) as seen, watched(haven, "jobs", CRISIS) as jobs:
        haven.install("upgrade", CRISIS, CRISIS_ONLY, **_changed("debug"))
        _until_level(haven, CRISIS, "crisis", "debug", 3)
    assert seen.gone() == pods
    assert seen.fewest_ready() == 2
    assert jobs.came() == ["haven-crisis-migrate"]
    with watched(haven, "pods", CRISIS, IS_CRISIS) as seen, watched(haven, "jobs", CRISIS) as jobs:
        haven.helm("rollback", "haven", "--namespace", CRISIS)
        _until_level(haven, CRISIS, "crisis", "", 3)
    assert seen.gone() == pods
    assert seen.fewest_ready() == 2
    assert jobs.came() == []


def test_an_upgrade_of_the_others_takes_none_before_its_successor_is_ready(haven: Commands) -> None:
    with watched(haven, "pods", REST, "app.kubernetes.io/component=gateway") as seen:
        haven.install("upgrade", REST, PRODUCTION, **_changed("debug"))
        _until_level(haven, REST, "gateway", "debug", 3)
    assert seen.fewest_ready() == 3
    haven.helm("rollback", "haven", "--namespace", REST)
    _until_level(haven, REST, "gateway", "", 3)


def test_where_a_migration_fails_nothing_is_replaced(haven: Commands) -> None:
    before = {each["metadata"]["uid"] for each in haven.of("pods", CRISIS, IS_CRISIS)}
    broken = {**_changed("debug"), "image": {"tag": "broken"}, "migrations": {"deadlineSeconds": 5}}
    with pytest.raises(CommandFailed, match="pre-upgrade hooks failed"):
        haven.install("upgrade", CRISIS, CRISIS_ONLY, **broken)
    assert {each["metadata"]["uid"] for each in haven.ready(CRISIS, "crisis")} == before
    haven.install("upgrade", CRISIS, CRISIS_ONLY)
    assert {each["metadata"]["uid"] for each in haven.ready(CRISIS, "crisis")} == before


def test_an_upgrade_keeps_what_the_scaler_has_set(haven: Commands) -> None:
    haven.kubectl("scale", "statefulset", "haven-crisis", "--namespace", CRISIS, "--replicas", "5")
    haven.until_ready(CRISIS, "crisis", 5)
    with watched(haven, "pods", CRISIS, IS_CRISIS) as seen:
        haven.install("upgrade", CRISIS, CRISIS_ONLY, **_changed("debug"))
        _until_level(haven, CRISIS, "crisis", "debug", 5)
    assert seen.fewest_ready() == 4
    haven.install("upgrade", CRISIS, CRISIS_ONLY)
    haven.kubectl("scale", "statefulset", "haven-crisis", "--namespace", CRISIS, "--replicas", "3")
    _until_level(haven, CRISIS, "crisis", "", 3)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"services": {"crisis": {"persistence": {"size": "2Gi"}}}},
            r"services\.crisis\.persistence: its volumes are of 1Gi",
        ),
        (
            {"services": {"crisis": {"persistence": {"storageClass": "fast"}}}},
            r"services\.crisis\.persistence: its volumes",
        ),
        ({"nameOverride": "care"}, "nameOverride, fullnameOverride: this release runs crisis as haven-crisis"),
        ({"nameOverride": "care", "fullnameOverride": "haven"}, "nameOverride, fullnameOverride: this release runs"),
    ],
)
def test_what_kubernetes_does_not_change_is_refused_before_anything_is_migrated(
    haven: Commands, values: dict[str, Any], sentence: str
) -> None:
    with watched(haven, "jobs", CRISIS) as jobs, pytest.raises(CommandFailed, match=sentence):
        haven.install("upgrade", CRISIS, CRISIS_ONLY, **values)
    assert jobs.came() == []
    haven.install("upgrade", CRISIS, CRISIS_ONLY, services={"crisis": {"persistence": {"size": "1024Mi"}}})


def test_a_volume_grows_as_the_page_says(haven: Commands) -> None:
    *before_that, waiting = (
        shlex.split(line) for line in commands(OPERATE / "upgrade.md") if line.startswith("kubectl ")
    )
    grown = {"services": {"crisis": {"persistence": {"size": "2Gi"}}}}
    before = {each["metadata"]["name"]: each["metadata"]["uid"] for each in haven.of("pvc", CRISIS)}
    with watched(haven, "pods", CRISIS, IS_CRISIS) as seen:
        for words in before_that:
            haven.kubectl(*words[1:])
        haven.install("upgrade", CRISIS, CRISIS_ONLY, **grown)
        haven.kubectl(*waiting[1:])
    assert seen.gone() == []
    assert {_owner(each) for each in haven.ready(CRISIS, "crisis")} == {"StatefulSet"}
    with watched(haven, "pods", CRISIS, IS_CRISIS) as seen:
        haven.install("upgrade", CRISIS, CRISIS_ONLY, **merged(grown, _changed("debug")))
        _until_level(haven, CRISIS, "crisis", "debug", 3)
    assert seen.fewest_ready() == 2, "one by one again"
    volumes = haven.of("pvc", CRISIS)
    assert {each["metadata"]["name"]: each["metadata"]["uid"] for each in volumes} == before
    (workload,) = haven.of("statefulsets", CRISIS)
    of_the_page = [each for each in volumes if each["metadata"]["name"] in {words[3] for words in before_that}]
    assert len(of_the_page) == 3
    for each in [*of_the_page, *workload["spec"]["volumeClaimTemplates"]]:
        assert each["spec"]["resources"]["requests"]["storage"] == "2Gi"
    haven.kubectl("delete", "statefulset", "haven-crisis", "--namespace", CRISIS, "--cascade=orphan")
    haven.install("upgrade", CRISIS, CRISIS_ONLY, **_changed("debug"))
    haven.kubectl(*waiting[1:])
    haven.install("upgrade", CRISIS, CRISIS_ONLY)
    _until_level(haven, CRISIS, "crisis", "", 3)


def _owner(pod: Mapping[str, Any]) -> str:
    return "".join(each["kind"] for each in pod["metadata"].get("ownerReferences", ()))


def test_switching_the_scaler_off_and_on_takes_nobody_away(haven: Commands) -> None:
    with watched(haven, "pods", CRISIS, IS_CRISIS) as seen:
        haven.install("upgrade", CRISIS, CRISIS_ONLY, services={"crisis": {"autoscaling": {"enabled": False}}})
        until(lambda: not haven.of("hpa", CRISIS))
        haven.install("upgrade", CRISIS, CRISIS_ONLY)
        until(lambda: _scaler(haven, CRISIS, "haven-crisis").get("AbleToScale") == "True")
    assert len(haven.ready(CRISIS, "crisis")) == 3
    assert seen.gone() == []


def test_a_service_that_is_stopped_for_a_restore_stays_stopped(haven: Commands) -> None:
    """docs/operate/backup.md; the scaler lets alone what is at zero."""
    haven.kubectl("scale", "deployment", "haven-billing", "--namespace", REST, "--replicas", "0")
    until(lambda: _scaler(haven, REST, "haven-billing").get("ScalingActive") == "False")
    assert not haven.pods(REST, "billing")
    haven.kubectl("scale", "deployment", "haven-billing", "--namespace", REST, "--replicas", "2")
    haven.until_ready(REST, "billing", 2)


def test_the_drill_of_helm_test_is_run(haven: Commands) -> None:
    """That its pod is taken, scheduled and waited for, and has its Secret. What it does, `make kube-test` proves."""
    haven.apply(secret("haven-test-token", CRISIS, "token"))
    for _ in range(2):
        assert "Succeeded" in haven.helm("test", "haven", "--namespace", CRISIS, "--timeout", "60s")


def test_crisis_can_be_there_twice(haven: Commands) -> None:
    """For rehearsals, say: in a namespace of its own, under the same name, with a NATS of its own."""
    haven.apply(namespace("rehearsal"), secret("haven-crisis", "rehearsal", *KEYS))
    try:
        haven.install("install", "rehearsal", CRISIS_ONLY, nats={"url": "tls://nats.rehearsal:4222"})
        certificates(haven, "rehearsal")
        haven.until_ready("rehearsal", "crisis", 3)
    finally:
        haven.helm("uninstall", "haven", "--namespace", "rehearsal", "--ignore-not-found", "--wait")
        haven.kubectl("delete", "namespace", "rehearsal")
    assert len(haven.ready(CRISIS, "crisis")) == 3
    name = haven.ready(CRISIS, "crisis")[0]["spec"]["priorityClassName"]
    assert name in {each["metadata"]["name"] for each in haven.of("priorityclasses")}


@pytest.fixture
def trial(cluster: Commands) -> Iterator[Commands]:
    cluster.apply(namespace("trial"))
    yield cluster
    cluster.helm("uninstall", "haven", "--namespace", "trial", "--ignore-not-found", "--wait")
    cluster.kubectl("delete", "namespace", "trial")


def test_an_evaluation_keeps_its_keys_at_an_upgrade_and_goes_as_a_whole(trial: Commands) -> None:
    def secrets() -> dict[str, Any]:
        found = trial.of("secrets", "trial", "app.kubernetes.io/instance=haven")
        return {each["metadata"]["name"]: each["data"] for each in found}

    services = ("gateway", "intake", "scheduling", "sessions", "crisis", "billing", "postgresql", "nats")
    trial.install("install", "trial", MINIMAL, services={"billing": {"enabled": False}})
    for each in services:
        trial.until_ready("trial", each, 0 if each == "billing" else 1)
    trial.install("upgrade", "trial", MINIMAL)
    trial.until_ready("trial", "billing", 1)
    trial.until_ready("trial", "gateway", 1)
    made = secrets()
    pods = {each["metadata"]["uid"] for each in trial.of("pods", "trial")}
    trial.install("upgrade", "trial", MINIMAL)
    assert secrets() == made
    assert {each["metadata"]["uid"] for each in trial.of("pods", "trial")} == pods
    trial.helm("uninstall", "haven", "--namespace", "trial", "--wait")
    until(lambda: not trial.of("pvc", "trial"), lambda: trial.of("pvc", "trial"))
    assert not secrets()


def test_what_must_stay_stays_when_a_release_is_removed(haven: Commands) -> None:
    volumes = {each["metadata"]["name"] for each in haven.of("pvc", CRISIS)}
    pods = {each["metadata"]["name"] for each in haven.of("pods", REST)}
    haven.helm("uninstall", "haven", "--namespace", CRISIS, "--wait")
    until(lambda: not haven.pods(CRISIS, "crisis"))
    assert volumes
    assert {each["metadata"]["name"] for each in haven.of("pvc", CRISIS)} == volumes
    assert "haven-crisis" in {each["metadata"]["name"] for each in haven.of("secrets", CRISIS)}
    assert {each["metadata"]["name"] for each in haven.of("pods", REST)} == pods
    haven.install("install", CRISIS, CRISIS_ONLY)
    haven.until_ready(CRISIS, "crisis", 3)
    assert {each["metadata"]["name"] for each in haven.of("pvc", CRISIS)} == volumes
