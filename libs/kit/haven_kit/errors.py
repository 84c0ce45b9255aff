"""The one error family. Domain code and policies raise these; the process edge translates them once.

A sentence given here is shown to people and written to logs. It names the rule that was broken and never a value that
was sent, so no health information can travel in an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import grpc
from google.protobuf import duration_pb2
from google.rpc import error_details_pb2, status_pb2

DOMAIN = "haven"
"""The `domain` of every google.rpc.ErrorInfo that Haven sends."""

STATUS_DETAILS_KEY = "grpc-status-details-bin"
"""Trailing metadata that carries google.rpc.Status, as the gRPC richer error model names it."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One rule that one field of the input broke."""

    field: str
    rule: str
    message: str


class HavenError(Exception):
    """Base of the family: `code` is the gRPC status, `reason` a stable lower-case word, `message` a sentence."""

    code: grpc.StatusCode = grpc.StatusCode.INTERNAL
    reason: str = "internal"

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        violations: Sequence[Violation] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or self.reason
        self.violations = tuple(violations)
        self.retry_after = retry_after


class Invalid(HavenError):
    """The input breaks a rule. Names the field and the rule."""

    code = grpc.StatusCode.INVALID_ARGUMENT
    reason = "invalid"

    def __init__(self, field: str, rule: str, message: str) -> None:
        super().__init__(f"{field}: {message}", violations=(Violation(field, rule, message),))

    @classmethod
    def all(cls, violations: Iterable[Violation]) -> Invalid:
        """One error for several violations. There must be at least one."""
        found = tuple(violations)
        error = cls(found[0].field, found[0].rule, found[0].message)
        error.violations = found
        if len(found) > 1:
            error.message = f"{len(found)} fields need another look. " + error.message
        return error


class Unauthenticated(HavenError):
    """Nobody is signed in, or the token does not hold."""

    code = grpc.StatusCode.UNAUTHENTICATED
    reason = "unauthenticated"


class Denied(HavenError):
    """The caller is known and may not do this, whatever the record."""

    code = grpc.StatusCode.PERMISSION_DENIED
    reason = "denied"


class NotFound(HavenError):
    """There is no such record, or none that the caller may see: the two are told alike."""

    code = grpc.StatusCode.NOT_FOUND
    reason = "not_found"

    def __init__(self, resource: str) -> None:
        super().__init__(f"There is no such {resource}, or it is not visible to you.", reason="not_found")
        self.resource = resource


class Refused(HavenError):
    """The state of the record does not allow this now. `rule` names the rule, the message says what would help."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = "refused"

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(message, reason=rule)


class Conflict(HavenError):
    """It exists already, or stands in the way of something that does."""

    code = grpc.StatusCode.ALREADY_EXISTS
    reason = "conflict"

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(message, reason=rule)


class Stale(HavenError):
    """The record changed since the caller read it."""

    code = grpc.StatusCode.ABORTED
    reason = "stale_etag"

    def __init__(self) -> None:
        super().__init__("The record changed since you read it. Read it again and repeat the change.")


class Overloaded(HavenError):
    """More was asked than can be done now. `retry_after` is in seconds."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    reason = "overloaded"

    def __init__(self, retry_after: float, message: str = "Too many requests at once.") -> None:
        super().__init__(message, retry_after=retry_after)


class Unavailable(HavenError):
    """Something this call needs cannot be reached now. Nothing was changed; the call may be repeated."""

    code = grpc.StatusCode.UNAVAILABLE
    reason = "unavailable"

    def __init__(self, what: str, retry_after: float = 1.0) -> None:
        super().__init__(f"{what} cannot be reached at the moment. Nothing was changed.", retry_after=retry_after)


class DeadlineExceeded(HavenError):
    """The caller's deadline passed before the work was done."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED
    reason = "deadline_exceeded"


class Cancelled(HavenError):
    """The caller went away."""

    code = grpc.StatusCode.CANCELLED
    reason = "cancelled"


class Unimplemented(HavenError):
    """The method does not exist on this server."""

    code = grpc.StatusCode.UNIMPLEMENTED
    reason = "unimplemented"


class Internal(HavenError):
    """Our mistake. Carries no details; the trace id finds them."""

    def __init__(self) -> None:
        super().__init__("Something went wrong on our side. The trace id finds it.")


FAMILY: tuple[type[HavenError], ...] = (
    Invalid,
    Unauthenticated,
    Denied,
    NotFound,
    Refused,
    Conflict,
    Stale,
    Overloaded,
    Unavailable,
    DeadlineExceeded,
    Cancelled,
    Unimplemented,
    Internal,
)


def to_status(error: HavenError, trace_id: str = "") -> status_pb2.Status:
    """The google.rpc.Status of an error: ErrorInfo, and the other details where they fit."""
    status = status_pb2.Status(code=error.code.value[0], message=error.message)
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN)
    if trace_id:
        info.metadata["trace_id"] = trace_id
    status.details.add().Pack(info)
    if error.violations:
        bad = error_details_pb2.BadRequest()
        for violation in error.violations:
            bad.field_violations.add(field=violation.field, description=violation.message, reason=violation.rule)
        status.details.add().Pack(bad)
    if isinstance(error, Refused):
        failure = error_details_pb2.PreconditionFailure()
        failure.violations.add(type=error.reason, description=error.message)
        status.details.add().Pack(failure)
    if error.retry_after is not None:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(int(error.retry_after * 1000))
        status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=delay))
    return status


def from_status(code: grpc.StatusCode, message: str, details: bytes | None) -> HavenError:
    """The error behind a gRPC status, from its code and the bytes of its google.rpc.Status, when it has them."""
    kind = next((each for each in FAMILY if each.code is code), Internal)
    error = kind.__new__(kind)
    HavenError.__init__(error, message, reason=kind.reason)
    if details is None:
        return error
    status = status_pb2.Status.FromString(details)
    for packed in status.details:
        info = error_details_pb2.ErrorInfo()
        bad = error_details_pb2.BadRequest()
        retry = error_details_pb2.RetryInfo()
        if packed.Unpack(info):
            error.reason = info.reason
        elif packed.Unpack(bad):
            error.violations = tuple(Violation(v.field, v.reason, v.description) for v in bad.field_violations)
        elif packed.Unpack(retry):
            error.retry_after = retry.retry_delay.ToMilliseconds() / 1000
    return error
