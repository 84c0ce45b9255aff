"""What the OpenAPI document promises, asked thousands of times: right, wrong and at the edges, with real records."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import pytest_asyncio
import requests
import schemathesis
from attack import Answer, Request, Target, with_ids
from hypothesis import HealthCheck, Phase, given
from schemathesis import GenerationMode
from schemathesis.core.failures import FailureGroup
from schemathesis.core.transport import Response

AT_LEAST = 2_000
EDGES = int(os.environ.get("HAVEN_TEST_EDGES", "11"))
"""Cases at the edges of the schema, for each operation."""
DRAWN = int(os.environ.get("HAVEN_TEST_DRAWN", "1"))
"""Cases drawn at random (by the same dice every time), for each operation, right ones and as many wrong ones."""
MODES = list(GenerationMode)
BASE = "http://gateway"
# Headers that schemathesis adds for itself.
_OWN = frozenset({"User-Agent", "Connection", "Accept-Encoding", "X-Schemathesis-TestCaseId", "Content-Length"})


def _edges(schema: Any, operation: Any) -> list[Any]:
    """Cases at the edges, spread over all that there are."""
    generation = schema.config.generation
    found = list(schema.iter_coverage_cases(operation, generation_modes=MODES, generation_config=generation))
    step = max(1.0, len(found) / EDGES)
    return [found[int(index * step)] for index in range(min(EDGES, len(found)))]


def _drawn(operation: Any) -> list[Any]:
    """Cases drawn by Hypothesis."""
    found: list[Any] = []
    for mode in MODES:

        @hypothesis.settings(
            max_examples=DRAWN,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
            deadline=None,
        )
        @given(operation.as_strategy(generation_mode=mode))
        def keep(case: Any) -> None:
            found.append(case)

        try:
            keep()
        except hypothesis.errors.Unsatisfiable:
            # Nothing is wrong for a call that takes nothing.
            assert mode is GenerationMode.NEGATIVE
    return found


def _requests(schema: Any, target: Target) -> Iterator[Request]:
    for result in schema.get_all_operations():
        operation = result.ok()
        tokens = target.tokens(operation.definition.raw["x-haven-roles"])
        for number, case in enumerate([*_edges(schema, operation), *_drawn(operation)]):
            yield _request(case, target, number, tokens[number % len(tokens)])


def _request(case: Any, target: Target, number: int, token: str) -> Request:
    """The case as sent; two of three with ids of records that exist."""
    if number % 3:
        for name in case.path_parameters or {}:
            if known := target.ids.get(name):
                case.path_parameters[name] = known[number % len(known)]
        case.body = with_ids(case.body, target.ids, number)
    prepared = requests.Request(**case.as_transport_kwargs(base_url=BASE)).prepare()
    headers = {str(k): str(v) for k, v in prepared.headers.items() if k not in _OWN}
    headers["Authorization"] = f"Bearer {token}"
    body = prepared.body.encode() if isinstance(prepared.body, str) else prepared.body
    path = str(prepared.url).removeprefix(BASE)
    return Request(case.operation.label, str(prepared.method), path, headers, body, case=case)


@pytest.fixture(scope="module")
def document(target: Target) -> dict[str, Any]:
    """The OpenAPI document as the gateway serves it."""
    found: dict[str, Any] = requests.get(f"{target.platform.gateway_url}/openapi.json", timeout=10).json()
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def answers(target: Target, document: dict[str, Any]) -> list[Answer]:
    """Every case, answered. What changes the state of many things comes last."""
    schema = schemathesis.openapi.from_dict(document)
    cases = sorted(_requests(schema, target), key=lambda each: ":" in each.name)
    return await target.send_all(cases)


@pytest.mark.timeout(1800)
def test_there_are_thousands_of_cases_for_every_operation(answers: list[Answer], document: dict[str, Any]) -> None:
    assert len(answers) >= AT_LEAST
    operations = {each.request.name for each in answers}
    assert len(operations) == sum(len(each) for each in document["paths"].values())
    by_status = Counter(each.status for each in answers)
    assert by_status[200] > len(answers) / 20, by_status
    assert by_status[400] > len(answers) / 4, by_status


def test_each_is_answered_and_none_is_a_mistake_of_ours(answers: list[Answer]) -> None:
    wrong = [f"{fault}: {each}" for each in answers if (fault := each.fault())]
    assert not wrong, "\n".join(wrong[:40])


def test_none_is_refused_for_who_asks(answers: list[Answer]) -> None:
    refused = [str(each) for each in answers if each.status in {401, 429}]
    assert not refused, "\n".join(refused[:10])


def test_answers_are_what_the_document_says(answers: list[Answer]) -> None:
    wrong: list[str] = []
    for each in answers:
        operation = each.request.case.operation
        if each.request.method != operation.method.upper() or each.media_type == "text/event-stream":
            continue
        sent = requests.Request(each.request.method, BASE + each.request.path).prepare()
        headers = {name: [value] for name, value in each.headers.items()}
        try:
            operation.validate_response(Response(each.status, headers, each.body, sent, 0.1, verify=False))
        except FailureGroup as failures:
            wrong.append(f"{each}: {[str(one)[:300] for one in failures.exceptions]}")
    assert not wrong, "\n".join(wrong[:20])


def test_no_problem_repeats_what_was_sent(answers: list[Answer], document: dict[str, Any]) -> None:
    checked, published = 0, json.dumps(document)
    for each in answers:
        if each.status < 400 or not each.request.body:
            continue
        told = each.body.decode()
        for text in _texts(each.request.body):
            if text in published:  # a word of a rule, such as an enum's
                continue
            checked += 1
            assert text not in told, str(each)
    assert checked > 100


def _texts(body: bytes) -> set[str]:
    """Texts in a body that are long enough to be found again for no other reason."""
    try:
        value = json.loads(body)
    except ValueError:
        return set()
    waiting, found = [value], set()
    while waiting:
        each = waiting.pop()
        if isinstance(each, str) and len(each) >= 8:
            found.add(each)
        elif isinstance(each, dict | list):
            waiting.extend(each.values() if isinstance(each, dict) else each)
    return found


def test_no_log_tells_of_a_mistake(answers: list[Answer], target: Target) -> None:
    assert answers
    found = target.faults()
    assert not found, "\n".join(found[:20])
