"""The companions: manifests and values hold what their kinds and charts know, and real servers take what comes of them.

The charts themselves are not rendered; deploy/helm/companions/README.md says what that leaves open.
"""

from __future__ import annotations

import json
import os
import re
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import jsonschema
import nats
import nats_chart
import pytest
import yaml
from nats.aio.client import Client
from rendering import FULL, ROOT, install

from haven_dev import ports
from haven_dev.embedded.postgres import Postgres
from haven_dev.pki import Pki
from haven_dev.process import Child

COMPANIONS = ROOT / "deploy" / "helm" / "companions"
SCHEMAS = Path(__file__).parent / "schemas"
MANIFESTS = [
    each
    for name in ("certificates.yaml", "postgresql-clusters.yaml")
    for each in yaml.safe_load_all((COMPANIONS / name).read_text())
]
VALUES = {path.stem: yaml.safe_load(path.read_text()) for path in COMPANIONS.glob("*.values.yaml")}
CLUSTERS = [each for each in MANIFESTS if each["kind"] == "Cluster"]


def schema(name: str) -> dict[str, Any]:
    """The schema of a kind, or of a chart's values."""
    path = SCHEMAS / "companions" / f"{name}.json"
    found: dict[str, Any] = json.loads((path if path.exists() else SCHEMAS / f"{name}.json").read_text())
    return found


@pytest.mark.parametrize("each", MANIFESTS, ids=lambda each: f"{each['kind']}-{each['metadata']['name']}")
def test_manifests_are_of_their_kind(each: dict[str, Any]) -> None:
    jsonschema.validate(each, schema(each["kind"]))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**each, "spec": {**each["spec"], "unknown": 1}}, schema(each["kind"]))


@pytest.mark.parametrize("name", sorted(VALUES))
def test_values_are_of_keys_that_the_chart_has(name: str) -> None:
    jsonschema.validate(VALUES[name], schema(name))
    for key, value in VALUES[name].items():
        if isinstance(value, dict) and "properties" in schema(name)["properties"][key]:
            with pytest.raises(jsonschema.ValidationError):
                jsonschema.validate({**VALUES[name], key: {**value, "unknown": 1}}, schema(name))


def test_every_schema_is_used_and_says_where_it_is_from() -> None:
    used = {f"{name}.json" for name in [*VALUES, *(each["kind"] for each in MANIFESTS)]}
    assert {path.name for path in (SCHEMAS / "companions").iterdir()} <= used
    assert all("from" in schema(Path(name).stem)["$comment"] for name in used)


def test_the_adapter_serves_what_crisis_is_scaled_by() -> None:
    scaler = next(each for name, each in install(FULL).of("HorizontalPodAutoscaler").items() if name.endswith("crisis"))
    wanted = [each["pods"]["metric"]["name"] for each in scaler["spec"]["metrics"] if each["type"] == "Pods"]
    rules = VALUES["prometheus-adapter.values"]["rules"]["custom"]
    assert wanted
    for name in wanted:
        (rule,) = [each for each in rules if name == each.get("name", {}).get("as") or _finds(each, name)]
        assert set(rule["resources"]["overrides"]) == {"namespace", "pod"}


def _finds(rule: dict[str, Any], name: str) -> bool:
    """Whether a rule finds a series, and gives it no other name."""
    selected = re.search(r'__name__=~"([^"]+)"', rule["seriesQuery"])
    return "name" not in rule and selected is not None and re.fullmatch(selected[1], name) is not None


def test_no_replica_is_scaled_away_while_any_keeps_calls_for_help() -> None:
    """The scaler takes the most that any metric asks for. This one is 1 for every pod while a pod keeps cases: as many
    replicas as there are, neither fewer nor more."""
    (rule,) = [each for each in VALUES["prometheus-adapter.values"]["rules"]["custom"] if "name" in each]
    assert rule["seriesQuery"].startswith("haven_crisis_kept_cases{")
    kept = "max(<<.Series>>{<<.LabelMatchers>>})"
    assert rule["metricsQuery"] == f"0 * {kept} by (<<.GroupBy>>) + scalar(clamp_max({kept}, 1))"
    scaler = install(FULL).of("HorizontalPodAutoscaler")["haven-crisis"]["spec"]
    (held,) = [
        each["pods"]
        for each in scaler["metrics"]
        if each["type"] == "Pods" and each["pods"]["metric"]["name"] == rule["name"]["as"]
    ]
    assert held["target"] == {"type": "AverageValue", "averageValue": "1"}


