"""Consents: what each kind needs, and when one is in force."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Document:
    """A text people agree to."""

    kind: str
    version: str
    title: str
    text: str
    source: str
    needed_for_admission: bool = False
    names_recipient: bool = False
    needs_purpose: bool = False
    needs_expiry: bool = False
    needs_scopes: bool = False
    redisclosure_notice: str = ""


@dataclass(frozen=True, slots=True)
class Given:
    """What a person agrees to."""

    version: str
    signature: str
    recipient: bool
    purpose: str
    scopes: int
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Fault:
    """A rule that what was given breaks."""

    field: str
    rule: str
    message: str


def faults(document: Document, given: Given, now: datetime) -> tuple[Fault, ...]:
    """What is missing or wrong. Empty: the consent can be given."""
    checks = [
        (
            given.version == document.version,
            "document_version",
            "in_force",
            "The text has changed. Read the new version first.",
        ),
        (bool(given.signature.strip()), "signature", "typed_name", "Type your name to sign."),
        (given.recipient or not document.names_recipient, "grantee_id", "named", "Name whom you allow."),
        (bool(given.purpose.strip()) or not document.needs_purpose, "purpose", "named", "Say for what it may be used."),
        (given.scopes > 0 or not document.needs_scopes, "scopes", "chosen", "Choose what may be seen."),
        (
            given.expires_at is not None or not document.needs_expiry,
            "expires_at",
            "set",
            "Set the day on which this ends.",
        ),
        (
            given.expires_at is None or given.expires_at > now,
            "expires_at",
            "future",
            "The day on which this ends must be in the future.",
        ),
    ]
    return tuple(Fault(field, rule, message) for holds, field, rule, message in checks if not holds)


def in_force(revoked_at: datetime | None, expires_at: datetime | None, now: datetime) -> bool:
    """Not taken back and not expired."""
    return revoked_at is None and (expires_at is None or now < expires_at)
