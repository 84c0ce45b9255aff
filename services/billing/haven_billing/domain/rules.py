"""How the domain says that a rule is broken: which field, which rule, and a sentence without any value in it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One broken rule."""

    field: str
    rule: str
    sentence: str


class RuleBroken(Exception):
    """Input or state breaks one or more rules."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(f"{problem.field}: {problem.rule}" for problem in problems))
        self.problems = problems


def broken(field: str, rule: str, sentence: str) -> RuleBroken:
    """One broken rule as an exception."""
    return RuleBroken(Problem(field, rule, sentence))
