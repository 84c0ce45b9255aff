"""The workspace itself: declarations that must agree, and a lock that anyone can install from."""

import importlib
import re
import subprocess
import sys
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


def test_two_processes_are_never_given_the_same_port() -> None:
    ask = "import haven_dev.ports as p; print(*(p.free_port() for _ in range(200))); input()"
    askers = [
        subprocess.Popen([sys.executable, "-c", ask], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    given: list[int] = []
    for asker in askers:
        assert asker.stdout
        given += map(int, asker.stdout.readline().split())
    for asker in askers:
        asker.communicate("\n")
    assert len(set(given)) == 600
