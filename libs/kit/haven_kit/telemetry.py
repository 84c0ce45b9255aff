"""Tracing on the OpenTelemetry API, lean enough for hot paths (W3C Trace Context; OpenTelemetry semantic conventions).

No stock instrumentation: the kit opens a span where a request, an event, a statement or a call crosses an edge. An
attribute is an id, a count or a state under a known key; anything else is refused, and an exception leaves only its
type, so that no health information can reach a span.
"""

import re
import socket
import threading
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from contextvars import Token
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_ON,
    Decision,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState
from opentelemetry.util.types import Attributes

from haven_kit import ids
from haven_kit.settings import Settings

SAMPLED: Final = "haven.sampled"
"""The attribute that asks for a root span to be kept whatever the ratio."""

_KEYS: Final = frozenset(
    {
        "rpc.system",
        "rpc.system.name",
        "rpc.service",
        "rpc.method",
        "rpc.grpc.status_code",
        "rpc.response.status_code",
        "server.address",
        "messaging.system",
        "messaging.operation.name",
        "messaging.operation.type",
        "messaging.destination.name",
        "messaging.message.id",
        "messaging.consumer.group.name",
        "messaging.batch.message_count",
        "db.system",
        "db.system.name",
        "db.operation.name",
        "db.collection.name",
        "db.namespace",
        "db.response.status_code",
        "http.request.method",
        "http.route",
        "http.response.status_code",
        "http.response.body.size",
        "url.scheme",
        "error.type",
        "haven.sampled",
        "haven.attempt",
        "haven.attempts",
        "haven.channel",
        "haven.count",
        "haven.duplicate",
        "haven.event",
        "haven.kind",
        "haven.outcome",
        "haven.reaction",
        "haven.role",
        "haven.rule",
        "haven.size",
        "haven.state",
        "haven.step",
        "haven.version",
        "haven.worker",
    }
)
_ID_KEY: Final = re.compile(r"(haven\.)?[a-z_]+_(id|count|number|version|state|ms)")
_WORD: Final = re.compile(r"[\x21-\x7e]{0,200}")
_TRACEPARENT: Final = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")

_KNOWN_FLAGS: Final = 0x03  # sampled, and random trace id

Value = str | int | float | bool


class AttributeRefused(TypeError):
    """A span attribute could carry health information. The message names the key, never its value."""


class _Process:
    """The tracing that is set up in this process; before that, spans are not recorded."""

    tracer: trace.Tracer = trace.NoOpTracer()
    strict: bool = True
    keeps_all: bool = False


_process = _Process()


class Telemetry:
    """The tracing of this process. Close it so that the last spans are sent."""

    def __init__(self, provider: TracerProvider, sender: OTLPSpanExporter | None = None) -> None:
        self._provider = provider
        self._sender = sender

    def flush(self, timeout_seconds: float = 5) -> bool:
        """Send what has ended so far; False where that took too long."""
        return self._within(timeout_seconds, self._provider.force_flush)

    def close(self, timeout_seconds: float = 5) -> bool:
        """Send the last spans and stop; False where a collector that does not answer was given up on."""
        closed = self._within(timeout_seconds, self._provider.shutdown)
        if not closed and self._sender is not None:
            self._sender.shutdown()
        return closed

    @staticmethod
    def _within(timeout_seconds: float, work: Callable[[], object]) -> bool:
        # The SDK's own limits do not hold while the exporter retries.
        thread = threading.Thread(target=work, name="telemetry", daemon=True)
        thread.start()
        thread.join(timeout_seconds)
        return not thread.is_alive()


def setup(settings: Settings, *, exporter: SpanExporter | None = None, always: bool | None = None) -> Telemetry:
    """Start tracing for this process. Spans go to `otlp_endpoint`; without one they are made but not sent.

    `always` keeps every trace whatever its parent says; it is on for crisis. An `exporter` gets each span as it ends.
    """
    keep = settings.service == "crisis" if always is None else always
    provider = TracerProvider(
        resource=Resource.create(
            {
                "service.name": settings.service,
                "service.namespace": "haven",
                "service.version": settings.version,
                "service.instance.id": ids.new_id(),
                "host.name": socket.gethostname(),
                "deployment.environment.name": settings.environment,
            }
        ),
        sampler=ALWAYS_ON if keep else ParentBased(_Root(settings.trace_sample_ratio)),
        shutdown_on_exit=False,
    )
    if exporter is not None:
        provider.add_span_processor(SimpleSpanProcessor(exporter))
    sender = _sender(settings.otlp_endpoint) if settings.otlp_endpoint is not None else None
    if sender is not None:
        # Small batches: encoding holds the interpreter lock, 26 ms for 512 spans against 3 ms for 64.
        provider.add_span_processor(
            BatchSpanProcessor(sender, max_queue_size=8192, max_export_batch_size=64, schedule_delay_millis=500)
        )
    _process.tracer = provider.get_tracer("haven")
    _process.keeps_all = keep
    _process.strict = settings.environment != "production"
    return Telemetry(provider, sender)


def _sender(endpoint: str) -> OTLPSpanExporter:
    return OTLPSpanExporter(endpoint=endpoint, insecure=urlsplit(endpoint).scheme == "http", timeout=5)


class _Root(Sampler):
    """Samples root spans by ratio, and always those that ask for it."""

    def __init__(self, ratio: float) -> None:
        self._ratio = TraceIdRatioBased(ratio)

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        if attributes and attributes.get(SAMPLED):
            return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes, trace_state)
        return self._ratio.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)

    def get_description(self) -> str:
        return f"HavenRoot{{{self._ratio.get_description()}}}"


