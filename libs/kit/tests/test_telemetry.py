"""Traces: one context over every edge, kept by ratio or always, and nothing in a span but ids, counts and states."""

import asyncio
import time
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, get_current_span

from haven_kit import telemetry
from haven_kit.settings import Settings
from haven_kit.telemetry import AttributeRefused

PARENT = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
UNSAMPLED = PARENT[:-1] + "0"


def make_settings(service: str = "intake", ratio: float = 1.0, **more: Any) -> Settings:
    given_ = {"environment": "test", "version": "1.2.3", "otlp_endpoint": None, **more}
    return Settings.model_construct(service=service, trace_sample_ratio=ratio, **given_)


class Recorder:
    """Tracing set up anew, and the spans that ended."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()

    def use(self, settings: Settings) -> None:
        telemetry.setup(settings, exporter=self._exporter)

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self._exporter.get_finished_spans()

    def one(self) -> ReadableSpan:
        (span,) = self.spans
        return span


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    recorder = Recorder()
    recorder.use(make_settings())
    yield recorder
    telemetry.setup(make_settings(ratio=0))


def test_a_process_says_which_it_is(recorder: Recorder) -> None:
    with telemetry.span("work"):
        assert telemetry.trace_id()
    resource = recorder.one().resource.attributes
    assert (resource["service.name"], resource["service.version"]) == ("intake", "1.2.3")
    assert resource["service.instance.id"]


def test_a_span_continues_the_context_that_came_in(recorder: Recorder) -> None:
    with telemetry.server_span("/x/Get", {"traceparent": PARENT}, rpc__system="grpc") as scope:
        assert telemetry.trace_id() == "a" * 32
        with telemetry.client_span("call"):
            carrier: dict[str, str] = {}
            telemetry.inject(carrier)
            assert carrier["traceparent"] == telemetry.traceparent()
        scope.set(rpc__response__status_code=0)
        scope.event("row.locked", haven__count=2)
    call, served = recorder.spans
    assert served.kind is SpanKind.SERVER
    assert served.parent is not None
    assert f"{served.parent.span_id:016x}" == "b" * 16
    assert served.attributes == {"rpc.system": "grpc", "rpc.response.status_code": 0}
    assert [event.name for event in served.events] == ["row.locked"]
    assert served.context is not None
    assert call.parent is not None
    assert call.parent.span_id == served.context.span_id
    assert carrier["traceparent"].split("-")[1] == "a" * 32
    assert not get_current_span().get_span_context().is_valid


def test_an_event_is_published_and_handled_in_the_trace_it_was_written_in(recorder: Recorder) -> None:
    with telemetry.span("command"):
        written = {"traceparent": telemetry.traceparent()}
    with telemetry.producer_span("publish", written):
        sent: dict[str, str] = {}
        telemetry.inject(sent)
    with telemetry.consumer_span("react", sent):
        assert telemetry.trace_id() == written["traceparent"].split("-")[1]
    assert [span.kind for span in recorder.spans] == [SpanKind.INTERNAL, SpanKind.PRODUCER, SpanKind.CONSUMER]


@given(st.one_of(st.text(), st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", fullmatch=True)))
def test_whatever_comes_in_extraction_does_not_fail(header: str) -> None:
    context = get_current_span(telemetry.extract({"traceparent": header})).get_span_context()
    if context.is_valid:
        assert header.startswith(f"00-{context.trace_id:032x}-{context.span_id:016x}-")


@pytest.mark.parametrize(
    "header", ["", "00-" + "0" * 32 + "-" + "b" * 16 + "-01", "00-" + "a" * 32 + "-" + "0" * 16 + "-01", PARENT.upper()]
)
def test_a_malformed_context_begins_a_new_trace(recorder: Recorder, header: str) -> None:
    with telemetry.server_span("/x/Get", {"traceparent": header}):
        assert telemetry.trace_id() not in ("", "a" * 32, "0" * 32)
    assert recorder.one().parent is None


def test_vendor_state_is_carried(recorder: Recorder) -> None:
    with telemetry.server_span("/x/Get", {"traceparent": PARENT, "tracestate": "v=1"}):
        carrier: dict[str, str] = {}
        telemetry.inject(carrier)
    assert carrier["tracestate"] == "v=1"


def test_outside_a_trace_there_is_nothing_to_carry() -> None:
    carrier: dict[str, str] = {}
    telemetry.inject(carrier)
    assert (carrier, telemetry.traceparent(), telemetry.trace_id()) == ({}, "", "")


@pytest.mark.parametrize(
    ("service", "ratio", "header", "sampled", "kept"),
    [
        ("intake", 0, "", False, False),
        ("intake", 1, "", False, True),
        ("intake", 0, "", True, True),
        ("intake", 0, PARENT, False, True),
        ("intake", 1, UNSAMPLED, False, False),
        ("crisis", 0, "", False, True),
        ("crisis", 0, UNSAMPLED, False, True),
    ],
)
def test_which_traces_are_kept(
    recorder: Recorder, service: str, ratio: float, header: str, sampled: bool, kept: bool
) -> None:
    recorder.use(make_settings(service, ratio))
    with telemetry.server_span("/x/Get", {"traceparent": header}, sampled=sampled):
        assert int(telemetry.traceparent()[-2:], 16) & 1 == kept
    assert len(recorder.spans) == (1 if kept else 0)


def test_a_trace_that_nobody_keeps_is_passed_on_under_its_own_id(recorder: Recorder) -> None:
    with telemetry.server_span("/x/Get", {"traceparent": UNSAMPLED}), telemetry.client_span("call"):
        assert telemetry.traceparent() == UNSAMPLED
    recorder.use(make_settings(ratio=0))
    with telemetry.span("root"):
        own = telemetry.traceparent()
        with telemetry.span("child") as child:
            assert telemetry.traceparent() == own
            child.set(haven__count=1)
            child.fail("refused")
        assert telemetry.traceparent() == own
    assert telemetry.traceparent() == ""
    assert recorder.spans == ()


def test_an_exception_leaves_its_type_only(recorder: Recorder) -> None:
    with pytest.raises(ValueError, match="canary"), telemetry.span("work"):
        raise ValueError("canary of Jo")
    span = recorder.one()
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes == {"error.type": "ValueError"}
    assert "canary" not in span.to_json()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("note", "x"),
        ("db__statement", "SELECT"),
        ("db__query__text", "SELECT"),
        ("http__target", "/v1?x"),
        ("url__full", "https://x"),
        ("exception__message", "x"),
        ("person_id", "Jo Doe"),
        ("person_id", "x" * 201),
        ("person_id", StringValue(value="canary")),
        ("person_id", b"canary"),
        ("person_id", ["canary"]),
        ("haven__state", "in crisis since noon"),
    ],
)
def test_attributes_that_could_carry_health_information_are_refused(recorder: Recorder, key: str, value: Any) -> None:
    with pytest.raises(AttributeRefused, match=key.replace("__", ".")) as caught:
        telemetry.span("work", **{key: value}).__enter__()
    assert "canary" not in str(caught.value)
    with telemetry.span("work") as scope:
        for refuse in (scope.set, lambda **given_: scope.event("x", **given_)):
            with pytest.raises(AttributeRefused):
                refuse(**{key: value})
    recorder.use(make_settings(environment="production"))
    with telemetry.span("in-production", person_id="p-1", **({} if key == "person_id" else {key: value})) as scope:
        scope.set(**{key: value})
    assert recorder.spans[-1].attributes == {"person_id": "p-1"}


def test_ids_counts_and_states_are_taken(recorder: Recorder) -> None:
    with telemetry.span("work", alert_id="a-1", page_count=3, haven__state="open", haven__duplicate=True):
        assert telemetry.trace_id()
    assert recorder.one().attributes == {
        "alert_id": "a-1",
        "page_count": 3,
        "haven.state": "open",
        "haven.duplicate": True,
    }


async def test_tasks_of_a_span_are_in_its_trace_and_others_are_not(recorder: Recorder) -> None:
    async def inner() -> str:
        await asyncio.sleep(0)
        return telemetry.trace_id()

    outside = asyncio.create_task(inner())
    with telemetry.span("work"):
        inside = asyncio.create_task(inner())
        here = telemetry.trace_id()
    assert await inside == here
    assert await outside == ""
    assert len(recorder.spans) == 1


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """An OTLP collector."""

    def __init__(self) -> None:
        self.requests: list[trace_service_pb2.ExportTraceServiceRequest] = []

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 the generated name
        self.requests.append(request)
        return trace_service_pb2.ExportTraceServiceResponse()


def test_spans_reach_a_collector_in_small_batches_and_none_is_lost_at_the_end() -> None:
    collector = Collector()
    server = grpc.server(futures.ThreadPoolExecutor(2))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    running = telemetry.setup(make_settings(otlp_endpoint=f"http://127.0.0.1:{port}"))
    for number in range(150):
        with telemetry.span("work", step_number=number):
            telemetry.traceparent()
    running.close()
    server.stop(None)
    sizes = [
        len(scope.spans) for each in collector.requests for one in each.resource_spans for scope in one.scope_spans
    ]
    assert sum(sizes) == 150
    assert max(sizes) <= 64


def test_a_collector_that_is_down_does_not_hold_up_the_end() -> None:
    running = telemetry.setup(make_settings(otlp_endpoint="http://127.0.0.1:1"))
    for number in range(300):
        with telemetry.span("work", step_number=number):
            telemetry.traceparent()
    began = time.monotonic()
    assert running.flush(0.2) is False
    assert running.close(0.2) is False
    assert time.monotonic() - began < 5
