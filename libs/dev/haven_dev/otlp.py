"""A local OpenTelemetry collector: receives spans, metrics and logs by OTLP over gRPC, keeps them, prints traces."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import grpc
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from haven_dev import ports

NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Span:
    """One span. Ids are hex; times are nanoseconds since 1970."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    service: str
    kind: int
    began: int
    ended: int
    attributes: dict[str, Any] = field(default_factory=dict)
    links: tuple[tuple[str, str], ...] = ()
    """(trace_id, span_id) of each link."""

    @property
    def duration_ms(self) -> float:
        """How long it took."""
        return (self.ended - self.began) / NS_PER_MS


class OtlpReceiver:
    """The collector. What it received is in `spans`, `metrics` and `logs`, and as it came in `everything()`."""

    def __init__(self, *, port: int = 0) -> None:
        self.spans: list[Span] = []
        self.metrics: list[metrics_service_pb2.ExportMetricsServiceRequest] = []
        self.logs: list[logs_service_pb2.ExportLogsServiceRequest] = []
        self.port = port
        self._raw: list[bytes] = []
        self._server: grpc.aio.Server | None = None

    @property
    def endpoint(self) -> str:
        """Where to export to."""
        return f"http://{ports.LOOPBACK}:{self.port}"

    async def start(self) -> None:
        """Serve, on the same port after a stop."""
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(_Traces(self), self._server)
        metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(_Metrics(self), self._server)
        logs_service_pb2_grpc.add_LogsServiceServicer_to_server(_Logs(self), self._server)
        self.port = self._server.add_insecure_port(f"{ports.LOOPBACK}:{ports.free_port(self.port)}")
        await self._server.start()

    async def stop(self) -> None:
        """Stop serving; what was received stays."""
        if self._server is not None:
            await self._server.stop(grace=0.5)
            self._server = None

    def everything(self) -> bytes:
        """Each export request as it came, one after the other."""
        return b"\n".join(self._raw)

    def trace(self, trace_id: str) -> list[Span]:
        """The spans of a trace that have arrived, in order of their beginning."""
        return sorted((span for span in self.spans if span.trace_id == trace_id), key=lambda span: span.began)

    def tree(self, trace_id: str) -> str:
        """A trace as text: each span under its parent, with its service, when it began and how long it took."""
        return "\n".join(render(self.trace(trace_id)))

    def take(self, raw: bytes, spans: Iterable[Span] = ()) -> None:
        """Keep what one export brought."""
        self._raw.append(raw)
        self.spans.extend(spans)


def render(spans: list[Span]) -> list[str]:
    """Lines of a tree. A span whose parent has not arrived stands at the top."""
    if not spans:
        return []
    known = {span.span_id for span in spans}
    children: dict[str, list[Span]] = defaultdict(list)
    for span in spans:
        children[span.parent_id if span.parent_id in known else ""].append(span)
    origin = min(span.began for span in spans)
    lines: list[str] = []

    def add(span: Span, prefix: str, branch: str, below: str) -> None:
        offset = (span.began - origin) / NS_PER_MS
        title = f"{prefix}{branch}{span.name}"
        lines.append(f"{title:<64} {span.service:<12} +{offset:8.1f} ms {span.duration_ms:9.1f} ms")
        following = children[span.span_id]
        for index, child in enumerate(following):
            last = index == len(following) - 1
            add(child, prefix + below, "└─ " if last else "├─ ", "   " if last else "│  ")

    for top in children[""]:
        add(top, "", "", "")
    return lines


class _Traces(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self, receiver: OtlpReceiver) -> None:
        self._receiver = receiver

    async def Export(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802  (the contract's name)
        self._receiver.take(request.SerializeToString(), _spans(request))
        return trace_service_pb2.ExportTraceServiceResponse()


class _Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
    def __init__(self, receiver: OtlpReceiver) -> None:
        self._receiver = receiver

    async def Export(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802  (the contract's name)
        self._receiver.metrics.append(request)
        self._receiver.take(request.SerializeToString())
        return metrics_service_pb2.ExportMetricsServiceResponse()


class _Logs(logs_service_pb2_grpc.LogsServiceServicer):
    def __init__(self, receiver: OtlpReceiver) -> None:
        self._receiver = receiver

    async def Export(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802  (the contract's name)
        self._receiver.logs.append(request)
        self._receiver.take(request.SerializeToString())
        return logs_service_pb2.ExportLogsServiceResponse()


def _spans(request: trace_service_pb2.ExportTraceServiceRequest) -> Iterable[Span]:
    for resource in request.resource_spans:
        service = str(_attributes(resource.resource.attributes).get("service.name", ""))
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Span(
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.parent_span_id.hex(),
                    span.name,
                    service,
                    span.kind,
                    span.start_time_unix_nano,
                    span.end_time_unix_nano,
                    _attributes(span.attributes),
                    tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
                )


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    if kind == "kvlist_value":
        return _attributes(value.kvlist_value.values)
    return getattr(value, kind) if kind else None
