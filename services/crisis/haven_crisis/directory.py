"""Who can be paged, and who is to be: a copy in memory of responders, rotations and policies.

The copy spares the crisis path a question to the database. A counter in the database tells when it is old.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, time
from urllib.parse import urlsplit

from google.protobuf.message import DecodeError
from haven.crisis.v1 import channels_pb2
from haven.crisis.v1 import on_call_service_pb2 as pb

from haven_crisis.domain.escalation import LAST_RESORT_ID, Book, Policy, Step, Target
from haven_crisis.domain.quiet import Quiet
from haven_crisis.domain.rotation import Override, Rotation, who_is_on_call
from haven_crisis.settings import CrisisSettings
from haven_kit import logs, times
from haven_kit.cipher import CannotOpen, Cipher
from haven_kit.database import Tx
from haven_kit.errors import HavenError, Invalid

_log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Channel:
    """One way to page somebody."""

    kind: str
    """As the contract's Channel names it: `webhook`, `email`, `sms`, …"""
    address: str
    secret: str = ""
    """What the address is worth nothing without: a webhook's key, PagerDuty's routing key, a browser's keys."""
    quiet: Quiet | None = None
    """Hours in which its owner wants no drill. Alerts know no such hours."""

    @property
    def provider(self) -> str:
        """Who takes pages on this channel; two channels of one provider fail together.

        The host that is called, where the channel names one; else the service, such as `email` or `twilio`.
        """
        if self.kind in ("sms", "voice"):
            return "twilio"
        if self.kind == "apprise":
            return self.secret.partition("://")[0]
        return urlsplit(self.address).netloc or self.kind


@dataclass(frozen=True, slots=True)
class Responder:
    """Somebody who can be paged, and how, in the order of trying."""

    responder_id: str
    name: str
    channels: tuple[Channel, ...]


EMPTY = Book({}, "", {}, frozenset())


class Directory:
    """The copy. `read` it in every transaction that did not just read it."""

    def __init__(self, cipher: Cipher, settings: CrisisSettings) -> None:
        self._cipher = cipher
        self._last_resort = Responder(LAST_RESORT_ID, "", tuple(_last_resort(settings)))
        self._responders: dict[str, Responder] = {}
        self._unreadable = 0
        self.book = EMPTY
        self.version = 0
        """Of the copy; 0 before the first read."""

    def channels(self, responder_id: str) -> tuple[Channel, ...]:
        """How to page somebody; empty for somebody who is not known any more."""
        if responder_id == LAST_RESORT_ID:
            return self._last_resort.channels
        found = self._responders.get(responder_id)
        return found.channels if found is not None else ()

    def name(self, responder_id: str) -> str:
        """The name somebody works under; empty where it is not known."""
        found = self._responders.get(responder_id)
        return found.name if found is not None else ""

    def problems(self) -> list[str]:
        """What would keep a signal from reaching a human, in plain words."""
        found = []
        if self.book.policy() is None:
            found.append("There is no default escalation policy. Only the last resort is paged.")
        if not self._last_resort.channels:
            found.append(
                "There is no last resort. Set HAVEN_CRISIS_LAST_RESORT_WEBHOOK or HAVEN_CRISIS_LAST_RESORT_EMAIL."
            )
        if self._unreadable:
            found.append("A responder, a rotation or a policy cannot be read and is left out. Save it again.")
        return found

    async def read(self, tx: Tx) -> Book:
        """The book as it is now; read from the database when the copy is old.

        Not for a transaction that changes the plan: what it wrote may never be committed. It has `plan`.
        """
        row = await tx.read_one("SELECT version FROM on_call_version")
        if row is not None and row["version"] != self.version:
            self.book, self._responders, self._unreadable = await self._load(tx)
            self.version = row["version"]
        return self.book

    async def plan(self, tx: Tx) -> Book:
        """The book as this transaction sees it, with its own changes."""
        return (await self._load(tx))[0]

    def renew(self, tx: Tx) -> None:
        """The transaction changes the plan: once it is committed, every replica's copy is renewed."""
        tx.after_commit(self._forget)
        tx.wake("on-call")

    def _forget(self) -> None:
        self.version = 0

    async def _load(self, tx: Tx) -> tuple[Book, dict[str, Responder], int]:
        """Book, responders, and how many rows were left out: one that cannot be read must not stop every page."""
        responders, rotations, policies = {}, {}, {}
        default = ""
        unreadable = 0
        for row in await tx.fetch("SELECT responder_id, sealed FROM responder"):
            try:
                responders[row["responder_id"]] = self.open(row["responder_id"], row["sealed"])
            except _UNREADABLE:
                unreadable += _left_out("responder", row["responder_id"])
        for row in await tx.fetch("SELECT rotation_id::text, body FROM rotation"):
            try:
                rotations[row["rotation_id"]] = rotation_of(pb.Rotation.FromString(row["body"]))
                who_is_on_call(rotations[row["rotation_id"]], tx.now)
            except _UNREADABLE:
                rotations.pop(row["rotation_id"], None)
                unreadable += _left_out("rotation", row["rotation_id"])
        for row in await tx.fetch("SELECT policy_id::text, is_default, body FROM policy"):
            default = row["policy_id"] if row["is_default"] else default
            try:
                policies[row["policy_id"]] = policy_of(pb.Policy.FromString(row["body"]))
            except _UNREADABLE:
                unreadable += _left_out("policy", row["policy_id"])
        reachable = frozenset(each.responder_id for each in responders.values() if each.channels)
        return Book(policies, default, rotations, reachable), responders, unreadable

    def open(self, responder_id: str, sealed: bytes) -> Responder:
        """A responder from their row."""
        kept = self._cipher.open(pb.Responder, sealed, context=f"responder/{responder_id}")
        quiet = _quiet(kept.drill_quiet_hours) if kept.HasField("drill_quiet_hours") else None
        return Responder(responder_id, kept.name, tuple(replace(_channel(each), quiet=quiet) for each in kept.channels))


