"""Errors as problem details (RFC 9457): what a client may know, and nothing that it sent."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import orjson

from haven_edge.scalars import BadInput, Finding
from haven_edge.surface import camel
from haven_kit.errors import HavenError

CONTENT_TYPE = b"application/problem+json"
TYPES = "/problems/"
"""Where the `type` of a problem points: a page in plain words, served by the gateway itself."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A stable kind of problem."""

    status: int
    title: str
    advice: str
    """What a developer can do about it, in a sentence. Its page tells it."""
    told: str = ""
    """What a person reads where nothing says more; the advice, where that is for anybody."""


KINDS: dict[str, Kind] = {
    "invalid": Kind(400, "Invalid request", "Correct the fields named in `violations` and send the request again."),
    "malformed": Kind(400, "Malformed request", "Send well-formed JSON in UTF-8."),
    "unauthenticated": Kind(401, "Not signed in", "Sign in again and send the new token."),
    "denied": Kind(403, "Not permitted", "The roles of this account do not permit the call."),
    "not_found": Kind(404, "Not found", "There is no such thing, or it is not visible to this account."),
    "method_not_allowed": Kind(405, "Method not allowed", "Use one of the methods in the `Allow` header."),
    "not_acceptable": Kind(406, "Not acceptable", "Accept the media type that the API reference names."),
    "slow_request": Kind(408, "Request too slow", "Send the request again, faster."),
    "conflict": Kind(409, "Conflict", "It exists already, or something stands in its way. `rule` names what."),
    "refused": Kind(409, "Not possible now", "The state of the record does not allow this now. `rule` names the rule."),
    "stale": Kind(412, "Changed meanwhile", "Read the resource again and repeat the change with its new ETag."),
    "too_large": Kind(413, "Too large", "Send less at once."),
    "address_too_long": Kind(414, "Address too long", "Shorten the query."),
    "unsupported_media_type": Kind(415, "Unsupported media type", "Send `application/json`."),
    "key_reused": Kind(422, "Idempotency key reused", "Use a new Idempotency-Key for a different request."),
    "too_many_requests": Kind(429, "Too many requests", "Wait as long as `Retry-After` says."),
    "headers_too_large": Kind(431, "Headers too large", "Send fewer or shorter headers."),
    "cancelled": Kind(499, "Cancelled", "The request was given up before it was answered."),
    "internal": Kind(
        500,
        "Something went wrong",
        "Repeat with the same Idempotency-Key. The trace id finds the cause.",
        "Something went wrong on our side. Try again.",
    ),
    "unimplemented": Kind(501, "Not available", "This release does not answer the call."),
    "unavailable": Kind(503, "Not reachable at the moment", "Wait as long as `Retry-After` says and repeat."),
    "timeout": Kind(
        504,
        "Not answered in time",
        "Repeat with the same Idempotency-Key.",
        "It was not answered in time. Look whether it was done, then try again.",
    ),
}

_BY_CODE = {
    grpc.StatusCode.INVALID_ARGUMENT: "invalid",
    grpc.StatusCode.OUT_OF_RANGE: "invalid",
    grpc.StatusCode.UNAUTHENTICATED: "unauthenticated",
    grpc.StatusCode.PERMISSION_DENIED: "denied",
    grpc.StatusCode.NOT_FOUND: "not_found",
    grpc.StatusCode.ALREADY_EXISTS: "conflict",
    grpc.StatusCode.FAILED_PRECONDITION: "refused",
    grpc.StatusCode.ABORTED: "conflict",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "too_many_requests",
    grpc.StatusCode.UNAVAILABLE: "unavailable",
    grpc.StatusCode.DEADLINE_EXCEEDED: "timeout",
    grpc.StatusCode.CANCELLED: "cancelled",
    grpc.StatusCode.UNIMPLEMENTED: "unimplemented",
}
_BY_REASON = {"stale_etag": "stale", "idempotency_key_reused": "key_reused"}
_DEFAULT_RETRY = {"too_many_requests": 1.0, "unavailable": 1.0}


class Problem(Exception):
    """A request that is answered with a problem. `kind` is a key of KINDS."""

    def __init__(
        self,
        kind: str,
        detail: str = "",
        *,
        rule: str = "",
        violations: Sequence[Finding] = (),
        retry_after: float | None = None,
        headers: Iterable[tuple[bytes, bytes]] = (),
    ) -> None:
        super().__init__(kind)
        self.kind = kind
        self.status = KINDS[kind].status
        self.detail = detail or KINDS[kind].told or KINDS[kind].advice
        self.rule = rule
        self.violations = violations
        self.retry_after = retry_after if retry_after is not None else _DEFAULT_RETRY.get(kind)
        self.extra_headers = tuple(headers)

    def body(self, trace_id: str, help_now: dict[str, Any] | None = None) -> dict[str, Any]:
        """The problem as JSON. `help_now` says how to get help where the call was one for help."""
        body: dict[str, Any] = {
            "type": TYPES + self.kind.replace("_", "-"),
            "title": KINDS[self.kind].title,
            "status": self.status,
            "detail": self.detail,
        }
        if self.rule:
            body["rule"] = self.rule
        if trace_id:
            body["trace_id"] = trace_id
        if self.violations:
            body["violations"] = [{"field": v.field, "rule": v.rule, "message": v.message} for v in self.violations]
        if help_now is not None:
            body["help"] = help_now
        return body

    def headers(self) -> list[tuple[bytes, bytes]]:
        """The headers that belong to the problem, its content type among them."""
        headers = [(b"content-type", CONTENT_TYPE), *self.extra_headers]
        if self.retry_after is not None:
            headers.append((b"retry-after", str(max(1, math.ceil(self.retry_after))).encode()))
        if self.status == 401:
            headers.append((b"www-authenticate", b'Bearer realm="haven"'))
        return headers


def encode(problem: Problem, trace_id: str, help_now: dict[str, Any] | None = None) -> bytes:
    """The bytes of a problem's body."""
    return orjson.dumps(problem.body(trace_id, help_now))


def not_found() -> Problem:
    """No route answers this address."""
    return Problem("not_found", "There is nothing at this address.")


def bad_input(bad: BadInput) -> Problem:
    """Input that cannot be read as the request."""
    return Problem("invalid", _summary(bad.findings), violations=bad.findings)


def violation(field: str, rule: str, message: str) -> Problem:
    """One rule that one field, header or parameter broke."""
    return Problem("invalid", f"{field}: {message}.", violations=(Finding(field, rule, message),))


def _summary(findings: Sequence[Finding]) -> str:
    if len(findings) == 1:
        return f"{findings[0].field or 'The body'}: {findings[0].message}."
    return f"{len(findings)} fields need another look."


def from_error(error: HavenError) -> Problem:
    """An error of the family as a problem. Of our own mistakes nothing is told but the trace id."""
    kind = _BY_REASON.get(error.reason) or _BY_CODE.get(error.code, "internal")
    status = KINDS[kind].status
    return Problem(
        kind,
        error.message if status < 500 or status == 503 else "",
        rule=error.reason if status in (401, 409) else "",
        violations=[Finding(_public(v.field), v.rule, v.message) for v in error.violations] if status < 500 else (),
        retry_after=error.retry_after,
    )


def _public(path: str) -> str:
    """A field path in public (camel) case; what stands in brackets, an index or a key, stays unless it is a key."""
    parts = []
    for part in path.split("."):
        name, bracket, rest = part.partition("[")
        index = rest.rstrip("]")
        parts.append(camel(name) + (f"[{index if index.isdigit() else ''}]" if bracket else ""))
    return ".".join(parts)
