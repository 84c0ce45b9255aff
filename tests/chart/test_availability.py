"""Crisis stands on its own feet by default, and every service comes through drains, upgrades and rollbacks."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from rendering import CHART, FULL, INSTALLS, install, render

from haven_dev import project

VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
PRODUCTION = [path for path in INSTALLS if "evaluation" not in path and "minimal" not in path]


def shape(value: Any) -> Any:
    """The names in a mapping, at every depth."""
    return {key: shape(each) for key, each in value.items()} if isinstance(value, dict) else None


def test_every_service_has_the_same_shape_of_values() -> None:
    def within(part: Any, whole: Any, path: str) -> None:
        for key, each in (part or {}).items():
            assert path.endswith((".settings", ".files", ".requests", ".limits")) or key in (whole or {}), (
                f"{path}.{key}"
            )
            if isinstance(each, dict):
                within(each, (whole or {}).get(key), f"{path}.{key}")

    for name in project.PARTS:
        within(VALUES["services"][name], VALUES["serviceDefaults"], name)


@pytest.mark.parametrize("path", [each for each in PRODUCTION if "crisis" in install(each).workloads()])
def test_crisis_is_highly_available_and_nobody_had_to_ask(path: str) -> None:
    release = install(path)
    crisis = release.workloads()["crisis"]
    name = crisis["metadata"]["name"]
    pod = crisis["spec"]["template"]["spec"]
    if name in release.of("HorizontalPodAutoscaler"):
        scaler = release.of("HorizontalPodAutoscaler")[name]["spec"]
        assert scaler["minReplicas"] >= 3
        assert scaler["behavior"]["scaleDown"]["stabilizationWindowSeconds"] >= 300
        own = {each["pods"]["metric"]["name"] for each in scaler["metrics"] if each["type"] == "Pods"}
        assert own == {
            "haven_crisis_signals_in_flight", "haven_crisis_oldest_page_seconds", "haven_crisis_kept_anywhere"
        }  # fmt: skip
    else:
        assert crisis["spec"]["replicas"] >= 3
    strict = [each for each in pod["topologySpreadConstraints"] if each["whenUnsatisfiable"] == "DoNotSchedule"]
    assert {each["topologyKey"] for each in strict} == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}
    assert {each["nodeTaintsPolicy"] for each in pod["topologySpreadConstraints"]} == {"Honor"}, "grows without a zone"
    assert release.of("PodDisruptionBudget")[name]["spec"]["maxUnavailable"] == 1
    assert release.of("PriorityClass")[pod["priorityClassName"]]["value"] >= 1_000_000
    resources = pod["containers"][0]["resources"]
    assert resources["requests"] == resources["limits"], "guaranteed"
    assert crisis["kind"] == "StatefulSet"
    assert crisis["spec"]["volumeClaimTemplates"]
    assert set(crisis["spec"]["persistentVolumeClaimRetentionPolicy"].values()) == {"Retain"}
    assert crisis["spec"]["podManagementPolicy"] == "Parallel"


def test_crisis_shares_no_database_with_anybody() -> None:
    secrets = [
        volume["secret"]["secretName"]
        for workload in install(FULL).workloads().values()
        for volume in workload["spec"]["template"]["spec"]["volumes"]
        if volume["name"] == "secrets"
    ]
    assert len(set(secrets)) == len(secrets) == len(project.SERVICES)


@pytest.mark.parametrize("path", PRODUCTION)
def test_a_drain_takes_one_and_a_rollout_none(path: str) -> None:
    release = install(path)
    for name, workload in release.workloads().items():
        full = workload["metadata"]["name"]
        budget = release.of("PodDisruptionBudget")[full]["spec"]
        assert budget["selector"]["matchLabels"] == workload["spec"]["selector"]["matchLabels"]
        if workload["kind"] == "Deployment":
            assert workload["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}, name


@pytest.mark.parametrize("path", INSTALLS)
def test_a_scaler_and_a_fixed_number_never_argue(path: str) -> None:
    release = install(path)
    for workload in release.workloads().values():
        scaled = workload["metadata"]["name"] in release.of("HorizontalPodAutoscaler")
        assert scaled != ("replicas" in workload["spec"])


def test_migrations_run_before_pods_are_replaced_and_not_at_a_rollback() -> None:
    release = install(FULL)
    jobs = release.of("Job")
    assert set(jobs) == {f"haven-{name}-migrate" for name in project.SERVICES}
    for job in jobs.values():
        assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
        assert job["spec"]["activeDeadlineSeconds"] > 0
        assert job["spec"]["template"]["spec"]["containers"][0]["args"] == ["migrate"]
    extra = [{"ports": [{"port": 8200, "protocol": "TCP"}]}]
    policies = render(FULL, {"services": {"billing": {"extraEgress": extra}}}).of("NetworkPolicy")
    for name in project.SERVICES:
        policy = policies[f"haven-{name}-migrate"]
        assert int(policy["metadata"]["annotations"]["helm.sh/hook-weight"]) < 0
        labels = jobs[f"haven-{name}-migrate"]["spec"]["template"]["metadata"]["labels"]
        assert policy["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
        assert (extra[0] in policy["spec"]["egress"]) == (name == "billing")


@pytest.mark.parametrize("path", ["presets/minimal.yaml", "ci/external-secrets-values.yaml"])
def test_migrations_can_run_in_the_pods(path: str) -> None:
    release = install(path)
    assert not release.of("Job")
    for name, workload in release.workloads().items():
        init = workload["spec"]["template"]["spec"].get("initContainers", [])
        assert [each["args"] for each in init] == ([] if name == "gateway" else [["migrate"]])


def test_two_releases_share_no_name_in_one_namespace() -> None:
    one, other = render(FULL, release="haven"), render(FULL, release="other")
    names = [{(each["kind"], each["metadata"]["name"]) for each in release.objects} for release in (one, other)]
    assert not names[0] & names[1]


def test_two_namespaces_share_no_name_of_the_whole_cluster() -> None:
    one, other = (set(render(FULL, namespace=each).of("PriorityClass")) for each in ("haven-crisis", "rehearsal"))
    assert one
    assert not one & other


def test_an_evaluation_takes_its_volumes_with_it() -> None:
    """Its keys and passwords go with the release: what was sealed with them would be of no use to the next one."""
    for each in install("presets/minimal.yaml").of("StatefulSet").values():
        assert each["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"] == "Delete"


def test_a_digest_pins_the_image() -> None:
    release = install("ci/all-options-values.yaml")
    images = {
        name: workload["spec"]["template"]["spec"]["containers"][0]["image"]
        for name, workload in release.workloads().items()
    }
    assert images["gateway"] == f"registry.example.org/mirror/haven/gateway@sha256:{'0' * 64}"
    assert images["crisis"] == "registry.example.org/mirror/haven/crisis:1.2.3"


def test_the_drill_is_a_test_of_the_release() -> None:
    release = install(FULL)
    pod = release.of("Pod")["haven-drill"]
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    container = pod["spec"]["containers"][0]
    assert container["args"] == ["drill"]
    env = {each["name"]: each for each in container["env"]}
    service = release.of("Service")["haven-crisis-http"]["spec"]["ports"][0]
    assert env["HAVEN_GATEWAY"]["value"] == f"http://haven-crisis-http.haven.svc.cluster.local:{service['port']}"
    assert env["HAVEN_TOKEN"]["valueFrom"]["secretKeyRef"] == {"name": "haven-test", "key": "token"}
    unnamed = install("presets/crisis-only.yaml").of("Pod")["haven-drill"]["spec"]["containers"][0]["env"]
    token = next(each for each in unnamed if each["name"] == "HAVEN_TOKEN")
    assert token["valueFrom"]["secretKeyRef"] == {"name": "haven-test-token", "key": "token"}
