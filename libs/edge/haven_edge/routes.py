"""Answers every public method: one route in front, the descriptors behind it, no handler per call."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import orjson
from prometheus_client import Histogram
from starlette.routing import BaseRoute, Match

from haven_edge.conditions import apply_if_match, check_accept, idempotency_key, link_to_next, not_modified
from haven_edge.endpoints import Channels, Endpoint
from haven_edge.exchange import ClientGone, Exchange, Header, Receive, Scope, Send
from haven_edge.help import Help
from haven_edge.limits import Limits
from haven_edge.problems import Problem, encode, from_error
from haven_edge.router import Router
from haven_edge.settings import EdgeSettings
from haven_edge.streams import Streams
from haven_edge.surface import Surface
from haven_kit import ids, logs, telemetry
from haven_kit.clients import IDEMPOTENCY_KEY
from haven_kit.errors import HavenError, Unauthenticated
from haven_kit.identity import Principal, TokenVerifier

PREFIX = "/v1/"
WATCH_AFTER_SECONDS = 0.05
"""A call that runs longer is given up when its client leaves."""

HTTP_SECONDS = Histogram(
    "haven_http_server_seconds",
    "Time to answer a request.",
    ("route", "status"),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
_JSON: tuple[Header, ...] = ((b"content-type", b"application/json"),)
_log = logs.get(__name__)


class Api(BaseRoute):
    """The route that answers everything under /v1."""

    def __init__(
        self,
        surface: Surface,
        channels: Channels,
        verifier: TokenVerifier,
        settings: EdgeSettings,
        *,
        limits: Limits | None = None,
    ) -> None:
        self._settings = settings
        self._verifier = verifier
        self._limits = limits or Limits(settings)
        self.streams = Streams(settings)
        self._router: Router[Endpoint] = Router()
        facts = Help.load()
        for method in surface.methods:
            endpoint = Endpoint(method, channels, settings, facts)
            self._router.add(method.verb, method.path, endpoint)
            if method.verb == "GET" and not method.streaming:
                self._router.add("HEAD", method.path, endpoint)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Everything under /v1 is answered here, if only with a problem."""
        ours = scope["type"] == "http" and scope["path"].startswith(PREFIX)
        return (Match.FULL if ours else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        exchange = Exchange(scope, receive, send)
        raw_path: bytes = scope.get("raw_path") or scope["path"].encode("latin-1", "replace")
        try:
            if len(raw_path) + len(exchange.query) > self._settings.address_bytes:
                raise Problem("address_too_long")
            endpoint, parameters = self._router.find(scope["method"], raw_path)
        except Problem as problem:
            await exchange.answer(problem.status, problem.headers(), encode(problem, ""))
            return
        began = time.perf_counter()
        status = await self._traced(endpoint, exchange, raw_path, parameters)
        HTTP_SECONDS.labels(endpoint.span_name, str(status)).observe(time.perf_counter() - began)

    async def _traced(self, endpoint: Endpoint, exchange: Exchange, raw_path: bytes, parameters: list[str]) -> int:
        carrier = {"traceparent": exchange.text(b"traceparent"), "tracestate": exchange.text(b"tracestate")}
        with telemetry.server_span(
            endpoint.span_name, carrier, sampled=endpoint.for_help, **endpoint.attributes
        ) as span:
            trace_id = telemetry.trace_id()
            exchange.extra.append((b"traceparent", telemetry.traceparent().encode()))
            exchange.extra.append((b"x-request-id", trace_id.encode()))
            try:
                status = await self._admitted(endpoint, exchange, raw_path, parameters)
            except ClientGone:
                status = 499
            except Exception as error:  # noqa: BLE001 - the edge: whatever it is becomes a problem
                problem = _problem_of(error, endpoint)
                status = problem.status
                if not exchange.started:
                    body = encode(problem, trace_id, endpoint.help)
                    await exchange.answer(status, problem.headers(), body)
            if status >= 500:
                span.fail(str(status))
            span.set(http__response__status_code=status)
            return status

    async def _admitted(self, endpoint: Endpoint, exchange: Exchange, raw_path: bytes, parameters: list[str]) -> int:
        principal = await self._identify(exchange, endpoint.for_help)
        stream = endpoint.method.streaming
        with self._limits.running(principal.id, for_help=endpoint.for_help, stream=stream):
            if principal.roles.isdisjoint(endpoint.method.roles):
                raise Problem("denied")
            if not endpoint.for_help:  # nobody is refused help for the form of the request
                check_accept(exchange, endpoint.media_type)
            body = await self._body(endpoint, exchange)
            message = endpoint.binding.message(parameters, exchange.query, body)
            apply_if_match(exchange, message, endpoint.takes_etag)
            metadata = self._metadata(endpoint, exchange, principal)
            if stream:
                return await self.streams.answer(endpoint, exchange, message, metadata)
            response = await self._call(endpoint, exchange, message, metadata)
            return await _reply(endpoint, exchange, raw_path, response)

    async def _identify(self, exchange: Exchange, for_help: bool) -> Principal:
        """Who asks. Raises Unauthenticated, or Problem 429 where too much without a good token came from the address.

        What has one never counts against its address: all clients may share a proxy's, and no stranger shuts them out.
        """
        try:
            return await self._verified(exchange)
        except Unauthenticated as error:
            if error.reason != "token_expired":  # it was a good one: its holder is told to sign in again
                self._limits.admit_address(exchange.client, for_help)
            raise

    async def _verified(self, exchange: Exchange) -> Principal:
        scheme, _, token = exchange.text(b"authorization").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated("Please sign in.", reason="token_missing")
        return await self._verifier.verify(token)

    async def _body(self, endpoint: Endpoint, exchange: Exchange) -> bytes:
        if not endpoint.binding.takes_body:
            declared = exchange.headers.get(b"content-length", b"0")
            if declared != b"0" or b"transfer-encoding" in exchange.headers:
                raise Problem("malformed", "This call takes no body.")
        body = await exchange.body(endpoint.body_limit, self._settings.body_seconds)
        if body and not endpoint.for_help:
            exchange.check_type()
        return body

    @staticmethod
    def _metadata(endpoint: Endpoint, exchange: Exchange, principal: Principal) -> list[tuple[str, str]]:
        metadata = [("authorization", f"Bearer {principal.token}")]
        if endpoint.repeatable:
            key = _key_for_help(exchange) if endpoint.for_help else idempotency_key(exchange)
            if key:
                metadata.append((IDEMPOTENCY_KEY, key))
        return metadata

    async def _call(self, endpoint: Endpoint, exchange: Exchange, message: Any, metadata: list[tuple[str, str]]) -> Any:
        """The service's answer. When the client leaves, the call is cancelled, unless it is a call for help."""
        if endpoint.for_help:
            return await endpoint.call(message, metadata=metadata)
        loop = asyncio.get_running_loop()
        caller = asyncio.current_task()
        watcher: asyncio.Task[None] | None = None
        gone = False

        async def watch() -> None:
            nonlocal gone
            await exchange.gone()
            gone = True
            if caller is not None:
                caller.cancel()

        def start_watching() -> None:
            nonlocal watcher
            watcher = loop.create_task(watch())

        timer = loop.call_later(WATCH_AFTER_SECONDS, start_watching)
        try:
            return await endpoint.call(message, metadata=metadata)
        except asyncio.CancelledError:
            if gone and caller is not None and not caller.uncancel():
                raise ClientGone from None
            raise
        finally:
            timer.cancel()
            if watcher is not None:
                watcher.cancel()


def _key_for_help(exchange: Exchange) -> str:
    """The client's key, or one of ours where it has no good one: so the call can be sent again."""
    try:
        return idempotency_key(exchange) or ids.new_id()
    except Problem:
        return ids.new_id()


async def _reply(endpoint: Endpoint, exchange: Exchange, raw_path: bytes, response: Any) -> int:
    headers = list(_JSON)
    if endpoint.tells_etag and response.etag:
        headers.append((b"etag", f'"{response.etag}"'.encode()))
        if not endpoint.repeatable and not_modified(exchange, response.etag):
            await exchange.answer(304, headers[1:], b"")
            return 304
    if endpoint.pages and response.next_page_token:
        headers.append(link_to_next(raw_path.decode("ascii"), exchange.query, response.next_page_token))
    await exchange.answer(200, headers, orjson.dumps(endpoint.write(response)))
    return 200


def _problem_of(error: Exception, endpoint: Endpoint) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, HavenError):
        return from_error(error)
    _log.exception("request.failed", route=endpoint.method.full_name)
    return Problem("internal")
