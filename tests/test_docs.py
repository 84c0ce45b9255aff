"""What the documentation says is there: links, paths, settings, targets, routes, metrics, commands, code, callers."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from haven_dev import project
from haven_dev.day.play import STEPS
from haven_dev.embedded.nats import permissions
from haven_kit.contract import SERVICES
from haven_kit.messaging import stream_of
from haven_kit.service import Parts, Service, Spec, callers_of
from haven_kit.settings import Settings

ROOT = project.root()
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "services/*/README.md", "libs/*/README.md")
    for path in ROOT.glob(pattern)
)
every_page = pytest.mark.parametrize("page", PAGES, ids=[str(each.relative_to(ROOT)) for each in PAGES])


def _code(page: Path) -> str:
    """All code of a page: in fences and in backticks."""
    text = page.read_text()
    fences = re.findall(r"^ *```.*?\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    rest = re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)
    return "\n".join([*fences, *re.findall(r"`([^`\n]+)`", rest)])


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), target
        assert not anchor or anchor in _anchors(found), target


@every_page
def test_files_that_are_named_are_there(page: Path) -> None:
    named = set(
        re.findall(r"(?<![\w/.<>*])([\w-]+(?:/[\w.-]+)+\.(?:py|proto|md|ya?ml|json|toml|binpb))\b", _code(page))
    )
    bases = [ROOT, page.parent, *ROOT.glob("libs/*"), *ROOT.glob("services/*"), *ROOT.glob("*/*/haven_*")]
    bases.append(ROOT / "libs/stubs/haven")
    assert [each for each in sorted(named) if not any((base / each).exists() for base in bases)] == []


@every_page
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    lines = [line.split("#")[0] for line in _code(page).splitlines()]
    named = {
        word for line in lines for run in re.findall(r"\bmake ((?:[a-z-]+ ?)+)(?![\w=])", line) for word in run.split()
    }
    assert named <= targets


def _settings() -> set[str]:
    kinds = [
        kind
        for part in project.PARTS
        for kind in vars(importlib.import_module(f"haven_{part}.settings")).values()
        if isinstance(kind, type) and issubclass(kind, Settings)
    ]
    names = {f"HAVEN_{name.upper()}" for kind in kinds for name in kind.model_fields}
    tools = {"HAVEN_GATEWAY", "HAVEN_TOKEN", "HAVEN_FHIR_SAMPLES"}
    return names | {f"{name}_FILE" for name in names} | tools | {stream_of(service) for service in SERVICES}


@every_page
def test_settings_exist(page: Path) -> None:
    named = set(re.findall(r"\bHAVEN_[A-Z0-9_]*[A-Z0-9](?![A-Z0-9_])(?!_?[<…*])", page.read_text()))
    assert named - _settings() - {f"HAVEN_TARGET_{name.upper()}" for name in SERVICES} == set()


def test_the_platform_guide_says_what_must_be_set_and_granted() -> None:
    guide = (ROOT / "docs/guides/platform.md").read_text()
    kinds = [importlib.import_module(f"haven_{part}.__main__") for part in project.SERVICES]
    for kind in (each.SPEC.settings for each in kinds):
        required = {f"HAVEN_{name.upper()}" for name, field in kind.model_fields.items() if field.is_required()}
        assert {each for each in required if f"`{each}`" not in guide} == set()
    granted = re.search(r"^ *```json\n(.*?)^ *```", guide, re.DOTALL | re.MULTILINE)
    assert granted
    assert json.loads(granted[1]) == permissions("intake")


@every_page
def test_routes_exist(page: Path) -> None:
    document = json.loads((ROOT / "docs/openapi.json").read_text())
    known = {(verb.upper(), _shape(path)) for path, item in document["paths"].items() for verb in item}
    named = re.findall(r"\b(GET|POST|PUT|PATCH|DELETE) (/v1/[^\s`\"'?]+)", page.read_text())
    assert [f"{verb} {path}" for verb, path in named if (verb, _shape(path)) not in known] == []


def _shape(path: str) -> str:
    return re.sub(r"\{\w+\}", "{}", path)


def _defined(pattern: str) -> set[str]:
    sources = [path for folder in ("libs", "services") for path in (ROOT / folder).rglob("haven_*/**/*.py")]
    return {name for path in sources for name in re.findall(pattern, path.read_text())}


def test_metrics_that_are_named_are_measured() -> None:
    known = _defined(r'"(haven_[a-z_]+)"')
    for page in PAGES:
        named = set(
            re.findall(
                r"(?<![\w/.-])(haven_[a-z_]*(?:seconds|total|findings|problems|pending|open|flight))\b",
                page.read_text(),
            )
        )
        assert named <= known, page


def test_commands_that_are_named_are_there() -> None:
    app = typer.main.get_command(importlib.import_module("haven_cli.main").app)
    for page in PAGES:
        for line in re.findall(
            r"(?:^|(?<=\n)) *haven ([^\n]+)|`haven ([a-z][^`\n]*)`", _code(page) + "\n" + page.read_text()
        ):
            _follow(app, "".join(line).split("#")[0].split())


def _follow(command: Any, words: list[str]) -> None:
    for word in words:
        known = getattr(command, "commands", None)
        if known is None or not re.fullmatch(r"[a-z-]+", word):
            break
        assert word in known, f"haven … {word}"
        command = known[word]
    options = {option for parameter in command.params for option in parameter.opts}
    assert {each for each in words if each.startswith("--")} <= options


def _python() -> Iterator[tuple[Path, ast.Module]]:
    for page in PAGES:
        for indent, block in re.findall(r"^( *)```python\n(.*?)^ *```", page.read_text(), re.DOTALL | re.MULTILINE):
            yield page, ast.parse("\n".join(line.removeprefix(indent) for line in block.splitlines()))


def test_code_uses_what_is_there() -> None:
    fields = {kind.__name__: {each.name for each in dataclasses.fields(kind)} for kind in (Service, Spec, Parts)}
    seen = 0
    for page, tree in _python():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in fields:
                assert {str(each.arg) for each in node.keywords} <= fields[node.func.id], page
                seen += 1
            if isinstance(node, ast.ImportFrom) and node.module:
                module = importlib.import_module(node.module)
                assert [each.name for each in node.names if not hasattr(module, each.name)] == [], page
    assert seen


def test_the_picture_shows_who_calls_whom() -> None:
    drawn = set(re.findall(r"^ +(\w+) --> (\w+)$", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert drawn == {(caller, called) for called in SERVICES for caller in callers_of(called)}


def test_the_excerpt_shows_steps_of_the_demo() -> None:
    shown = re.findall(r"^  (\d)\. (.+)$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert shown
    assert [(number, STEPS[int(number) - 1][0]) for number, _ in shown] == shown


def test_every_part_says_what_it_is() -> None:
    parts = [path.parent for path in [*ROOT.glob("services/*/pyproject.toml"), *ROOT.glob("libs/*/pyproject.toml")]]
    assert [str(part) for part in parts if not (part / "README.md").exists()] == []


def test_decisions_are_short_dated_numbered_and_listed() -> None:
    folder = ROOT / "docs/decisions"
    records = sorted(path for path in folder.glob("*.md") if path.name != "README.md")
    listed = re.findall(r"\[(\d{4})\]\(([\w-]+\.md)\) \| (.+) \|", (folder / "README.md").read_text())
    for number, (path, (shown, name, title)) in enumerate(zip(records, listed, strict=True), 1):
        lines = path.read_text().splitlines()
        assert path.name == name
        assert shown == path.name[:4] == f"{number:04}"
        assert lines[0] == f"# {shown} {title}"
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", lines[2])
        assert len(lines) <= 40
        assert {"**Context.**", "**Decision.**", "**Consequence.**"} <= {
            line.split("  ")[0][: line.find("**", 2) + 2] for line in lines
        }


FACTS = sorted(path for path in ROOT.glob("services/*/haven_*/data/**/*") if path.suffix in {".yaml", ".json"})


@pytest.mark.parametrize("path", FACTS, ids=[str(each.relative_to(ROOT / "services")) for each in FACTS])
def test_every_fact_names_its_source_and_version(path: Path) -> None:
    content = yaml.safe_load(path.read_text())
    assert content.get("source") or content.get("sources")
    assert content.get("version")
