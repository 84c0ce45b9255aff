"""Quiet hours and test mode: for drills, marked as drills, and never in the way of a real alert."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from haven.crisis.v1 import channels_pb2, signals_pb2
from haven.crisis.v1 import on_call_service_pb2 as on_call_pb
from haven.crisis.v1.on_call_service_pb2_grpc import OnCallServiceStub
from haven.crisis.v1.page_pb2 import PageText
from hypothesis import given
from hypothesis import strategies as st

from haven_crisis.channels.drills import QUIET, Drills
from haven_crisis.directory import Channel
from haven_crisis.domain.quiet import Quiet
from haven_crisis.settings import CrisisSettings
from haven_dev.receivers import WebhookReceiver
from haven_kit.clock import FakeClock
from haven_kit.errors import Invalid
from haven_kit.testing import eventually
from haven_kit.testing.running import Running

from .paging_world import PHONES, Phones, get, sms
from .world import SECRET, body_of

DRILL = signals_pb2.SIGNAL_SOURCE_DRILL
ALL_DAY = channels_pb2.QuietHours(time_zone="America/Chicago", starts="00:00", ends="23:59")
WALL = st.times().map(lambda at: at.replace(microsecond=0))
ZONES = st.sampled_from(["America/Chicago", "Europe/Berlin", "Asia/Kathmandu", "Pacific/Apia", "UTC"]).map(ZoneInfo)
MOMENTS = st.integers(0, 3 * 365 * 24 * 60).map(lambda past: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=past))


def _settings(**given: Any) -> CrisisSettings:
    return CrisisSettings.model_construct(**{"crisis_drill_webhook": None, "crisis_drill_secret": None, **given})


@given(starts=WALL, ends=WALL, zone=ZONES, now=MOMENTS, instead=st.booleans(), kind=st.sampled_from(["sms", "webhook"]))
def test_no_setting_and_no_hour_touches_a_real_alert(
    starts: time, ends: time, zone: ZoneInfo, now: datetime, instead: bool, kind: str
) -> None:
    drills = Drills(_settings(crisis_drill_webhook="http://127.0.0.1/x" if instead else None), FakeClock(now))
    channel = Channel(kind, "a", quiet=Quiet(starts, ends, zone))
    assert drills.way(channel, PageText()) is channel


@given(starts=WALL, ends=WALL, zone=ZONES, now=MOMENTS)
def test_a_moment_is_in_the_hours_or_in_the_rest_of_the_day(
    starts: time, ends: time, zone: ZoneInfo, now: datetime
) -> None:
    if starts != ends:
        assert Quiet(starts, ends, zone).at(now) != Quiet(ends, starts, zone).at(now)
    channel = Channel("sms", "a", quiet=Quiet(starts, ends, zone))
    quiet = Drills(_settings(), FakeClock(now)).way(channel, PageText(drill=True)) == QUIET
    assert quiet == Quiet(starts, ends, zone).at(now)


@pytest.mark.parametrize(("hour", "quiet"), [(3, True), (7, True), (8, False), (12, False), (21, False), (22, True)])
def test_hours_over_midnight(hour: int, quiet: bool) -> None:
    zone = ZoneInfo("America/Chicago")
    found = Quiet(time(22), time(8), zone).at(datetime(2026, 3, 9, hour, tzinfo=zone))
    assert found == quiet


async def test_a_drill_in_quiet_hours_is_not_sent_and_says_so(phones: Phones, person_id: str) -> None:
    await phones.seat({name: [sms(name)] for name in PHONES}, ALL_DAY)
    before = len(phones.twilio.messages)
    staff = phones.world.staff("boss")
    drill = await phones.world.signal(person_id, staff, source=DRILL)
    await phones.reached(drill.alert_id, ("sms", "NOT_NEEDED", "drill in quiet hours"))
    assert len(phones.twilio.messages) == before
    real = await phones.signal(person_id)
    await phones.reached(real.alert_id, ("sms", "ACCEPTED", ""))
    assert phones.twilio.messages[-1].body.startswith("Haven: crisis alert, open ")


async def test_a_drill_is_marked_wherever_it_is_read(phones: Phones, person_id: str) -> None:
    await phones.seat({name: [sms(name)] for name in PHONES})
    drill = await phones.world.signal(person_id, phones.world.staff("boss"), source=DRILL)
    await phones.reached(drill.alert_id, ("sms", "ACCEPTED", ""))
    assert phones.twilio.messages[-1].body.startswith("Haven: DRILL, crisis alert, open ")
    _, html, _ = await get(await phones.link(PHONES["first"]))
    assert '<p class="drill">DRILL</p>' in html
    assert "<title>DRILL: " in html


async def test_test_mode_takes_drills_and_drills_alone(
    phones: Phones, person_id: str, serve: Callable[..., Awaitable[Running]]
) -> None:
    takes = WebhookReceiver()
    await takes.start()
    settings = phones.world.crisis.process.settings
    other = await serve(
        phones.world.crisis.process.spec,
        clock=phones.world.clock,
        **{
            name: getattr(settings, name)
            for name in ("crisis_url", "twilio_url", "twilio_account_sid", "twilio_auth_token", "twilio_from")
        },
        crisis_last_resort_webhook=settings.crisis_last_resort_webhook,
        crisis_drill_webhook=takes.url,
        crisis_drill_secret=SECRET,
    )
    await phones.seat({name: [sms(name)] for name in PHONES})
    before = len(phones.twilio.messages)
    drill = await phones.world.signal(person_id, other.as_role("on_call_responder", sub="boss"), source=DRILL)
    await eventually(lambda: takes.received)
    body = body_of(takes.received[0])
    assert (body["alert_id"], body["drill"], body["title"]) == (drill.alert_id, True, "Haven: DRILL, crisis alert")
    assert len(phones.twilio.messages) == before
    await phones.world.signal(person_id, other.as_role("participant", person_id=person_id))
    await eventually(lambda: len(phones.twilio.messages) > before)
    assert len(takes.received) == 1
    await other.stop()
    await takes.stop()
    phones.world.clock.advance(timedelta(seconds=1))


async def test_quiet_hours_are_kept_with_the_responder(phones: Phones) -> None:
    office = phones.world.staff("admin", "administrator").stub(OnCallServiceStub)
    request = on_call_pb.PutResponderRequest(
        responder_id="quiet", name="Quiet", channels=[sms("first")], drill_quiet_hours=ALL_DAY
    )
    await office.PutResponder(request)
    held = await office.GetResponder(on_call_pb.GetResponderRequest(responder_id="quiet"))
    assert held.drill_quiet_hours == ALL_DAY
    request.etag = held.etag
    request.drill_quiet_hours.time_zone = "Mars/Olympus"
    with pytest.raises(Invalid) as refused:
        await office.PutResponder(request)
    assert refused.value.violations[0].field == "drill_quiet_hours.time_zone"
    request.drill_quiet_hours.time_zone, request.drill_quiet_hours.starts = "UTC", "25:00"
    with pytest.raises(Invalid):
        await office.PutResponder(request)
