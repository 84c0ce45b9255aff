"""Sending referrals to the gateway."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

import aiohttp

from haven_cli.fhir_read import Ready, Refusal

AT_ONCE = 4
ATTEMPTS = 6
TIMEOUT_SECONDS = 30
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0
_AGAIN = frozenset({408, 429, 499, 502, 503, 504})


class NotAccepted(Exception):
    """The gateway cannot be used: it does not answer, or the sign-in does not permit imports."""


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a referral: "created", "updated" or "unchanged"."""

    outcome: str


async def send_all(gateway: str, token: str, referrals: Iterable[Ready]) -> AsyncIterator[Done | Refusal]:
    """Send each, a few at once. Raises NotAccepted; what was sent before it stays."""
    headers = {"Authorization": f"Bearer {token}"}
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    waiting = iter(referrals)
    running: set[asyncio.Task[Done | Refusal]] = set()
    finished: set[asyncio.Task[Done | Refusal]] = set()
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
        try:
            while True:
                while len(running) < AT_ONCE and (each := next(waiting, None)) is not None:
                    running.add(asyncio.create_task(_send(session, gateway, each)))
                if not running:
                    return
                finished, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in finished:
                    yield task.result()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, *finished, return_exceptions=True)


async def _send(session: aiohttp.ClientSession, gateway: str, referral: Ready) -> Done | Refusal:
    url = f"{gateway.rstrip('/')}/v1/referrals:import"
    # The same key for every attempt: an answer that was lost on the way comes again, and nothing is done twice.
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    body = {"bundleJson": referral.bundle, "kind": "REFERRAL_KIND_HOSPITAL"}
    pause = _FIRST_PAUSE
    for attempt in range(1, ATTEMPTS + 1):
        try:
            async with session.post(url, json=body, headers=headers) as response:
                if response.status not in _AGAIN or attempt == ATTEMPTS:
                    return await _outcome(response, referral)
                pause = _asked_pause(response, pause)
        except (aiohttp.ClientConnectionError, TimeoutError) as error:
            if attempt == ATTEMPTS:
                raise NotAccepted(f"The gateway at {gateway} does not answer.") from error
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)
    raise AssertionError("the last attempt returns or raises")


def _asked_pause(response: aiohttp.ClientResponse, otherwise: float) -> float:
    asked = response.headers.get("Retry-After", "")
    return min(float(asked), _LONGEST_PAUSE) if asked.isdecimal() else otherwise


async def _outcome(response: aiohttp.ClientResponse, referral: Ready) -> Done | Refusal:
    if response.status in (401, 403):
        raise NotAccepted("The gateway does not accept this sign-in for imports; a care coordinator's is needed.")
    if response.status in (404, 405):
        raise NotAccepted("There is no Haven gateway at this address.")
    try:
        answer = await response.json(content_type=None)
    except ValueError:
        answer = {}
    if not isinstance(answer, dict):
        answer = {}
    if response.status == 200:
        return Done(str(answer.get("outcome", "")).removeprefix("IMPORT_OUTCOME_").lower())
    return Refusal(referral.place, _reason(response.status, answer))


def _reason(status: int, problem: dict[str, object]) -> str:
    """What the gateway says is wrong. Its problem details name fields and rules and hold nothing of the content."""
    violations = problem.get("violations")
    if isinstance(violations, list):
        named = [each for each in violations if isinstance(each, dict)]
        if named:
            return "; ".join(
                f"{str(each.get('field', '')).removeprefix('bundleJson.').removeprefix('bundle_json.')}: "
                f"{each.get('message') or each.get('detail') or each.get('rule')}"
                for each in named
            )
    return str(problem.get("detail") or problem.get("title") or f"answered with status {status}")
