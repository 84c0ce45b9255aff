"""The OpenAPI 3.1 document of a surface. Made from the descriptors alone, so that it cannot say what is not so."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from haven.options.v1 import options_pb2

from haven_edge.fields import has_text, message_of
from haven_edge.problems import KINDS, TYPES
from haven_edge.schemas import Schema, Schemas, is_required
from haven_edge.surface import Method, Surface, camel
from haven_edge.wellknown import is_wrapper

VERSION = "1"
_TEXT = frozenset({"google.protobuf.Timestamp", "google.protobuf.Duration", "google.protobuf.FieldMask"})
_MAX_QUERY_DEPTH = 4
_ROLES: dict[int, str] = {int(number): name.removeprefix("ROLE_").lower() for name, number in options_pb2.Role.items()}
_ABOUT = """The HTTP interface of Haven, a platform for trauma-sensitive virtual intensive outpatient programs.

Names are lowerCamelCase. 64-bit whole numbers are strings. Times are RFC 3339 in UTC. Fields without a value are
written all the same (empty string, empty list, 0), except those that can be absent. Unknown fields are refused.

Every answer that is not a success is a problem (RFC 9457) that names the fields and rules concerned, and the trace id
to tell support. Problems of calls for help carry `help`: what to show a person who needs help now.
"""


def document(surface: Surface) -> dict[str, Any]:
    """The document."""
    components: dict[str, Schema] = {}
    takes = Schemas(surface.comments, components, answers=False)
    gives = Schemas(surface.comments, components, answers=True)
    paths: dict[str, dict[str, Any]] = {}
    for method in sorted(surface.methods, key=lambda m: (m.public_path, m.verb)):
        paths.setdefault(method.public_path, {})[method.verb.lower()] = _operation(method, surface, takes, gives)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Haven", "version": VERSION, "description": _ABOUT, "license": _LICENSE},
        "servers": [{"url": "/", "description": "This gateway."}],
        "security": [{"signIn": []}],
        "tags": _tags(surface),
        "paths": paths,
        "components": {
            "schemas": dict(sorted({**components, **_PROBLEM_SCHEMAS}.items())),
            "parameters": _PARAMETERS,
            "headers": _HEADERS,
            "responses": {"Problem": _PROBLEM_RESPONSE},
            "securitySchemes": {"signIn": _SIGN_IN},
        },
    }


def printed(surface: Surface) -> bytes:
    """The document as it is committed."""
    return (json.dumps(document(surface), indent=2, ensure_ascii=False) + "\n").encode()


def _tags(surface: Surface) -> list[dict[str, str]]:
    found: dict[str, str] = {}
    for method in surface.methods:
        found[_tag(method)] = surface.comments.get(method.full_name.strip("/").rpartition("/")[0], "")
    return [{"name": name, "description": text} for name, text in sorted(found.items())]


def _tag(method: Method) -> str:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", method.group.removesuffix("Service")).lower()
    return words if words == method.service else f"{method.service}: {words}"


def _operation(method: Method, surface: Surface, takes: Schemas, gives: Schemas) -> dict[str, Any]:
    comment = surface.comments.get(method.full_name.strip("/").replace("/", "."), method.name)
    operation: dict[str, Any] = {
        "operationId": f"{method.service}_{method.name[0].lower()}{method.name[1:]}",
        "tags": [_tag(method)],
        "summary": re.split(r"(?<=[.!?])\s", comment, maxsplit=1)[0].rstrip("."),
        "description": comment + (_STREAM if method.streaming else ""),
        "x-haven-roles": [_ROLES[role] for role in sorted(method.roles)],
    }
    if method.seen_as:
        operation["x-haven-seen-as"] = method.seen_as
    if method.deprecated:
        operation["deprecated"] = True
    if parameters := [*_path(method, takes), *_query(method, takes), *_headers(method)]:
        operation["parameters"] = parameters
    if method.body:
        operation["requestBody"] = _body(method, takes)
    operation["responses"] = _responses(method, gives)
    return operation


def _path(method: Method, schemas: Schemas) -> Iterator[dict[str, Any]]:
    for name in method.parameters:
        schema = schemas.field(method.request.fields_by_name[name])
        if schema.get("type") == "string":
            schema.setdefault("minLength", 1)
        yield _parameter(camel(name), "path", schema, required=True)


def _query(method: Method, schemas: Schemas) -> Iterator[dict[str, Any]]:
    if method.body != "*":
        taken = frozenset({*method.parameters, method.body})
        yield from _query_fields(method.request, schemas, taken, "", 0)


def _query_fields(
    message_type: Descriptor, schemas: Schemas, taken: frozenset[str], prefix: str, depth: int
) -> Iterator[dict[str, Any]]:
    for field in message_type.fields:
        if field.name in taken:
            continue
        kind = field.message_type
        name = prefix + field.json_name
        if kind is None or kind.full_name in _TEXT or is_wrapper(kind):
            yield _parameter(name, "query", schemas.field(field), required=not depth and is_required(field))
        elif not field.is_repeated and depth < _MAX_QUERY_DEPTH and not kind.full_name.startswith("google.protobuf."):
            yield from _query_fields(kind, schemas, frozenset(), f"{name}.", depth + 1)


def _parameter(name: str, place: str, schema: Schema, *, required: bool) -> dict[str, Any]:
    parameter: dict[str, Any] = {"name": name, "in": place, "required": required, "schema": schema}
    if description := schema.pop("description", ""):
        parameter["description"] = description
    return parameter


def _headers(method: Method) -> Iterator[dict[str, str]]:
    def header(name: str) -> dict[str, str]:
        return {"$ref": f"#/components/parameters/{name}"}

    if method.streaming:
        yield header("LastEventId")
    elif method.verb != "GET":
        yield header("IdempotencyKey")
    elif has_text(method.response, "etag"):
        yield header("IfNoneMatch")
    if has_text(method.request, "etag"):
        yield header("IfMatch")


def _body(method: Method, schemas: Schemas) -> dict[str, Any]:
    if method.body == "*":
        schema = schemas.object(method.request, without=frozenset(method.parameters))
        description = schema.pop("description", "")
        needed = bool(schema.get("required"))
    else:
        field: FieldDescriptor = method.request.fields_by_name[method.body]
        schema, description, needed = schemas.message(message_of(field)), "", is_required(field)
    body: dict[str, Any] = {"required": needed, "content": {"application/json": {"schema": schema}}}
    return {"description": description, **body} if description else body


def _responses(method: Method, schemas: Schemas) -> dict[str, Any]:
    answer = schemas.message(method.response)
    success: dict[str, Any] = {"description": "Done."}
    if method.streaming:
        success["description"] = (
            "The stream. The schema is that of each event; its `id` is the `eventId` of its `data`."
        )
        success["content"] = {"text/event-stream": {"schema": _event(answer)}}
    else:
        success["content"] = {"application/json": {"schema": answer}}
    headers = {}
    if has_text(method.response, "etag") and not method.streaming:
        headers["ETag"] = {"$ref": "#/components/headers/ETag"}
    if method.verb == "GET" and has_text(method.response, "next_page_token"):
        headers["Link"] = {"$ref": "#/components/headers/Link"}
    if headers:
        success["headers"] = headers
    responses: dict[str, Any] = {"200": success}
    if method.verb == "GET" and "ETag" in headers:
        responses["304"] = {"description": "Not changed since the ETag in `If-None-Match`."}
    problem = {"$ref": "#/components/responses/Problem"}
    return {**responses, "4XX": problem, "5XX": problem}


def _event(data: Schema) -> Schema:
    """One server-sent event, in the manner of OpenAPI 3.2."""
    text = {"type": "string"}
    return {
        "type": "object",
        "properties": {
            "event": text,
            "id": text,
            "data": {"type": "string", "contentMediaType": "application/json", "contentSchema": data},
        },
        "required": ["data"],
    }


_LICENSE = {"name": "Apache-2.0", "identifier": "Apache-2.0"}
_STREAM = (
    "\n\nServed as server-sent events. A heartbeat comment comes every 15 seconds. Streams end now and then, at the "
    "latest after 15 minutes; the client then asks again with the last `id` it saw in `Last-Event-ID`. An "
    "`event: problem` tells why a stream ended early."
)
_SIGN_IN = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "An access token of the OpenID Connect provider that this installation signs people in with.",
}
_ETAG_PATTERN = r'^(\*|"[!#-~]{0,200}")$'
_PARAMETERS = {
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "description": "Makes repeating harmless: the first answer is given again. A new UUID for each intent.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[!-~]+$"},
    },
    "IfMatch": {
        "name": "If-Match",
        "in": "header",
        "required": False,
        "description": "The ETag that was read. The change is refused with 412 when the resource changed since.",
        "schema": {"type": "string", "pattern": _ETAG_PATTERN},
    },
    "IfNoneMatch": {
        "name": "If-None-Match",
        "in": "header",
        "required": False,
        "description": "The ETag of the copy at hand. The answer is 304 when it is still the same.",
        "schema": {"type": "string", "maxLength": 1000},
    },
    "LastEventId": {
        "name": "Last-Event-ID",
        "in": "header",
        "required": False,
        "description": "The id of the last event that was seen; the stream goes on after it.",
        "schema": {"type": "string", "maxLength": 256, "pattern": "^[ -~]*$"},
    },
}
_HEADERS = {
    "ETag": {"description": "The version of the resource.", "schema": {"type": "string"}},
    "Link": {"description": 'The address of the next page, with rel="next".', "schema": {"type": "string"}},
}
_PROBLEM_RESPONSE = {
    "description": "What went wrong (RFC 9457). 429 and 503 carry `Retry-After`.",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
_PROBLEM_SCHEMAS: dict[str, Schema] = {
    "Problem": {
        "type": "object",
        "description": "Why a request was not answered as asked (RFC 9457). It never repeats what was sent.",
        "properties": {
            "type": {"type": "string", "enum": [TYPES + kind.replace("_", "-") for kind in sorted(KINDS)]},
            "title": {"type": "string"},
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": {"type": "string"},
            "rule": {"type": "string", "description": "The rule that stands in the way."},
            "trace_id": {"type": "string", "description": "Tell this to support."},
            "violations": {"type": "array", "items": {"$ref": "#/components/schemas/Violation"}},
            "help": {"$ref": "#/components/schemas/HelpNow"},
        },
        "required": ["type", "title", "status", "detail"],
    },
    "Violation": {
        "type": "object",
        "description": "One rule that one field broke.",
        "properties": {"field": {"type": "string"}, "rule": {"type": "string"}, "message": {"type": "string"}},
        "required": ["field", "rule", "message"],
    },
    "HelpNow": {
        "type": "object",
        "description": "How to get help now. Show it as it is.",
        "properties": {
            "text": {"type": "string"},
            "contacts": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {name: {"type": "string"} for name in ("name", "call", "text", "chat")},
                    "required": ["name"],
                },
            },
        },
        "required": ["text", "contacts"],
    },
}
