"""JSON and protobuf, both ways, against protobuf's own json_format."""

from __future__ import annotations

import math
import struct

import orjson
import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor as F
from hypothesis import given, settings
from hypothesis import strategies as st

from haven_edge.json_in import reader
from haven_edge.json_out import writer
from haven_edge.scalars import BadInput

from .contracts import descriptor, message, pool

SHAPES = descriptor("Shapes")
_SIGNED32 = st.integers(-(2**31), 2**31 - 1)
_SIGNED64 = st.integers(-(2**63), 2**63 - 1)
_UNSIGNED32 = st.integers(0, 2**32 - 1)
_UNSIGNED64 = st.integers(0, 2**64 - 1)
_TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
_SCALARS = {
    F.TYPE_DOUBLE: st.floats(allow_nan=False),
    # json_format rounds the largest of them up as it writes, and refuses to read that.
    F.TYPE_FLOAT: st.floats(width=32, allow_nan=False).filter(lambda each: math.isinf(each) or abs(each) < 3.4e38),
    F.TYPE_INT32: _SIGNED32,
    F.TYPE_SINT32: _SIGNED32,
    F.TYPE_SFIXED32: _SIGNED32,
    F.TYPE_INT64: _SIGNED64,
    F.TYPE_SINT64: _SIGNED64,
    F.TYPE_SFIXED64: _SIGNED64,
    F.TYPE_UINT32: _UNSIGNED32,
    F.TYPE_FIXED32: _UNSIGNED32,
    F.TYPE_UINT64: _UNSIGNED64,
    F.TYPE_FIXED64: _UNSIGNED64,
    F.TYPE_BOOL: st.booleans(),
    F.TYPE_STRING: _TEXT,
    F.TYPE_BYTES: st.binary(max_size=8),
}
_JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=6,
)


def _one(field, depth):
    if field.type == F.TYPE_ENUM:
        return st.sampled_from([v.number for v in field.enum_type.values])
    if field.type != F.TYPE_MESSAGE:
        return _SCALARS[field.type]
    return _messages(field.message_type, depth)


@st.composite
def _well_known(draw, kind):
    made = kind()
    name = kind.DESCRIPTOR.full_name
    if name.endswith("Timestamp"):
        made.seconds = draw(st.integers(-62135596800, 253402300799))
        made.nanos = draw(st.integers(0, 999_999_999) | st.sampled_from([0, 5_000_000, 7_000]))
    elif name.endswith("Duration"):
        made.seconds = draw(st.integers(-315_575_999_999, 315_575_999_999))
        nanos = draw(st.integers(0, 999_999_999) | st.sampled_from([0, 5_000_000, 7_000]))
        made.nanos = -nanos if made.seconds < 0 else nanos
    elif name.endswith("FieldMask"):
        made.paths.extend(
            draw(st.lists(st.from_regex(r"[a-z]{1,5}(_[a-z]{1,5}){0,2}(\.[a-z]{1,4})?", fullmatch=True), max_size=3))
        )
    else:
        value = draw(
            {"Struct": st.dictionaries(_TEXT, _JSON, max_size=3), "ListValue": st.lists(_JSON, max_size=3)}.get(
                name[16:], _JSON
            )
        )
        json_format.ParseDict(value, made)
    return made


@st.composite
def _messages(draw, message_type, depth):
    kind = message(message_type.name) if message_type.full_name.startswith("haven.") else _class(message_type)
    if message_type.full_name in json_format._WKTJSONMETHODS:
        return draw(_well_known(kind))
    made = kind()
    fields = [f for f in message_type.fields if depth < 2 or f.message_type is None]
    chosen = draw(st.lists(st.sampled_from(fields), max_size=8, unique=True)) if fields else []
    for field in chosen:
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            _fill_map(draw, made, field, depth)
        elif field.is_repeated:
            _extend(made, field, draw(st.lists(_one(field, depth + 1), max_size=3)))
        elif field.message_type is not None:
            inner = getattr(made, field.name)
            inner.SetInParent()
            inner.CopyFrom(draw(_one(field, depth + 1)))
        else:
            setattr(made, field.name, draw(_one(field, depth)))
    return made


def _class(message_type):
    from google.protobuf import message_factory

    return message_factory.GetMessageClass(message_type)


def _extend(made, field, items):
    getattr(made, field.name).extend(items)


def _fill_map(draw, made, field, depth):
    key, value = field.message_type.fields_by_name["key"], field.message_type.fields_by_name["value"]
    entries = getattr(made, field.name)
    for each, item in draw(st.dictionaries(_one(key, depth), _one(value, depth + 1), max_size=3)).items():
        if value.message_type is not None:
            entries[each].CopyFrom(item)
        else:
            entries[each] = item


@given(_messages(SHAPES, 0))
@settings(max_examples=300, deadline=None)
def test_out_equals_json_format(made):
    expected = json_format.MessageToDict(made, always_print_fields_with_no_presence=True, descriptor_pool=pool())
    assert writer(SHAPES)(made) == expected


@given(_messages(SHAPES, 0))
@settings(max_examples=300, deadline=None)
def test_in_reads_what_json_format_writes(made):
    text = json_format.MessageToJson(made, descriptor_pool=pool())
    expected = json_format.Parse(text, message("Shapes")(), descriptor_pool=pool())
    found = message("Shapes")()
    reader(SHAPES)(orjson.loads(text), found)
    assert found == expected


