"""What the contracts say, read from the generated descriptors: access, health information, events, pages, routes.

`check()` refuses a contract that leaves something open. Every process calls it before it serves.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from google.api import annotations_pb2
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from haven.options.v1 import options_pb2

SERVICES = ("intake", "scheduling", "sessions", "crisis", "billing")
"""The services, each with a `haven.<name>.v1` package of contracts."""

_UNTYPED = frozenset({"google.protobuf.Struct", "google.protobuf.Value", "google.protobuf.Any"})
_SUBJECT = re.compile(r"haven\.([a-z]+|\*)\.[a-z_]+\.[a-z_]+\.v[1-9][0-9]*")


class ContractError(Exception):
    """A contract leaves open what it must say. The message lists every finding."""


@dataclass(frozen=True, slots=True)
class Method:
    """One RPC, with what its contract says about it."""

    full_name: str
    """`/haven.intake.v1.IntakeService/GetReferral`, as gRPC calls it."""
    name: str
    service: str
    """The owning service: `intake`."""
    access: options_pb2.Access
    request: type[Message]
    response: type[Message]
    server_streaming: bool
    http_verb: str
    http_path: str
    carries_phi: bool


def load(*services: str) -> None:
    """Import the generated modules of the named services, so that their descriptors are in the pool."""
    for service in services:
        for module in _modules(service):
            importlib.import_module(module)


def _modules(service: str) -> Iterator[str]:
    package = importlib.import_module(f"haven.{service}.v1")
    for location in package.__path__:
        for path in sorted(Path(location).glob("*_pb2.py")):
            yield f"haven.{service}.v1.{path.stem}"


def methods_of(service_full_name: str) -> tuple[Method, ...]:
    """Every RPC of a gRPC service, such as `haven.intake.v1.IntakeService`."""
    descriptor = descriptor_pool.Default().FindServiceByName(service_full_name)
    return tuple(_method(each) for each in descriptor.methods)


def services_of(service: str) -> tuple[str, ...]:
    """Full names of the gRPC services in `haven.<service>.v1`."""
    load(service)
    found: list[str] = []
    for module_name in _modules(service):
        module = importlib.import_module(module_name)
        found.extend(each.full_name for each in module.DESCRIPTOR.services_by_name.values())
    return tuple(found)


@cache
def all_methods() -> tuple[Method, ...]:
    """Every RPC of every service."""
    return tuple(m for service in SERVICES for name in services_of(service) for m in methods_of(name))


def _method(descriptor: MethodDescriptor) -> Method:
    options = descriptor.GetOptions()
    rule = options.Extensions[annotations_pb2.http]
    verb = rule.WhichOneof("pattern") or ""
    package = descriptor.containing_service.file.package
    return Method(
        full_name=f"/{descriptor.containing_service.full_name}/{descriptor.name}",
        name=descriptor.name,
        service=package.split(".")[1],
        access=options.Extensions[options_pb2.access],
        request=message_factory.GetMessageClass(descriptor.input_type),
        response=message_factory.GetMessageClass(descriptor.output_type),
        server_streaming=descriptor.server_streaming,
        http_verb=verb.upper(),
        http_path=getattr(rule, verb) if verb else "",
        carries_phi=has_phi(descriptor.input_type) or has_phi(descriptor.output_type),
    )


def snake(name: str) -> str:
    """`GetReferral` as `get_referral`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def phi_kind(field: FieldDescriptor) -> int:
    """The `Phi` number of a field; 0 where it is not health information."""
    return int(field.GetOptions().Extensions[options_pb2.phi])


@cache
def has_phi(descriptor: Descriptor) -> bool:
    """Whether a message can hold health information, at any depth. A Struct or Any always can."""
    return _reaches_phi(descriptor, set())


def _reaches_phi(descriptor: Descriptor, seen: set[str]) -> bool:
    if descriptor.full_name in _UNTYPED:
        return True
    if descriptor.full_name in seen:
        return False
    seen.add(descriptor.full_name)
    return any(
        phi_kind(field) or (field.message_type is not None and _reaches_phi(field.message_type, seen))
        for field in descriptor.fields
    )


def event_subject(message: type[Message] | Descriptor) -> str:
    """The subject an event is published on; empty where the message is not an event."""
    descriptor: Any = message if isinstance(message, Descriptor) else message.DESCRIPTOR
    return str(descriptor.GetOptions().Extensions[options_pb2.event].subject)


def is_page(descriptor: Descriptor) -> bool:
    """Whether the message is the text of a page."""
    return bool(descriptor.GetOptions().Extensions[options_pb2.page])


def messages_of(service: str) -> Iterator[Descriptor]:
    """Every message, nested ones included, in `haven.<service>.v1`."""
    for module_name in _modules(service):
        module: Any = importlib.import_module(module_name)
        for descriptor in module.DESCRIPTOR.message_types_by_name.values():
            yield from _with_nested(descriptor)


def _with_nested(descriptor: Descriptor) -> Iterator[Descriptor]:
    yield descriptor
    for nested in descriptor.nested_types:
        yield from _with_nested(nested)


@cache
def events() -> dict[str, type[Message]]:
    """Every event by subject."""
    found: dict[str, type[Message]] = {}
    for service in (*SERVICES, "audit"):
        for descriptor in messages_of(service):
            if subject := event_subject(descriptor):
                found[subject] = message_factory.GetMessageClass(descriptor)
    return found


def check(*services: str) -> None:
    """Refuse contracts that leave something open.

    Raises ContractError that lists each RPC without a route or an access rule, each that carries health information
    without saying how the look is shown to the person, and each event or page that could carry health information.
    """
    findings: list[str] = []
    for service in services:
        for descriptor in messages_of(service):
            findings.extend(message_findings(descriptor))
        for name in services_of(service):
            for method in methods_of(name):
                findings.extend(method_findings(method))
    if findings:
        raise ContractError("\n".join(findings))


def message_findings(descriptor: Descriptor) -> list[str]:
    """What is wrong with a message as an event or a page."""
    subject = event_subject(descriptor)
    findings = []
    if (subject or is_page(descriptor)) and has_phi(descriptor):
        findings.append(f"{descriptor.full_name}: an event or page may not carry health information")
    if subject and not _SUBJECT.fullmatch(subject):
        findings.append(f"{descriptor.full_name}: subject {subject} is not haven.<service>.<aggregate>.<happened>.v<n>")
    return findings


def method_findings(method: Method) -> list[str]:
    """What is wrong with an RPC."""
    findings = []
    if not method.access.roles and not method.access.services:
        findings.append(f"{method.full_name}: no access rule")
    if method.access.roles and not method.access.relations:
        findings.append(f"{method.full_name}: access opens roles but names no relation to the record")
    if method.access.roles and not method.http_path:
        findings.append(f"{method.full_name}: people may call it but it has no HTTP route")
    if method.carries_phi and not method.access.seen_as:
        findings.append(f"{method.full_name}: carries health information but has no seen_as")
    return findings
