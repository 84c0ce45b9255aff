"""The application of an HTTP edge: the API, its reference, its health, and what else the process serves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import orjson
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from haven_edge import docs, openapi
from haven_edge.endpoints import Channels
from haven_edge.limits import Limits
from haven_edge.middleware import Limited, SecurityHeaders
from haven_edge.problems import Problem, encode, from_error
from haven_edge.routes import PREFIX, Api
from haven_edge.settings import EdgeSettings
from haven_edge.surface import Surface
from haven_kit import logs
from haven_kit.errors import HavenError
from haven_kit.identity import TokenVerifier

Readiness = Callable[[], Mapping[str, bool]]
"""What readiness depends on, by name, and whether it holds."""

_SENT = [
    "authorization",
    "content-type",
    "idempotency-key",
    "if-match",
    "if-none-match",
    "last-event-id",
    "traceparent",
]
_SHOWN = ["etag", "link", "retry-after", "traceparent", "x-request-id", "www-authenticate", "allow"]
_HEALTH = ("/livez", "/readyz")
_BY_STATUS = {404: "not_found", 405: "method_not_allowed"}
_log = logs.get(__name__)


def create_app(
    surface: Surface,
    channels: Channels,
    verifier: TokenVerifier,
    settings: EdgeSettings,
    *,
    readiness: Readiness,
    more: Sequence[BaseRoute] = (),
    unlimited: tuple[str, ...] = (),
    limits: Limits | None = None,
) -> tuple[FastAPI, Api]:
    """The application, and its API so that streams can be drained.

    `more` are routes beside the contracts'. They may raise Problem and the errors of haven_kit.errors. Those whose path
    begins with one of `unlimited` are not held to the rate of the client's address.
    """
    app = FastAPI(
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    limits = limits or Limits(settings)
    api = Api(surface, channels, verifier, settings, limits=limits)
    app.router.routes[:] = [api, *docs.routes(openapi.document(surface)), *_health(readiness), *more]
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(HavenError, _on_error)
    app.add_exception_handler(Exception, _on_failure)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=_SENT,
            expose_headers=_SHOWN,
            max_age=600,
        )
    app.add_middleware(Limited, limits=limits, except_under=(PREFIX, *_HEALTH, *unlimited))
    app.add_middleware(SecurityHeaders, tls=settings.public_tls or settings.public_certificate is not None)
    return app, api


def _health(readiness: Readiness) -> list[Route]:
    async def live(_: Request) -> Response:
        return _json({"live": True}, 200)

    async def ready(_: Request) -> Response:
        parts = dict(readiness())
        return _json({"ready": all(parts.values()), "parts": parts}, 200 if all(parts.values()) else 503)

    return [Route(path, answer) for path, answer in zip(_HEALTH, (live, ready), strict=True)]


def _json(value: object, status: int) -> Response:
    return Response(orjson.dumps(value), status, media_type="application/json")


async def _on_http_error(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return _problem(Problem(_BY_STATUS.get(status, "internal")))


async def _on_problem(_: Request, error: Exception) -> Response:
    return _problem(error if isinstance(error, Problem) else Problem("internal"))


async def _on_error(_: Request, error: Exception) -> Response:
    return _problem(from_error(error) if isinstance(error, HavenError) else Problem("internal"))


async def _on_failure(_: Request, error: Exception) -> Response:
    _log.error("request.failed", error=type(error).__name__)
    return _problem(Problem("internal"))


def _problem(problem: Problem) -> Response:
    response = Response(encode(problem, ""), problem.status)
    response.raw_headers.extend(problem.headers())
    return response
