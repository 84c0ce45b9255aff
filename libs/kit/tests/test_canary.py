"""The canary: health information of any contract, put where a careless line of code could put it, comes out nowhere."""

import io
import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
import structlog
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from haven_kit import contract, errors, logs, telemetry
from haven_kit.cipher import CannotOpen, Cipher, create_keyset
from haven_kit.redact import redacted, safe_repr
from haven_kit.settings import Settings

CANARY = "Kestrel of Xq7"
NUMBER = 777_321_555
MAX_DEPTH = 4


def _phi_messages() -> list[Descriptor]:
    return [each for service in contract.SERVICES for each in contract.messages_of(service) if contract.has_phi(each)]


def fill(message: Message, depth: int = 0) -> None:
    """Set every field that is health information, at any depth, to the canary; strings beside it to an id."""
    for field in message.DESCRIPTOR.fields:
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            continue
        if field.message_type is not None:
            if depth < MAX_DEPTH and not field.message_type.full_name.startswith("google."):
                inner = getattr(message, field.name)
                fill(inner.add() if field.is_repeated else inner, depth + 1)
        elif contract.phi_kind(field):  # type: ignore[arg-type]  # the stubs know two descriptor classes
            _set(message, field)


def _set(message: Message, field: Any) -> None:
    values: dict[int, Any] = {FieldDescriptor.CPPTYPE_STRING: CANARY, FieldDescriptor.CPPTYPE_INT32: NUMBER}
    value = values.get(field.cpp_type)
    if value is None:
        return
    if field.type == FieldDescriptor.TYPE_BYTES:
        value = CANARY.encode()
    if field.is_repeated:
        getattr(message, field.name).append(value)
    else:
        setattr(message, field.name, value)


def filled(descriptor: Descriptor) -> Message:
    message = message_factory.GetMessageClass(descriptor)()
    fill(message)
    return message


def shows(text: str) -> bool:
    return "Kestrel" in text or "Xq7" in text or str(NUMBER) in text


class Out(NamedTuple):
    """Everything that leaves the process about what it does."""

    logs: io.StringIO
    spans: InMemorySpanExporter

    def text(self) -> str:
        return self.logs.getvalue() + "".join(span.to_json() for span in self.spans.get_finished_spans())


@pytest.fixture(params=["test", "production"])
def out(request: pytest.FixtureRequest) -> Iterator[Out]:
    root = logging.getLogger()
    handlers, level, config = root.handlers[:], root.level, structlog.get_config()
    out = Out(io.StringIO(), InMemorySpanExporter())
    settings = Settings.model_construct(
        service="crisis", environment=request.param, version="0", trace_sample_ratio=1.0, otlp_endpoint=None
    )
    logs.setup("crisis", "debug", strict=request.param == "test", stream=out.logs)
    telemetry.setup(settings, exporter=out.spans)
    yield out
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**config)


MESSAGES = _phi_messages()


def test_there_are_messages_with_health_information_and_the_canary_is_in_them() -> None:
    with_canary = [each for each in MESSAGES if shows(str(filled(each)))]
    assert len(with_canary) >= 20
    assert {each.full_name.split(".")[1] for each in with_canary} >= {"intake", "crisis"}


@pytest.mark.parametrize("descriptor", MESSAGES, ids=lambda each: each.full_name)
def test_redaction_takes_the_canary_out(descriptor: Descriptor) -> None:
    message = filled(descriptor)
    assert not shows(str(redacted(message)))
    assert not shows(safe_repr(message))


def careless(message: Message) -> None:
    """What a hurried line of code might do with a record."""
    log = logs.get("careless")
    text = str(message)
    for value in (message, text, [message], {"record": message}, message.SerializeToString(), (text,)):
        for level in (log.debug, log.info, log.warning, log.error):
            with _refusal_allowed():
                level("record.seen", record=value)
    joined = f"record.seen {text}"
    with _refusal_allowed():
        log.info(joined)
    with _refusal_allowed():
        log.info("record.seen %s", text)
    library = logging.getLogger("some.library")
    library.error("cannot handle %s", message)
    library.error("cannot handle %s of %r", text, [message])
    for key in ("record_id", "haven.state", "record", "db.query.text"):
        with _refusal_allowed(), telemetry.span("look") as scope:
            scope.set(**{key.replace(".", "__"): text})
    try:
        with telemetry.span("look", record_id="r-1"):
            raise RuntimeError(f"cannot handle {text}")
    except RuntimeError as error:
        log.exception("record.failed", record_id="r-1")
        library.exception("cannot handle", exc_info=error)
        wrap(error, log)


def wrap(error: Exception, log: Any) -> None:
    told = errors.Internal()
    told.__cause__ = error
    log.error("record.failed", exc_info=told)
    assert not shows(errors.to_status(told).SerializeToString().decode("latin-1"))


@contextmanager
def _refusal_allowed() -> Iterator[None]:
    """In development a refused call raises; what it raises must not show the value either."""
    try:
        yield
    except TypeError as error:
        shown = "".join(traceback.format_exception_only(error))
        if shows(shown):
            raise AssertionError("the refusal shows the value") from None


def test_a_careless_line_lets_nothing_out(out: Out) -> None:
    for descriptor in MESSAGES:
        message = filled(descriptor)
        if shows(str(message)):
            careless(message)
    assert "record.failed" in out.logs.getvalue()
    assert out.spans.get_finished_spans()
    assert not shows(out.text())


def test_a_sealed_record_that_does_not_open_tells_nothing(tmp_path: Any) -> None:
    create_keyset(tmp_path / "keys.json")
    cipher = Cipher.load(tmp_path / "keys.json")
    for descriptor in MESSAGES:
        message = filled(descriptor)
        blob = cipher.seal(message, "record/1")
        assert not shows(blob.decode("latin-1"))
        with pytest.raises(CannotOpen) as caught:
            cipher.open(type(message), blob, "record/2")
        assert not shows("".join(traceback.format_exception(caught.value)))
