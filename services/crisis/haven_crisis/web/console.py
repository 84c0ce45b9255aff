"""The console: a page for responders, its files as they are in the package, and where it signs in."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import orjson
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from haven_crisis.channels import web_push
from haven_crisis.settings import CrisisSettings
from haven_edge.problems import Problem

if TYPE_CHECKING:
    from haven_crisis.web import Web

_MEDIA = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
    ".LICENSE": "text/plain; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class File:
    """A file of the console as it is served."""

    content: bytes
    media_type: str
    etag: str


def routes(web: Web) -> list[BaseRoute]:
    """The routes of the console."""
    settings = web.parts.settings
    files = read(resources.files("haven_crisis") / "console")
    policy = _policy(settings)
    config = orjson.dumps(
        {
            "issuer": settings.issuer_url,
            "clientId": settings.console_client_id,
            "scopes": settings.console_scopes,
            "webPushKey": _web_push_key(settings),
        }
    )

    async def file(request: Request) -> Response:
        found = files.get(request.path_params["path"] or "index.html")
        if found is None:
            raise Problem("not_found", "There is nothing at this address.")
        # Asked for again each time, so that a new release is used at once; not sent again while it is the same.
        headers = {"cache-control": "no-cache", "etag": found.etag, "content-security-policy": policy}
        if request.headers.get("if-none-match") == found.etag:
            return Response(status_code=304, headers=headers)
        return Response(found.content, media_type=found.media_type, headers=headers)

    async def settings_of_the_page(_: Request) -> Response:
        return Response(config, media_type="application/json")

    async def to_the_page(_: Request) -> Response:
        return RedirectResponse("/console/", status_code=308)

    return [
        Route("/console", to_the_page),
        Route("/console/config.json", settings_of_the_page),
        Route("/console/{path:path}", file),
    ]


def _web_push_key(settings: CrisisSettings) -> str:
    """The public half of the key that signs notifications, as browsers ask for it; empty where there is none."""
    key = settings.web_push_key
    return web_push.text(web_push.public_bytes(web_push.private_key(key.get_secret_value()))) if key else ""


def _policy(settings: CrisisSettings) -> str:
    """No script, style or connection but the console's own, and the sign-in provider's; nothing inline, no eval."""
    provider = "{0.scheme}://{0.netloc}".format(urlsplit(settings.issuer_url))
    reached = " ".join(["'self'", provider, *settings.console_origins])
    return (
        f"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; manifest-src 'self'; "
        f"worker-src 'self'; connect-src {reached}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types haven-worker"
    )


def read(folder: Traversable, prefix: str = "") -> dict[str, File]:
    """Every file below a folder of the package, by its path."""
    found: dict[str, File] = {}
    for each in folder.iterdir():
        if each.is_dir():
            found |= read(each, f"{prefix}{each.name}/")
        elif media_type := _MEDIA.get("." + each.name.rpartition(".")[2]):
            content = each.read_bytes()
            etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
            found[prefix + each.name] = File(content, media_type, etag)
    return found
