"""What is sealed opens only where it belongs, also after keys were rotated."""

import json
from pathlib import Path

import pytest
from google.protobuf.wrappers_pb2 import BytesValue, StringValue
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from haven_kit.cipher import (
    BLIND_BYTES,
    CannotOpen,
    Cipher,
    KeysetRefused,
    create_kek,
    create_keyset,
    rewrap,
    rotate,
    rotate_blind,
)

NOTE = StringValue(value="slept badly, dreamt of the accident")


@pytest.fixture
def keyset(tmp_path: Path) -> Path:
    create_keyset(tmp_path / "keys.json")
    return tmp_path / "keys.json"


@pytest.fixture
def cipher(keyset: Path) -> Cipher:
    return Cipher.load(keyset)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(), st.text())
def test_what_was_sealed_opens(cipher: Cipher, plain: bytes, context: str) -> None:
    blob = cipher.seal_bytes(plain, context)
    assert cipher.open_bytes(blob, context) == plain


def test_a_message_opens_as_it_was(cipher: Cipher) -> None:
    assert cipher.open(StringValue, cipher.seal(NOTE, "note/1"), "note/1") == NOTE


def test_a_blob_shows_nothing_and_is_never_the_same_twice(cipher: Cipher) -> None:
    one, other = cipher.seal(NOTE, "note/1"), cipher.seal(NOTE, "note/1")
    assert one != other
    assert b"accident" not in one
    assert b"note/1" not in one


def test_it_does_not_open_elsewhere(cipher: Cipher) -> None:
    blob = cipher.seal(NOTE, "note/1")
    for context in ("note/2", "", "note/1 "):
        with pytest.raises(CannotOpen):
            cipher.open(StringValue, blob, context)


def test_it_does_not_open_as_another_type(cipher: Cipher) -> None:
    with pytest.raises(CannotOpen):
        cipher.open(BytesValue, cipher.seal(NOTE, "note/1"), "note/1")


def test_a_changed_blob_does_not_open(cipher: Cipher) -> None:
    blob = cipher.seal(NOTE, "note/1")
    for index in range(len(blob)):
        changed = bytearray(blob)
        changed[index] ^= 1
        with pytest.raises(CannotOpen):
            cipher.open(StringValue, bytes(changed), "note/1")
    for short in (b"", blob[:5], blob[:-1], blob + b"x"):
        with pytest.raises(CannotOpen):
            cipher.open(StringValue, short, "note/1")


def test_it_does_not_open_with_another_keyset(cipher: Cipher, tmp_path: Path) -> None:
    create_keyset(tmp_path / "other.json")
    with pytest.raises(CannotOpen):
        Cipher.load(tmp_path / "other.json").open(StringValue, cipher.seal(NOTE, "note/1"), "note/1")


def test_after_rotation_old_blobs_open_and_ask_to_be_sealed_again(keyset: Path, cipher: Cipher) -> None:
    old = cipher.seal(NOTE, "note/1")
    assert not cipher.needs_reseal(old)
    for _ in range(3):
        rotate(keyset)
    rotated = Cipher.load(keyset)
    assert rotated.open(StringValue, old, "note/1") == NOTE
    assert rotated.needs_reseal(old)
    new = rotated.seal(NOTE, "note/1")
    assert not rotated.needs_reseal(new)
    with pytest.raises(CannotOpen):
        cipher.open(StringValue, new, "note/1")


def test_a_memoryview_opens_too(cipher: Cipher) -> None:
    assert cipher.open(StringValue, memoryview(cipher.seal(NOTE, "n")), "n") == NOTE  # type: ignore[arg-type]  # drivers do


def test_a_blind_index_is_the_same_each_time_and_differs_by_text_and_purpose(cipher: Cipher, keyset: Path) -> None:
    blind = cipher.blind("name+birth", "doe|1990-01-02")
    assert len(blind) == BLIND_BYTES
    assert blind == Cipher.load(keyset).blind("name+birth", "doe|1990-01-02")
    others = [
        cipher.blind("name+birth", "doe|1990-01-03"),
        cipher.blind("phone", "doe|1990-01-02"),
        cipher.blind("name", "+birthdoe|1990-01-02"),
        cipher.blind("name", "+birth:doe|1990-01-02"),
    ]
    assert blind not in others


