"""A contract that leaves something open does not start."""

from __future__ import annotations

from typing import cast

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, struct_pb2
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from haven.options.v1 import options_pb2

from haven_kit import contract

FIELD = descriptor_pb2.FieldDescriptorProto


def _messages(name: str, subject: str, *, page: bool, phi: bool, untyped: bool = False) -> type[Message]:
    """A message that nests a person; an event or page as asked."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{name}.proto", package=f"haven.{name}.v1", syntax="proto3")
    file.dependency.extend(["haven/options/v1/options.proto", struct_pb2.DESCRIPTOR.name])
    inner = file.message_type.add(name="Inner")
    inner.field.add(name="text", number=1, type=FIELD.TYPE_STRING, label=1)
    if phi:
        inner.field[0].options.Extensions[options_pb2.phi] = options_pb2.PHI_HEALTH
    outer = file.message_type.add(name="Outer")
    outer.field.add(name="inner", number=1, type=FIELD.TYPE_MESSAGE, type_name=f".haven.{name}.v1.Inner", label=3)
    if untyped:
        outer.field.add(name="any", number=2, type=FIELD.TYPE_MESSAGE, type_name=".google.protobuf.Struct", label=1)
    if subject:
        outer.options.Extensions[options_pb2.event].subject = subject
    outer.options.Extensions[options_pb2.page] = page
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"haven.{name}.v1.Outer"))


@pytest.mark.parametrize(
    ("name", "subject", "page", "phi", "untyped", "found"),
    [
        ("fine", "haven.fine.thing.happened.v1", False, False, False, ""),
        ("leakyevent", "haven.leakyevent.thing.happened.v1", False, True, False, "may not carry health information"),
        ("leakypage", "", True, True, False, "may not carry health information"),
        ("openevent", "haven.openevent.thing.happened.v1", False, False, True, "may not carry health information"),
        ("oddsubject", "haven.oddsubject", False, False, False, "is not haven.<service>"),
        ("plain", "", False, True, False, ""),
    ],
)
def test_events_and_pages_carry_no_health_information_at_any_depth(
    name: str, subject: str, page: bool, phi: bool, untyped: bool, found: str
) -> None:
    made = _messages(name, subject, page=page, phi=phi, untyped=untyped)
    findings = contract.message_findings(cast(Descriptor, made.DESCRIPTOR))
    assert findings == [] if not found else found in findings[0]


def _method(**access: object) -> contract.Method:
    return contract.Method(
        full_name="/haven.x.v1.X/Do",
        name="Do",
        service="x",
        access=options_pb2.Access(**access),  # type: ignore[arg-type]
        request=options_pb2.Access,
        response=options_pb2.Access,
        server_streaming=False,
        http_verb="POST" if access.pop("route", True) else "",
        http_path="/v1/x",
        carries_phi=True,
    )


@pytest.mark.parametrize(
    ("method", "found"),
    [
        (_method(seen_as="read x"), "no access rule"),
        (_method(roles=[1], seen_as="read x"), "names no relation"),
        (_method(roles=[1], relations=[1]), "no seen_as"),
    ],
)
def test_a_method_says_who_may_call_it_and_how_the_look_is_shown(method: contract.Method, found: str) -> None:
    assert any(found in each for each in contract.method_findings(method))


@pytest.mark.parametrize("service", [*contract.SERVICES, "audit"])
def test_the_contracts_leave_nothing_open(service: str) -> None:
    contract.check(service)


def test_every_event_has_a_subject_of_its_own_service() -> None:
    for subject, kind in contract.events().items():
        package = kind.DESCRIPTOR.full_name.split(".")[1]
        assert subject.split(".")[1] in (package, "*")
