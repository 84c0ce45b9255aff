"""Who can be paged, and who is to be: a copy in memory of responders, rotations and policies.

The copy spares the crisis path a question to the database. A counter in the database tells when it is old.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from urllib.parse import urlsplit
from uuid import UUID, uuid5

from google.protobuf.message import DecodeError
from haven.crisis.v1 import channels_pb2, team_service_pb2
from haven.crisis.v1 import on_call_service_pb2 as pb

from haven_crisis.domain import notifying, plan
from haven_crisis.domain.escalation import LAST_RESORT_ID, Book
from haven_crisis.domain.notifying import Rule
from haven_crisis.domain.quiet import Quiet
from haven_crisis.domain.rotation import NEVER, Stretch, look
from haven_crisis.messages import policy_of, rotation_of, team_of
from haven_crisis.settings import CrisisSettings
from haven_crisis.store import on_call
from haven_crisis.store.on_call import Rows
from haven_kit import logs, times
from haven_kit.cipher import CannotOpen, Cipher
from haven_kit.database import Tx
from haven_kit.errors import HavenError, Invalid

TWILIO = "twilio"
"""Who takes text messages and calls."""
_PORTS = {"http": 80, "https": 443, "json": 80, "jsons": 443, "xml": 80, "xmls": 443, "form": 80, "forms": 443}
_TO_A_HOST = frozenset(_PORTS) - {"http", "https"}
"""Apprise's ways to POST to any host."""
_APPRISE = {
    "mailto": "email",
    "mailtos": "email",
    "pagerduty": "pager_duty",
    "gotifys": "gotify",
    "matrixs": "matrix",
    "mmosts": "mmost",
    "ntfys": "ntfy",
    "rockets": "rocket",
    "signals": "signal",
    "twilio": TWILIO,
}
"""Apprise's schemes of services that have another name here: https://github.com/caronc/apprise/wiki"""
_log = logs.get(__name__)
_CHANNELS = UUID("0f9f6a5e-6a0b-5a55-8f53-0d4f2b7f5a61")


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
    verified: bool = False
    """A code that was sent there came back."""

    @property
    def provider(self) -> str:
        """Who takes pages on this channel; two channels of one provider fail together.

        The host that is called, where the channel names one; else the service, such as `email` or `twilio`.
        """
        if self.kind in ("sms", "voice"):
            return TWILIO
        if self.kind == "apprise":
            scheme = self.secret.partition("://")[0].lower()
            return _host(self.secret) if scheme in _TO_A_HOST else _APPRISE.get(scheme, scheme)
        return _host(self.address) or self.kind


@dataclass(frozen=True, slots=True)
class Responder:
    """Somebody who can be paged, and how, in the order of trying."""

    responder_id: str
    name: str
    channels: tuple[Channel, ...]
    rules: tuple[Rule, ...] = ()

    @property
    def verified(self) -> bool:
        """Whether two of the channels, of different providers, were shown to reach them."""
        return len({each.provider for each in self.channels if each.verified}) > 1


def _host(url: str) -> str:
    """The host that an address leads to, with its port where that is not the usual one; empty where it names none."""
    parts = urlsplit(url)
    try:
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:  # no page is kept back for an address that no provider takes: it fails when it is sent
        return parts.netloc
    return host if port in (None, _PORTS.get(parts.scheme)) else f"{host}:{port}"


