"""Who may reach whom: the policies are the callers' own declarations, and nothing else is open."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest
from rendering import CHART, FULL, PRESETS, ROOT, Release, install, render

from haven_dev import project
from haven_dev.embedded.nats import permissions

PORTS = {"grpc": 8443, "http": 8080, "metrics": 9464}


def declared() -> dict[str, set[str]]:
    """Who calls whom, from the services' own declarations in their pyproject files."""
    found = {}
    for part in project.PARTS:
        text = (ROOT / "services" / part / "pyproject.toml").read_text()
        found[part] = set(tomllib.loads(text)["tool"]["haven"]["calls"])
    return found


def component(peer: dict[str, Any]) -> str:
    """The component that a peer selects."""
    return str(peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"])


def told(release: Release, part: str) -> dict[str, str]:
    """The environment of a service's process."""
    env = release.workloads()[part]["spec"]["template"]["spec"]["containers"][0]["env"]
    return {each["name"]: each["value"] for each in env}


def on(rules: list[dict[str, Any]], port: int) -> list[dict[str, Any]]:
    """The peers of the rules for a port."""
    return [
        peer
        for rule in rules
        if any(each["port"] == port for each in rule["ports"])
        for key in ("from", "to")
        for peer in rule.get(key, [])
    ]


def test_what_is_not_opened_is_shut_both_ways() -> None:
    policy = install(FULL).of("NetworkPolicy")["haven-default-deny"]["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in policy
    assert "egress" not in policy
    selected = policy["podSelector"]["matchLabels"]
    for name, pod in install(FULL).pods():
        assert selected.items() <= pod["metadata"]["labels"].items(), name


def test_calls_are_open_exactly_where_they_are_declared() -> None:
    policies = install(FULL).of("NetworkPolicy")
    may_send = {
        part: {component(peer) for peer in on(policies[f"haven-{part}"]["spec"]["egress"], PORTS["grpc"])}
        for part in project.PARTS
    }
    may_come = {
        part: {component(peer) for peer in on(policies[f"haven-{part}"]["spec"]["ingress"], PORTS["grpc"])}
        for part in project.PARTS
    }
    wanted = declared()
    assert may_send == wanted
    assert may_come == {part: {caller for caller, called in wanted.items() if part in called} for part in project.PARTS}


def test_the_matrix_in_the_chart_is_the_one_the_services_enforce() -> None:
    enforced = (ROOT / "libs" / "stubs" / "haven" / "callers.json").read_text()
    assert json.loads((CHART / "files" / "callers.json").read_text()) == json.loads(enforced)


def test_only_gateway_and_crisis_are_reached_from_outside() -> None:
    policies = install(FULL).of("NetworkPolicy")
    for part in project.PARTS:
        ports = {each["port"] for rule in policies[f"haven-{part}"]["spec"]["ingress"] for each in rule["ports"]}
        assert (PORTS["http"] in ports) == (part in {"gateway", "crisis"}), part


def test_the_gateway_reaches_neither_database_nor_nats() -> None:
    egress = install(FULL).of("NetworkPolicy")["haven-gateway"]["spec"]["egress"]
    assert not {5432, 4222} & {each["port"] for rule in egress for each in rule["ports"]}


def test_only_crisis_sends_pages() -> None:
    policies = install(FULL).of("NetworkPolicy")
    mail = {
        part
        for part in project.PARTS
        for rule in policies[f"haven-{part}"]["spec"]["egress"]
        for each in rule["ports"]
        if each["port"] == 587
    }
    assert mail == {"crisis"}


def test_services_of_another_release_may_call_crisis_where_they_are_named() -> None:
    peers = on(
        install("presets/crisis-only.yaml").of("NetworkPolicy")["haven-crisis"]["spec"]["ingress"], PORTS["grpc"]
    )
    elsewhere = [each for each in peers if "namespaceSelector" in each]
    assert {each["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] for each in elsewhere} == {"haven"}
    assert {component(each) for each in elsewhere} == {
        caller for caller, called in declared().items() if "crisis" in called
    }


def test_targets_are_where_the_called_service_listens() -> None:
    for path, crisis in (
        (FULL, "dns:///haven-crisis.haven.svc.cluster.local:8443"),
        ("presets/production.yaml", "dns:///haven-crisis.haven-crisis.svc.cluster.local:8443"),
    ):
        for part, workload in install(path).workloads().items():
            env = {
                each["name"]: each.get("value") for each in workload["spec"]["template"]["spec"]["containers"][0]["env"]
            }
            found = {name.removeprefix("HAVEN_TARGET_").lower() for name in env if name.startswith("HAVEN_TARGET_")}
            assert found == declared()[part]
            assert env.get("HAVEN_TARGET_CRISIS", crisis) == crisis


@pytest.mark.parametrize("path", ["presets/production.yaml", "presets/crisis-only.yaml", FULL])
def test_behind_an_ingress_each_client_is_told_apart(path: str) -> None:
    """By X-Forwarded-For of proxies that are named: else all clients share the rate limit of one address."""
    release = install(path)
    for name, ingress in release.of("Ingress").items():
        part = ingress["metadata"]["labels"]["app.kubernetes.io/component"]
        trusted = json.loads(told(release, part)["HAVEN_TRUSTED_PROXIES"])
        assert trusted == ["10.244.0.0/16"], name
    assert release.of("Ingress")


def test_a_load_balancer_of_ones_own_is_named_likewise() -> None:
    named = {"services": {"crisis": {"ingress": {"trustedProxies": ["192.0.2.7", "2001:db8::/64"]}}}}
    release = render("ci/crisis-only-values.yaml", named)
    assert not release.of("Ingress")
    assert json.loads(told(release, "crisis")["HAVEN_TRUSTED_PROXIES"]) == ["192.0.2.7", "2001:db8::/64"]


def test_services_are_headless_so_that_callers_go_round() -> None:
    release = install(FULL)
    services = release.of("Service")
    for part in project.SERVICES:
        service = services[f"haven-{part}"]["spec"]
        assert service["clusterIP"] == "None"
        assert [each["port"] for each in service["ports"]] == [8443]
        assert service["selector"] == release.workloads()[part]["spec"]["selector"]["matchLabels"]


def test_egress_can_be_narrowed() -> None:
    here = [{"ipBlock": {"cidr": "10.0.0.0/8"}}]
    release = render(FULL, {"networkPolicy": {"egress": {"postgresql": here, "nats": here}}})
    egress = release.of("NetworkPolicy")["haven-billing"]["spec"]["egress"]
    assert on(egress, 5432) == here
    assert on(egress, 4222) == here


def ports(release: Release, part: str) -> set[int]:
    """Where a service may send to."""
    egress = release.of("NetworkPolicy")[f"haven-{part}"]["spec"]["egress"]
    return {each["port"] for rule in egress for each in rule["ports"]}


def crisis(**settings: Any) -> dict[str, Any]:
    """Values with settings of crisis."""
    return {"services": {"crisis": {"settings": settings}}}


@pytest.mark.parametrize(
    ("values", "part", "port"),
    [
        (crisis(smtp_port=2525), "crisis", 2525),
        (crisis(crisis_last_resort_webhook="https://pager.example.org:8543/x?a=b"), "crisis", 8543),
        (crisis(crisis_last_resort_webhook="http://pager.example.org/x"), "crisis", 80),
        (crisis(crisis_drill_webhook="https://user:word@[2001:db8::1]:8544/"), "crisis", 8544),
        (crisis(crisis_heartbeat_url="http://watch.example.org:9093"), "crisis", 9093),
        (crisis(twilio_url="http://relay.example.org:8545"), "crisis", 8545),
        (crisis(pager_duty_url="http://relay.example.org:8546/v2"), "crisis", 8546),
        ({"nats": {"url": "tls://a:4443,tls://b:4444,tls://c"}}, "crisis", 4443),
        ({"nats": {"url": "tls://a:4443,tls://b:4444,tls://c"}}, "billing", 4444),
        ({"nats": {"url": "tls://a:4443,tls://b:4444,tls://c"}}, "billing", 4222),
        ({"auth": {"jwksUrl": "https://keys.example.org:8547/keys"}}, "gateway", 8547),
        ({"auth": {"issuerUrl": "https://id.example.org:8548/realms/a"}}, "crisis", 8548),
        ({"telemetry": {"otlpEndpoint": "http://collector:4319"}}, "intake", 4319),
    ],
)
def test_what_the_values_name_is_reached(values: dict[str, Any], part: str, port: int) -> None:
    assert port not in ports(install(FULL), part) - {80, 443, 4222}
    assert port in ports(render(FULL, values), part)


def test_a_port_that_nobody_names_is_shut() -> None:
    assert 4222 not in ports(render(FULL, {"nats": {"url": "tls://a:4443"}}), "crisis")
    assert 2525 not in ports(render(FULL, crisis(smtp_port=2525)), "billing")


@pytest.mark.parametrize(
    ("address", "port", "to"),
    [
        ("dns:///crisis.example.org:443", 443, None),
        ("dns:///crisis.example.org", 443, None),
        ("ipv4:192.0.2.7:8550", 8550, None),
        ("ipv6:[2001:db8::7]:8551", 8551, None),
        ("dns:///haven-crisis.haven-crisis.svc.cluster.local:8443", 8443, "crisis"),
        ("dns:///haven-crisis.haven-crisis.svc:8443", 8443, "crisis"),
    ],
)
def test_a_service_of_another_release_is_reached_where_it_is(address: str, port: int, to: str | None) -> None:
    provider = {"auth": {"issuerUrl": "https://id.example.org:9443"}}
    release = render("ci/apart-values.yaml", {**provider, "services": {"crisis": {"externalAddress": address}}})
    egress = release.of("NetworkPolicy")["haven-billing"]["spec"]["egress"]
    assert "crisis" not in str(egress), "billing does not call crisis"
    egress = release.of("NetworkPolicy")["haven-intake"]["spec"]["egress"]
    (rule,) = [rule for rule in egress if {"port": port, "protocol": "TCP"} in rule["ports"] and _about(rule, to)]
    assert ("to" in rule) == (to is not None)


def _about(rule: dict[str, Any], to: str | None) -> bool:
    return to in {component(each) for each in rule.get("to", ()) if "podSelector" in each} if to else True


def test_where_outside_services_are_can_be_narrowed() -> None:
    here = [{"ipBlock": {"cidr": "192.0.2.0/24"}}]
    values = {
        "services": {"crisis": {"externalAddress": "dns:///crisis.example.org:8552"}},
        "networkPolicy": {"egress": {"services": here}},
    }
    egress = render("ci/apart-values.yaml", values).of("NetworkPolicy")["haven-sessions"]["spec"]["egress"]
    assert on(egress, 8552) == here


def test_releases_of_other_names_find_each_other() -> None:
    """Peers are selected by what both have, whatever `nameOverride` either was given."""
    one = render("presets/production.yaml", {**PRESETS["presets/production.yaml"], "nameOverride": "care"})
    other = install("presets/crisis-only.yaml")
    pods = {each["metadata"]["labels"]["app.kubernetes.io/component"]: each for each in one.workloads().values()}
    incoming = on(other.of("NetworkPolicy")["haven-crisis"]["spec"]["ingress"], PORTS["grpc"])
    for caller in ("gateway", "intake", "sessions"):
        labels = pods[caller]["spec"]["template"]["metadata"]["labels"].items()
        assert any(
            each["podSelector"]["matchLabels"].items() <= labels for each in incoming if "namespaceSelector" in each
        ), caller
    outgoing = on(one.of("NetworkPolicy")["haven-care-intake"]["spec"]["egress"], PORTS["grpc"])
    called = other.workloads()["crisis"]["spec"]["template"]["metadata"]["labels"].items()
    assert any(each["podSelector"]["matchLabels"].items() <= called for each in outgoing)


@pytest.mark.parametrize("path", [FULL, "presets/crisis-only.yaml", "presets/minimal.yaml"])
def test_the_drill_reaches_crisis_whatever_its_token_is_called(path: str) -> None:
    release = install(path)
    egress = release.of("NetworkPolicy")["haven-test"]["spec"]["egress"]
    assert {component(each) for each in on(egress, PORTS["http"])} == {"crisis"}
    labels = release.of("Pod")["haven-drill"]["metadata"]["labels"].items()
    assert release.of("NetworkPolicy")["haven-test"]["spec"]["podSelector"]["matchLabels"].items() <= labels


def test_without_crisis_there_is_no_drill() -> None:
    release = install("presets/production.yaml")
    assert not release.of("Pod")
    assert "haven-test" not in release.of("NetworkPolicy")


def test_dns_is_where_the_cluster_has_it() -> None:
    release = render(FULL, {"networkPolicy": {"egress": {"dnsPorts": [53, 5353], "dns": []}}})
    for name, policy in release.of("NetworkPolicy").items():
        opened = [
            (each["port"], each["protocol"]) for rule in policy["spec"].get("egress", ()) for each in rule["ports"]
        ]
        wanted = {(5353, "UDP"), (5353, "TCP"), (53, "UDP"), (53, "TCP")}
        assert "egress" not in policy["spec"] or wanted <= set(opened), name


def test_users_of_the_evaluations_nats_may_do_what_development_lets_them() -> None:
    secret = install("ci/evaluation-values.yaml").of("Secret")["haven-nats"]["stringData"]["nats.conf"]
    users = {each["user"]: each["permissions"] for each in json.loads(secret)["authorization"]["users"]}
    assert users == {part: permissions(part) for part in project.SERVICES}
