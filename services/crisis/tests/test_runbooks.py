"""Everything that the service can say is wrong with it has a runbook."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from haven_crisis.findings import Finding
from haven_dev import project

FOLDER = project.root() / "docs/operate/runbooks"
BOOKS = sorted(path for path in FOLDER.glob("*.md") if path.name != "README.md")
SOURCES = [
    *(project.root() / "services/crisis/haven_crisis").rglob("*.py"),
    *(project.root() / "libs/kit/haven_kit").glob("*.py"),
]
OF_OPERATIONS = {"channel.renewed", "call.failed"}
"""Errors that tell of another service, or of nothing to be done."""


def errors() -> set[str]:
    """The log entries that say that something is wrong, as the code writes them."""
    found = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
                continue
            first = node.args[0]
            if node.func.attr in {"error", "exception"} and isinstance(first, ast.Constant):
                found.add(str(first.value))
    return found - OF_OPERATIONS


@pytest.mark.parametrize("finding", Finding)
def test_a_finding_has_a_runbook_that_asks_for_it(finding: Finding) -> None:
    text = (FOLDER / f"{finding.value}.md").read_text()
    assert f'haven_crisis_audit_findings{{finding="{finding.value}"}} > 0' in text


def test_every_error_that_is_logged_is_in_a_runbook() -> None:
    text = "".join(path.read_text() for path in BOOKS)
    assert sorted(each for each in errors() if f"`{each}`" not in text) == []


def test_the_index_names_each_once() -> None:
    listed = re.findall(r"\[(\w+)\]\((\w+)\.md\)", (FOLDER / "README.md").read_text())
    assert all(name == target for name, target in listed)
    assert sorted(name for name, _ in listed) == [path.stem for path in BOOKS]


@pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)
def test_a_runbook_says_what_to_do_and_when_it_is_over(path: Path) -> None:
    text = path.read_text()
    assert text.startswith(f"# {path.stem}\n")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == [
        "Now",
        "Why it happens",
        "It is over when",
    ]
    assert re.search(r"^```promql\n.+?^```$", text, re.DOTALL | re.MULTILINE)
    assert re.search(r"^1\. ", text, re.MULTILINE)


@pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)
def test_metrics_in_expressions_are_measured(path: Path) -> None:
    known = {name for source in SOURCES for name in re.findall(r'"(haven_[a-z_]+)"', source.read_text())}
    named = set(re.findall(r"\bhaven_[a-z_]+\b", path.read_text()))
    assert {each for each in named if each not in known and each.removesuffix("_count") not in known} == set()