@given(_messages(SHAPES, 0))
@settings(max_examples=100, deadline=None)
def test_in_reads_what_out_writes_and_snake_case_too(made):
    found, snake = message("Shapes")(), message("Shapes")()
    reader(SHAPES)(orjson.loads(orjson.dumps(writer(SHAPES)(made))), found)
    reader(SHAPES)(
        json_format.MessageToDict(made, preserving_proto_field_name=True, descriptor_pool=pool()),
        snake,
    )
    assert writer(SHAPES)(found) == writer(SHAPES)(snake)


_ODD = (
    st.none()
    | st.booleans()
    | st.integers(-(2**65), 2**65)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXT
    | st.sampled_from(
        ["1", "-0", "1e3", "1.5", "NaN", "Infinity", "AQ==", "COLOR_BLUE", "2026-03-01T17:00:00Z", "1.5s", "aB,c", ""]
    )
    | st.just([])
    | st.just({})
)


@given(
    st.dictionaries(
        st.sampled_from([f.json_name for f in SHAPES.fields]), _ODD | st.lists(_ODD, max_size=2), max_size=2
    )
)
@settings(max_examples=1500, deadline=None)
def test_in_accepts_nothing_that_json_format_refuses(value):
    """Stricter than Python's json_format in places, never looser; and equal where both accept."""
    found, expected = message("Shapes")(), message("Shapes")()
    value.pop("values", None) if value.get("values") is None else None  # json_format itself fails on null here
    value = orjson.loads(orjson.dumps(value)) if _fits(value) else value
    if not _accepted(value, found):
        return
    json_format.ParseDict(value, expected, descriptor_pool=pool())
    assert found.SerializeToString(deterministic=True) == expected.SerializeToString(deterministic=True)


def _accepted(value, found):
    try:
        reader(SHAPES)(value, found)
    except BadInput:
        return False
    return True


def _fits(value):
    try:
        orjson.dumps(value)
    except TypeError:
        return False
    return True


@pytest.mark.parametrize(
    ("value", "field", "rule"),
    [
        ({"nope": 1}, "nope", "unknown_field"),
        ({"two words": 1}, "", "unknown_field"),
        ({"aString": 1}, "aString", "type.string"),
        ({"anInt32": 2**31}, "anInt32", "type.range"),
        ({"anInt32": "1_0"}, "anInt32", "type.integer"),
        ({"anInt64": 1.5}, "anInt64", "type.integer"),
        ({"anInt64": True}, "anInt64", "type.integer"),
        ({"aDouble": "1e999"}, "aDouble", "type.range"),
        ({"aFloat": 1e300}, "aFloat", "type.range"),
        ({"aDouble": True}, "aDouble", "type.number"),
        ({"aBool": "true"}, "aBool", "type.boolean"),
        ({"someBytes": "A*=="}, "someBytes", "type.base64"),
        ({"someBytes": "A"}, "someBytes", "type.base64"),
        ({"aColor": "COLOR_GREEN"}, "aColor", "type.enum"),
        ({"leaves": [{"name": "x"}, {"name": 1}]}, "leaves[1].name", "type.string"),
        ({"leaves": [None]}, "leaves[0]", "type.null"),
        ({"leaves": {}}, "leaves", "type.array"),
        ({"words": []}, "words", "type.object"),
        ({"words": {"my secret": 1}}, "words[]", "type.string"),
        ({"numbers": {"x": 1}}, "numbers[]", "type.integer"),
        ({"inner": {"inner": {"aBool": 1}}}, "inner.inner.aBool", "type.boolean"),
        ({"inner": 3}, "inner", "type.object"),
        ({"at": "2026-02-30T00:00:00Z"}, "at", "type.timestamp"),
        ({"at": "2026-02-03T00:00:00"}, "at", "type.timestamp"),
        ({"at": "0001-01-01T00:00:00+01:00"}, "at", "type.timestamp"),
        ({"lasting": "5"}, "lasting", "type.duration"),
        ({"mask": "a_b"}, "mask", "type.field_mask"),
        ({"free": []}, "free", "type.object"),
        ({"list": {}}, "list", "type.array"),
        ({"choiceText": "a", "choiceNumber": "1"}, "choice", "oneof"),
        ({"aString": "x", "a_string": "y"}, "aString", "duplicate_field"),
        ([], "", "type.object"),
    ],
)
def test_refusals_name_field_and_rule(value, field, rule):
    with pytest.raises(BadInput) as caught:
        reader(SHAPES)(value, message("Shapes")())
    assert (field, rule) in [(each.field, each.rule) for each in caught.value.findings]
    assert "secret" not in str([vars_of(each) for each in caught.value.findings])


def vars_of(finding):
    return (finding.field, finding.rule, finding.message)


def test_every_finding_is_collected():
    with pytest.raises(BadInput) as caught:
        reader(SHAPES)({"aString": 1, "aBool": 2, "leaves": [{"name": 3}], "x": 4}, message("Shapes")())
    assert [each.field for each in caught.value.findings] == ["aString", "aBool", "leaves[0].name", "x"]


def test_findings_are_bounded():
    with pytest.raises(BadInput) as caught:
        reader(SHAPES)({f"x{n}": 1 for n in range(10_000)}, message("Shapes")())
    assert len(caught.value.findings) == 50


@given(st.floats(width=32))
@settings(max_examples=500)
def test_a_32_bit_number_is_written_short_and_read_back_the_same(value):
    made = message("Shapes")(a_float=value)
    written = writer(SHAPES)(made)["aFloat"]
    found = message("Shapes")()
    reader(SHAPES)({"aFloat": written}, found)
    assert struct.pack("<f", found.a_float) == struct.pack("<f", made.a_float) or math.isnan(value)
