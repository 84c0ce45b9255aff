"""What every rule of the domain shares."""


class RuleBroken(Exception):
    """The state does not allow what was asked. `rule` is a stable word; the message says what would help."""

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(message)
        self.rule = rule
        self.message = message
