"""Every pod: what it may do, when it is ready, how it stops, and what its process is told."""

from __future__ import annotations

import base64
import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from rendering import FULL, INSTALLS, ROOT, install, render

from haven_dev import project

sys.path.insert(0, str(ROOT / "scripts"))
chart = importlib.import_module("chart")

NOT_SERVICES = {"cli"}
"""Images of commands: they read their own few variables."""


def _pods() -> list[Any]:
    return [pytest.param(pod, id=f"{_short(path)}/{name}") for path in INSTALLS for name, pod in install(path).pods()]


def _short(path: str) -> str:
    return path.split("/")[1].removesuffix(".yaml")


def _containers(pod: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


@pytest.mark.parametrize("pod", _pods())
def test_pod_security_restricted(pod: Mapping[str, Any]) -> None:
    """Pod Security Standards, profile "restricted"; and no file system that can be written but its volumes."""
    spec = pod["spec"]
    assert not {"hostNetwork", "hostPID", "hostIPC"} & {key for key, value in spec.items() if value}
    security = spec["securityContext"]
    assert security["runAsNonRoot"] is True
    assert isinstance(security["runAsUser"], int)
    assert security["runAsUser"] > 0
    assert security["seccompProfile"]["type"] == "RuntimeDefault"
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    kinds = {next(key for key in volume if key != "name") for volume in spec.get("volumes", [])}
    assert kinds <= {"secret", "emptyDir", "configMap", "projected"}
    for container in _containers(pod):
        own = container["securityContext"]
        assert own["allowPrivilegeEscalation"] is False
        assert own["readOnlyRootFilesystem"] is True
        assert own["capabilities"]["drop"] == ["ALL"]
        assert "privileged" not in own
        assert container["resources"]["requests"]["memory"]
        assert container["resources"]["limits"]["memory"]
        assert not any("hostPort" in port for port in container.get("ports", []))


@pytest.mark.parametrize("pod", _pods())
def test_secrets_are_files_and_never_variables(pod: Mapping[str, Any]) -> None:
    for container in _containers(pod):
        for each in container.get("env", []):
            if "valueFrom" in each:
                assert each["name"] == "HAVEN_TOKEN"
            assert not any(word in each["name"] for word in ("PASSWORD", "SECRET")) or each["name"].endswith("_FILE")


def _services() -> list[Any]:
    return [
        pytest.param(name, workload, id=f"{_short(path)}/{name}")
        for path in INSTALLS
        for name, workload in install(path).workloads().items()
    ]


@pytest.mark.parametrize(("name", "workload"), _services())
def test_startup_readiness_and_liveness_are_apart(name: str, workload: Mapping[str, Any]) -> None:
    container = workload["spec"]["template"]["spec"]["containers"][0]
    startup, ready, live = (container[f"{each}Probe"] for each in ("startup", "readiness", "liveness"))
    # Startup restarts as liveness does: a pod that comes while the database is away waits for it, and is not killed.
    if name == "gateway":
        paths = [each["httpGet"]["path"] for each in (startup, ready, live)]
        assert paths == ["/livez", "/readyz", "/livez"]
    else:
        assert [each["grpc"]["service"] for each in (startup, ready, live)] == ["live", "", "live"]
        assert ready["grpc"]["port"] == 8444
        env = {each["name"]: each.get("value") for each in container["env"]}
        assert env["HAVEN_HEALTH_PORT"] == "8444"
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 60
    assert live["periodSeconds"] * live["failureThreshold"] > ready["periodSeconds"] * ready["failureThreshold"]


@pytest.mark.parametrize(("name", "workload"), _services())
def test_the_drain_adds_up(name: str, workload: Mapping[str, Any]) -> None:
    """What stopping takes at most (haven_kit.service: crisis's HTTP edge, which may give notice; server, consumer,
    workers; NATS, clients) fits before SIGKILL. A gateway has an edge, and none of the others."""
    pod = workload["spec"]["template"]["spec"]
    container = pod["containers"][0]
    drain = float(next(each["value"] for each in container["env"] if each["name"] == "HAVEN_DRAIN_SECONDS"))
    before = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    parts = {"gateway": 1, "crisis": 3.25}.get(name, 2.25)
    assert pod["terminationGracePeriodSeconds"] >= before + parts * drain + 10
    ready = container["readinessProbe"]
    assert before >= 1
    assert ready["timeoutSeconds"] >= 2, "readiness may take as long as the process's own checks"


@pytest.mark.parametrize(("name", "workload"), _services())
def test_every_variable_is_read_and_every_required_one_is_set(name: str, workload: Mapping[str, Any]) -> None:
    kind = chart.settings_of(name)
    own = {"SSL_CERT_FILE"}
    names = [each["name"] for each in _containers(workload["spec"]["template"])[-1]["env"]]
    assert len(names) == len(set(names))
    fields: set[str] = set()
    for each in set(names) - own:
        field = each.removeprefix("HAVEN_").lower()
        if field.startswith("target_"):
            assert field.removeprefix("target_") in project.SERVICES
            field = "targets"
        known = field if field in kind.model_fields else field.removesuffix("_file")
        assert known in kind.model_fields, f"{name} does not read {each}"
        fields.add(known)
    required = {field for field, info in kind.model_fields.items() if info.is_required()} - {"service"}
    assert required <= fields, f"{name} needs {required - fields}"


@pytest.mark.parametrize("path", [FULL, "ci/evaluation-values.yaml"])
def test_every_process_starts_with_what_it_is_told(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings classes take the environment of each pod, with files where the Secrets are."""
    for each in ("database-url", "nats-password"):
        (tmp_path / each).write_text("postgresql://a:b@c/d")
    for name, workload in install(path).workloads().items():
        with monkeypatch.context() as patch:
            for each in workload["spec"]["template"]["spec"]["containers"][0]["env"]:
                patch.setenv(each["name"], each["value"].replace("/etc/haven/secrets", str(tmp_path)))
            assert chart.settings_of(name)(service=name).http_port == 9464


OF_PODS = (
    "nodeSelector",
    "tolerations",
    "affinity",
    "imagePullSecrets",
    "securityContext",
    "automountServiceAccountToken",
)


def test_migrations_and_the_drill_run_where_and_as_the_service_does() -> None:
    release = install("ci/all-options-values.yaml")
    for name in project.SERVICES:
        service = release.workloads()[name]["spec"]["template"]
        job = release.of("Job")[f"haven-{name}-migrate".replace("haven", "clinic")]["spec"]["template"]
        assert all(job["spec"][each] == service["spec"][each] for each in OF_PODS), name
        assert job["metadata"]["annotations"].items() >= {"example.org/a": "b"}.items()
        assert job["metadata"]["labels"].items() >= {"example.org/c": "d"}.items()
        mounts = {each["name"]: each["mountPath"] for each in job["spec"]["containers"][0]["volumeMounts"]}
        assert mounts["own"] == "/etc/own", "SSL_CERT_FILE is there"
        assert set(mounts) == {each["name"] for each in job["spec"]["volumes"]}
        account = release.of("ServiceAccount")[job["spec"]["serviceAccountName"]]
        assert account["metadata"]["annotations"].items() >= {
            "helm.sh/hook": "pre-install,pre-upgrade", "helm.sh/hook-weight": "-5"
        }.items(), "it is there before the release is"  # fmt: skip
        own = release.of("ServiceAccount")[service["spec"]["serviceAccountName"]]["metadata"]["annotations"]
        assert own.items() <= account["metadata"]["annotations"].items()
    drill, crisis = release.of("Pod")["clinic-drill"]["spec"], release.workloads()["crisis"]["spec"]["template"]["spec"]
    assert all(drill[each] == crisis[each] for each in OF_PODS)


@pytest.mark.parametrize("path", INSTALLS)
def test_every_mount_has_its_volume(path: str) -> None:
    release = install(path)
    claims = {
        each["metadata"]["name"]: {claim["metadata"]["name"] for claim in each["spec"]["volumeClaimTemplates"]}
        for each in release.of("StatefulSet").values()
    }
    for name, pod in release.pods():
        volumes = {each["name"] for each in pod["spec"].get("volumes", ())} | claims.get(name, set())
        for container in _containers(pod):
            assert {each["name"] for each in container.get("volumeMounts", ())} <= volumes, name


def test_the_drill_can_be_pinned() -> None:
    def image(**tests: Any) -> str:
        return str(render(FULL, {"tests": tests}).of("Pod")["haven-drill"]["spec"]["containers"][0]["image"])

    digest = f"sha256:{'0' * 64}"
    assert image(image={"digest": digest}) == f"ghcr.io/haven/cli@{digest}"
    assert image(image={"tag": "1.2.3"}) == "ghcr.io/haven/cli:1.2.3"
    assert image() == "ghcr.io/haven/cli:0.1.0"


def test_ids_of_pods_are_the_clusters_to_choose_where_it_does() -> None:
    """OpenShift gives each namespace its own range, and refuses pods that ask for others."""
    ids = {"runAsUser": None, "runAsGroup": None, "fsGroup": None}
    for name, pod in render(FULL, {"podSecurity": ids}).pods():
        assert not set(ids) & set(pod["spec"]["securityContext"]), name
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    for name, pod in render(FULL, {"podSecurity": {"runAsUser": 1_000_650_000}}).pods():
        assert pod["spec"]["securityContext"]["runAsUser"] == 1_000_650_000, name
        assert pod["spec"]["securityContext"]["fsGroup"] == 65532


NUMBERS = {
    "database_pool_size": 200,
    "crisis_journal_bytes": 134_217_728,
    "crisis_drill_minutes": 1440,
    "max_request_bytes": 2_147_483_647,
    "body_bytes": 123_456_789_012,
    "header_bytes": 1_000_000,
    "address_bytes": 1_048_577,
    "in_flight": 10_000_000,
    "body_bytes_of": {"/haven.intake.v1.ReferralService/ImportReferral": 33_554_432},
    "help_rate": 1_500_000.5,
    "crisis_accept_seconds": 0.0000001,
}


def test_numbers_reach_the_process_as_they_were_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Helm reads every number as a floating one: whole ones of a million and more must not become 1e+06."""
    (tmp_path / "database-url").write_text("postgresql://a:b@c/d")
    (tmp_path / "nats-password").write_text("a")
    workload = render(FULL, {"services": {"crisis": {"settings": {**NUMBERS, "smtp_user": None}}}}).workloads()[
        "crisis"
    ]
    for each in workload["spec"]["template"]["spec"]["containers"][0]["env"]:
        monkeypatch.setenv(each["name"], each["value"].replace("/etc/haven/secrets", str(tmp_path)))
    settings = chart.settings_of("crisis")(service="crisis")
    assert {name: getattr(settings, name) for name in NUMBERS} == NUMBERS
    assert settings.smtp_user is None


def test_a_long_migration_has_its_deadline_in_whole_seconds() -> None:
    release = render(FULL, {"migrations": {"deadlineSeconds": 1_000_000}})
    assert {each["spec"]["activeDeadlineSeconds"] for each in release.of("Job").values()} == {1_000_000}
    assert all(isinstance(each["spec"]["activeDeadlineSeconds"], int) for each in release.of("Job").values())


@pytest.mark.parametrize(("name", "workload"), _services())
def test_pods_go_over_zones_and_nodes(name: str, workload: Mapping[str, Any]) -> None:
    spread = workload["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert {each["topologyKey"] for each in spread} == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}
    selector = workload["spec"]["selector"]["matchLabels"]
    assert all(each["labelSelector"]["matchLabels"] == selector for each in spread)
    labels = workload["spec"]["template"]["metadata"]["labels"]
    assert selector.items() <= labels.items()


@pytest.mark.parametrize(
    ("values", "floor"),
    [({}, 3), ({"autoscaling": {"minReplicas": 5}}, 5), ({"autoscaling": {"enabled": False}, "replicas": 4}, 4)],
)
def test_the_first_of_crisis_are_strictly_apart_and_no_volume_keeps_another_from_running(
    values: Mapping[str, Any], floor: int
) -> None:
    workload = render("ci/crisis-only-values.yaml", {"services": {"crisis": values}}).workloads()["crisis"]
    spread = workload["spec"]["template"]["spec"]["topologySpreadConstraints"]
    strict = [each for each in spread if each["whenUnsatisfiable"] == "DoNotSchedule"]
    first = {"key": "apps.kubernetes.io/pod-index", "operator": "In", "values": [str(each) for each in range(floor)]}
    assert [each["labelSelector"]["matchExpressions"] for each in strict] == [[first], [first]]
    others = [each for each in spread if each["whenUnsatisfiable"] == "ScheduleAnyway"]
    assert {each["topologyKey"] for each in strict} == {each["topologyKey"] for each in others}
    assert not any("matchExpressions" in each["labelSelector"] for each in others)


@pytest.mark.parametrize("path", INSTALLS)
def test_every_object_has_the_recommended_labels(path: str) -> None:
    for each in install(path).objects:
        labels = each["metadata"]["labels"]
        for word in ("name", "instance", "version", "component", "part-of", "managed-by"):
            assert labels[f"app.kubernetes.io/{word}"], each["metadata"]["name"]
        assert labels["helm.sh/chart"].startswith("haven-")


def test_changed_settings_restart_the_pods() -> None:
    from rendering import render

    def checksum(**settings: Any) -> str:
        release = render(FULL, {"services": {"billing": {"settings": settings}}})
        template = release.workloads()["billing"]["spec"]["template"]
        return str(template["metadata"]["annotations"]["checksum/env"])

    assert checksum() == checksum()
    assert checksum() != checksum(log_level="debug")


def test_the_keys_of_an_evaluation_are_keys(tmp_path: Any) -> None:
    """Helm writes Tink keysets by hand there: they must open."""
    from haven.crisis.v1.alerts_pb2 import TimelineEntry

    from haven_kit.cipher import Cipher

    secrets = install("ci/evaluation-values.yaml").of("Secret")
    for name in project.SERVICES:
        path = tmp_path / f"{name}.json"
        path.write_text(secrets[f"haven-{name}"]["stringData"]["keyset.json"])
        cipher = Cipher.load(path)
        sealed = cipher.seal(TimelineEntry(note="a"), "here")
        assert cipher.open(TimelineEntry, sealed, "here").note == "a"
        assert cipher.blind("purpose", "text") != Cipher.load(path).blind("other", "text")
    assert len(
        {each["stringData"]["keyset.json"] for key, each in secrets.items() if "keyset.json" in each["stringData"]}
    ) == len(project.SERVICES)


def test_an_evaluation_has_keys_and_logins_for_what_is_enabled_later() -> None:
    release = render("ci/evaluation-values.yaml", {"services": {"billing": {"enabled": False}}})
    secrets = release.of("Secret")
    assert "billing" not in release.workloads()
    assert {"haven-billing", "haven-billing-tls"} <= set(secrets)
    assert "CREATE DATABASE haven_billing" in secrets["haven-postgresql"]["stringData"]["create.sql"]


def test_the_certificates_of_an_evaluation_name_the_services() -> None:
    from cryptography import x509

    secrets = install("ci/evaluation-values.yaml").of("Secret")
    for name in (*project.PARTS, "nats"):
        data = secrets[f"haven-{name}-tls"]["stringData"]
        certificate = x509.load_pem_x509_certificate(data["tls.crt"].encode())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == [f"{name}.haven.internal"]
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(data["ca.crt"].encode()))


def test_nothing_secret_is_in_an_environment_or_a_config_map() -> None:
    release = install("ci/evaluation-values.yaml")
    words = {
        value
        for each in release.of("Secret").values()
        for key, value in each["stringData"].items()
        if key in {"nats-password", "password"}
    }
    shown = str([each for each in release.objects if each["kind"] != "Secret"])
    assert words
    assert not any(word in shown or base64.b64encode(word.encode()).decode() in shown for word in words)