def test_a_blind_index_needs_the_key(cipher: Cipher, tmp_path: Path) -> None:
    create_keyset(tmp_path / "other.json")
    assert Cipher.load(tmp_path / "other.json").blind("phone", "1") != cipher.blind("phone", "1")


def test_after_rotation_of_the_blind_key_both_indexes_are_searched(keyset: Path, cipher: Cipher) -> None:
    old = cipher.blind("phone", "1")
    rotate(keyset)
    assert Cipher.load(keyset).blind("phone", "1") == old
    rotate_blind(keyset)
    rotated = Cipher.load(keyset)
    assert rotated.blind("phone", "1") != old
    assert rotated.blinds("phone", "1") == [rotated.blind("phone", "1"), old]


def test_a_wrapped_keyset_opens_only_with_its_kek(tmp_path: Path) -> None:
    kek, other, path = tmp_path / "kek.json", tmp_path / "other.json", tmp_path / "keys.json"
    create_kek(kek)
    create_kek(other)
    create_keyset(path, kek)
    blob = Cipher.load(path, kek).seal(NOTE, "note/1")
    rotate(path, kek)
    assert Cipher.load(path, kek).open(StringValue, blob, "note/1") == NOTE
    for wrong in (other, None):
        with pytest.raises(KeysetRefused):
            Cipher.load(path, wrong)


def test_a_keyset_wrapped_anew_holds_the_same_keys(keyset: Path, cipher: Cipher, tmp_path: Path) -> None:
    blob = cipher.seal(NOTE, "note/1")
    for name, before in (("first", None), ("second", tmp_path / "first")):
        create_kek(tmp_path / name)
        rewrap(keyset, before, tmp_path / name)
        assert Cipher.load(keyset, tmp_path / name).open(StringValue, blob, "note/1") == NOTE
    with pytest.raises(KeysetRefused):
        Cipher.load(keyset, tmp_path / "first")


def test_a_clear_keyset_is_refused_where_a_kek_is_given(keyset: Path, tmp_path: Path) -> None:
    create_kek(tmp_path / "kek.json")
    with pytest.raises(KeysetRefused):
        Cipher.load(keyset, tmp_path / "kek.json")


def test_the_two_wrapped_keysets_cannot_be_exchanged(tmp_path: Path) -> None:
    kek, path = tmp_path / "kek.json", tmp_path / "keys.json"
    create_kek(kek)
    create_keyset(path, kek)
    parts = json.loads(path.read_text())
    path.write_text(json.dumps({"seal": parts["blind"], "blind": parts["seal"]}))
    with pytest.raises(KeysetRefused):
        Cipher.load(path, kek)


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"seal": {}, "blind": {}}', '{"seal": 1}'])
def test_a_damaged_keyset_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "keys.json").write_text(text)
    with pytest.raises(KeysetRefused):
        Cipher.load(tmp_path / "keys.json")


def test_a_missing_keyset_file_is_refused_and_an_existing_one_never_replaced(tmp_path: Path, keyset: Path) -> None:
    with pytest.raises(KeysetRefused, match="No such file"):
        Cipher.load(tmp_path / "none.json")
    before = keyset.read_bytes()
    with pytest.raises(FileExistsError):
        create_keyset(keyset)
    assert keyset.read_bytes() == before


def test_key_files_are_for_their_owner_only(keyset: Path, tmp_path: Path) -> None:
    create_kek(tmp_path / "kek.json")
    rotate(keyset)
    for path in (keyset, tmp_path / "kek.json"):
        assert path.stat().st_mode & 0o777 == 0o600
    assert sorted(each.name for each in tmp_path.iterdir()) == ["kek.json", "keys.json"]
