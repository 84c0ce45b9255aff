"""Structured logs: one JSON object a line, with ids and facts only.

An event is named `noun.verbed`; all else is given as fields: an id, a number, a state, a time, or a list of these. Free
text, messages, mappings and bytes are refused, because they can hold health information: in development and tests the
call raises, in production the field is left out and named in `refused`. Exceptions are logged as types and places,
without their text.
"""

import logging
import re
import sys
import traceback
from collections.abc import Mapping, MutableMapping
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from pathlib import PurePath
from typing import Any, Final, Literal, TextIO, cast
from uuid import UUID

import orjson
import structlog
from opentelemetry import trace

Level = Literal["debug", "info", "warning", "error"]
Logger = structlog.typing.FilteringBoundLogger

_EVENT: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
_WORD: Final = re.compile(r"[\x21-\x7e]{0,200}")
_RESERVED: Final = frozenset({"time", "level", "service", "trace_id", "span_id", "exception", "refused"})
_PERSONAL: Final = frozenset(
    {
        "name",
        "given_name",
        "family_name",
        "legal_name",
        "chosen_name",
        "display_name",
        "pronouns",
        "birth_date",
        "address",
        "phone",
        "email",
        "text",
        "note",
        "notes",
        "narrative",
        "comment",
        "body",
        "journal",
        "mood",
        "diagnosis",
        "diagnoses",
    }
)
_MAX_ITEMS: Final = 50
_MAX_FRAMES: Final = 30
_MAX_LIBRARY_MESSAGE: Final = 300


class LogRefused(TypeError):
    """A log call holds what could carry health information. The message names the field, never its value."""


def get(name: str) -> Logger:
    """The logger of a module."""
    if not structlog.is_configured():
        _configure("haven", "info", True, None)
    return cast(Logger, structlog.get_logger(module=name))


def setup(service: str, level: Level = "info", *, strict: bool = True, stream: TextIO | None = None) -> None:
    """Send the logs of this process, those of its libraries included, as JSON lines to `stream` (stdout by default).

    `strict` raises LogRefused for what is refused; without it, it is left out.
    """
    _configure(service, level, strict, stream)
    root = logging.getLogger()
    root.handlers[:] = [_LibraryHandler(service, stream)]
    root.setLevel(max(_number(level), logging.WARNING))
    for name in logging.root.manager.loggerDict:
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True


def _configure(service: str, level: Level, strict: bool, stream: TextIO | None) -> None:
    structlog.configure(
        processors=[_Guard(strict), _Stamp(service), _render],
        wrapper_class=structlog.make_filtering_bound_logger(_number(level)),
        logger_factory=lambda *_: structlog.WriteLogger(stream),
        cache_logger_on_first_use=False,
    )


def _number(level: Level) -> int:
    return logging.getLevelNamesMapping()[level.upper()]


class _Guard:
    """Lets through only names and values that cannot carry health information."""

    def __init__(self, strict: bool) -> None:
        self._strict = strict

    def __call__(self, _: Any, __: str, fields: MutableMapping[str, Any]) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        refused: list[str] = []
        for name, value in fields.items():
            try:
                kept[name] = _allowed_field(name, value)
            except ValueError as error:
                if self._strict:
                    raise LogRefused(f"{name}: {error}") from None
                refused.append(name)
        if refused:
            kept["refused"] = refused
        kept.setdefault("event", "log.refused")
        return kept


def _allowed_field(name: str, value: object) -> object:
    if name == "event":
        if isinstance(value, str) and _EVENT.fullmatch(value):
            return value
        raise ValueError("an event is named noun.verbed")
    if name in _RESERVED:
        raise ValueError("is written by the kit")
    if name in _PERSONAL:
        raise ValueError("is named like something about a person")
    if name in ("exc_info", "stack_info"):
        return value
    return allowed(value)


def allowed(value: object) -> object:
    """The value as it may stand in a log line. Raises ValueError, naming the type only, for one that may not."""
    match value:
        case None | bool() | float():
            return value
        case Enum():
            return allowed(value.value)
        case int():
            return value if abs(value) < 2**63 else str(value)
        case str():
            if _WORD.fullmatch(value) is None:
                raise ValueError("text with spaces, or longer than 200 characters, is not an id or a state")
            return value
        case UUID() | PurePath():
            return allowed(str(value))
        case datetime() | date():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case list() | tuple() | set() | frozenset():
            return [allowed(each) for each in list(value)[:_MAX_ITEMS]]
        case _:
            raise ValueError(f"a {type(value).__name__} may hold health information")


class _Stamp:
    """Adds time, service and trace, and turns an exception into types and places."""

    def __init__(self, service: str) -> None:
        self._service = service

    def __call__(self, _: Any, level: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        stamped = _stamps(self._service, "error" if level in ("exception", "critical") else level)
        error = fields.get("exc_info")
        stamped.update((name, value) for name, value in fields.items() if name not in ("exc_info", "stack_info"))
        if error is True or isinstance(error, tuple):
            error = (error if isinstance(error, tuple) else sys.exc_info())[1]
        if isinstance(error, BaseException):
            stamped["exception"] = describe(error)
        return stamped


def _stamps(service: str, level: str) -> dict[str, Any]:
    stamped: dict[str, Any] = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "level": level,
        "service": service,
    }
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        stamped["trace_id"] = f"{context.trace_id:032x}"
        stamped["span_id"] = f"{context.span_id:016x}"
    return stamped


def describe(error: BaseException) -> dict[str, Any]:
    """An exception without its text: its type, where it came from, innermost last, and the types that caused it."""
    frames = traceback.extract_tb(error.__traceback__, limit=-_MAX_FRAMES)
    described: dict[str, Any] = {
        "type": _type_name(error),
        "frames": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    }
    causes: list[str] = []
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    while cause is not None and len(causes) < _MAX_ITEMS:
        causes.append(_type_name(cause))
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    if causes:
        described["causes"] = causes
    if isinstance(error, BaseExceptionGroup):
        described["group"] = [_type_name(each) for each in error.exceptions[:_MAX_ITEMS]]
    return described


def _type_name(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _render(_: Any, __: str, fields: Mapping[str, Any]) -> str:
    return orjson.dumps(fields).decode()


class _LibraryHandler(logging.Handler):
    """Writes what libraries log: the message as they worded it, with only plain values filled in."""

    def __init__(self, service: str, stream: TextIO | None) -> None:
        super().__init__()
        self._service = service
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        fields = _stamps(self._service, record.levelname.lower().replace("critical", "error"))
        fields.update(event="library.logged", module=record.name, message=_library_message(record))
        if record.exc_info and record.exc_info[1] is not None:
            fields["exception"] = describe(record.exc_info[1])
        structlog.WriteLogger(self._stream).msg(_render(None, "", fields))


def _library_message(record: logging.LogRecord) -> str:
    template = str(record.msg) if isinstance(record.msg, str) else type(record.msg).__name__
    if record.name == "asyncio":
        template = template.partition("(")[0]  # what follows shows arguments and exceptions
    args = record.args or ()
    try:
        filled = {k: _plain(v) for k, v in args.items()} if isinstance(args, Mapping) else tuple(map(_plain, args))
        message = template % filled if filled else template
    except (TypeError, ValueError, KeyError):
        message = template
    return message.partition("\n")[0][:_MAX_LIBRARY_MESSAGE].encode("utf-8", "replace").decode()


def _plain(value: object) -> object:
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, int | float) or (isinstance(value, str) and _WORD.fullmatch(value)):
        return value
    return type(value).__name__
