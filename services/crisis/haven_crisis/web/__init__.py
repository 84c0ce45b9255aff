"""What crisis serves over HTTP by itself: its contracts, as the gateway does, and what only it has.

Each module of this package has `routes(web) -> list[BaseRoute]`: plain Starlette routes. Whatever they answer carries
the security headers of `haven_edge.middleware`; a page that needs more than nothing sends a content security policy of
its own. They read bodies by `haven_edge.bodies.read`, and raise Problem or the errors of `haven_kit.errors`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from starlette.routing import BaseRoute

from haven_crisis.api.desk import Desk
from haven_crisis.channels import Channels
from haven_crisis.settings import CrisisSettings
from haven_crisis.web import calendars, callbacks, console, inbound, links
from haven_edge.edge import HttpEdge
from haven_edge.surface import Surface
from haven_kit.identity import TokenVerifier
from haven_kit.service import Edge, Inside, Parts

UNLIMITED = ("/p/", "/callbacks/", "/inbound/", "/console")
"""What may not be shut by others at its reader's address, who may be everyone behind one proxy: requests that carry
their own proof, or files that cost no more than a refusal."""


@dataclass(frozen=True, slots=True)
class Web:
    """What routes are made from."""

    parts: Parts[CrisisSettings]
    """Settings, clock, database, cipher."""
    desk: Desk
    channels: Channels
    verifier: TokenVerifier
    """Verifies tokens as the API does."""


def routes(web: Web) -> list[BaseRoute]:
    """All routes beside the contracts'."""
    return [
        *console.routes(web),
        *links.routes(web),
        *calendars.routes(web),
        *callbacks.routes(web),
        *inbound.routes(web),
    ]


def edge(parts: Parts[CrisisSettings], desk: Desk, channels: Channels) -> Callable[[Inside], Edge]:
    """Makes the HTTP edge of the process.

    It is ready while it can verify tokens: an accepted call for help waits neither for the database nor for NATS.
    """

    def made(inside: Inside) -> Edge:
        web = Web(parts, desk, channels, inside.verifier)
        return HttpEdge(
            Surface.of_haven(["crisis"]),
            inside.clients,
            inside.verifier,
            parts.settings,
            readiness=lambda: {"sign_in_keys": inside.can_verify()},
            more=routes(web),
            unlimited=UNLIMITED,
        )

    return made
