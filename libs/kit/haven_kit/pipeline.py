"""What stands between a gRPC call and the method that answers it, in one pass:

telemetry → errors → deadline → identity → access → validation → idempotency → transaction → method → audit → commit.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, cast

import asyncpg
import grpc
import protovalidate
from google.protobuf.message import DecodeError, Message

from haven_kit import errors, identity, logs, metrics, telemetry
from haven_kit.call import Call
from haven_kit.cipher import Cipher
from haven_kit.clients import current_deadline, current_token
from haven_kit.contract import Method
from haven_kit.database import RETRYABLE, Database, Tx
from haven_kit.identity import Principal, TokenVerifier
from haven_kit.tls import peer_service

TRIES = 3
"""How often a transaction is run when the database asks for it to be run again."""
IDEMPOTENCY_KEY = "idempotency-key"
MAX_KEY_LENGTH = 128
_NO_NUL = "must not contain the character U+0000"
_log = logs.get(__name__)

Context = grpc.aio.ServicerContext[Any, Any]


class Pipeline:
    """Answers the RPCs of one service's process."""

    def __init__(
        self,
        *,
        database: Database,
        verifier: TokenVerifier,
        cipher: Cipher,
        callers: frozenset[str],
        default_deadline: float,
    ) -> None:
        self._database = database
        self._verifier = verifier
        self._cipher = cipher
        self._callers = callers
        self._default_deadline = default_deadline
        self.draining = asyncio.Event()

    def unary(self, method: Method, answer: Callable[..., Any]) -> Callable[[Message, Context], Any]:
        """The handler of a unary RPC."""
        own = bool(getattr(answer, "own_transactions", False))

        async def handle(request: Message, context: Context) -> Message:
            began = time.perf_counter()
            metadata = _metadata(context)
            failure: errors.HavenError
            with telemetry.server_span(method.full_name, metadata, rpc__system="grpc") as span:
                seconds = self._seconds(context)
                current_deadline.set(time.monotonic() + seconds)
                limit = asyncio.timeout(seconds)
                try:
                    async with limit:
                        call = await self._admit(method, request, metadata, context)
                        if own:
                            response = cast(Message, await answer(call, request))
                        else:
                            key = metadata.get(IDEMPOTENCY_KEY, "")
                            response = await self._answer(call, request, answer, key)
                    metrics.RPC_SECONDS.labels(method.full_name, "OK").observe(time.perf_counter() - began)
                    return response
                except Exception as error:  # noqa: BLE001 - the edge, where every exception becomes an answer
                    expired = isinstance(error, TimeoutError) and limit.expired()
                    failure = _told(error, expired, method)
                    span.fail(failure.reason)
                    status = errors.to_status(failure, telemetry.trace_id())
            metrics.RPC_SECONDS.labels(method.full_name, failure.code.name).observe(time.perf_counter() - began)
            return await _abort(context, failure, status.SerializeToString())

        return handle

    def stream(self, method: Method, answer: Callable[..., AsyncIterator[Message]]) -> Callable[..., Any]:
        """The handler of a server-streaming RPC. It ends with Unavailable when the process drains."""

        async def handle(request: Message, context: Context) -> AsyncIterator[Message]:
            metadata = _metadata(context)
            try:
                with telemetry.server_span(method.full_name, metadata, rpc__system="grpc"):
                    call = await self._admit(method, request, metadata, context)
                async for message in self._until_drained(answer(call, request)):
                    yield message
                return
            except Exception as error:  # noqa: BLE001 - the edge, where every exception becomes an answer
                failure = _told(error, False, method)
                status = errors.to_status(failure, telemetry.trace_id())
            await _abort(context, failure, status.SerializeToString())

        return handle

    async def _until_drained(self, messages: AsyncIterator[Message]) -> AsyncIterator[Message]:
        drained = asyncio.ensure_future(self.draining.wait())
        following: asyncio.Future[Message] | None = None
        try:
            while True:
                following = asyncio.ensure_future(anext(messages))
                await asyncio.wait({following, drained}, return_when=asyncio.FIRST_COMPLETED)
                if not following.done():
                    raise errors.Unavailable("This server")
                try:
                    yield following.result()
                except StopAsyncIteration:
                    return
        finally:
            drained.cancel()
            if following is not None and not following.done():
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)
            await messages.aclose()  # type: ignore[attr-defined]

    def _seconds(self, context: Context) -> float:
        remaining = cast("float | None", context.time_remaining())
        return self._default_deadline if remaining is None else min(remaining, self._default_deadline)

    async def _admit(self, method: Method, request: Message, metadata: dict[str, str], context: Context) -> Call:
        principal = await self._identify(metadata, context)
        authorize(method, principal)
        validate(request)
        return Call(method, principal, self._database, metadata.get(IDEMPOTENCY_KEY, ""))

    async def _identify(self, metadata: dict[str, str], context: Context) -> Principal:
        peer = peer_service(context)
        if peer is None or peer not in self._callers:
            raise errors.Denied("This service does not accept calls from that one.")
        scheme, _, token = metadata.get("authorization", "").partition(" ")
        if not token:
            current_token.set(None)
            return identity.service(peer)
        if scheme.lower() != "bearer":
            raise errors.Unauthenticated("The authorization must be a bearer token.")
        principal = await self._verifier.verify(token)
        current_token.set(token)
        return replace(principal, service=peer)

    async def _answer(self, call: Call, request: Message, answer: Callable[..., Any], key: str) -> Message:
        for attempt in range(1, TRIES + 1):
            try:
                return await self._in_transaction(call, request, answer, key)
            except RETRYABLE:
                if attempt == TRIES:
                    raise errors.Overloaded(0.5, "Others are changing the same record. Please try again.") from None
            except asyncpg.UniqueViolationError as error:
                # The same key, at the same moment, on another connection: the next round finds its answer.
                if error.table_name != "idempotency" or attempt == TRIES:
                    raise
        raise errors.Internal

    async def _in_transaction(self, call: Call, request: Message, answer: Callable[..., Any], key: str) -> Message:
        method = call.method
        async with self._database.transaction(call.principal) as tx:
            call.begin(tx)
            digest = b""
            if key:
                digest = request_hash(request, key)
                if (known := await self._known(tx, method, key, digest)) is not None:
                    return known
            response = cast(Message, await answer(call, request))
            self._account(call, request, tx)
            if key:
                sealed = self._cipher.seal(response, context=_context(call.principal, method, key))
                tx.remember(method.full_name, key, digest, sealed)
        return response

    async def _known(self, tx: Tx, method: Method, key: str, digest: bytes) -> Message | None:
        row = await tx.read_one(
            "SELECT request_hash, response FROM idempotency WHERE principal_id = $1 AND method = $2 AND key = $3",
            tx.principal.id,
            method.full_name,
            key,
        )
        if row is None:
            return None
        if row["request_hash"] != digest:
            raise errors.Conflict("idempotency_key_reused", "This idempotency key was used for a different request.")
        return self._cipher.open(method.response, row["response"], context=_context(tx.principal, method, key))

    def _account(self, call: Call, request: Message, tx: Tx) -> None:
        """Write the audit entry. A method with health information that names nobody's record does not get out."""
        if not call.audited_or_about and "person_id" in request.DESCRIPTOR.fields_by_name:
            call.about(request.person_id)  # type: ignore[attr-defined]
        if call.method.carries_phi and not call.audited_or_about:
            raise TypeError(f"{call.method.full_name} did not say whose record it showed")
        call.write_audit(tx)


