"""How a rule of the room says no. The edge turns these into answers."""

from __future__ import annotations


class Broken(Exception):
    """The state of the room does not allow it. `rule` names the rule; the message says what would help."""

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(message)
        self.rule = rule
        self.message = message


class BadInput(Exception):
    """One field of the request does not fit the room."""

    def __init__(self, field: str, rule: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.rule = rule
        self.message = message


class Missing(Exception):
    """There is no such thing in this room, or not for this member."""

    def __init__(self, resource: str) -> None:
        super().__init__(resource)
        self.resource = resource
