"""How a send went."""

from __future__ import annotations

from dataclasses import dataclass

from haven_crisis.store.pages import PageState


@dataclass(frozen=True, slots=True)
class Outcome:
    """ACCEPTED, FAILED, or UNKNOWN where the provider may have taken it; NOT_NEEDED for a drill nobody is to get."""

    state: PageState
    reason: str = ""
    """Our word for what went wrong; holds nothing of the provider's answer but its number."""
    reference: str = ""
    """The provider's id of the message."""


ACCEPTED = Outcome(PageState.ACCEPTED)
NO_ANSWER = Outcome(PageState.UNKNOWN, "no answer")
UNREACHABLE = Outcome(PageState.FAILED, "unreachable")
REFUSED = Outcome(PageState.FAILED, "refused")


def failed(reason: str) -> Outcome:
    """A send that the provider did not take."""
    return Outcome(PageState.FAILED, reason)
