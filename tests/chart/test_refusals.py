"""What would endanger people is refused, each with a sentence that says why."""

from __future__ import annotations

from typing import Any

import pytest
from rendering import FULL, Refused, install, render

CRISIS = "services.crisis"
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"auth": {"issuerUrl": ""}}, "auth.issuerUrl: name the OpenID Connect provider"),
    ({"auth": {"issuerUrl": "http://localhost:5556"}}, "The development issuer is not for a cluster"),
    ({"nats": {"copies": 1}}, "can lose what was acknowledged with one server"),
    ({"nats": {"url": ""}}, "nats.url: name the NATS servers"),
    ({"nats": {"url": "nats://nats:4222"}}, "nats.url: must be tls://"),
    ({"services": {"crisis": {"autoscaling": {"minReplicas": 1}}}}, f"{CRISIS}: fewer than two replicas"),
    (
        {"services": {"intake": {"replicas": 1, "autoscaling": {"enabled": False}}}},
        "services.intake: fewer than two replicas",
    ),
    ({"services": {"crisis": {"autoscaling": {"maxReplicas": 2}}}}, "maxReplicas is below minReplicas"),
    ({"services": {"crisis": {"pdb": {"enabled": False}}}}, "crisis keeps its disruption budget"),
    ({"services": {"crisis": {"pdb": {"maxUnavailable": 0}}}}, "zero would block every drain"),
    ({"services": {"crisis": {"pdb": {"maxUnavailable": "0%"}}}}, "zero would block every drain"),
    ({"services": {"crisis": {"pdb": {"maxUnavailable": 3}}}}, "would let a drain take all of them"),
    ({"services": {"billing": {"pdb": {"maxUnavailable": "100%"}}}}, "would let a drain take all of them"),
    ({"services": {"billing": {"pdb": {"maxUnavailable": "51%"}}}}, "would let a drain take all of them"),
    ({"services": {"billing": {"pdb": {"maxUnavailable": "2"}}}}, "would let a drain take all of them"),
    ({"services": {"billing": {"pdb": {"maxUnavailable": "00%"}}}}, "zero would block every drain"),
    ({"services": {"crisis": {"pdb": {"maxUnavailable": 2}}}}, "crisis loses one replica at a time"),
    ({"services": {"crisis": {"pdb": {"maxUnavailable": "10%"}}}}, "crisis loses one replica at a time"),
    ({"services": {"billing": {"drain": {"graceSeconds": 30}}}}, "graceSeconds is 30, but stopping takes up to"),
    ({"services": {"billing": {"drain": {"seconds": 60}}}}, "services.billing.drain: graceSeconds is 75"),
    ({"services": {"crisis": {"drain": {"seconds": 40, "graceSeconds": 144}}}}, "graceSeconds is 144, but stopping"),
    ({"services": {"crisis": {"settings": {"drain_notice_seconds": 11}}}}, "graceSeconds is 90, but stopping takes"),
    ({"services": {"gateway": {"settings": {"drain_notice_seconds": 41}}}}, "graceSeconds is 75, but stopping takes"),
    ({"services": {"crisis": {"settings": {"allow_development_issuer": True}}}}, "is for development"),
    ({"services": {"crisis": {"settings": {"environment": "development"}}}}, "is for development"),
    ({"services": {"crisis": {"settings": {"clock_file": "/tmp/clock"}}}}, "is for development"),
    ({"services": {"crisis": {"settings": {"grpc_port": 1234}}}}, "the chart sets it from its own values"),
    (
        {"services": {"crisis": {"secrets": {"existingSecret": ""}}}},
        f"{CRISIS}.secrets.existingSecret: name the Secret",
    ),
    (
        {"services": {"crisis": {"secrets": {"existingSecret": "haven-billing"}}}},
        "has the same Secret, and so the same database",
    ),
    (
        {"services": {"crisis": {"secrets": {"external": {"enabled": True}}}}},
        "Set migrations.mode to init",
    ),
    (
        {"services": {"crisis": {"settings": {"smtp_user": "a"}, "secrets": {"files": {"smtp_user": "smtp-user"}}}}},
        f"{CRISIS}.settings.smtp_user: is in secrets.files as well",
    ),
    (
        {"services": {"crisis": {"secrets": {"files": {"keyset_kek_file": ""}}}}},
        "production does not run with keys in clear text",
    ),
    (
        {"services": {"crisis": {"settings": {"crisis_last_resort_email": None}}}},
        "name who is paged when everyone",
    ),
    ({"services": {"crisis": {"persistence": {"enabled": False}}}}, "crisis keeps calls for help on a volume"),
    ({"services": {"crisis": {"ingress": {"enabled": False}}}}, "say where the links in pages lead"),
    (
        {"services": {"billing": {"secrets": {"files": {"provider_file": ""}}}}},
        "claims name who bills",
    ),
    ({"services": {"crisis": {"enabled": False}}}, "services.crisis.externalAddress: intake calls it"),
    ({"services": {"gateway": {"ingress": {"host": ""}}}}, "services.gateway.ingress.host: required"),
    ({"services": {"gateway": {"ingress": {"trustedProxies": []}}}}, "services.gateway.ingress.trustedProxies: name"),
    ({"services": {"crisis": {"ingress": {"trustedProxies": []}}}}, "share one rate limit, calls for help as well"),
    ({"services": {"gateway": {"ingress": {"tlsSecret": ""}}}}, "services.gateway.ingress.tlsSecret: name the Secret"),
    ({"services": {"crisis": {"ingress": {"tlsSecret": ""}}}}, "or say with ingress.tlsTerminatedElsewhere"),
    ({"services": {"crisis": {"settings": {"trusted_proxies": ["*"]}}}}, "the chart sets it from its own values"),
    ({"services": {"billing": {"ingress": {"enabled": True, "host": "a"}}}}, "this service has no public address"),
]


