"""Logs: one JSON object a line, with facts that cannot carry health information."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import structlog
from google.protobuf.wrappers_pb2 import StringValue
from hypothesis import given
from hypothesis import strategies as st

from haven_kit import logs, telemetry
from haven_kit.logs import LogRefused
from haven_kit.settings import Settings


class State(Enum):
    """A state as domain code holds it."""

    OPEN = "open"


class Stream(io.StringIO):
    """Where a process writes its logs."""

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]


@pytest.fixture
def stream() -> Iterator[Stream]:
    """Logs of this test, as a process in development would write them."""
    root = logging.getLogger()
    handlers, level, config = root.handlers[:], root.level, structlog.get_config()
    stream = Stream()
    logs.setup("crisis", "info", stream=stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**config)


def test_a_line_tells_when_who_and_what(stream: Stream) -> None:
    logs.get("haven_crisis.api").info("alert.raised", alert_id="a-1", pages=2)
    line = stream.lines()[0]
    assert datetime.fromisoformat(line.pop("time")).utcoffset() == timedelta(0)
    assert line == {
        "level": "info",
        "service": "crisis",
        "module": "haven_crisis.api",
        "event": "alert.raised",
        "alert_id": "a-1",
        "pages": 2,
    }


def test_facts_are_written_as_json(stream: Stream) -> None:
    logs.get("x").warning(
        "fact.noted",
        state=State.OPEN,
        at=datetime(2026, 1, 1, tzinfo=UTC),
        took=timedelta(milliseconds=1500),
        ids=("a", "b"),
        roles=frozenset({3}),
        uuid=UUID(int=7 << 76),
        path=Path("/etc/x"),
        huge=2**80,
        missing=None,
        yes=True,
        ratio=0.5,
    )
    line = stream.lines()[0]
    assert line["state"] == "open"
    assert line["at"] == "2026-01-01T00:00:00+00:00"
    assert line["took"] == 1.5
    assert (line["ids"], line["roles"]) == (["a", "b"], [3])
    assert line["huge"] == str(2**80)
    assert (line["missing"], line["yes"], line["ratio"]) == (None, True, 0.5)


def test_a_line_names_its_trace(stream: Stream) -> None:
    running = telemetry.setup(settings(), always=True)
    with telemetry.span("work") as work:
        logs.get("x").info("work.begun")
        logging.getLogger("some.library").warning("careful")
    running.close()
    context = work.span.get_span_context()
    for line in stream.lines():
        assert (line["trace_id"], line["span_id"]) == (f"{context.trace_id:032x}", f"{context.span_id:016x}")


_REFUSED = [
    StringValue(value="canary"),
    {"name": "canary"},
    [{"name": "canary"}],
    ["ok", StringValue(value="canary")],
    b"canary",
    bytearray(b"canary"),
    "canary with words",
    "canary\nline",
    "canary\u00e9",
    "canary" * 50,
    object(),
    ValueError("canary"),
    str,
]


@pytest.mark.parametrize("value", _REFUSED, ids=lambda value: type(value).__name__)
def test_what_could_carry_health_information_is_refused(stream: Stream, value: object) -> None:
    with pytest.raises(LogRefused, match="value: ") as caught:
        logs.get("x").info("note.taken", value=value)
    assert "canary" not in str(caught.value)
    assert stream.getvalue() == ""


@pytest.mark.parametrize("value", _REFUSED, ids=lambda value: type(value).__name__)
def test_in_production_it_is_left_out_and_named(stream: Stream, value: object) -> None:
    logs.setup("crisis", strict=False, stream=stream)
    logs.get("x").info("note.taken", value=value, note_id="n-1")
    line = stream.lines()[0]
    assert (line["refused"], line["note_id"], line["event"]) == (["value"], "n-1", "note.taken")
    assert "canary" not in stream.getvalue()


@pytest.mark.parametrize("name", ["name", "birth_date", "text", "note", "level", "trace_id"])
def test_fields_named_like_something_about_a_person_or_like_the_kits_own_are_refused(stream: Stream, name: str) -> None:
    with pytest.raises(LogRefused, match=name):
        logs.get("x").info("note.taken", **{name: "canary"})
    logs.setup("crisis", strict=False, stream=stream)
    logs.get("x").info("note.taken", **{name: "canary"})
    assert stream.lines()[0]["refused"] == [name]
    assert "canary" not in stream.getvalue()


@given(st.text())
def test_no_text_with_white_space_passes(text: str) -> None:
    if any(character.isspace() for character in text):
        with pytest.raises(ValueError, match="not an id"):
            logs.allowed(text)


@pytest.mark.parametrize("event", ["", "Something went wrong", "raised", "alert.Raised", "alert raised for jo"])
def test_events_are_named_by_the_code(stream: Stream, event: str) -> None:
    with pytest.raises(LogRefused, match=r"noun\.verbed"):
        logs.get("x").info(event)
    logs.setup("crisis", strict=False, stream=stream)
    logs.get("x").info(event)
    assert stream.lines()[0]["event"] == "log.refused"


def test_positional_values_are_refused(stream: Stream) -> None:
    for event in ("alert.raised", "alert.raised %s"):
        with pytest.raises(TypeError):
            logs.get("x").info(event, "canary")
    assert stream.getvalue() == ""


def raise_with(text: str) -> None:
    try:
        raise KeyError(text)
    except KeyError as error:
        raise ValueError(text) from error


def test_an_exception_is_logged_without_its_text(stream: Stream) -> None:
    try:
        raise_with("canary of Jo")
    except ValueError as error:
        logs.get("x").exception("step.failed", step="pager")
        logs.get("x").error("step.failed", exc_info=error)
    assert "canary" not in stream.getvalue()
    for line in stream.lines():
        assert line["level"] == "error"
        assert line["exception"]["type"] == "ValueError"
        assert line["exception"]["causes"] == ["KeyError"]
        assert line["exception"]["frames"][-1].endswith(" raise_with")


def test_an_exception_group_names_what_is_in_it(stream: Stream) -> None:
    logs.get("x").error("steps.failed", exc_info=ExceptionGroup("canary", [ValueError("canary"), OSError("canary")]))
    assert stream.lines()[0]["exception"]["group"] == ["ValueError", "OSError"]
    assert "canary" not in stream.getvalue()


def test_what_libraries_log_is_cut_to_plain_values(stream: Stream) -> None:
    library = logging.getLogger("some.library")
    library.warning("slow answer from %s after %d ms: %s", "127.0.0.1:4222", 30, ValueError("canary"))
    library.warning("row %(row)s", {"row": {"name": "canary"}})
    library.warning("many\nlines of canary")
    library.warning(StringValue(value="canary"))
    library.error("x" * 5000)
    library.info("not shown")
    try:
        raise_with("canary")
    except ValueError:
        library.exception("query failed for %s", "canary words")
    lines = stream.lines()
    assert lines[0]["message"] == "slow answer from 127.0.0.1:4222 after 30 ms: ValueError"
    assert [line["event"] for line in lines] == ["library.logged"] * 6
    assert lines[1]["message"] == "row dict"
    assert lines[2]["message"] == "many"
    assert len(lines[4]["message"]) == 300
    assert lines[5]["exception"]["type"] == "ValueError"
    assert "canary" not in stream.getvalue()


def test_a_library_that_logs_wrongly_does_no_harm(stream: Stream) -> None:
    handler = logging.getLogger().handlers[0]
    for message, args in (("bad %d template", ("canary words",)), ("\ud800", ()), ("%(a)s", ({"b": "canary"},))):
        handler.emit(logging.makeLogRecord({"msg": message, "args": args, "levelname": "CRITICAL", "name": "x"}))
    assert [line["message"] for line in stream.lines()] == ["bad %d template", "?", "%(a)s"]
    assert stream.lines()[0]["level"] == "error"


async def test_what_asyncio_says_about_lost_exceptions_holds_none_of_their_text(stream: Stream) -> None:
    def fail(text: str) -> None:
        raise ValueError(text)

    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    loop.set_exception_handler(None)
    loop.call_soon(fail, "canary words")
    await asyncio.sleep(0.01)
    loop.set_exception_handler(before)
    assert stream.lines()[0]["module"] == "asyncio"
    assert stream.lines()[0]["message"].startswith("Exception in callback")
    assert "canary" not in stream.getvalue()


def test_levels_below_the_set_one_are_not_written(stream: Stream) -> None:
    logs.get("x").debug("detail.noted")
    logs.setup("crisis", "error", stream=stream)
    logs.get("x").warning("detail.noted")
    logging.getLogger("some.library").warning("careful")
    assert stream.getvalue() == ""


def test_loggers_with_own_handlers_write_here_too(stream: Stream) -> None:
    library = logging.getLogger("uvicorn.error.test")
    library.addHandler(logging.StreamHandler(io.StringIO()))
    library.propagate = False
    logs.setup("crisis", stream=stream)
    library.warning("careful")
    assert stream.lines()[0]["module"] == "uvicorn.error.test"


def settings() -> Settings:
    return Settings.model_construct(
        service="crisis", environment="test", version="0", trace_sample_ratio=1.0, otlp_endpoint=None
    )