_UNREADABLE = (CannotOpen, DecodeError, HavenError, ValueError, ArithmeticError)
"""What a row that was damaged, or written by another version, may raise; also a time zone that is no longer known."""


def _left_out(kind: str, key: str) -> int:
    _log.error("on_call.unreadable", kind=kind, key=key)
    return 1


def _channel(kept: pb.Channel) -> Channel:
    match kept.WhichOneof("kind"):
        case "webhook":
            return Channel("webhook", kept.webhook.url, kept.webhook.secret)
        case "email":
            return Channel("email", kept.email.address)
        case "sms":
            return Channel("sms", kept.sms.number)
        case "voice":
            return Channel("voice", kept.voice.number)
        case "pager_duty":
            return Channel("pager_duty", "", kept.pager_duty.routing_key)
        case "alertmanager":
            return Channel("alertmanager", kept.alertmanager.url)
        case "web_push":
            return Channel("web_push", kept.web_push.endpoint, f"{kept.web_push.p256dh}.{kept.web_push.auth}")
        case "apprise":
            return Channel("apprise", "", kept.apprise.url)
        case _:
            # Of a kind that a later release knows. It fails when it is paged, and the next one is tried.
            return Channel("unknown", "")


def _quiet(kept: channels_pb2.QuietHours) -> Quiet | None:
    try:
        zone = times.zone("drill_quiet_hours.time_zone", kept.time_zone)
    except Invalid:  # a zone that is no longer known leaves no hours to hold drills back in
        return None
    return Quiet(time.fromisoformat(kept.starts), time.fromisoformat(kept.ends), zone)


def _last_resort(settings: CrisisSettings) -> Sequence[Channel]:
    found = []
    if settings.crisis_last_resort_webhook:
        secret = settings.crisis_last_resort_secret
        found.append(
            Channel("webhook", settings.crisis_last_resort_webhook, secret.get_secret_value() if secret else "")
        )
    if settings.crisis_last_resort_email:
        found.append(Channel("email", settings.crisis_last_resort_email))
    return found


def rotation_of(kept: pb.Rotation) -> Rotation:
    """The rotation in a message. Raises Invalid for a zone or a day that does not exist."""
    hour, minute = kept.hand_over.split(":")
    return Rotation(
        rotation_id=kept.rotation_id,
        responders=tuple(kept.responder_ids),
        shift_days=kept.shift_days,
        zone=times.zone("rotation.time_zone", kept.time_zone),
        hand_over=time(int(hour), int(minute)),
        first_day=times.day("rotation.first_day", kept.first_day),
        overrides=tuple(
            Override(each.responder_id, each.starts_at.ToDatetime(UTC), each.ends_at.ToDatetime(UTC))
            for each in kept.overrides
        ),
    )


def policy_of(kept: pb.Policy) -> Policy:
    """The escalation policy in a message."""
    return Policy(kept.policy_id, tuple(_step(each) for each in kept.steps), kept.repeats, _step(kept.last_resort))


def _step(kept: pb.Step) -> Step:
    targets = tuple(Target(each.rotation_id, each.responder_id, each.everyone_on_duty) for each in kept.targets)
    return Step(targets, kept.wait.ToTimedelta())
