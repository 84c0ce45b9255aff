"""What can happen in a room. The room's state is the fold of these (`room.replay`); they hold no health information.

Everything in them is text, numbers and lists, so that they can be kept as JSON and read back as they were.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, get_args


class Participation(StrEnum):
    """How a person chooses to take part."""

    LISTEN = "listen"
    CHAT = "chat"
    SPEAK = "speak"


class Moderation(StrEnum):
    """What a facilitator did to keep the room safe."""

    MUTED = "muted"
    UNMUTED = "unmuted"
    TO_LOBBY = "to_lobby"
    ADMITTED = "admitted"
    REMOVED = "removed"


class HelpState(StrEnum):
    """How far help has come for a person in the room."""

    CALLED = "called"
    ALERTED = "alerted"
    ACKNOWLEDGED = "acknowledged"
    CONTACT_MADE = "contact_made"
    CLOSED = "closed"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Opened:
    """The facilitator opened the room."""


@dataclass(frozen=True, slots=True)
class AgendaKnown:
    """Scheduling told the agenda: so many items."""

    items: int


@dataclass(frozen=True, slots=True)
class Closed:
    """The room was closed; everyone left before it."""


@dataclass(frozen=True, slots=True)
class Joined:
    """Somebody came in. `person_id` is empty for staff without a record."""

    member_id: str
    person_id: str
    staff: bool
    camera: bool
    participation: Participation


@dataclass(frozen=True, slots=True)
class Left:
    """Somebody went out, or was not heard of for `unseen_seconds` before the event."""

    member_id: str
    lapsed: bool = False
    unseen_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class ParticipationChosen:
    """Somebody chose how to take part."""

    member_id: str
    participation: Participation


@dataclass(frozen=True, slots=True)
class HandChanged:
    """Somebody raised a hand, or lowered it."""

    member_id: str
    raised: bool


@dataclass(frozen=True, slots=True)
class TurnChanged:
    """The floor went to a member; to nobody if empty."""

    member_id: str


@dataclass(frozen=True, slots=True)
class AgendaMoved:
    """An agenda item came up, by its index from 0."""

    position: int


@dataclass(frozen=True, slots=True)
class PauseBegun:
    """A pause for everyone, planned for so many minutes."""

    kind: str
    minutes: int
    exercise_id: str


@dataclass(frozen=True, slots=True)
class PauseEnded:
    """The room goes on."""


@dataclass(frozen=True, slots=True)
class PauseAsked:
    """Somebody would like a pause."""

    member_id: str


@dataclass(frozen=True, slots=True)
class BreakoutOpened:
    """A smaller room was opened, and those named were invited."""

    breakout_id: str
    name: str
    member_ids: tuple[str, ...]
    check_in: bool


@dataclass(frozen=True, slots=True)
class BreakoutsClosed:
    """Smaller rooms were closed; who was in them is in the main room."""

    breakout_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BreakoutMoved:
    """A member went into a breakout, or left it for the main room (`inside` false)."""

    member_id: str
    breakout_id: str
    inside: bool


@dataclass(frozen=True, slots=True)
class Moderated:
    """The facilitator acted to keep the room safe."""

    member_id: str
    action: Moderation
    reason: str = ""


@dataclass(frozen=True, slots=True)
class KeptApart:
    """The whole list of pairs who must not share a breakout."""

    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class HelpChanged:
    """Help for a person came a step further."""

    person_id: str
    state: HelpState
    alert_id: str = ""
    """The alert it is about; empty until crisis has told of one."""


@dataclass(frozen=True, slots=True)
class MessageSent:
    """Somebody wrote. The text is kept apart, sealed."""

    message_id: str
    member_id: str
    to_staff: bool


Event = (
    Opened | AgendaKnown | Closed | Joined | Left | ParticipationChosen | HandChanged | TurnChanged | AgendaMoved
    | PauseBegun | PauseEnded | PauseAsked | BreakoutOpened | BreakoutsClosed | BreakoutMoved | Moderated | KeptApart
    | HelpChanged | MessageSent
)  # fmt: skip

_KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in get_args(Event)}
_ENUMS = {"participation": Participation, "action": Moderation, "state": HelpState}


def kind_of(event: Event) -> str:
    """The name an event is kept under."""
    return type(event).__name__


def to_data(event: Event) -> dict[str, Any]:
    """The event as JSON data."""
    return asdict(event)


def from_data(kind: str, data: dict[str, Any]) -> Event:
    """The event that `to_data` wrote. Raises KeyError for a kind that is not known."""
    read = {name: _read(name, value) for name, value in data.items()}
    event: Event = _KINDS[kind](**read)
    return event


def _read(name: str, value: Any) -> Any:
    if name in _ENUMS:
        return _ENUMS[name](value)
    if isinstance(value, list):
        return tuple(tuple(each) if isinstance(each, list) else each for each in value)
    return value