class Scope:
    """A span that is current inside a `with`. An exception that leaves it marks it failed, by type only."""

    __slots__ = ("_attributes", "_kind", "_links", "_name", "_parent", "_token", "span")

    span: Span

    def __init__(
        self,
        name: str,
        kind: SpanKind,
        parent: Context | None,
        attributes: Mapping[str, Value],
        links: Sequence[Link] = (),
    ) -> None:
        self._name = name
        self._kind = kind
        self._parent = parent
        self._attributes = attributes
        self._links = links
        self._token: Token[Context] | None = None

    def __enter__(self) -> Self:
        parent = self._parent if self._parent is not None else otel_context.get_current()
        inherited = trace.get_current_span(parent)
        context = inherited.get_span_context()
        attributes = checked(self._attributes)
        if context.is_valid and not context.trace_flags.sampled and not _process.keeps_all:
            # Nobody keeps this trace: pass its context on, and spare the work of a span that records nothing.
            self.span = inherited
            self._token = otel_context.attach(parent)
            return self
        self.span = _process.tracer.start_span(
            self._name,
            parent,
            self._kind,
            attributes,
            self._links,
            record_exception=False,
            set_status_on_exception=False,
        )
        self._token = otel_context.attach(trace.set_span_in_context(self.span, parent))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._token is not None:
            otel_context.detach(self._token)
        if not self.span.is_recording():
            return
        if kind is not None:
            self.fail(kind.__name__)
        self.span.end()

    def set(self, **attributes: Value) -> None:
        """Add attributes; `__` in a name stands for a dot: `rpc__method="GetAlert"`."""
        if self.span.is_recording():
            self.span.set_attributes(checked(_dotted(attributes)))

    def event(self, name: str, **attributes: Value) -> None:
        """Note a moment inside the span."""
        if self.span.is_recording():
            self.span.add_event(name, checked(_dotted(attributes)))

    def fail(self, error_type: str) -> None:
        """Mark the span failed, with a stable word for why."""
        self.span.set_status(Status(StatusCode.ERROR))
        self.span.set_attributes(checked({"error.type": error_type}))


def span(name: str, *, sampled: bool = False, **attributes: Value) -> Scope:
    """A span for work in the process. `sampled` keeps its trace where it is the root; `__` in a key means a dot."""
    dotted = _dotted(attributes)
    if sampled:
        dotted[SAMPLED] = True
    return Scope(name, SpanKind.INTERNAL, None, dotted)


def server_span(name: str, carrier: Mapping[str, str], *, sampled: bool = False, **attributes: Value) -> Scope:
    """A span for a request or call that came in, as a child of the trace context in its headers or metadata."""
    dotted = _dotted(attributes)
    if sampled:
        dotted[SAMPLED] = True
    return Scope(name, SpanKind.SERVER, extract(carrier), dotted)


def client_span(name: str, **attributes: Value) -> Scope:
    """A span for a call to another process."""
    return Scope(name, SpanKind.CLIENT, None, _dotted(attributes))


def producer_span(name: str, carrier: Mapping[str, str] | None = None, **attributes: Value) -> Scope:
    """A span for publishing an event; `carrier` is the context it was written in, when that is not the current one."""
    return Scope(name, SpanKind.PRODUCER, extract(carrier) if carrier is not None else None, _dotted(attributes))


def consumer_span(name: str, carrier: Mapping[str, str], **attributes: Value) -> Scope:
    """A span for handling an event, as a child of the context in its headers."""
    return Scope(name, SpanKind.CONSUMER, extract(carrier), _dotted(attributes))


def inject(carrier: MutableMapping[str, str]) -> None:
    """Write the current trace context into headers or metadata."""
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        carrier["traceparent"] = _format(context)
        if context.trace_state:
            carrier["tracestate"] = context.trace_state.to_header()


def extract(carrier: Mapping[str, str]) -> Context:
    """The trace context in headers or metadata with lower-case names; an empty one where it is missing or malformed."""
    found = _TRACEPARENT.fullmatch(carrier.get("traceparent", ""))
    if found is None:
        return Context()
    state = carrier.get("tracestate")
    remote = SpanContext(
        trace_id=int(found[1], 16),
        span_id=int(found[2], 16),
        is_remote=True,
        trace_flags=TraceFlags(int(found[3], 16) & _KNOWN_FLAGS),
        trace_state=TraceState.from_header([state]) if state and len(state) <= 512 else None,
    )
    if not remote.is_valid:
        return Context()
    return trace.set_span_in_context(trace.NonRecordingSpan(remote), Context())


def traceparent() -> str:
    """The current trace context as one header value; empty outside a trace."""
    context = trace.get_current_span().get_span_context()
    return _format(context) if context.is_valid else ""


def trace_id() -> str:
    """The current trace's id as 32 hexadecimal digits; empty outside a trace."""
    context = trace.get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else ""


def _format(context: SpanContext) -> str:
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


def _dotted(attributes: Mapping[str, Value]) -> dict[str, Value]:
    return {key.replace("__", "."): value for key, value in attributes.items()}


def checked(attributes: Mapping[str, Value]) -> dict[str, Value]:
    """The attributes that may stand on a span. Raises AttributeRefused for others; in production they are left out."""
    kept = {}
    for key, value in attributes.items():
        if _permitted(key, value):
            kept[key] = value
        elif _process.strict:
            raise AttributeRefused(f"{key}: not a known key with an id, a number or a state")
    return kept


def _permitted(key: str, value: Value) -> bool:
    if key not in _KEYS and _ID_KEY.fullmatch(key) is None:
        return False
    if isinstance(value, str):
        return _WORD.fullmatch(value) is not None
    return isinstance(value, bool | int | float)
