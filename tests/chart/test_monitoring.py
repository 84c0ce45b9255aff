"""Alerts and dashboards: about metrics that exist, with runbooks that exist, and rules that fire when they should."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY
from rendering import CHART, FULL, ROOT, install, render

RUNBOOKS = ROOT / "docs" / "operate" / "runbooks"
BUILT = ROOT / ".tools" / "promtool" / "promtool"
PROMTOOL = str(BUILT) if BUILT.exists() else shutil.which("promtool")
"""`scripts/promtool` builds it."""
FOREIGN = {"certmanager_certificate_expiration_timestamp_seconds"}
CASES = Path(__file__).parent / "rules.test.yaml"
SELECTOR = r"\b(?:haven[_:][a-z0-9_:]+|up)\b"


def rules(*values: dict[str, Any], **options: Any) -> list[dict[str, Any]]:
    """Every rule of the rendered release."""
    (made,) = render(FULL, *values, **options).of("PrometheusRule").values()
    return [rule for group in made["spec"]["groups"] for rule in group["rules"]]


def alerts(*values: dict[str, Any], **options: Any) -> dict[str, dict[str, Any]]:
    """Every alert of the rendered release, by its name."""
    return {rule["alert"]: rule for rule in rules(*values, **options) if "alert" in rule}


def boards() -> dict[str, dict[str, Any]]:
    """The dashboards."""
    return {path.stem: json.loads(path.read_text()) for path in (CHART / "dashboards").glob("*.json")}


def expressions(board: dict[str, Any]) -> list[str]:
    """What a dashboard asks."""
    return [target["expr"] for panel in board["panels"] for target in panel["targets"]]


def told() -> set[str]:
    """Every name that the processes' metrics endpoints can show."""
    for module in ("haven_kit.metrics", "haven_crisis.metrics"):
        importlib.import_module(module)
    found: set[str] = set()
    for metric in REGISTRY.collect():
        found |= {metric.name + suffix for suffix in ("", "_total", "_bucket", "_sum", "_count")}
    return found


def named(expression: str) -> set[str]:
    """The metrics in an expression."""
    return set(re.findall(r"\b((?:haven|certmanager)_[a-z_]+[a-z])\b", expression))


def test_every_expression_is_about_metrics_that_exist() -> None:
    asked = [rule["expr"] for rule in rules()]
    asked += [each for board in boards().values() for each in expressions(board)]
    unknown = {name for each in asked for name in named(each)} - told() - FOREIGN
    assert unknown == set()
    assert len(asked) > 40


def test_every_rule_is_about_its_own_release() -> None:
    for rule in rules(namespace="cell-7"):
        expression = rule["expr"]
        scoped = re.findall(SELECTOR + r'\{namespace="cell-7"[,}]', expression)
        assert len(scoped) == len(re.findall(SELECTOR, expression)), expression
        assert scoped or "certmanager" in expression
        assert rule["labels"]["namespace"] in {"cell-7", "{{ $labels.namespace }}"}
        assert "${" not in json.dumps(rule)


def test_a_dashboard_asks_for_the_namespace_that_is_chosen() -> None:
    for board in boards().values():
        assert "namespace" in {each["name"] for each in board["templating"]["list"]}
        for each in expressions(board):
            scoped = re.findall(SELECTOR + r'\{namespace=~?"\$namespace"[,}]', each)
            assert len(scoped) == len(re.findall(SELECTOR, each)), each


def test_what_is_watched_follows_the_values() -> None:
    crisis = {"autoscaling": {"minReplicas": 5}, "settings": {"crisis_drill_minutes": 240}}
    made = alerts({"services": {"crisis": crisis}})
    assert made["HavenCrisisReplicasMissing"]["expr"].endswith("< 5")
    assert made["HavenDrillFailed"]["expr"].endswith("> 28800")
    fixed = alerts({"services": {"crisis": {"autoscaling": {"enabled": False}, "replicas": 4}}})
    assert fixed["HavenCrisisReplicasMissing"]["expr"].endswith("< 4")
    named_so = alerts({"fullnameOverride": "cell", "tls": {"issuerRef": {"name": "ours"}}})["HavenCertificateExpires"]
    assert 'name=~"cell-(billing|crisis|' in named_so["expr"]
    assert 'name=~"nats-tls|ours"' in named_so["expr"]


def test_without_the_pods_monitor_nothing_asks_for_its_labels() -> None:
    made = alerts({"monitoring": {"podMonitor": {"enabled": False}}})
    assert not [name for name, rule in made.items() if re.search(r"\bup\b", rule["expr"])]
    assert "HavenCrisisIsGone" in made


def test_every_alert_has_a_runbook_that_exists_and_says_how_urgent_it_is() -> None:
    for rule in rules():
        if "alert" in rule:
            path = RUNBOOKS / rule["annotations"]["runbook_url"].rpartition("/")[2]
            assert path.exists(), f"{rule['alert']}: {path.name}"
            assert rule["labels"]["severity"] in {"critical", "warning"}
            assert rule["annotations"]["summary"].endswith(".")


def test_every_runbook_has_an_alert() -> None:
    linked = {rule["annotations"]["runbook_url"].rpartition("/")[2] for rule in rules() if "alert" in rule}
    assert {path.name for path in RUNBOOKS.glob("*.md")} - {"README.md"} == linked


def test_a_release_without_crisis_has_no_alerts_about_it() -> None:
    groups = install("presets/production.yaml").of("PrometheusRule")["haven"]["spec"]["groups"]
    assert [each["name"] for each in groups] == ["haven-services"]
    gone = [rule["labels"]["component"] for rule in groups[0]["rules"] if rule["alert"] == "HavenServiceIsGone"]
    assert gone == ["billing", "gateway", "intake", "scheduling", "sessions"]


def test_dashboards_come_as_config_maps_that_grafana_finds() -> None:
    config = install(FULL).of("ConfigMap")["haven-dashboards"]
    assert config["metadata"]["labels"]["grafana_dashboard"] == "1"
    for name, content in config["data"].items():
        board = json.loads(content)
        assert board["uid"].startswith("haven-"), name
        assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    checks = [check for case in yaml.safe_load(CASES.read_text())["tests"] for check in case["alert_rule_test"]]
    for fires in (True, False):
        assert {each["alertname"] for each in checks if bool(each["exp_alerts"]) == fires} == set(alerts())


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not here; scripts/promtool builds it")
def test_the_rules_fire_when_they_should(tmp_path: Path) -> None:
    assert PROMTOOL is not None
    made = render(FULL, {"monitoring": {"rules": {"runbookUrl": "runbooks"}}}).of("PrometheusRule")["haven"]["spec"]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(dict(made)))
    shutil.copy(CASES, tmp_path)
    for command in (["check", "rules", "rules.yaml"], ["test", "rules", "rules.test.yaml"]):
        done = subprocess.run([PROMTOOL, *command], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
