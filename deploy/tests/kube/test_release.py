"""The minimal preset as real containers: ready by its own probes, the day, and the drill of `helm test`."""

from __future__ import annotations

import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cluster import Cluster
from engine import Engine
from outside import PAGES, Outside, Played
from rendering import Release, render

from haven_dev.day.play import FAST, play

NAMESPACE = "haven"
CLOCK = {
    "extraEnv": [
        {"name": "SSL_CERT_FILE", "value": "/etc/outside/ca.crt"},
        {"name": "HAVEN_CLOCK_FILE", "value": "/etc/clock/ahead"},
    ],
    "extraVolumes": [
        {"name": "outside", "configMap": {"name": "outside"}},
        {"name": "clock", "configMap": {"name": "clock"}},
    ],
    "extraVolumeMounts": [
        {"name": "outside", "mountPath": "/etc/outside", "readOnly": True},
        {"name": "clock", "mountPath": "/etc/clock", "readOnly": True},
    ],
}
"""An authority for the sign-in provider, as an installation with one of its own has; and the clock of the story."""


def _values(outside: Outside) -> dict[str, Any]:
    settings = {key.removeprefix("HAVEN_").lower(): float(value) for key, value in FAST["sessions"].items()}
    return {
        "auth": {"issuerUrl": outside.issuer.url},
        "telemetry": {"otlpEndpoint": outside.otlp_endpoint, "sampleRatio": 1},
        "serviceDefaults": {**CLOCK, "drain": {"preStopSeconds": 1, "seconds": 2, "graceSeconds": 20}},
        "tests": {"tokenSecret": "test-token"},
        "services": {
            "sessions": {"settings": {key: int(value) for key, value in settings.items()}},
            "crisis": {
                "settings": {
                    "smtp_host": PAGES,
                    "smtp_port": outside.smtp_port,
                    "crisis_last_resort_webhook": outside.webhook.url.replace("/page", "/last-resort"),
                }
            },
        },
    }


@pytest.fixture(scope="module")
async def released() -> AsyncIterator[tuple[Played, Release]]:
    folder = Path(tempfile.mkdtemp(prefix="haven-kube-"))
    folder.chmod(0o755)
    engine = Engine(f"haven-{folder.name[-8:].lower()}")
    outside = Outside(folder, await engine.create_network())
    cluster = Cluster(engine, folder / "cluster", NAMESPACE, outside.hosts)
    try:
        await cluster.hold("ghcr.io/haven/gateway:0.1.0")
        await outside.start()
        release = render("presets/minimal.yaml", _values(outside), namespace=NAMESPACE)
        cluster.put("ConfigMap", "outside", {"ca.crt": outside.authority})
        cluster.put("ConfigMap", "clock", {"ahead": b"0"})
        await cluster.apply(release.objects)
        addresses = {pod.component: pod.address for pod in cluster.pods.values()}
        yield (
            Played(cluster, outside, f"http://{addresses['gateway']}:8080", f"http://{addresses['crisis']}:8080"),
            release,
        )
    finally:
        await cluster.down()
        await outside.stop()


async def test_the_day_is_played_on_the_release(released: tuple[Played, Release]) -> None:
    platform, _ = released
    lines: list[str] = []
    async with aiohttp.ClientSession() as session:
        day = await play(platform, session, lines.append)
    assert day.made["signal_to_page_ms"] > 0
    assert any("commit" in line for line in lines)


async def test_the_drill_of_helm_test_goes_through(released: tuple[Played, Release]) -> None:
    platform, release = released
    token = platform.issuer.token("administrator", "on_call_responder", at=time.time() + platform.ahead)
    platform.cluster.put("Secret", "test-token", {"token": token.encode()})
    before = len(platform.webhook.received)
    log = await platform.cluster.run_hook(release.of("Pod")["haven-drill"])
    assert log.split()[0] == "signal"
    assert "closed" in log
    pages = platform.webhook.received[before:]
    assert pages
    assert all(b"DRILL" in page.body for page in pages)


async def test_every_process_says_why_it_would_not_start(released: tuple[Played, Release]) -> None:
    """Whoever reads a pod's log finds the setting's name there and no value."""
    platform, _ = released
    for name, log in (await platform.cluster.logs()).items():
        assert "cannot start" not in log, name
        assert "Traceback" not in log, name
