"""haven keys: made once, rotated in two steps, wrapped anew; nothing that was sealed is lost on the way."""

from __future__ import annotations

from pathlib import Path

import pytest
from haven.crisis.v1.alerts_pb2 import TimelineEntry
from typer.testing import CliRunner

from haven_cli.main import app
from haven_kit.cipher import CannotOpen, Cipher


def _run(*arguments: object, status: int = 0) -> str:
    done = CliRunner().invoke(app, ["keys", *map(str, arguments)])
    assert done.exit_code == status, done.output
    return done.output


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A keyset and its KEK."""
    keyset, kek = tmp_path / "keyset.json", tmp_path / "kek.json"
    _run("create", keyset, "--kek", kek)
    return keyset, kek


def _seal(files: tuple[Path, Path]) -> bytes:
    return Cipher.load(*files).seal(TimelineEntry(note="a"), "here")


def _opens(files: tuple[Path, Path], sealed: bytes) -> bool:
    return Cipher.load(*files).open(TimelineEntry, sealed, "here").note == "a"


def test_a_keyset_is_never_replaced(files: tuple[Path, Path]) -> None:
    before = files[0].read_bytes()
    assert "rotate it instead" in _run("create", files[0], "--kek", files[1], status=1)
    assert files[0].read_bytes() == before


def test_a_rotation_in_two_steps_leaves_no_process_that_cannot_open(files: tuple[Path, Path], tmp_path: Path) -> None:
    old, first = files[0].read_bytes(), _seal(files)
    _run("add", files[0], "--kek", files[1])
    added = files[0].read_bytes()
    still = _seal(files)
    files[0].write_bytes(old)
    assert _opens(files, still), "a key that was added does not seal yet"
    files[0].write_bytes(added)
    _run("promote", files[0], "--kek", files[1])
    sealed = _seal(files)
    assert all(_opens(files, each) for each in (first, still, sealed))
    files[0].write_bytes(added)
    assert _opens(files, sealed), "a process with the first step's file opens what the second step's seals"
    files[0].write_bytes(old)
    with pytest.raises(CannotOpen):
        _opens(files, sealed)


def test_a_keyset_is_wrapped_anew(files: tuple[Path, Path], tmp_path: Path) -> None:
    sealed = _seal(files)
    _run("rewrap", files[0], "--kek", files[1], "--new-kek", tmp_path / "new.json")
    assert _opens((files[0], tmp_path / "new.json"), sealed)
    assert "wrapped by another key" in _run("add", files[0], "--kek", files[1], status=1)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    assert "No such file" in _run("promote", tmp_path / "none.json", "--kek", tmp_path / "none", status=1)
