"""What is kept as data: complete, with its source, and in the words the program wants."""

from __future__ import annotations

from importlib.resources import files

import pytest
import yaml

from haven_kit.identity import role_numbers
from haven_sessions import facts

DATA = files("haven_sessions") / "data"
KINDS = {"group", "individual", "couples", "family", "check_in"}


@pytest.mark.parametrize("name", sorted(each.name for each in DATA.iterdir()))
def test_each_file_says_where_it_comes_from(name: str) -> None:
    content = yaml.safe_load((DATA / name).read_text("utf-8"))
    assert content["source"].strip()
    assert str(content["version"]).strip()


def test_every_kind_of_session_has_people_who_may_lead_it() -> None:
    written = yaml.safe_load((DATA / "leaders.yaml").read_text("utf-8"))["kinds"]
    assert set(written) == KINDS
    for roles in written.values():
        assert len(role_numbers(roles)) == len(roles) > 0


def test_the_agreement_names_its_version_and_keeps_the_four_rules() -> None:
    raw = yaml.safe_load((DATA / "agreement.yaml").read_text("utf-8"))
    assert raw["agreement_id"] == f"group-agreement/{raw['version']}"
    rules = [each.rule_id for each in facts.load().agreement.rules]
    assert len(rules) == len(set(rules))
    assert {"listening", "no_interrupting", "no_judgement", "no_criticism", "own_pace"} <= set(rules)


def test_exercises_have_steps_and_a_length() -> None:
    exercises = facts.load().exercises
    assert "five-senses" in exercises
    assert all(each.steps and 1 <= each.minutes <= 15 and each.source for each in exercises.values())


def test_texts_on_help_name_who_answers_now() -> None:
    texts = facts.load().texts
    for text in (texts.help_called, texts.help_unreached, texts.help_without_person):
        assert "988" in text
        assert "911" in text
    everything = " ".join(str(getattr(texts, name)) for name in texts.__slots__).lower()
    assert not any(word in everything for word in ("must", "fail", "error", "hurry", "immediately", "your fault"))
