"""What the contracts make public: every method with an HTTP route that people may call, with its comments.

Read once at start-up from the descriptor set that `make protos` leaves beside the stubs; nothing here runs per request.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from google.api import annotations_pb2
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import Descriptor
from haven.options.v1 import options_pb2

_PARAMETER = re.compile(r"\{([^{}]*)\}")
_FIELD = re.compile(r"[a-z][a-z0-9_]*")
_VERBS = ("get", "put", "post", "delete", "patch")


class SurfaceError(Exception):
    """The contracts cannot be served over HTTP. The message lists every finding."""


@dataclass(frozen=True, slots=True)
class Method:
    """One RPC with one HTTP route."""

    full_name: str
    """`/haven.crisis.v1.CrisisService/RaiseSignal`, as gRPC calls it."""
    service: str
    """The process that answers: `crisis`."""
    group: str
    """The gRPC service, `CrisisService`."""
    name: str
    verb: str
    """`GET`, `POST`, …"""
    path: str
    """The route as the contract writes it: `/v1/alerts/{alert_id}:acknowledge`."""
    body: str
    """`*`, the name of one field, or empty."""
    request: Descriptor
    response: Descriptor
    streaming: bool
    roles: frozenset[int]
    seen_as: str
    deprecated: bool

    @property
    def parameters(self) -> tuple[str, ...]:
        """Fields of the request that are in the path."""
        return tuple(_PARAMETER.findall(self.path))

    @property
    def public_path(self) -> str:
        """The route with its parameters in public (camel) case."""
        return _PARAMETER.sub(lambda found: "{" + camel(found[1]) + "}", self.path)


@dataclass(frozen=True, slots=True)
class Surface:
    """All public methods, and the comments of everything by full name."""

    methods: tuple[Method, ...]
    comments: dict[str, str]
    services: tuple[str, ...] = field(default=())

    @classmethod
    def of_haven(cls, services: Iterable[str] = ()) -> Surface:
        """The surface of the contracts that this release was built with; only the named services, or all."""
        packed = (resources.files("haven") / "descriptors.binpb").read_bytes()
        return cls.of(descriptor_pb2.FileDescriptorSet.FromString(packed), services)

    @classmethod
    def of(cls, files: descriptor_pb2.FileDescriptorSet, services: Iterable[str] = ()) -> Surface:
        """The surface of a descriptor set with source info. Raises SurfaceError for routes that cannot be served."""
        pool = descriptor_pool.DescriptorPool()
        for file in files.file:
            pool.Add(file)
        wanted = frozenset(services)
        methods: list[Method] = []
        comments: dict[str, str] = {}
        for file in files.file:
            comments.update(_comments(file))
            methods.extend(m for m in _methods(file, pool) if not wanted or m.service in wanted)
        findings = [finding for method in methods for finding in _findings(method)] + _conflicts(methods)
        findings += [f"{name}: no such service has public methods" for name in wanted - {m.service for m in methods}]
        if findings:
            raise SurfaceError("\n".join(findings))
        return cls(tuple(methods), comments, tuple(sorted({method.service for method in methods})))


def camel(name: str) -> str:
    """A field's name as protobuf's JSON mapping spells it: `alert_id` as `alertId`."""
    return re.sub(r"_([a-zA-Z0-9])", lambda found: found[1].upper(), name)


def _methods(file: descriptor_pb2.FileDescriptorProto, pool: descriptor_pool.DescriptorPool) -> Iterator[Method]:
    for service in file.service:
        for method in service.method:
            access = method.options.Extensions[options_pb2.access]
            http = method.options.Extensions[annotations_pb2.http]
            if not access.roles:
                continue  # only other services may call it: it has no place in public
            for rule in (http, *http.additional_bindings):
                if verb := rule.WhichOneof("pattern"):
                    yield _method(file.package, service.name, method, verb, rule, access, pool)


def _method(
    package: str, group: str, proto: Any, verb: str, rule: Any, access: options_pb2.Access, pool: Any
) -> Method:
    full_name = f"/{package}.{group}/{proto.name}"
    if verb not in _VERBS or rule.response_body:
        raise SurfaceError(f"{full_name}: custom verbs and response_body are not served")
    return Method(
        full_name=full_name,
        service=package.split(".")[1],
        group=group,
        name=proto.name,
        verb=verb.upper(),
        path=getattr(rule, verb),
        body=rule.body,
        request=pool.FindMessageTypeByName(proto.input_type.lstrip(".")),
        response=pool.FindMessageTypeByName(proto.output_type.lstrip(".")),
        streaming=proto.server_streaming,
        roles=frozenset(access.roles),
        seen_as=access.seen_as,
        deprecated=proto.options.deprecated,
    )


def _findings(method: Method) -> Iterator[str]:
    for name in method.parameters:
        if not _FIELD.fullmatch(name):
            yield f"{method.full_name}: {{{name}}} in the path is not a plain field"
        elif name not in method.request.fields_by_name:
            yield f"{method.full_name}: {{{name}}} in the path is not a field of {method.request.full_name}"
        elif method.request.fields_by_name[name].is_repeated or method.request.fields_by_name[name].message_type:
            yield f"{method.full_name}: {{{name}}} in the path is not a scalar"
    if not re.fullmatch(r"/v1(/([a-zA-Z0-9_.-]+|\{[^{}]+\}))+(:[a-zA-Z]+)?", method.path):
        yield f"{method.full_name}: {method.path} is not a path under /v1"
    if method.body and method.verb == "GET":
        yield f"{method.full_name}: a GET has no body"
    if method.body not in ("", "*"):
        body = method.request.fields_by_name.get(method.body)
        if body is None or body.message_type is None or body.is_repeated:
            yield f"{method.full_name}: body {method.body} is not a message field of {method.request.full_name}"
    if method.streaming and method.verb != "GET":
        yield f"{method.full_name}: a stream is served on GET only"


def _conflicts(methods: list[Method]) -> list[str]:
    """Two methods on one route, or routes that no request can tell apart."""
    seen: dict[tuple[str, str], str] = {}
    findings = []
    for method in methods:
        route = (method.verb, _PARAMETER.sub("{}", method.path))
        if route in seen:
            findings.append(f"{method.full_name}: {method.verb} {method.path} is already {seen[route]}")
        seen[route] = method.full_name
    return findings


# Field numbers in descriptor.proto, as the paths of source info name them.
_FILE = {4: "message_type", 5: "enum_type", 6: "service"}
_INNER = {
    "message_type": {2: "field", 3: "message_type", 4: "enum_type", 8: "oneof"},
    "enum_type": {2: "value"},
    "service": {2: "method"},
}
_ATTRIBUTE = {("message_type", "message_type"): "nested_type", ("message_type", "oneof"): "oneof_decl"}


def _comments(file: descriptor_pb2.FileDescriptorProto) -> Iterator[tuple[str, str]]:
    for location in file.source_code_info.location:
        text = (location.leading_comments or location.trailing_comments).strip()
        name = _name_at(file, list(location.path)) if text else ""
        if name:
            yield name, _plain(text)


def _name_at(file: descriptor_pb2.FileDescriptorProto, path: list[int]) -> str:
    """The full name of what a source path points at; empty where that is not a named thing."""
    if len(path) < 2 or len(path) % 2 or path[0] not in _FILE:
        return ""
    kind = _FILE[path[0]]
    node: Any = getattr(file, kind)[path[1]]
    name = f"{file.package}.{node.name}"
    for number, index in zip(path[2::2], path[3::2], strict=True):
        inner = _INNER.get(kind, {}).get(number)
        if inner is None:
            return ""
        node = getattr(node, _ATTRIBUTE.get((kind, inner), inner))[index]
        name, kind = f"{name}.{node.name}", inner
    return name


def _plain(text: str) -> str:
    """A comment with its lines joined, paragraphs and lists kept."""
    lines = [line.removeprefix(" ").rstrip() for line in text.splitlines()]
    paragraphs = re.split(r"\n\s*\n", "\n".join(lines))
    return "\n\n".join(re.sub(r"\n(?![-*] )", " ", paragraph).strip() for paragraph in paragraphs)