def test_nats_has_one_certificate_for_clients_and_routes() -> None:
    certificate = next(each for each in MANIFESTS if each["metadata"]["name"] == "nats-tls")
    made = nats_chart.configuration(VALUES["nats.values"])
    hosts = {route.removeprefix("tls://").split(":")[0] for route in made["cluster"]["routes"]}
    assert len(hosts) == VALUES["nats.values"]["config"]["cluster"]["replicas"]
    assert set(certificate["spec"]["dnsNames"]) == hosts | {"nats.haven.internal"}
    named = {VALUES["nats.values"]["config"][part]["tls"]["secretName"] for part in ("cluster", "nats")}
    assert named | {VALUES["nats.values"]["tlsCA"]["secretName"]} == {certificate["spec"]["secretName"]}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the pod would have in its folders: certificates and the file of users."""
    made = tmp_path_factory.mktemp("nats")
    certificate = Pki(made / "pki").issue("nats")
    for part in ("nats", "cluster"):
        (made / "etc" / "nats-certs" / part).mkdir(parents=True)
        for name in ("tls.crt", "tls.key"):
            (made / "etc" / "nats-certs" / part / name).write_bytes((certificate / name).read_bytes())
    (made / "etc" / "nats-ca-cert").mkdir()
    (made / "etc" / "nats-ca-cert" / "ca.crt").write_bytes((certificate / "ca.crt").read_bytes())
    users(made / "etc" / "nats-users")
    (made / "etc" / "nats-config").mkdir()
    return made


def users(folder: Path) -> None:
    """Run the program that makes the users."""
    subprocess.run([sys.executable, COMPANIONS / "nats_users.py", str(folder)], check=True)


def checked(root: Path, made: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """What `nats-server -t` says of a configuration."""
    path = root / "etc" / "nats-config" / "checked.conf"
    path.write_text(nats_chart.text(made, root))
    command = [str(nats_chart.PROGRAM), "-t", "-c", str(path)]
    return subprocess.run(
        command, env=os.environ | {"SERVER_NAME": "nats-0"}, capture_output=True, text=True, check=False
    )


def test_nats_takes_the_configuration(root: Path) -> None:
    made = nats_chart.configuration(VALUES["nats.values"])
    assert made["authorization"] == {"$include": "../nats-users/users.conf"}
    done = checked(root, made)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"authorization": {"$include": "/etc/nats-users/users.conf"}}, "no such file"),
        ({"jetstream": {"sync_interval": "allways"}}, "sync_interval"),
        ({"max_payload": "<< 1XB >>"}, r"checked.conf:\d+"),
    ],
)
def test_nats_refuses_what_it_would_not_understand(root: Path, wrong: dict[str, Any], word: str) -> None:
    done = checked(root, nats_chart.merged(nats_chart.configuration(VALUES["nats.values"]), wrong))
    assert done.returncode != 0
    assert re.search(word, done.stderr + done.stdout), done.stderr + done.stdout


@pytest.fixture(scope="module")
async def server(root: Path) -> AsyncIterator[int]:
    """One server of the configuration, without its cluster: the port for clients."""
    made = nats_chart.configuration(VALUES["nats.values"])
    del made["cluster"]
    made |= {"host": ports.LOOPBACK, "port": ports.free_port(), "http_port": ports.free_port()}
    path = root / "etc" / "nats-config" / "nats.conf"
    path.write_text(nats_chart.text(made, root))
    child = Child("nats-of-the-companions", root)
    child.spawn([str(nats_chart.PROGRAM), "-c", str(path)], environment=os.environ | {"SERVER_NAME": "nats-0"})
    await child.ready(lambda: nats_chart.answers(made["http_port"]), 30)
    yield made["port"]
    await child.stop()


async def connect(root: Path, port: int, user: str, part: str | None, authority: str = "pki") -> Client:
    """A connection as a user, with the certificate that an authority gave to a part of the platform."""
    context = ssl.create_default_context(cafile=str(root / "pki" / "ca.crt"))
    if part:
        folder = Pki(root / authority).issue(part)
        context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    return await nats.connect(
        f"tls://{ports.LOOPBACK}:{port}",
        user=user,
        password=(root / "etc" / "nats-users" / user).read_text(),
        tls=context,
        tls_hostname="nats.haven.internal",
        inbox_prefix=f"_INBOX.{user}".encode(),
        allow_reconnect=False,
    )


async def test_a_service_does_its_own_and_no_more(root: Path, server: int) -> None:
    intake = await connect(root, server, "intake", "intake")
    stream = intake.jetstream()
    await stream.add_stream(name="HAVEN_INTAKE", subjects=["haven.intake.>"])
    assert (await stream.publish("haven.intake.person.admitted.v1", b"")).stream == "HAVEN_INTAKE"
    with pytest.raises(nats.errors.Error):
        await intake.jetstream(timeout=0.5).add_stream(name="HAVEN_BILLING", subjects=["haven.billing.>"])
    await intake.close()


async def test_an_administrator_looks_after_every_stream(root: Path, server: int) -> None:
    admin = await connect(root, server, "admin", "intake")
    await admin.jetstream().add_stream(name="HAVEN_BILLING", subjects=["haven.billing.>"])
    await admin.close()


@pytest.mark.parametrize(("part", "authority"), [(None, "pki"), ("intake", "another")])
async def test_without_a_certificate_of_the_authority_nobody_comes_in(
    root: Path, server: int, part: str | None, authority: str
) -> None:
    with pytest.raises((nats.errors.Error, OSError)):
        await connect(root, server, "intake", part, authority)


def test_a_password_stays_until_it_is_deleted(tmp_path: Path) -> None:
    users(tmp_path)
    before = {path.name: path.read_text() for path in tmp_path.iterdir()}
    (tmp_path / "crisis").unlink()
    users(tmp_path)
    after = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert {name for name in before if before[name] != after[name]} == {"crisis", "users.conf"}
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    assert after["crisis"] in after["users.conf"]


@pytest.fixture
async def postgres(tmp_path: Path) -> AsyncIterator[Postgres]:
    """A server with the clusters' rules before the one that CloudNativePG ends with, and their logins. The wheel's
    PostgreSQL is built without TLS: here the rules hold for any connection."""
    server = Postgres(tmp_path, durable=False)
    await server.start()
    owner = await server.connect()
    for login in logins():
        await server.create_database(login, login, "secret")
        await owner.execute(f"GRANT CONNECT ON DATABASE {login} TO PUBLIC")
    rules = [rule.replace("hostssl", "host") for each in CLUSTERS for rule in each["spec"]["postgresql"]["pg_hba"]]
    path = Path(await owner.fetchval("SHOW hba_file"))
    path.write_text("\n".join([*rules, "host all all all scram-sha-256", ""]))
    await owner.close()
    await server.restart()
    yield server
    await server.stop()
    server.remove()


def logins() -> list[str]:
    """Every login of the clusters, each with a database of its name."""
    roles = [role["name"] for each in CLUSTERS for role in each["spec"].get("managed", {}).get("roles", [])]
    made = [each["spec"]["bootstrap"]["initdb"] for each in CLUSTERS if "bootstrap" in each["spec"]]
    databases = [each["spec"] for each in MANIFESTS if each["kind"] == "Database"]
    assert all(each["owner"] == each.get("name", each.get("database")) for each in [*databases, *made])
    assert sorted(roles) == sorted(each["owner"] for each in databases)
    return sorted([*roles, *(each["owner"] for each in made)])


async def test_a_login_reaches_the_database_of_its_name_and_no_other(postgres: Postgres) -> None:
    assert logins() == [f"haven_{part}" for part in ("billing", "crisis", "intake", "scheduling", "sessions")]
    for login in logins():
        for database in (*logins(), "postgres"):
            address = postgres.url(database, login, "secret")
            if database == login:
                await (await asyncpg.connect(address)).close()
            else:
                with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError, match=r"pg_hba\.conf rejects"):
                    await asyncpg.connect(address)


@pytest.mark.parametrize("cluster", CLUSTERS, ids=lambda each: each["metadata"]["name"])
def test_a_cluster_keeps_its_log_and_is_backed_up(cluster: dict[str, Any]) -> None:
    (plugin,) = cluster["spec"]["plugins"]
    near = [each for each in MANIFESTS if each["metadata"].get("namespace") == cluster["metadata"]["namespace"]]
    (store,) = (each for each in near if each["kind"] == "ObjectStore")
    (backup,) = (each["spec"] for each in near if each["kind"] == "ScheduledBackup")
    assert plugin["isWALArchiver"]
    assert plugin["parameters"] == {"barmanObjectName": store["metadata"]["name"]}
    assert backup["cluster"]["name"] == cluster["metadata"]["name"]
    assert backup["method"] == "plugin"
    assert backup["pluginConfiguration"]["name"] == plugin["name"]
    page = (ROOT / "docs" / "operate" / "backup.md").read_text()
    assert f"keep {store['spec']['retentionPolicy'].removesuffix('d')} days" in page


def test_no_two_clusters_share_a_place_for_backups() -> None:
    places = [each["spec"]["configuration"]["destinationPath"] for each in MANIFESTS if each["kind"] == "ObjectStore"]
    assert len(set(places)) == len(places) == len(CLUSTERS)


@pytest.mark.parametrize("cluster", CLUSTERS, ids=lambda each: each["metadata"]["name"])
def test_a_login_comes_in_over_tls_alone(cluster: dict[str, Any]) -> None:
    opened, closed = (rule.split() for rule in cluster["spec"]["postgresql"]["pg_hba"])
    assert opened == ["hostssl", "sameuser", "all", "all", "scram-sha-256"]
    assert (closed[0], closed[1], closed[3], closed[4]) == ("host", "all", "all", "reject")
    roles = [role["name"] for role in cluster["spec"].get("managed", {}).get("roles", [])]
    made = cluster["spec"].get("bootstrap", {}).get("initdb", {}).get("owner")
    assert closed[2].split(",") == (roles or [made])
