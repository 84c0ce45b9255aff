"""`haven run` and `haven token`: the platform on this machine. They need the development package haven-dev."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from haven_cli.databases import platform as running_platform
from haven_cli.output import fail, out, say

if TYPE_CHECKING:
    from haven_dev.runner import Platform

GATEWAY_PORT = 8080


def run(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Of the gateway; another one when it is taken.")
    ] = GATEWAY_PORT,
    state: Annotated[Path | None, typer.Option(help="Where data and logs are kept; .haven/run by default.")] = None,
) -> None:
    """Start the whole platform on this machine and keep it running until Ctrl-C."""
    try:
        from haven_dev import project, runner
    except ImportError:
        fail("`haven run` needs the development package haven-dev; in production each service is started by itself.")
    folder = (state or project.home() / "run").resolve()
    platform = runner.Platform(folder, gateway_port=port, say=say)
    raise typer.Exit(asyncio.run(runner.until_stopped(platform, _introduce, say)))


def _introduce(platform: Platform) -> None:
    from haven_dev.issuer import ROLES

    out.print(f"\ngateway   {platform.gateway_url}")
    out.print(f"API docs  {platform.gateway_url}/docs")
    out.print(f"crisis    {platform.crisis_url}")
    out.print(f"logs      {platform.log('gateway').parent}\n", soft_wrap=True)
    out.print("Sign-in tokens, good for eight hours (others: haven token --role participant --person-id ID):\n")
    for role in ROLES:
        out.print(f"{role}\n  {platform.token(role)}\n", soft_wrap=True)
    out.print("Ctrl-C stops everything.")


def token(
    role: Annotated[list[str], typer.Option(help="A role such as participant; may be given more than once.")],
    person_id: Annotated[str, typer.Option(help="The record of the person who signs in.")] = "",
    sub: Annotated[str, typer.Option(help="The account; by default one made from roles and person.")] = "",
) -> None:
    """Print a sign-in token of the platform that runs in this checkout."""
    issuer = running_platform()["issuer"]["url"]
    fields = [("role", each) for each in role] + [("person_id", person_id), ("sub", sub)]
    request = urllib.request.Request(f"{issuer}/token", urllib.parse.urlencode(fields).encode())  # noqa: S310  (loopback)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310  (loopback)
            out.print(json.load(answer)["access_token"], soft_wrap=True)
    except urllib.error.HTTPError as error:
        fail(json.load(error)["error_description"])
    except OSError as error:
        fail(f"The issuer does not answer: {error}")