EMPTY = Book({}, "", {}, frozenset())
CHECK_EVERY = timedelta(hours=1)
"""How long a check of the next 90 days holds while the plan stays as it is."""


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
        self._rows = Rows()
        self._checked: tuple[Book, datetime, list[str]] = (EMPTY, NEVER, [])
        """The last check of the whole plan, of which copy and when."""

    def channels(self, responder_id: str) -> tuple[Channel, ...]:
        """How to page somebody; empty for somebody who is not known any more."""
        if responder_id == LAST_RESORT_ID:
            return self._last_resort.channels
        found = self._responders.get(responder_id)
        return found.channels if found is not None else ()

    def pages_of(self, responder_id: str, severity: int) -> list[tuple[int, int]]:
        """Pages to a responder: the place of each channel, and after how many seconds while nobody has answered."""
        if responder_id == LAST_RESORT_ID:
            return notifying.pages_of(len(self._last_resort.channels), (), severity)
        found = self._responders.get(responder_id)
        return notifying.pages_of(len(found.channels), found.rules, severity) if found is not None else []

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of channels that anybody has."""
        return frozenset(channel.kind for each in self._responders.values() for channel in each.channels)

    def reached_by(self, number: str) -> list[str]:
        """Who is paged by text message or call at this number."""
        return [
            each.responder_id
            for each in self._responders.values()
            if any(ch.kind in ("sms", "voice") and ch.address == number for ch in each.channels)
        ]

    def later_pages_of(self, responder_id: str, severity: int) -> list[tuple[int, int]]:
        """Those of `pages_of` that only the responder's own rules ask for."""
        found = self._responders.get(responder_id)
        if found is None or not found.rules:
            return []
        at_once = notifying.pages_of(len(found.channels), (), severity)
        return [page for page in self.pages_of(responder_id, severity) if page not in at_once]

    def name(self, responder_id: str) -> str:
        """The name somebody works under; empty where it is not known."""
        found = self._responders.get(responder_id)
        return found.name if found is not None else ""

    def problems(self, now: datetime) -> list[str]:
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
        book, looked_at, known = self._checked
        if book is not self.book or not timedelta(0) <= now - looked_at < CHECK_EVERY:
            known = plan.problems(self.book, now)
            self._checked = self.book, now, known
        return found + known

    async def read(self, tx: Tx) -> Book:
        """The book as it is now; read from the database when the copy is old.

        Not for a transaction that changes the plan: what it wrote may never be committed. It has `plan`.
        """
        row = await tx.read_one("SELECT version FROM on_call_version")
        if row is not None and row["version"] != self.version:
            self._take(await on_call.rows(tx), row["version"], tx.now)
        return self.book

    async def plan(self, tx: Tx) -> Book:
        """The book as this transaction sees it, with its own changes."""
        return self._read(await on_call.rows(tx), tx.now)[0]

    def renew(self, tx: Tx) -> None:
        """The transaction changes the plan: once it is committed, every replica's copy is renewed."""
        tx.after_commit(self._forget)
        tx.wake("on-call")

    def _forget(self) -> None:
        self.version = 0

    def snapshot(self) -> bytes:
        """The copy, to be kept where it can be read while the database is away. Seal it: it names staff."""
        return self._rows.dump(self.version)

    def restore(self, kept: bytes, now: datetime) -> None:
        """Take a snapshot as the copy, unless one was read already. Raises ValueError for what is no snapshot."""
        if self.book is EMPTY:
            rows, version = Rows.load(kept)
            self._take(rows, version, now)

    def _take(self, rows: Rows, version: int, now: datetime) -> None:
        self.book, self._responders, self._unreadable = self._read(rows, now)
        self._rows, self.version = rows, version

    def _read(self, rows: Rows, now: datetime) -> tuple[Book, dict[str, Responder], int]:
        """Book, responders, and how many rows were left out: one that cannot be read must not stop every page."""
        responders, rotations, policies, teams = {}, {}, {}, {}
        unreadable = 0
        for key, body in rows.responders.items():
            try:
                responders[key] = self.open(key, body)
            except _UNREADABLE:
                unreadable += _left_out("responder", key)
        for key, body in rows.rotations.items():
            try:
                rotation = rotation_of(pb.Rotation.FromString(body))
                look(rotation, now)
                rotations[key] = rotation
            except _UNREADABLE:
                unreadable += _left_out("rotation", key)
        for key, body in rows.policies.items():
            try:
                policies[key] = policy_of(pb.Policy.FromString(body))
            except _UNREADABLE:
                unreadable += _left_out("policy", key)
        for key, body in rows.teams.items():
            try:
                teams[key] = team_of(team_service_pb2.Team.FromString(body))
            except _UNREADABLE:
                unreadable += _left_out("team", key)
        away: dict[str, list[Stretch]] = {}
        for who, starts_at, ends_at in rows.away:
            away.setdefault(who, []).append(Stretch(starts_at, ends_at))
        book = Book(
            policies,
            rows.default_policy_id,
            rotations,
            reachable=frozenset(each.responder_id for each in responders.values() if each.channels),
            verified=frozenset(each.responder_id for each in responders.values() if each.verified),
            teams=teams,
            away=away,
            names={each.responder_id: each.name for each in responders.values() if each.name},
        )
        return book, responders, unreadable

    def open(self, responder_id: str, sealed: bytes) -> Responder:
        """A responder from their row."""
        kept = self._cipher.open(pb.Responder, sealed, context=f"responder/{responder_id}")
        quiet = _quiet(kept.drill_quiet_hours) if kept.HasField("drill_quiet_hours") else None
        channels = tuple(
            replace(channel_of(each), quiet=quiet, verified=each.HasField("verified_at")) for each in kept.channels
        )
        rules = tuple(Rule(each.channel, each.after_seconds) for each in kept.rules)
        return Responder(responder_id, kept.name, channels, rules)


_UNREADABLE = (CannotOpen, DecodeError, HavenError, ValueError, ArithmeticError)
"""What a row that was damaged, or written by another version, may raise; also a time zone that is no longer known."""


def _left_out(kind: str, key: str) -> int:
    _log.error("on_call.unreadable", kind=kind, key=key)
    return 1


def channel_of(kept: pb.Channel) -> Channel:
    """The channel in a message."""
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


def channel_id(responder_id: str, channel: pb.Channel) -> str:
    """The id of a responder's channel: the same for as long as its address is."""
    to = channel_of(channel)
    address = to.address or to.secret
    return str(uuid5(_CHANNELS, f"{responder_id}\0{to.kind}\0{address}"))


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
