"""The workspace itself: declarations that must agree, and a lock that anyone can install from."""

import importlib
import re
import tomllib

import pytest

from haven_dev import project
from haven_kit.service import callers_of


@pytest.mark.parametrize("service", project.SERVICES)
def test_a_service_declares_the_same_calls_in_its_code_and_in_its_package(service: str) -> None:
    spec = importlib.import_module(f"haven_{service}.__main__").SPEC
    declared = tomllib.loads((project.root() / f"services/{service}/pyproject.toml").read_text())["tool"]["haven"]
    assert sorted(spec.calls) == sorted(declared["calls"])
    assert all(service in callers_of(called) for called in spec.calls)


def test_crisis_waits_for_no_other_service() -> None:
    assert importlib.import_module("haven_crisis.__main__").SPEC.calls == ()


def test_the_lock_names_only_the_public_index() -> None:
    lock = (project.root() / "uv.lock").read_text()
    assert set(re.findall(r'registry = "([^"]+)"', lock)) == {"https://pypi.org/simple"}
    assert set(re.findall(r'url = "https?://([^/"]+)', lock)) == {"files.pythonhosted.org"}
