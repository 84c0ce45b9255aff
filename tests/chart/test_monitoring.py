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
from rendering import CHART, FULL, ROOT, install

RUNBOOKS = ROOT / "docs" / "operate" / "runbooks"
PROMTOOL = shutil.which("promtool")
FOREIGN = {"certmanager_certificate_expiration_timestamp_seconds"}


def rules() -> list[dict[str, Any]]:
    """Every rule of the rendered release."""
    groups = install(FULL).of("PrometheusRule")["haven"]["spec"]["groups"]
    return [rule for group in groups for rule in group["rules"]]


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
    expressions = [rule["expr"] for rule in rules()]
    for path in (CHART / "dashboards").glob("*.json"):
        panels = json.loads(path.read_text())["panels"]
        expressions += [target["expr"] for panel in panels for target in panel["targets"]]
    unknown = {name for each in expressions for name in named(each)} - told() - FOREIGN
    assert unknown == set()
    assert len(expressions) > 40


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


def test_dashboards_come_as_config_maps_that_grafana_finds() -> None:
    config = install(FULL).of("ConfigMap")["haven-dashboards"]
    assert config["metadata"]["labels"]["grafana_dashboard"] == "1"
    for name, content in config["data"].items():
        board = json.loads(content)
        assert board["uid"].startswith("haven-"), name
        assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not here")
def test_the_rules_fire_when_they_should(tmp_path: Path) -> None:
    assert PROMTOOL is not None
    groups = install(FULL).of("PrometheusRule")["haven"]["spec"]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(dict(groups)))
    shutil.copy(Path(__file__).parent / "rules.test.yaml", tmp_path)
    for command in (["check", "rules", "rules.yaml"], ["test", "rules", "rules.test.yaml"]):
        done = subprocess.run([PROMTOOL, *command], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
