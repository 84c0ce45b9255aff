"""The supervisor: what it starts it stops, whatever ends it."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import psutil
import pytest

from haven_dev.embedded import Postgres
from haven_dev.project import PARTS, SERVICES
from haven_dev.runner import AlreadyRunning, Platform, called_by
from haven_kit.testing import eventually

HAVEN = str(Path(sys.executable).with_name("haven"))
pytestmark = pytest.mark.timeout(300)


def listens(url: str) -> bool:
    address = urlsplit(url)
    with socket.socket() as probe:
        return probe.connect_ex((address.hostname or "", address.port or 0)) == 0


async def test_one_service_starts_alone_is_killed_and_comes_back(tmp_path: Path) -> None:
    async with Platform(tmp_path, parts=["crisis"], ephemeral=True) as platform:
        with pytest.raises(AlreadyRunning):
            await Platform(tmp_path, parts=["crisis"]).up()
        address = platform.http_url("crisis")
        platform.kill("crisis")
        assert not listens(address)
        await platform.start("crisis")
        async with aiohttp.ClientSession() as session, session.get(f"{address}/readyz") as answer:
            assert answer.status == 200
            assert {"database": True, "migrations": True}.items() <= (await answer.json())["parts"].items()
        assert not any(platform.running(part) for part in PARTS if part != "crisis")
        urls = [address, platform.issuer.url, platform.webhook.url, platform.otlp.endpoint, platform.nats.url]
        assert all(listens(url) for url in urls)
    assert not any(listens(url) for url in urls)
    assert not tmp_path.exists()


def test_crisis_calls_nobody_and_the_gateway_calls_all() -> None:
    assert called_by("crisis") == []
    assert called_by("gateway") == sorted(SERVICES)


@contextmanager
def haven_run(folder: Path) -> Iterator[subprocess.Popen[str]]:
    command = [
        str(Path(sys.executable).with_name("haven")),
        "run",
        "--port",
        "0",
        "--state",
        str(folder / ".haven/run"),
    ]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout
        process.stdout.close()
        if os.getuid() == 0:
            Postgres(folder / ".haven/run").remove()


def read_until(process: subprocess.Popen[str], text: str) -> str:
    assert process.stdout
    read = ""
    for line in process.stdout:
        read += line
        if text in line:
            return read
    raise AssertionError(f"ended before it said {text!r}:\n{read}")


async def test_run_prints_what_one_needs_and_ctrl_c_stops_all_of_it(tmp_path: Path) -> None:
    with haven_run(tmp_path) as process:
        said = read_until(process, "Ctrl-C stops everything")
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) >= len(PARTS) + 2
        gateway = next(line.split()[1] for line in said.splitlines() if line.startswith("gateway "))
        assert listens(gateway)
        token = subprocess.run(
            [HAVEN, "token", "--role", "participant"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session:
            async with session.get(f"{gateway}/readyz") as answer:
                assert answer.status == 200
            async with session.get(f"{gateway}/docs") as answer:
                assert answer.status == 200
        process.send_signal(signal.SIGINT)
        read_until(process, "platform stopped")
        assert process.wait(timeout=30) == 0
        assert not listens(gateway)
        assert not [child for child in children if child.is_running()]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the next start ends leftovers")
async def test_nothing_outlives_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    with haven_run(tmp_path) as process:
        read_until(process, "NATS: ready")
        read_until(process, "migrated")
        children = psutil.Process(process.pid).children(recursive=True)
        assert children
        process.kill()
        await eventually(lambda: not [child for child in children if child.is_running()], timeout=20)
