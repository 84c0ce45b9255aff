"""Nothing that people do to a room, in any order, breaks it."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from haven_sessions.domain import attendance, audience, breakouts, events, rules
from haven_sessions.domain.errors import BadInput, Broken, Missing
from haven_sessions.domain.events import HelpState, Moderation, Participation
from haven_sessions.domain.room import Happened, Life, Place, replay

from .story import PEOPLE, STAFF, Story

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
