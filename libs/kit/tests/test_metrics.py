"""Metrics and health of a process, over HTTP."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from haven_kit import metrics
from haven_kit.metrics import Endpoint


class Parts:
    """What the process depends on."""

    def __init__(self) -> None:
        self.answering = {"database": True, "events": True}


@pytest.fixture
def parts() -> Parts:
    return Parts()


@pytest.fixture
async def endpoint(parts: Parts) -> AsyncIterator[Endpoint]:
    endpoint = await metrics.start_http(0, lambda: parts.answering)
    yield endpoint
    await endpoint.close()


async def get(endpoint: Endpoint, path: str) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://{endpoint.host}:{endpoint.port}{path}") as answer,
    ):
        return answer.status, await answer.text()


async def test_what_was_counted_is_shown(endpoint: Endpoint) -> None:
    metrics.REACTIONS.labels("kit.test.happened", "done").inc(3)
    metrics.RPC_SECONDS.labels("/kit.test/Get", "OK").observe(0.002)
    status, text = await get(endpoint, "/metrics")
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert status == 200
    assert samples["haven_reactions_total", (("event", "kit.test.happened"), ("outcome", "done"))] == 3
    assert samples["haven_rpc_server_seconds_count", (("code", "OK"), ("method", "/kit.test/Get"))] == 1


async def test_readiness_follows_what_the_process_depends_on_and_liveness_does_not(
    endpoint: Endpoint, parts: Parts
) -> None:
    assert (await get(endpoint, "/readyz"))[0] == 200
    parts.answering["database"] = False
    status, text = await get(endpoint, "/readyz")
    assert (status, text) == (503, '{"ready": false, "parts": {"database": false, "events": true}}')
    assert (await get(endpoint, "/livez"))[0] == 200
    parts.answering["database"] = True
    assert (await get(endpoint, "/readyz"))[0] == 200


async def test_a_closed_endpoint_no_longer_listens(parts: Parts) -> None:
    endpoint = await metrics.start_http(0, lambda: parts.answering)
    await endpoint.close()
    with pytest.raises(aiohttp.ClientConnectorError):
        await get(endpoint, "/livez")


async def test_nothing_else_is_served(endpoint: Endpoint) -> None:
    assert (await get(endpoint, "/"))[0] == 404
