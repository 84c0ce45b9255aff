"""A redacted message holds no health information, wherever in it that was."""

from typing import Any, cast

import pytest
from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory, struct_pb2
from google.protobuf.message import Message
from haven.options.v1 import options_pb2

from haven_kit.redact import has_phi, redacted, safe_repr

_FIELD = descriptor_pb2.FieldDescriptorProto
_FILE = "kit_redact_test.proto"


def _field(message: Any, name: str, number: int, kind: Any = _FIELD.TYPE_STRING, **more: Any) -> Any:
    phi = more.pop("phi", False)
    field = message.field.add(
        name=name, number=number, type=kind, label=more.pop("label", _FIELD.LABEL_OPTIONAL), **more
    )
    if phi:
        field.options.Extensions[options_pb2.phi] = options_pb2.PHI_HEALTH
    return field


def _record_type() -> Any:
    """A message with health information in every place where a field can be."""
    file = descriptor_pb2.FileDescriptorProto(name=_FILE, package="kit.redact", syntax="proto3")
    file.dependency.extend(
        ["haven/options/v1/options.proto", "google/protobuf/any.proto", "google/protobuf/struct.proto"]
    )
    inner = file.message_type.add(name="Inner")
    _field(inner, "inner_id", 1)
    _field(inner, "text", 2, phi=True)
    record = file.message_type.add(name="Record")
    record.oneof_decl.add(name="answer")
    _field(record, "record_id", 1)
    _field(record, "name", 2, phi=True)
    _field(record, "scores", 3, _FIELD.TYPE_INT32, label=_FIELD.LABEL_REPEATED, phi=True)
    _field(record, "one", 4, _FIELD.TYPE_MESSAGE, type_name=".kit.redact.Inner")
    _field(record, "many", 5, _FIELD.TYPE_MESSAGE, type_name=".kit.redact.Inner", label=_FIELD.LABEL_REPEATED)
    _field(
        record, "by_key", 6, _FIELD.TYPE_MESSAGE, type_name=".kit.redact.Record.ByKeyEntry", label=_FIELD.LABEL_REPEATED
    )
    _field(record, "spoken", 7, oneof_index=0, phi=True)
    _field(record, "chosen", 8, oneof_index=0)
    _field(record, "any", 9, _FIELD.TYPE_MESSAGE, type_name=".google.protobuf.Any")
    _field(record, "struct", 10, _FIELD.TYPE_MESSAGE, type_name=".google.protobuf.Struct")
    _field(record, "again", 11, _FIELD.TYPE_MESSAGE, type_name=".kit.redact.Record")
    _field(record, "whole", 12, _FIELD.TYPE_MESSAGE, type_name=".kit.redact.Inner", phi=True)
    _field(record, "value", 13, _FIELD.TYPE_MESSAGE, type_name=".google.protobuf.Value")
    entry = record.nested_type.add(name="ByKeyEntry")
    entry.options.map_entry = True
    _field(entry, "key", 1)
    _field(entry, "value", 2, _FIELD.TYPE_MESSAGE, type_name=".kit.redact.Inner")
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    found = pool.FindMessageTypeByName("kit.redact.Record")
    return cast(Any, message_factory.GetMessageClass(found))


Record = _record_type()


def full(depth: int = 1) -> Any:
    """A record with the canary in every place, and ids beside it."""
    record = Record(record_id="r-1", name="canary", scores=[7777], spoken="canary")
    record.one.inner_id, record.one.text = "i-1", "canary"
    record.many.add(inner_id="i-2", text="canary")
    record.many.add(inner_id="i-3", text="canary")
    record.by_key["k-1"].inner_id = "i-4"
    record.by_key["k-1"].text = "canary"
    record.any.Pack(struct_pb2.Value(string_value="canary"))
    record.struct.update({"canary": "canary"})
    record.value.string_value = "canary"
    record.whole.inner_id = "i-5"
    if depth:
        record.again.CopyFrom(full(depth - 1))
    return record


def test_health_information_is_gone_and_the_rest_is_there() -> None:
    kept = redacted(full())
    assert b"canary" not in kept.SerializeToString()
    assert list(kept.scores) == []
    assert kept.WhichOneof("answer") is None
    assert not kept.HasField("whole")
    for each in (kept, kept.again):
        assert each.record_id == "r-1"
        assert (each.one.inner_id, [one.inner_id for one in each.many]) == ("i-1", ["i-2", "i-3"])
        assert each.by_key["k-1"].inner_id == "i-4"


def test_the_message_itself_is_left_as_it_was() -> None:
    message = full()
    redacted(message)
    assert message == full()


def test_the_harmless_side_of_a_oneof_stays() -> None:
    assert redacted(Record(chosen="c")).chosen == "c"


def test_fields_that_we_do_not_know_are_dropped() -> None:
    raw = Record(record_id="r").SerializeToString() + b"\xa2\x06\x06canary"
    parsed = Record.FromString(raw)
    assert b"canary" in parsed.SerializeToString()
    assert b"canary" not in redacted(parsed).SerializeToString()


@pytest.mark.parametrize(
    "untyped", [struct_pb2.Struct(), struct_pb2.Value(string_value="canary"), any_pb2.Any(value=b"canary")]
)
def test_messages_without_a_type_lose_everything(untyped: Message) -> None:
    assert redacted(untyped) == type(untyped)()


def test_has_phi_looks_at_any_depth() -> None:
    assert has_phi(Record.DESCRIPTOR)
    assert has_phi(any_pb2.Any.DESCRIPTOR)
    assert not has_phi(options_pb2.Access.DESCRIPTOR)


def test_safe_repr_shows_ids_only() -> None:
    shown = safe_repr(full())
    assert shown.startswith('kit.redact.Record(record_id: "r-1"')
    assert "canary" not in shown
    assert "7777" not in shown
    assert "\n" not in shown
