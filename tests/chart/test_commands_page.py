"""docs/operate/commands.md: the Job that it has its reader make is one that the cluster and the release take."""

from __future__ import annotations

import pytest
import yaml
from install_page import OPERATE, blocks, commands
from rendering import install
from typer.testing import CliRunner

from haven_cli.main import app

PAGE = OPERATE / "commands.md"
PRODUCTION = install("presets/production.yaml")
(JOB,) = (yaml.safe_load(each) for each in blocks("yaml", PAGE))
POD = JOB["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]


def test_it_runs_a_command_that_is_there() -> None:
    asked = CliRunner().invoke(app, [*CONTAINER["args"], "--help"])
    assert asked.exit_code == 0, asked.output
    wrong = CliRunner().invoke(app, [CONTAINER["args"][0], "unknown"])
    assert wrong.exit_code != 0


def test_its_database_is_that_of_the_service_it_names() -> None:
    (variable,) = CONTAINER["env"]
    assert variable["name"] == "HAVEN_DATABASE_URL"
    service = CONTAINER["args"][CONTAINER["args"].index("--service") + 1]
    (secret,) = (
        each["secret"]
        for each in PRODUCTION.workloads()[service]["spec"]["template"]["spec"]["volumes"]
        if each["name"] == "secrets"
    )
    asked = variable["valueFrom"]["secretKeyRef"]
    assert asked["name"] == secret["secretName"]
    assert asked["key"] in {each["key"] for each in secret["items"]}


def test_it_runs_where_a_pod_of_the_chart_does() -> None:
    (drill,) = (each for name, each in install("presets/crisis-only.yaml").pods() if name.endswith("-drill"))
    theirs = drill["spec"]["containers"][0]
    assert CONTAINER["image"] == theirs["image"]
    assert CONTAINER["securityContext"] == theirs["securityContext"]
    for key in ("runAsNonRoot", "runAsUser", "runAsGroup", "seccompProfile"):
        assert POD["securityContext"][key] == drill["spec"]["securityContext"][key]


@pytest.mark.parametrize("verb", ["create", "wait", "logs", "delete"])
def test_the_page_asks_for_the_job_by_its_name(verb: str) -> None:
    (line,) = (each for each in commands(PAGE) if each.startswith(f"kubectl {verb} "))
    assert f"job/{JOB['metadata']['name']}" in line or "--filename haven-command.yaml" in line
