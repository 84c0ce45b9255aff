"""The sessions service: `python -m haven_sessions` serves, `python -m haven_sessions migrate` migrates."""

from __future__ import annotations

from haven_kit.service import Parts, Service, Spec, main
from haven_sessions import facts
from haven_sessions.api import apis
from haven_sessions.api.desk import Desk
from haven_sessions.api.help import HelpApi
from haven_sessions.bells import Bells
from haven_sessions.reactions import reactions
from haven_sessions.settings import SessionsSettings
from haven_sessions.workers import workers


def build(parts: Parts[SessionsSettings]) -> Service:
    """Wire the service."""
    known = facts.load()
    desk = Desk(parts, known)
    help_api = HelpApi(desk)
    return Service(
        apis=apis(desk, Bells(parts.database.wake, parts.settings.max_watchers), help_api),
        reactions=reactions(),
        workers=workers(parts, known.absence),
        on_stop=(help_api.close,),
    )


SPEC = Spec(name="sessions", settings=SessionsSettings, build=build, calls=("crisis", "scheduling"))

if __name__ == "__main__":
    main(SPEC)
