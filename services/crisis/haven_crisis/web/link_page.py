"""The page behind a page's link: one large button, readable at night, without JavaScript (WCAG 2.2 AA)."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from enum import Enum
from html import escape

from starlette.responses import Response

_STYLE = """:root{color-scheme:dark}*{box-sizing:border-box}
body{margin:0;background:#10141a;color:#f2f5f8;font:1.25rem/1.5 system-ui,sans-serif}
main{max-width:34rem;margin:0 auto;padding:1.5rem 1.25rem 3rem}
h1{font-size:1.75rem;line-height:1.25;margin:1rem 0}
.drill{display:inline-block;background:#f2f5f8;color:#10141a;font-weight:700;padding:.25rem .75rem;border-radius:.5rem}
button{display:block;width:100%;min-height:6rem;margin:1.5rem 0;border:0;border-radius:1rem;background:#ffd166;
color:#10141a;font:inherit;font-size:1.75rem;font-weight:700;cursor:pointer}
a{color:#9bd1ff;display:inline-block;padding:.75rem 0}
:focus-visible{outline:4px solid #fff;outline-offset:4px}"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "content-security-policy": f"default-src 'none'; style-src 'sha256-{_HASH}'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "x-robots-tag": "noindex, nofollow",
}


class State(Enum):
    """How things stand with the page that a link is for; of several alerts, the first of these that is so of one."""

    OPEN = "open"
    OFFERED = "offered"
    CONSOLE = "console"
    YOURS = "yours"
    TAKEN = "taken"
    OVER = "over"
    EXPIRED = "expired"
    UNKNOWN = "unknown"
    NOT_YET = "not_yet"
    AWAY = "away"


@dataclass(frozen=True, slots=True)
class Text:
    """What is said, and with which status."""

    status: int
    title: str
    more: str


TEXTS = {
    State.OPEN: Text(
        200,
        "Someone has called for help",
        "Nobody has taken this alert yet. When you take it, the team knows that you are going.",
    ),
    State.OFFERED: Text(
        200,
        "A colleague asks you to take this alert over",
        "They keep it until you do.",
    ),
    State.YOURS: Text(200, "You have this alert", "The console shows whom to reach and how."),
    State.TAKEN: Text(200, "Taken by a colleague", "There is nothing you need to do. Thank you for looking."),
    State.OVER: Text(410, "This alert is over", "There is nothing you need to do. Thank you for looking."),
    State.CONSOLE: Text(
        200,
        "Someone has called for help",
        "This link went to a shared address. Sign in to the console to take the alert.",
    ),
    State.EXPIRED: Text(
        410, "This link has expired", "Open the console to see whether the alert still needs somebody."
    ),
    State.UNKNOWN: Text(404, "This link does not work", "Open the console to see whether an alert needs somebody."),
    State.NOT_YET: Text(
        503, "This alert is being written down", "The page that you got is real. Open this link again in a moment."
    ),
    State.AWAY: Text(
        503, "The record cannot be reached", "The page that you got is real. Open this link again in a moment."
    ),
}
MANY = {
    State.OPEN: Text(
        200,
        "One system has called for help {alerts} times",
        "Each is about another person. When you take them, the team knows that you are going; the console lists them "
        "one by one.",
    ),
    State.YOURS: Text(200, "You have these alerts", "The console lists them one by one, whom to reach and how."),
    State.OVER: Text(410, "These alerts are over", "There is nothing you need to do. Thank you for looking."),
    State.CONSOLE: Text(
        200,
        "One system has called for help {alerts} times",
        "This link went to a shared address. Sign in to the console to take the alerts.",
    ),
}
"""Likewise where the page is about several."""
TO_TAKE = frozenset({State.OPEN, State.OFFERED})
"""States in which a tap takes the alert."""


def shown(state: State, *, drill: bool, alerts: int, tap: str, console: str) -> Response:
    """The page. `tap` is the token that its button sends; it is shown only where the alert can be taken."""
    text = MANY.get(state, TEXTS[state]) if alerts > 1 else TEXTS[state]
    title = escape(text.title.format(alerts=alerts))
    button = (
        f'<form method="post"><input type="hidden" name="tap" value="{escape(tap)}">'
        f'<button type="submit">I take {"them" if alerts > 1 else "it"}</button></form>'
        "<p>If you cannot go, close this page. Others are being called.</p>"
        if state in TO_TAKE
        else ""
    )
    mark = '<p class="drill">DRILL</p>' if drill else ""
    body = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="robots" content="noindex">'
        f"<title>{'DRILL: ' if drill else ''}{title}</title><style>{_STYLE}</style></head><body><main>"
        f"{mark}<h1>{title}</h1><p>{escape(text.more)}</p>{button}"
        f'<a href="{escape(console)}">Open the console</a></main></body></html>'
    )
    return Response(body, text.status, _retry(text.status) | _HEADERS, "text/html")


def _retry(status: int) -> dict[str, str]:
    return {"retry-after": "5"} if status == 503 else {}
