"""The life of an alert, by properties: whatever people do in whatever order."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from haven.crisis.v1 import alerts_pb2 as pb
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from haven_crisis import facts
from haven_crisis.domain import alerts, commands
from haven_crisis.domain.alerts import ANSWERED, Alert, CoSignature, Entry, Kind, Limits, State, apply, replay
from haven_crisis.domain.closing import worst
from haven_crisis.domain.rules import RuleBroken
from haven_crisis.domain.severity import Severity

LIMITS = Limits(lease=timedelta(minutes=5), close_within=timedelta(hours=1))
START = datetime(2026, 1, 5, 9, tzinfo=UTC)
people = st.sampled_from(["ann", "bob", "cem"])


def raised_entry(at: datetime = START) -> Entry:
    facts = {"severity": "2", "drill": "false", "session_id": "", "facilitator_id": "", "stage": "0", "turn": "3"}
    return Entry(Kind.RAISED, at, "person", {**facts, **alerts.until(at + timedelta(minutes=1))})


close = partial(commands.close, co_signature=True)


class Life(RuleBasedStateMachine):
    """Everything that can happen to an alert."""

    @initialize()
    def begin(self) -> None:
        self.now = START
        self.entries = [raised_entry()]
        self.alert = replay("alert", "person", self.entries)
        self.before = self.alert

    def add(self, entries: list[Entry]) -> None:
        for entry in entries:
            self.before = self.alert
            self.alert = apply(self.alert, entry)
            self.entries.append(entry)
            self.severity_falls_only_by_a_human(entry)

    def severity_falls_only_by_a_human(self, entry: Entry) -> None:
        if entry.kind is not Kind.SEVERITY_CHANGED:
            assert self.alert.severity >= self.before.severity

    def attempt(self, command: Callable[..., list[Entry]], *args: object) -> None:
        with suppress(RuleBroken):
            self.add(command(self.alert, *args))

    @rule(by=people)
    def acknowledge(self, by: str) -> None:
        was = self.alert
        self.attempt(commands.acknowledge, by, self.now, LIMITS)
        if was.state in ANSWERED:
            assert self.alert.responder_id == (by if was.offered_to == by else was.responder_id)

    @rule(by=people, reached=st.booleans())
    def contact(self, by: str, reached: bool) -> None:
        self.attempt(commands.contact, by, "phone", reached, self.now, LIMITS)

    @rule(by=people)
    def stabilise(self, by: str) -> None:
        self.attempt(commands.stabilise, by, self.now, LIMITS)

    @rule(by=people)
    def renew(self, by: str) -> None:
        was = self.alert
        self.attempt(commands.renew_lease, by, self.now, LIMITS)
        if self.alert is not was:
            assert not was.lease_renewed
            assert (was.state, was.responder_id) == (State.ACKNOWLEDGED, by)

    @rule(by=people, to=people)
    def offer(self, by: str, to: str) -> None:
        was = self.alert
        self.attempt(commands.offer_hand_over, by, to, self.now)
        assert (self.alert.responder_id, self.alert.next_deadline) == (was.responder_id, was.next_deadline)
        assert self.alert.state is was.state

    @rule(by=people, accept=st.booleans())
    def answer(self, by: str, accept: bool) -> None:
        was = self.alert
        if accept:
            self.attempt(commands.accept_hand_over, by, self.now, LIMITS)
        else:
            self.attempt(commands.decline_hand_over, by, self.now)
        if self.alert is not was:
            assert was.offered_to == by
            assert self.alert.responder_id == (by if accept else was.responder_id)
            assert not self.alert.offered_to

    @rule(by=people, more=st.lists(people, min_size=1, max_size=2))
    def add_responders(self, by: str, more: list[str]) -> None:
        was = self.alert
        self.attempt(commands.add_responders, by, more, self.now)
        self.nothing_changed_but_the_timeline(was)

    @rule(by=people, stop=st.booleans())
    def look_on(self, by: str, stop: bool) -> None:
        was = self.alert
        self.attempt(commands.stop_observing if stop else commands.observe, by, self.now)
        self.nothing_changed_but_the_timeline(was)

    def nothing_changed_but_the_timeline(self, was: Alert) -> None:
        assert replace(self.alert, seq=was.seq, observers=was.observers) == was

    @rule(by=people, to=people)
    def reassign(self, by: str, to: str) -> None:
        self.attempt(commands.reassign, by, [to], self.now, timedelta(seconds=60))

    @rule(by=people, hours=st.integers(-1, 30))
    def close(self, by: str, hours: int) -> None:
        was = self.alert
        self.attempt(close, by, "follow-up", self.now + timedelta(hours=hours), self.now)
        if self.alert.state is State.CLOSED and was.state is not State.CLOSED:
            assert was.state in (State.CONTACTED, State.STABILISED)
            assert was.contacted_at is not None
            assert 0 < hours <= 24

    @rule(by=people)
    def sign(self, by: str) -> None:
        was = self.alert
        self.attempt(commands.co_sign, by, self.closer(), self.now)
        if self.alert is not was:
            assert (was.co_signature, self.alert.co_signature) == (CoSignature.AWAITED, CoSignature.GIVEN)
            assert by != self.closer()

    @rule(by=people)
    def decline(self, by: str) -> None:
        self.attempt(commands.decline_co_signature, by, self.closer(), self.now)

    @rule(by=people)
    def amend(self, by: str) -> None:
        was = self.alert
        self.attempt(commands.amend_closing, by, self.closer(), self.now)
        if self.alert is not was:
            assert by == self.closer()

    @rule(by=people)
    def debrief(self, by: str) -> None:
        self.attempt(commands.debrief, by, self.now)

    def closer(self) -> str:
        return next((each.actor for each in self.entries if each.kind is Kind.CLOSED), "")

    @rule(by=people, severity=st.sampled_from(Severity))
    def judge(self, by: str, severity: Severity) -> None:
        self.attempt(commands.change_severity, by, severity, self.now)

    @rule(severity=st.sampled_from(Severity))
    def join(self, severity: Severity) -> None:
        if self.alert.state is State.CLOSED:
            return
        reopens = self.alert.state in (State.CONTACTED, State.STABILISED)
        facts = {"severity": str(int(severity)), "session_id": "", "facilitator_id": "", "stage": "0"}
        facts |= {"reopens": str(reopens).lower(), **alerts.until(self.now + timedelta(minutes=1))}
        self.add([Entry(Kind.SIGNAL_JOINED, self.now, "person", facts)])
        assert self.alert.state not in (State.CONTACTED, State.STABILISED)

    @rule()
    def withdraw(self) -> None:
        was = self.alert.state
        self.add(alerts.withdraw(self.alert, "person", "signal", self.now))
        assert self.alert.state is was

    @rule(cycle=st.integers(0, 3))
    def paged(self, cycle: int) -> None:
        self.add([Entry(Kind.PAGED, self.now, "pager", {"cycle": str(cycle)})])

    @rule(by=st.timedeltas(timedelta(seconds=1), timedelta(hours=2)))
    def time_passes(self, by: timedelta) -> None:
        self.now += by
        deadline = self.alert.next_deadline
        due = alerts.due(self.alert, alerts.next_stage(self.alert), timedelta(minutes=1), False, "escalator", self.now)
        assert bool(due) == (deadline is not None and deadline <= self.now)
        was = self.alert
        self.add(due)
        if due and was.state in ANSWERED:
            assert (self.alert.cycle, self.alert.stage) == (was.cycle + 1, 0)
        elif due:
            assert (self.alert.cycle, self.alert.stage) == (was.cycle, was.stage + 1)

    @invariant()
    def an_open_alert_has_a_deadline_and_a_closed_one_has_none(self) -> None:
        assert (self.alert.next_deadline is None) == (self.alert.state is State.CLOSED)

    @invariant()
    def a_signature_is_for_what_is_closed(self) -> None:
        assert self.alert.state is State.CLOSED or self.alert.co_signature is CoSignature.UNSPECIFIED

    @invariant()
    def who_has_it_neither_looks_on_nor_was_offered_it(self) -> None:
        assert self.alert.responder_id not in self.alert.observers
        assert not self.alert.offered_to or self.alert.offered_to != self.alert.responder_id
        assert not self.alert.offered_to or self.alert.state in ANSWERED

    @invariant()
    def the_timeline_replays_to_the_alert(self) -> None:
        assert replay("alert", "person", self.entries) == self.alert

    @invariant()
    def who_has_it_is_known_exactly_while_it_is_answered(self) -> None:
        if self.alert.state is not State.CLOSED:
            assert bool(self.alert.responder_id) == (self.alert.state in ANSWERED)


Life.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestLife = Life.TestCase


def test_a_timeline_begins_with_the_signal() -> None:
    with pytest.raises(ValueError, match="begins"):
        replay("alert", "person", [Entry(Kind.PAGED, START, "pager")])
    with pytest.raises(ValueError, match="empty"):
        replay("alert", "person", [])
    with pytest.raises(ValueError, match="once"):
        replay("alert", "person", [raised_entry(), raised_entry()])


def test_numbers_are_those_of_the_contract() -> None:
    assert {each.name: int(each) for each in State} == _numbers(pb.AlertState, "ALERT_STATE_")
    assert {each.name: int(each) for each in Kind} == _numbers(pb.EntryKind, "ENTRY_KIND_")
    assert {each.name: int(each) for each in CoSignature if each} == _numbers(pb.CoSignature, "CO_SIGNATURE_")
    assert {each.name: int(each) for each in Severity} == _numbers(pb.Severity, "SEVERITY_")


def _numbers(enum: object, prefix: str) -> dict[str, int]:
    return {name.removeprefix(prefix): number for name, number in enum.items() if number}  # type: ignore[attr-defined]


def test_a_page_of_an_earlier_round_does_not_make_the_alert_paged() -> None:
    alert: Alert = replay("alert", "person", [raised_entry()])
    late = apply(alert, Entry(Kind.LEASE_EXPIRED, START, "escalator", {"stage": "0", **alerts.until(START)}))
    assert apply(late, Entry(Kind.PAGED, START, "pager", {"cycle": "0"})).state is State.RAISED
    assert apply(late, Entry(Kind.PAGED, START, "pager", {"cycle": "1"})).state is State.PAGED


def test_a_severe_moment_counts_however_the_alert_was_judged_later() -> None:
    judged = {"severity": str(int(Severity.ELEVATED)), "was": str(int(Severity.HIGH))}
    entries = [raised_entry(), Entry(Kind.SEVERITY_CHANGED, START, "ann", judged)]
    assert replay("alert", "person", entries).severity is Severity.ELEVATED
    assert worst(entries) is Severity.HIGH
    rules = replace(facts.closing_rules(), severity=Severity.IMMEDIATE, risk_levels=frozenset({3}))
    assert not rules.needs_second(entries, disposition=1, risk_level=1)
    assert rules.needs_second(entries, disposition=1, risk_level=3)
    assert rules.needs_second(entries, disposition=pb.DISPOSITION_MOBILE_CRISIS, risk_level=1)


def test_a_drill_is_closed_without_a_follow_up() -> None:
    facts_of_drill = {**raised_entry().facts, "drill": "true"}
    drill = replay("alert", "person", [Entry(Kind.RAISED, START, "person", facts_of_drill)])
    (met,) = commands.contact(drill, "ann", "phone", True, START, LIMITS)
    (closed,) = close(apply(drill, met), "ann", "follow-up", START, START)
    after = apply(apply(drill, met), closed)
    assert (after.follow_up_id, after.co_signature) == ("", CoSignature.UNSPECIFIED)
