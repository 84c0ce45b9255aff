"""A service's database, for commands that look after it."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from haven_cli.output import fail
from haven_kit.clock import SystemClock
from haven_kit.contract import SERVICES
from haven_kit.database import Database
from haven_kit.errors import HavenError

T = TypeVar("T")
PLATFORM_FILE = Path(".haven/run/platform.json")
"""Where a platform started by `haven run` notes its addresses, below the checkout."""


def _known(name: str) -> str:
    if name not in SERVICES:
        raise typer.BadParameter(f"one of {', '.join(SERVICES)}")
    return name


Service = Annotated[str, typer.Option("--service", help="Whose database.", callback=_known)]
DatabaseUrl = Annotated[
    str,
    typer.Option(
        "--database-url",
        envvar="HAVEN_DATABASE_URL",
        help="postgresql://…; by default that of the platform started here.",
        show_default=False,
    ),
]


def with_database(service: str, url: str, work: Callable[[Database], Awaitable[T]]) -> T:
    """Do something with a service's database: the one given, or that of the platform that runs in this checkout."""

    async def connected() -> T:
        database = Database(url or str(platform()["databases"][service]), clock=SystemClock(), application="haven-cli")
        try:
            return await work(database)
        finally:
            await database.close()

    try:
        return asyncio.run(connected())
    except HavenError as error:
        fail(error.message)


def platform() -> dict[str, dict[str, str]]:
    """What the platform that runs in this checkout noted. Ends the command when none runs."""
    for folder in (Path.cwd(), *Path.cwd().parents):
        path = folder / PLATFORM_FILE
        if path.exists():
            noted: dict[str, dict[str, str]] = json.loads(path.read_text())
            if _lives(int(noted["process"]["pid"])):
                return noted
    return fail(
        "No platform runs here. Start one with `haven run`, or name a database: HAVEN_DATABASE_URL or --database-url."
    )


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
