"""The whole platform for whole-system tests, and the record of which capabilities they prove."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from haven_dev import project
from haven_dev.day.play import FAST
from haven_dev.runner import Platform

_results: defaultdict[str, dict[str, str]] = defaultdict(dict)


LONG = ("tests/chaos/", "tests/test_simulation.py", "tests/browser/")
"""What takes minutes begins first, so that no process waits for it alone at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Note on each test what it proves, so that its report carries it to the process that writes the record."""
    items.sort(key=lambda item: not any(each in item.path.as_posix() for each in LONG))
    for item in items:
        for mark in item.iter_markers("capability"):
            item.user_properties.extend(("capability", each) for each in mark.args)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note how it ended: a failure anywhere, or a skip, proves nothing."""
    for name, value in report.user_properties:
        if name == "capability" and (report.when == "call" or report.outcome != "passed"):
            _results[str(value)][report.nodeid] = report.outcome


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the record for `make capabilities`."""
    if _results and not hasattr(session.config, "workerinput"):
        record = project.home() / "capabilities.json"
        record.parent.mkdir(parents=True, exist_ok=True)
        if session.config.getoption("lf") and record.exists():
            # What failed is run once more: what passed before still counts.
            for capability, tests in json.loads(record.read_text()).items():
                _results[capability] = tests | _results[capability]
        record.write_text(json.dumps(_results, indent=1, sort_keys=True))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def platform(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    """PostgreSQL, NATS and all seven processes; one platform for all tests of this worker."""
    async with Platform(Path(tmp_path_factory.mktemp("platform")), ephemeral=True, environment=FAST) as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """An HTTP client."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        yield session


@pytest.fixture
def said() -> Any:
    """Takes what the day says, and keeps it."""
    lines: list[str] = []
    return lines.append
