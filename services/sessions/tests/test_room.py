"""The room: its rules."""

from __future__ import annotations

from datetime import timedelta

import pytest

from haven_sessions.domain import audience, breakouts, events, rules, shares
from haven_sessions.domain.errors import BadInput, Broken, Missing
from haven_sessions.domain.events import Event, HelpState, Moderation, Participation
from haven_sessions.domain.room import Place

from .story import PEOPLE, STAFF, START, Story


@pytest.fixture
def story() -> Story:
    story = Story().opened()
    for each in PEOPLE:
        story.join(each)
    return story


def broken(rule_name: str) -> pytest.RaisesExc[Broken]:
    return pytest.RaisesExc(Broken, check=lambda error: error.rule == rule_name)


def test_nobody_joins_before_it_is_open_or_after_it_is_closed() -> None:
    story = Story()
    with broken("not_open"):
        story.join("ana")
    story.opened()
    story.let(rules.close(story.room))
    with broken("not_open"):
        story.join("ana")
    with broken("closed"):
        rules.open_room(story.room)


def test_joining_again_keeps_the_place_and_tells_nobody(story: Story) -> None:
    before = len(story.happened)
    story.join("ana")
    assert len(story.happened) == before


def test_closing_lets_everyone_leave_first(story: Story) -> None:
    closing = story.let(rules.close(story.room))
    assert [type(each) for each in closing] == [events.Left] * 5 + [events.Closed]
    assert story.room.present() == ()
    assert rules.close(story.room) == []


def test_nobody_is_called_on_who_has_not_asked(story: Story) -> None:
    story.let(rules.choose(story.room, "ana", Participation.LISTEN))
    with broken("own_pace"):
        rules.give_turn(story.room, "ana")
    story.let(rules.raise_hand(story.room, "ana"))
    story.let(rules.give_turn(story.room, "ana"))
    assert story.room.floor == "ana"
    assert not story.room.members["ana"].hand_raised


def test_skipping_a_round_frees_the_floor(story: Story) -> None:
    story.let(rules.give_turn(story.room, "ben"))
    story.let(rules.lower_hand(story.room, "ben"))
    assert story.room.floor == ""


def test_shares_count_the_floor_and_invite_who_had_little(story: Story) -> None:
    story.let(rules.choose(story.room, "dee", Participation.LISTEN))
    story.let(rules.give_turn(story.room, "ana"))
    story.now += timedelta(seconds=90)
    story.let(rules.give_turn(story.room, "ben"))
    story.now += timedelta(seconds=30)
    found = {each.member_id: each for each in shares.of(story.room, story.now)}
    assert STAFF not in found
    assert (found["ana"].seconds, found["ben"].seconds, found["cem"].seconds) == (90, 30, 0)
    assert found["ana"].share == pytest.approx(0.75)
    # An even share of three who would speak is a third: a quarter is more than half of it, nothing is less.
    assert {name for name, each in found.items() if each.invite} == {"cem"}


def test_a_lapsed_speaker_had_the_floor_until_last_seen(story: Story) -> None:
    story.let(rules.give_turn(story.room, "ana"))
    story.now += timedelta(seconds=100)
    story.let(rules.leave(story.room, "ana", lapsed=True, unseen_seconds=40))
    assert story.room.spoken["ana"] == pytest.approx(60)
    assert story.room.floor == ""


def test_agenda_moves_within_what_is_known(story: Story) -> None:
    with broken("agenda_missing"):
        rules.move_agenda(story.room, 1)
    story.let(rules.learn_agenda(story.room, 3))
    story.let(rules.move_agenda(story.room, 2))
    assert story.room.agenda_position == 2
    with pytest.raises(BadInput):
        rules.move_agenda(story.room, 3)


