"""Who has seen my data, in plain words."""

from __future__ import annotations


def role_words(role: str) -> str:
    """A role as people read it: "ROLE_ON_CALL_RESPONDER" as "on-call responder"."""
    words = role.removeprefix("ROLE_").lower().replace("_", " ")
    return words.replace("on call", "on-call").replace("substance use", "substance-use")


def who(principal_id: str, role: str, name: str, *, is_self: bool) -> str:
    """Whoever did it: you, a name with the role, the role, or the part of the program."""
    if is_self:
        return "You"
    words = role_words(role)
    if name:
        return f"{name}, {words}" if words else name
    if words:
        return f"{'An' if words[0] in 'aeiou' else 'A'} {words}"
    part = principal_id.removeprefix("system:").removeprefix("service:").split("/")[0]
    return f"The {part} part of the program"


def sentence(someone: str, what: str, *, is_self: bool, break_glass: bool) -> str:
    """The whole: "Dana Reyes, individual therapist, read your preferences."."""
    comma = "," if ", " in someone else ""
    words = what.replace("your", "your own", 1) if is_self and "your own" not in what else what
    emergency = " In an emergency; this look is reviewed." if break_glass else ""
    return f"{someone}{comma} {words}.{emergency}"
