"""How the command speaks: results on stdout, everything else on stderr."""

from __future__ import annotations

from typing import NoReturn

import typer
from rich.console import Console

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """Tell how things go."""
    err.print(text, markup=False, soft_wrap=True)


def told(text: str) -> None:
    """Give one line of the result, whole however narrow the terminal is."""
    out.print(text, markup=False, soft_wrap=True)


def fail(text: str) -> NoReturn:
    """End with status 1 and the reason."""
    err.print(text, markup=False, soft_wrap=True, style="red")
    raise typer.Exit(1)
