"""One public method, compiled: everything that is known before a request comes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from google.protobuf import message_factory

from haven_edge.binding import Binding
from haven_edge.fields import has_text
from haven_edge.help import Help
from haven_edge.json_out import writer
from haven_edge.settings import EdgeSettings
from haven_edge.surface import Method

Call = Callable[..., Any]


class Channel(Protocol):
    """The part of a gRPC channel that the gateway uses; calls raise errors of haven_kit.errors."""

    def unary_unary(self, method: str, request_serializer: Any = None, response_deserializer: Any = None) -> Call:
        """A call that gives one answer."""
        ...

    def unary_stream(self, method: str, request_serializer: Any = None, response_deserializer: Any = None) -> Call:
        """A call that gives a stream of answers."""
        ...


class Channels(Protocol):
    """Where the services are: `haven_kit.clients.Clients`."""

    def stub(self, target: str, make: Callable[[Any], Any]) -> Any:
        """What `make` builds on the channel to the target."""
        ...

    def reachable(self) -> dict[str, bool]:
        """Whether each target has a connection."""
        ...

    async def warm(self, timeout_seconds: float = 5) -> None:
        """Connect to every target."""
        ...


class Endpoint:
    """One route and what answers it."""

    __slots__ = (
        "attributes",
        "binding",
        "body_limit",
        "call",
        "for_help",
        "help",
        "media_type",
        "method",
        "pages",
        "repeatable",
        "span_name",
        "takes_etag",
        "tells_etag",
        "write",
    )

    def __init__(self, method: Method, channels: Channels, settings: EdgeSettings, facts: Help) -> None:
        self.method = method
        self.write = writer(method.response)
        self.call: Call = _call(method, channels)
        self.for_help = method.full_name in facts.calls_for_help
        self.binding = Binding(method, settings.json_depth, lenient=self.for_help)
        self.help = facts.for_method(method.full_name)
        self.body_limit = settings.body_bytes_of.get(method.full_name, settings.body_bytes)
        self.takes_etag = has_text(method.request, "etag")
        self.tells_etag = has_text(method.response, "etag")
        self.pages = method.verb == "GET" and has_text(method.response, "next_page_token")
        self.repeatable = method.verb != "GET"
        self.media_type = "text/event-stream" if method.streaming else "application/json"
        self.span_name = f"{method.verb} {method.public_path}"
        self.attributes = {"http__request__method": method.verb, "http__route": method.public_path}


def _call(method: Method, channels: Channels) -> Call:
    channel: Channel = channels.stub(method.service, lambda channel: channel)
    make = channel.unary_stream if method.streaming else channel.unary_unary
    response = message_factory.GetMessageClass(method.response)
    request = message_factory.GetMessageClass(method.request)
    return make(
        method.full_name, request_serializer=request.SerializeToString, response_deserializer=response.FromString
    )
