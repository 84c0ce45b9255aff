"""What the chart renders is what Kubernetes takes, on each version it is for; values that mean nothing are refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
from rendering import CHART, FULL, HELM, INSTALLS, ROOT, Refused, install, render

KUBERNETES = ["1.30", "1.33", "1.37"]
SCHEMAS = {path.stem: json.loads(path.read_text()) for path in (Path(__file__).parent / "schemas").glob("*.json")}


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("path", INSTALLS)
def test_every_object_is_valid_on_every_version(path: str, version: str) -> None:
    for each in install(path, kube_version=f"{version}.0").objects:
        if each["kind"] in SCHEMAS:
            jsonschema.validate(each, SCHEMAS[each["kind"]])
        else:
            kubernetes_validate.validate(each, version, strict=True)


def test_the_schemas_of_custom_resources_refuse_what_they_do_not_know() -> None:
    seen = set()
    for path in INSTALLS:
        for each in install(path).objects:
            if each["kind"] in SCHEMAS:
                seen.add(each["kind"])
                with pytest.raises(jsonschema.ValidationError):
                    jsonschema.validate({**each, "spec": {**each["spec"], "unknown": 1}}, SCHEMAS[each["kind"]])
    assert seen == set(SCHEMAS)


@pytest.mark.parametrize("path", INSTALLS)
def test_lint(path: str) -> None:
    command = [str(HELM), "lint", "--strict", str(CHART), "--values", str(CHART / path)]
    if INSTALLS[path]:
        command += ["--values", "-"]
    done = subprocess.run(command, input=json.dumps(INSTALLS[path]), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"serivces": {}}, "serivces"),
        ({"services": {"crises": {}}}, "crises"),
        ({"services": {"crisis": {"replica": 3}}}, "replica"),
        ({"services": {"crisis": {"settings": {"crisis_lease_second": 3}}}}, "crisis_lease_second"),
        ({"services": {"crisis": {"settings": {"crisis_lease_seconds": 1}}}}, "crisis_lease_seconds"),
        ({"services": {"crisis": {"settings": {"smtp_password": "plain"}}}}, "smtp_password"),
        ({"services": {"intake": {"settings": {"page_attempts": 3}}}}, "page_attempts"),
        ({"services": {"crisis": {"autoscaling": {"minReplicas": 0}}}}, "minReplicas"),
        ({"tls": {"mode": "none"}}, "mode"),
        ({"image": {"pullPolicy": "Sometimes"}}, "pullPolicy"),
        ({"services": {"crisis": {"image": {"digest": "latest"}}}}, "digest"),
        ({"services": {"crisis": {"drain": {"preStopSeconds": 0}}}}, "preStopSeconds"),
        ({"services": {"crisis": {"ingress": {"trustedProxies": ["*"]}}}}, "trustedProxies"),
        ({"services": {"crisis": {"secrets": {"files": {"no_such_setting": "a"}}}}}, "no_such_setting"),
    ],
)
def test_values_that_mean_nothing_are_refused_by_name(wrong: dict[str, Any], word: str) -> None:
    with pytest.raises(Refused, match=word):
        render(FULL, wrong)


def test_global_values_are_free() -> None:
    assert render(FULL, {"global": {"anything": {"goes": True}}}).objects


def test_what_is_made_from_elsewhere_is_as_it_would_be_made() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "chart.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_without_operators_none_of_their_objects_is_made() -> None:
    kinds = {each["kind"] for each in install(FULL, operators=()).objects}
    assert not kinds & {"PodMonitor", "PrometheusRule"}
