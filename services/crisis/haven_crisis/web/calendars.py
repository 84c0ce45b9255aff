"""Duties for calendar programs: `/calendars/{token}.ics`. Whoever has the address reads who has which duty."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from haven.crisis.v1 import calendar_feed_service_pb2 as pb
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from haven_crisis import calendars
from haven_crisis.calendars import Entry
from haven_crisis.domain.escalation import Book
from haven_crisis.domain.rotation import Override, Rotation, Shadow, duties
from haven_crisis.store import feeds
from haven_kit.identity import system

if TYPE_CHECKING:
    from haven_crisis.web import Web

BEFORE, AFTER = timedelta(days=7), timedelta(days=90)
_PRINCIPAL = system("crisis/calendars")


def routes(web: Web) -> list[BaseRoute]:
    """The route of all feeds."""

    async def feed(request: Request) -> Response:
        async with web.parts.database.transaction(_PRINCIPAL) as tx:
            of = await feeds.read(tx, request.path_params["token"])
            book = await web.desk.directory.read(tx)
            now = tx.now
        body = calendars.write(_name(book, of), _entries(book, of, now), now)
        headers = {"Cache-Control": "private, max-age=300", "Content-Disposition": 'attachment; filename="on-call.ics"'}
        return Response(body, media_type="text/calendar; charset=utf-8", headers=headers)

    return [Route("/calendars/{token:str}.ics", feed, methods=["GET"])]


def _name(book: Book, of: pb.CalendarFeed) -> str:
    rotation = book.rotations.get(of.rotation_id)
    return f"On call: {rotation.name}" if rotation is not None else "On call"


def _entries(book: Book, of: pb.CalendarFeed, now: datetime) -> Iterator[Entry]:
    for key, rotation in book.rotations.items():
        if of.rotation_id in ("", key):
            yield from _of(book, rotation, of.responder_id, now)


def _of(book: Book, rotation: Rotation, responder_id: str, now: datetime) -> Iterator[Entry]:
    start, end = now - BEFORE, now + AFTER
    held: list[tuple[str, Override | Shadow]] = [("On call", each) for each in duties(rotation, start, end)]
    held += [("Watching", each) for each in rotation.shadows if each.starts_at < end and each.ends_at > start]
    for what, each in held:
        if responder_id in ("", each.responder_id):
            who = "" if responder_id else f" ({book.names.get(each.responder_id, each.responder_id)})"
            key = f"{rotation.rotation_id}/{what}/{each.responder_id}/{each.starts_at.isoformat()}"
            yield Entry(each.starts_at, each.ends_at, key, f"{what}: {rotation.name}{who}")
