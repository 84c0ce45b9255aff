"""The API server takes every object that the chart makes, field by field, under Pod Security "restricted"."""

from __future__ import annotations

import json

import pytest
import yaml
from commands import CommandFailed, Commands, until
from rendering import INSTALLS, install
from world import namespace

WITHIN = "haven"


@pytest.fixture(scope="module")
def restricted(cluster: Commands) -> Commands:
    cluster.apply(namespace(WITHIN))
    until(lambda: cluster.of("serviceaccounts", WITHIN))
    return cluster


def _asked(commands: Commands, text: str) -> str:
    return commands.kubectl(
        "apply", "--namespace", WITHIN, "--dry-run=server", "--validate=strict", "--filename", "-", given=text
    )


@pytest.mark.parametrize("path", INSTALLS)
def test_every_object_is_taken_without_a_warning(restricted: Commands, path: str) -> None:
    objects = install(path).objects
    said = _asked(restricted, yaml.safe_dump_all(objects))
    assert "Warning" not in said
    assert said.count("(server dry run)") == len(objects)


def test_a_misspelt_field_is_refused(restricted: Commands) -> None:
    workload = json.loads(json.dumps(install("ci/production-values.yaml").workloads()["crisis"]))
    workload["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(CommandFailed, match="readynessProbe"):
        _asked(restricted, yaml.safe_dump(workload))


def test_a_misspelt_field_of_a_custom_resource_is_refused(restricted: Commands) -> None:
    certificate = json.loads(json.dumps(install("ci/production-values.yaml").of("Certificate")["haven-crisis-tls"]))
    certificate["spec"]["dnsName"] = ["crisis.haven.internal"]
    with pytest.raises(CommandFailed, match="dnsName"):
        _asked(restricted, yaml.safe_dump(certificate))


def test_a_pod_that_may_more_is_refused(restricted: Commands) -> None:
    pod = json.loads(json.dumps(install("ci/production-values.yaml").of("Pod")["haven-drill"]))
    pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    with pytest.raises(CommandFailed, match="violates PodSecurity"):
        _asked(restricted, yaml.safe_dump(pod))
