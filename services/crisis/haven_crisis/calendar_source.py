"""Calendars from outside: fetched by their address, and read in a process of their own, which may take as long as it is
given and no longer. What somebody's calendar asks for must not take time from a call for help."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import sys
from datetime import datetime
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import aiohttp
import orjson
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from haven_crisis.calendars import UnreadableCalendar
from haven_crisis.domain.rotation import Stretch

READ_S = 10.0
FETCH_S = 10.0
MOST_BYTES = 500_000


class UnreachableCalendar(Exception):
    """The address gives no calendar. The message says what would help."""


async def parsed(text: str, zone: ZoneInfo, start: datetime, end: datetime) -> list[Stretch]:
    """The stretches that a calendar marks as taken. Raises UnreadableCalendar."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "haven_crisis.calendars", zone.key, start.isoformat(), end.isoformat()),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(READ_S):
            said, _ = await child.communicate(text.encode())
    except TimeoutError:
        raise UnreadableCalendar("The calendar takes too long to read. Export a shorter stretch of it.") from None
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode != 0:
        raise UnreadableCalendar("The calendar cannot be read. Export it again as .ics.")
    answer = orjson.loads(said)
    if "refused" in answer:
        raise UnreadableCalendar(answer["refused"])
    return [Stretch(*(datetime.fromisoformat(each) for each in pair)) for pair in answer["taken"]]


async def fetched(url: str, *, anywhere: bool) -> str:
    """The text at an address. Unless `anywhere`, only over https and not from inside the network that crisis runs in.

    Raises UnreachableCalendar.
    """
    if not anywhere and urlsplit(url).scheme != "https":
        raise UnreachableCalendar("Give an address that begins with https.")
    connector = aiohttp.TCPConnector(resolver=None if anywhere else _Outside())
    timeout = aiohttp.ClientTimeout(total=FETCH_S)
    try:
        if not anywhere:
            _refuse_inside(urlsplit(url).hostname or "")
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.get(url, allow_redirects=False) as answer,
        ):
            if answer.status != 200:
                raise UnreachableCalendar(f"The address answered with status {answer.status}. Copy it again.")
            body = await answer.content.read(MOST_BYTES + 1)
            while len(body) <= MOST_BYTES and (more := await answer.content.read(MOST_BYTES)):
                body += more
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise UnreachableCalendar("The address cannot be reached. Copy it again, or give the file.") from error
    if len(body) > MOST_BYTES:
        raise UnreachableCalendar("The calendar is larger than 500 kB. Export a shorter stretch of it.")
    return body.decode(errors="replace")


class _Outside(AbstractResolver):
    """Resolves names, but not to addresses inside."""

    def __init__(self) -> None:
        self._inner = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        for each in found:
            _refuse_inside(each["host"])
        return found

    async def close(self) -> None:
        await self._inner.close()


def _refuse_inside(host: str) -> None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return  # a name, which is looked at once it is resolved
    if not address.is_global:
        raise UnreachableCalendar("The address is not one of the open internet. Give the file instead.")
