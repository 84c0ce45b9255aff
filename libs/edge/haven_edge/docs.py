"""The API reference page, its OpenAPI document and the pages of problem types. Nothing is fetched from elsewhere."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from haven_edge.problems import KINDS, Problem

_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Haven API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<main id="reference"></main>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
_START = """SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#reference",
  deepLinking: true,
  displayRequestDuration: true,
  docExpansion: "none",
  filter: true,
  persistAuthorization: false,
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
});
"""
_ASSETS = {
    "swagger-ui.css": "text/css; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
}
_CACHED = "public, max-age=3600"


def routes(document: dict[str, Any]) -> list[Route]:
    """The routes of the reference."""
    packed = orjson.dumps(document)

    async def page(_: Request) -> Response:
        return HTMLResponse(_PAGE, headers={"content-security-policy": _CSP})

    async def openapi(_: Request) -> Response:
        return Response(packed, media_type="application/json", headers={"cache-control": "no-cache"})

    return [
        Route("/docs", page),
        Route("/docs/start.js", _file(_START.encode(), "text/javascript; charset=utf-8")),
        *(Route(f"/docs/{name}", _file(_asset(name), media)) for name, media in _ASSETS.items()),
        Route("/openapi.json", openapi),
        Route("/problems/{kind}", _problem_page),
    ]


def _asset(name: str) -> bytes:
    package = resources.files("fastapi_standalone_docs")
    with resources.as_file(package / "static" / "swagger" / name) as path:
        return Path(path).read_bytes()


def _file(content: bytes, media_type: str) -> Any:
    async def serve(_: Request) -> Response:
        return Response(content, media_type=media_type, headers={"cache-control": _CACHED})

    return serve


async def _problem_page(request: Request) -> Response:
    kind = KINDS.get(request.path_params["kind"].replace("-", "_"))
    if kind is None:
        raise Problem("not_found")
    return Response(f"{kind.title} ({kind.status})\n\n{kind.advice}\n", media_type="text/plain; charset=utf-8")
