"""What every provider's adapter does."""

from __future__ import annotations

from typing import Protocol

from haven.crisis.v1.page_pb2 import PageText

from haven_crisis.channels.outcome import Outcome
from haven_crisis.directory import Channel


class Adapter(Protocol):
    """Hands pages to one kind of provider. What it raises, and what takes too long, its caller sees to."""

    async def page(self, channel: Channel, page: PageText) -> Outcome:
        """Hand over a page."""
        ...

    async def code(self, channel: Channel, code: str) -> Outcome:
        """Hand over the code that verifies the channel."""
        ...


def code_text(code: str) -> str:
    """How a code reads."""
    return f"Haven: your code is {code}. It shows that pages reach you here."
