"""A call for help is taken whatever its form; who it is about alone has to be right."""

from __future__ import annotations

import pytest

from haven_edge.binding import Binding
from haven_edge.problems import Problem
from haven_edge.surface import Surface

PERSON = "0197c0de-0000-7000-8000-000000000001"


def _binding(name: str) -> Binding:
    methods = Surface.of_haven(["crisis", "sessions"]).methods
    return Binding(next(each for each in methods if each.full_name.endswith(name)), 64, lenient=True)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[]",
        b"null",
        b'"help"',
        b'{"note": 7, "raisedAt": "soon", "source": "BUTTON", "sessionId": null, "mood": {"low": true}}',
        b'{"note": "a\\u0000b"}',
    ],
)
def test_what_is_odd_is_left_out(body: bytes) -> None:
    raised = _binding("/RaiseSignal").message([], b"x=1", body)
    assert "\0" not in raised.note
    called = _binding("/CallForHelp").message(["a room"], b"", body)
    assert called.session_id == "a room"


def test_what_is_sound_beside_it_is_kept() -> None:
    body = b'{"personId": "%s", "note": "please", "raisedAt": "soon"}' % PERSON.encode()
    raised = _binding("/RaiseSignal").message([], b"", body)
    assert (raised.person_id, raised.note) == (PERSON, "please")


def test_the_path_names_the_room() -> None:
    called = _binding("/CallForHelp").message(["one"], b"", b'{"sessionId": "other", "note": "please"}')
    assert (called.session_id, called.note) == ("one", "please")


def test_a_person_who_cannot_be_told_is_refused() -> None:
    with pytest.raises(Problem):
        _binding("/RaiseSignal").message([], b"", b'{"personId": 7}')
