"""The room: its rules, and that nothing people do to it in any order breaks it."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from haven_sessions.domain import attendance, audience, breakouts, events, rules, shares
from haven_sessions.domain.errors import BadInput, Broken, Missing
from haven_sessions.domain.events import Event, HelpState, Moderation, Participation
from haven_sessions.domain.room import Happened, Life, Place, Room, replay

START = datetime(2026, 3, 5, 14, tzinfo=UTC)
STAFF = "staff"
PEOPLE = ("ana", "ben", "cem", "dee")


class Story:
    """A room together with what happened in it."""

    def __init__(self) -> None:
        self.room = Room()
        self.happened: list[Happened] = []
        self.audiences: list[audience.Audience] = []
        self.now = START

    def let(self, decided: list[Event]) -> list[Event]:
        for event in decided:
            happened = Happened(len(self.happened) + 1, self.now, event)
            self.audiences.append(audience.of(event, self.room))
            self.happened.append(happened)
            self.room.apply(happened)
        return decided

    def opened(self) -> Story:
        self.let(rules.open_room(self.room))
        self.join(STAFF)
        return self

    def join(self, member_id: str, participation: Participation = Participation.SPEAK) -> None:
        staff = member_id == STAFF
        person_id = "" if staff else f"person-{member_id}"
        self.let(
            rules.join(
                self.room, member_id, person_id=person_id, staff=staff, camera=False, participation=participation
            )
        )


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


members = st.sampled_from((*PEOPLE, STAFF, "stranger"))


class AnyOrder(RuleBasedStateMachine):
    """People and staff do anything in any order; what a rule refuses changes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.story = Story()
        self.made = 0
        self.seconds_inside: Counter[str] = Counter()

    def act(self, decide: object, *args: object, **kwargs: object) -> None:
        before = len(self.story.happened)
        try:
            self.story.let(decide(self.story.room, *args, **kwargs))  # type: ignore[operator]
        except (Broken, BadInput, Missing):
            assert len(self.story.happened) == before

    @rule()
    def open(self) -> None:
        self.act(rules.open_room)

    @rule(sure=st.integers(0, 19))
    def close(self, sure: int) -> None:
        if sure == 0:
            self.act(rules.close)

    @rule(member=members, how=st.sampled_from(Participation))
    def join(self, member: str, how: Participation) -> None:
        staff = member == STAFF
        person_id = "" if staff else f"person-{member}"
        self.act(rules.join, member, person_id=person_id, staff=staff, camera=True, participation=how)

    @rule(member=members)
    def leave(self, member: str) -> None:
        self.act(rules.leave, member)

    @rule(member=members, how=st.sampled_from(Participation))
    def choose(self, member: str, how: Participation) -> None:
        self.act(rules.choose, member, how)

    @rule(member=members, up=st.booleans())
    def hand(self, member: str, up: bool) -> None:
        self.act(rules.raise_hand if up else rules.lower_hand, member)

    @rule(member=st.one_of(members, st.just("")))
    def turn(self, member: str) -> None:
        self.act(rules.give_turn, member)

    @rule(start=st.booleans())
    def pause(self, start: bool) -> None:
        self.act(rules.start_pause, "break", 5, "") if start else self.act(rules.end_pause)

    @rule(invited=st.lists(members, max_size=3, unique=True))
    def open_breakouts(self, invited: list[str]) -> None:
        self.made += 1
        self.act(breakouts.open_breakouts, [breakouts.Plan(f"b{self.made}", "One", tuple(invited))])

    @rule(member=members)
    def check_in(self, member: str) -> None:
        self.made += 1
        self.act(breakouts.start_check_in, f"c{self.made}", STAFF, member)

    @rule(member=members, data=st.data())
    def go_in(self, member: str, data: st.DataObject) -> None:
        if self.story.room.breakouts:
            self.act(breakouts.go_in, data.draw(st.sampled_from(sorted(self.story.room.breakouts))), member)

    @rule(member=members)
    def go_back(self, member: str) -> None:
        self.act(breakouts.go_back, member)

    @rule()
    def close_breakouts(self) -> None:
        self.act(breakouts.close_breakouts)

    @rule(pairs=st.lists(st.tuples(members, members), max_size=2))
    def keep_apart(self, pairs: list[tuple[str, str]]) -> None:
        self.act(breakouts.keep_apart, pairs)

    @rule(member=members, action=st.sampled_from(Moderation))
    def moderate(self, member: str, action: Moderation) -> None:
        self.act(rules.moderate, member, action, "safety")

    @rule(state=st.sampled_from(HelpState))
    def help(self, state: HelpState) -> None:
        self.act(rules.change_help, "person-ana", state)

    @rule(seconds=st.integers(0, 600))
    def time_passes(self, seconds: int) -> None:
        self.seconds_inside.update({each.person_id: seconds for each in self.story.room.present() if each.person_id})
        self.story.now += timedelta(seconds=seconds)

    @invariant()
    def replayed_from_what_was_kept_it_is_the_same(self) -> None:
        story = self.story.happened
        kept = [json.dumps([events.kind_of(each.event), events.to_data(each.event)]) for each in story]
        read = [events.from_data(*json.loads(each)) for each in kept]
        again = replay(Happened(each.seq, each.at, event) for each, event in zip(story, read, strict=True))
        assert again == self.story.room

    @invariant()
    def only_those_present_are_somewhere(self) -> None:
        room = self.story.room
        for member in room.members.values():
            if member.place is not Place.IN:
                assert not member.breakout_id
                assert not member.hand_raised
                assert room.floor != member.member_id
            assert not member.breakout_id or member.breakout_id in room.breakouts

    @invariant()
    def attendance_is_the_time_they_were_inside(self) -> None:
        found = attendance.by_person(self.story.happened, self.story.now)
        seconds = {person: sum(each.length.total_seconds() for each in spans) for person, spans in found.items()}
        assert {person: each for person, each in seconds.items() if each} == {
            person: each for person, each in self.seconds_inside.items() if each
        }

    @invariant()
    def nobody_kept_apart_shares_a_breakout(self) -> None:
        for breakout_id in self.story.room.breakouts:
            inside = self.story.room.inside(breakout_id)
            assert not any(pair <= inside for pair in self.story.room.apart)

    @invariant()
    def a_closed_room_is_empty(self) -> None:
        room = self.story.room
        if room.life is Life.CLOSED:
            assert (room.present(), room.breakouts, room.floor, room.pause) == ((), {}, "", None)

    @invariant()
    def an_open_check_in_has_somebody_in_it(self) -> None:
        room = self.story.room
        assert all(room.inside(each.breakout_id) for each in room.breakouts.values() if each.check_in)

    @invariant()
    def participants_never_see_what_is_for_staff(self) -> None:
        for happened, seen in zip(self.story.happened, self.story.audiences, strict=True):
            if isinstance(happened.event, events.HelpChanged | events.PauseAsked | events.KeptApart):
                assert seen == audience.STAFF


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