@pytest.mark.parametrize(("unsafe", "sentence"), REFUSED, ids=[sentence for _, sentence in REFUSED])
def test_an_unsafe_value_is_refused_with_its_sentence(unsafe: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Refused) as refused:
        render(FULL, unsafe)
    assert sentence in str(refused.value)


def test_an_evaluation_cannot_run_migrations_before_its_database_is_there() -> None:
    with pytest.raises(Refused, match=r"migrations\.mode: set it to init"):
        render("ci/evaluation-values.yaml", {"migrations": {"mode": "hook"}})


EXTERNAL = "ci/external-secrets-values.yaml"


@pytest.mark.parametrize(
    ("external", "sentence"),
    [
        ({"serviceDefaults": {"secrets": {"external": {"storeRef": {"name": ""}}}}}, "storeRef.name: name the store"),
        ({"serviceDefaults": {"secrets": {"external": {"remoteKey": ""}}}}, "remoteKey: name the entry of the store"),
        (
            {"services": {"billing": {"secrets": {"external": {"remoteKey": "haven/crisis"}}}}},
            "has the same entry, haven/crisis, and so the same database",
        ),
    ],
)
def test_secrets_of_a_store_are_named_and_each_service_has_its_own(external: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Refused) as refused:
        render(EXTERNAL, external)
    assert sentence in str(refused.value)


def test_each_service_has_its_own_entry_of_the_store() -> None:
    release = render(EXTERNAL, {"services": {"billing": {"secrets": {"external": {"remoteKey": "elsewhere"}}}}})
    keys = {
        name: {each["remoteRef"]["key"] for each in secret["spec"]["data"]}
        for name, secret in release.of("ExternalSecret").items()
    }
    assert keys == {
        "haven-billing": {"elsewhere"},
        **{f"haven-{name}": {f"haven/{name}"} for name in ("crisis", "intake", "scheduling", "sessions")},
    }


def test_tls_may_end_before_the_cluster_where_that_is_said() -> None:
    ingress = {"tlsSecret": "", "tlsTerminatedElsewhere": True}
    release = render(FULL, {"services": {"crisis": {"ingress": ingress}}})
    assert "tls" not in release.of("Ingress")["haven-crisis"]["spec"]


def test_a_budget_in_percent_of_which_one_stays_is_taken() -> None:
    budgets = render(FULL, {"services": {"billing": {"pdb": {"maxUnavailable": "50%"}}}}).of("PodDisruptionBudget")
    assert budgets["haven-billing"]["spec"]["maxUnavailable"] == "50%"


def test_a_drain_that_fits_is_taken() -> None:
    drained = {"seconds": 40, "graceSeconds": 146}
    values = {"services": {"crisis": {"drain": drained, "settings": {"drain_notice_seconds": 1}}}}
    pod = render(FULL, values).workloads()["crisis"]["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] == 146


def test_what_is_refused_is_taken_without_it() -> None:
    assert install(FULL).objects
