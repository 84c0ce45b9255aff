"""How to get help now, for answers that could not bring it; and which calls are calls for help."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from typing import Any


@dataclass(frozen=True, slots=True)
class Help:
    """The facts of data/help.json."""

    notice: dict[str, Any]
    """What a person is shown: calm text and numbers."""
    shown_on: tuple[str, ...]
    """Prefixes of full method names whose problems carry the notice."""
    calls_for_help: frozenset[str]
    """Full method names that are never given up, and never limited but by a very high ceiling."""

    @classmethod
    def load(cls) -> Help:
        """The facts that this release carries."""
        facts = json.loads((resources.files("haven_edge") / "data" / "help.json").read_text(encoding="utf-8"))
        return cls(
            notice={"text": facts["text"], "contacts": facts["contacts"]},
            shown_on=tuple(facts["shown_on"]),
            calls_for_help=frozenset(facts["calls_for_help"]),
        )

    def for_method(self, full_name: str) -> dict[str, Any] | None:
        """The notice where the method's problems carry it."""
        return self.notice if full_name.startswith(self.shown_on) else None