def authorize(method: Method, principal: Principal) -> None:
    """The access rule of the contract. Raises Unauthenticated where signing in could help, otherwise Denied."""
    if principal.service in method.access.services or not principal.roles.isdisjoint(method.access.roles):
        return
    if principal.is_service and method.access.roles:
        raise errors.Unauthenticated("Please sign in.")
    raise errors.Denied("Your role does not allow this.")


def readable(request: type[Message]) -> Callable[[bytes], Message | None]:
    """Reads a request from its bytes; None for bytes that are none, so that the pipeline answers and not gRPC."""

    def read(data: bytes) -> Message | None:
        try:
            return request.FromString(data)
        except DecodeError:
            return None

    return read


def validate(request: Message | None) -> None:
    """The validation rules of the contract. Raises Invalid with every violation."""
    if request is None:
        raise errors.Invalid("request", "message.format", "these bytes are not a message of this call")
    # A text with U+0000 cannot be kept by PostgreSQL. The zero byte may also be a number's: then the fields tell.
    if b"\0" in request.SerializeToString() and (fields := tuple(_with_nul(request))):
        raise errors.Invalid.all(errors.Violation(each, "string.no_nul", _NO_NUL) for each in fields)
    if found := protovalidate.collect_violations(request):
        raise errors.Invalid.all(violation_of(each) for each in found)


def _with_nul(message: Message, path: str = "") -> Iterator[str]:
    """Paths of the texts that hold U+0000."""
    for field, value in message.ListFields():
        name = path + field.name
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            values: Iterable[Any] = (each for pair in value.items() for each in pair)
        else:
            values = value if field.is_repeated else (value,)
        for each in values:
            if isinstance(each, Message):
                yield from _with_nul(each, f"{name}.")
            elif isinstance(each, str) and "\0" in each:
                yield name


def violation_of(found: protovalidate.Violation) -> errors.Violation:
    """A violation in our own words: the field's path ("steps[1].wait"), the rule, and a sentence without the value."""
    elements = found.proto.field.elements if found.proto.field else ()
    # What a map has something under may be a value, and is not told.
    places = [each.subscript.value if each.subscript and each.subscript.field == "index" else None for each in elements]
    path = ".".join(
        each.field_name if place is None else f"{each.field_name}[{place}]"
        for each, place in zip(elements, places, strict=True)
    )
    rule = found.proto.rule_id or "invalid"
    return errors.Violation(path or "request", rule, found.proto.message or f"breaks the rule {rule}")


def request_hash(request: Message, key: str) -> bytes:
    """What makes two requests with one idempotency key the same. Raises Invalid for a key that cannot be one."""
    if len(key) > MAX_KEY_LENGTH or not key.isascii() or not key.isprintable():
        raise errors.Invalid("idempotency-key", "idempotency_key.format", "must be 1 to 128 visible ASCII characters")
    return hashlib.sha256(request.SerializeToString(deterministic=True)).digest()


def _context(principal: Principal, method: Method, key: str) -> str:
    return f"idempotency/{principal.id}{method.full_name}/{key}"


def _metadata(context: Context) -> dict[str, str]:
    return {str(key): value for key, value in context.invocation_metadata() or () if isinstance(value, str)}


def _told(error: Exception, expired: bool, method: Method) -> errors.HavenError:
    """The one place where an exception becomes an answer."""
    if isinstance(error, errors.Internal) or not isinstance(error, errors.HavenError):
        if expired:
            return errors.DeadlineExceeded("The call took longer than its deadline.")
        _log.exception("rpc.failed", method=method.full_name)
        return errors.Internal()
    return error


async def _abort(context: Context, failure: errors.HavenError, details: bytes) -> Message:
    metadata = ((errors.STATUS_DETAILS_KEY, details),)
    await context.abort(failure.code, failure.message, trailing_metadata=metadata)
    raise AssertionError("abort always raises")