def test_one_pause_at_a_time_and_it_frees_the_floor(story: Story) -> None:
    story.let(rules.give_turn(story.room, "ana"))
    story.let(rules.start_pause(story.room, "grounding", 5, "five-senses"))
    assert story.room.floor == ""
    assert story.room.pause is not None
    assert story.room.pause.ends_at == START + timedelta(minutes=5)
    with broken("already_paused"):
        rules.start_pause(story.room, "break", 5, "")
    story.let(rules.end_pause(story.room))
    assert rules.end_pause(story.room) == []


def test_breakouts_are_joined_by_choice_and_only_by_invitation(story: Story) -> None:
    story.let(breakouts.open_breakouts(story.room, [breakouts.Plan("b1", "Breathing", ("ana", "ben"))]))
    assert story.room.inside("b1") == frozenset()
    story.let(breakouts.go_in(story.room, "b1", "ana"))
    with pytest.raises(Missing):
        breakouts.go_in(story.room, "b1", "cem")
    story.let(breakouts.go_in(story.room, "b1", STAFF))
    assert story.room.inside("b1") == {"ana", STAFF}
    story.let(breakouts.go_back(story.room, "ana"))
    story.let(breakouts.close_breakouts(story.room))
    assert all(not each.breakout_id for each in story.room.members.values())


def test_breakouts_refuse_a_person_twice_and_strangers(story: Story) -> None:
    with pytest.raises(BadInput):
        breakouts.open_breakouts(
            story.room, [breakouts.Plan("b1", "One", ("ana",)), breakouts.Plan("b2", "Two", ("ana",))]
        )
    with pytest.raises(Missing):
        breakouts.open_breakouts(story.room, [breakouts.Plan("b1", "One", ("stranger",))])


def test_who_is_kept_apart_never_shares_a_breakout(story: Story) -> None:
    story.let(breakouts.keep_apart(story.room, [("ben", "ana")]))
    with broken("kept_apart"):
        breakouts.open_breakouts(story.room, [breakouts.Plan("b1", "One", ("ana", "ben"))])


def test_keeping_apart_ends_the_breakout_the_two_are_in(story: Story) -> None:
    story.let(breakouts.open_breakouts(story.room, [breakouts.Plan("b1", "One", ("ana", "ben"))]))
    story.let(breakouts.go_in(story.room, "b1", "ana"))
    story.let(breakouts.go_in(story.room, "b1", "ben"))
    story.let(breakouts.keep_apart(story.room, [("ana", "ben")]))
    assert not story.room.breakouts


def test_a_check_in_is_for_two_and_ends_when_both_left(story: Story) -> None:
    story.join("second-staff")
    story.let(breakouts.start_check_in(story.room, "c1", STAFF, "ana"))
    story.let(breakouts.go_in(story.room, "c1", "ana"))
    with pytest.raises(Missing):
        breakouts.go_in(story.room, "c1", "ben")
    story.let(breakouts.go_back(story.room, STAFF))
    assert "c1" in story.room.breakouts
    story.let(rules.leave(story.room, "ana"))
    assert "c1" not in story.room.breakouts


def test_moderation_can_be_taken_back(story: Story) -> None:
    for action, place in ((Moderation.TO_LOBBY, Place.LOBBY), (Moderation.REMOVED, Place.REMOVED)):
        story.let(rules.moderate(story.room, "ana", action, "privacy"))
        assert story.room.members["ana"].place is place
        with broken("in_lobby" if place is Place.LOBBY else "removed"):
            story.join("ana")
        story.let(rules.moderate(story.room, "ana", Moderation.ADMITTED))
        story.join("ana")
        assert story.room.members["ana"].place is Place.IN
    story.let(rules.moderate(story.room, "ana", Moderation.MUTED))
    assert story.room.members["ana"].muted
    story.let(rules.moderate(story.room, "ana", Moderation.UNMUTED))
    assert not story.room.members["ana"].muted
    with pytest.raises(Missing):
        rules.moderate(story.room, STAFF, Moderation.REMOVED)


