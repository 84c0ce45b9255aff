"""Signals of other systems: one signed POST each (Standard Webhooks 1.0).

The webhook-id names the signal: sent again, or played back by somebody who overheard it, it is the same signal.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid5

from haven.crisis.v1 import signals_pb2 as pb
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from haven_crisis import texts
from haven_crisis.domain import inbound
from haven_crisis.domain.inbound import Message, Refused
from haven_crisis.domain.signals import Signal
from haven_crisis.entrances import OfSystem
from haven_crisis.store.systems import System
from haven_edge import bodies
from haven_edge.problems import Problem
from haven_edge.scalars import Finding
from haven_kit import logs, telemetry
from haven_kit.errors import Unavailable
from haven_kit.identity import system as system_principal

if TYPE_CHECKING:
    from haven_crisis.web import Web

MAX_BODY = 64 * 1024
OLDEST = timedelta(days=30)
_NAMESPACE = UUID("0197c0de-5160-7a11-8a5e-2b6f3f0c9d43")
_log = logs.get(__name__)


class Inbound:
    """Answers integrated systems."""

    def __init__(self, web: Web) -> None:
        self._web = web
        self._systems = web.desk.systems

    async def signal(self, request: Request) -> Response:
        """Take one signal. 202 with its id; 400 where it does not say who, 401 where it is not the system's, 403 where
        the system is disabled, 503 where nobody can tell now which systems there are."""
        carrier = {"traceparent": request.headers.get("traceparent", "")}
        with telemetry.server_span("POST /inbound/v1/{system_id}", carrier, sampled=True):
            return await self._signal(request)

    async def _signal(self, request: Request) -> Response:
        body = await bodies.read(request, MAX_BODY)
        try:
            system = await self._systems.find(_uuid(request.path_params["system_id"]))
        except Unavailable:
            detail = f"The signal could not be taken; send it again. {texts.SYSTEM_REFUSED}"
            raise Problem("unavailable", detail) from None
        if system is None:
            raise Problem("unauthenticated", f"No such system, or not its signature. {texts.SYSTEM_REFUSED}")
        now = self._web.parts.clock.now()
        try:
            message_id = inbound.verify(request.headers, body, system.secrets(now), now)
            if system.disabled:
                raise Refused("disabled", "This system is disabled; an administrator of the program can enable it.")
            message = inbound.read(body)
        except Refused as refused:
            self._systems.refused(system, refused.reason)
            raise _problem(refused) from None
        signal, identified = self._made(system, message_id, message, now)
        entrance = OfSystem(system_principal(f"crisis/inbound/{system.system_id}"))
        taken = await self._web.desk.roads.take(entrance, signal, linked=False)
        self._systems.took(system.system_id, now)
        if not identified:
            _log.warning("system.unidentified_person", system_id=system.system_id, alert_id=taken.alert_id)
        return JSONResponse({"signal_id": taken.signal_id, "identified": identified}, status_code=202)

    def _made(self, system: System, message_id: str, message: Message, now: datetime) -> tuple[Signal, bool]:
        """The signal, and whether it is known whom it is about.

        A signal about nobody known is not lost: it opens an alert of a person that stands for the system's name for
        them, and says so to the responder, who finds out.
        """
        known = message.person_id or self._systems.person(system.system_id, message.external_id)
        note = texts.FROM_SYSTEM.format(name=system.name)
        if not known:
            note = f"{note} {texts.UNIDENTIFIED.format(name=message.external_id)}"
        at = message.raised_at
        signal = Signal(
            signal_id=str(uuid5(_NAMESPACE, f"{system.system_id}/{message_id}")),
            person_id=known or str(uuid5(_NAMESPACE, f"{system.system_id}//{message.external_id}")),
            source=pb.SIGNAL_SOURCE_INTEGRATED_SYSTEM,
            actor=f"system:crisis/inbound/{system.system_id}",
            raised_at=at if at is not None and now - OLDEST < at < now else now,
            note=f"{note} {message.note}".strip(),
            level=message.level,
        )
        return signal, bool(known)


def _problem(refused: Refused) -> Problem:
    detail = f"{refused.sentence} {texts.SYSTEM_REFUSED}"
    if refused.reason == "disabled":
        return Problem("denied", detail, rule=refused.reason)
    if refused.reason == "body":
        found = Finding(refused.field or "body", "required", refused.sentence)
        return Problem("invalid", detail, rule=refused.reason, violations=[found])
    return Problem("unauthenticated", detail, rule=refused.reason)


def _uuid(given: str) -> str:
    try:
        return str(UUID(given))
    except ValueError:
        return ""


def routes(web: Web) -> list[BaseRoute]:
    """Where systems post."""
    return [Route("/inbound/v1/{system_id}", Inbound(web).signal, methods=["POST"])]