def test_a_mute_request_survives_rejoining(story: Story) -> None:
    story.let(rules.moderate(story.room, "ana", Moderation.MUTED))
    story.let(rules.leave(story.room, "ana"))
    story.join("ana")
    assert story.room.members["ana"].muted


def test_late_news_of_help_does_not_set_it_back() -> None:
    story = Story()
    for state, expected in (
        (HelpState.ACKNOWLEDGED, HelpState.ACKNOWLEDGED),
        (HelpState.CALLED, HelpState.ACKNOWLEDGED),
        (HelpState.CONTACT_MADE, HelpState.CONTACT_MADE),
        (HelpState.ALERTED, HelpState.CONTACT_MADE),
        (HelpState.CLOSED, HelpState.CLOSED),
        (HelpState.CALLED, HelpState.CALLED),
    ):
        story.let(rules.change_help(story.room, "person-ana", state))
        assert story.room.help["person-ana"].state is expected


def test_late_news_of_an_alert_that_is_over_does_not_open_it_again() -> None:
    story = Story()
    first, second = "alert-1", "alert-2"
    for state, alert_id, expected in (
        (HelpState.CALLED, "", HelpState.CALLED),
        (HelpState.ACKNOWLEDGED, first, HelpState.ACKNOWLEDGED),
        (HelpState.CLOSED, first, HelpState.CLOSED),
        (HelpState.ALERTED, first, HelpState.CLOSED),
        (HelpState.CONTACT_MADE, first, HelpState.CLOSED),
        (HelpState.ALERTED, second, HelpState.ALERTED),
    ):
        story.let(rules.change_help(story.room, "person-ana", state, alert_id))
        assert story.room.help["person-ana"].state is expected


def test_help_that_is_lost_is_shown_as_such_and_a_call_after_contact_is_a_new_one() -> None:
    story = Story()
    alert = "alert-1"
    steps: list[tuple[HelpState, str, bool, HelpState]] = [
        (HelpState.ALERTED, alert, False, HelpState.ALERTED),
        (HelpState.ACKNOWLEDGED, alert, False, HelpState.ACKNOWLEDGED),
        (HelpState.ALERTED, "another", True, HelpState.ACKNOWLEDGED),
        (HelpState.ALERTED, alert, True, HelpState.ALERTED),
        (HelpState.CONTACT_MADE, alert, False, HelpState.CONTACT_MADE),
        (HelpState.CALLED, "", False, HelpState.CALLED),
        (HelpState.ALERTED, alert, True, HelpState.ALERTED),
        (HelpState.CLOSED, alert, False, HelpState.CLOSED),
        (HelpState.ALERTED, alert, True, HelpState.CLOSED),
    ]
    for state, alert_id, lost, expected in steps:
        story.let(rules.change_help(story.room, "person-ana", state, alert_id, lost=lost))
        assert story.room.help["person-ana"].state is expected


def test_help_and_other_quiet_things_are_for_staff_alone(story: Story) -> None:
    quiet: list[Event] = [
        *(events.HelpChanged("person-ana", state) for state in HelpState),
        events.PauseAsked("ana"),
        events.KeptApart((("ana", "ben"),)),
    ]
    assert {audience.of(each, story.room) for each in quiet} == {audience.STAFF}


def test_a_check_in_is_seen_by_the_two_alone(story: Story) -> None:
    opening = story.let(breakouts.start_check_in(story.room, "c1", STAFF, "ana"))
    assert len(opening) == 2
    for seen in story.audiences[-2:]:
        assert seen == audience.Audience(everyone=False, member_ids=(STAFF, "ana"))


def test_a_message_to_staff_is_seen_by_its_writer_and_staff(story: Story) -> None:
    assert audience.of(events.MessageSent("m", "ana", to_staff=True), story.room).member_ids == ("ana",)
    assert audience.of(events.MessageSent("m", "ana", to_staff=False), story.room).everyone
