"""Time off and calendars: what is read in, what is given out, and what is refused."""

from __future__ import annotations

from datetime import timedelta

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from haven.crisis.v1 import calendar_feed_service_pb2 as feed_pb
from haven.crisis.v1 import swap_service_pb2 as swap_pb
from haven.crisis.v1 import time_off_service_pb2 as off_pb
from haven.crisis.v1.calendar_feed_service_pb2_grpc import CalendarFeedServiceStub
from haven.crisis.v1.swap_service_pb2_grpc import SwapServiceStub
from haven.crisis.v1.time_off_service_pb2_grpc import TimeOffServiceStub

from haven_kit.errors import Invalid, NotFound, Refused
from haven_kit.times import stamp

from .plan_world import HOUR, acting, stretch, turns_of
from .world import World

ICS = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//test//EN
BEGIN:VEVENT
UID:1
DTSTART;TZID=America/Chicago:20260302T090000
DTEND;TZID=America/Chicago:20260302T170000
RRULE:FREQ=WEEKLY;COUNT=3
EXDATE;TZID=America/Chicago:20260309T090000
SUMMARY:Infusion
END:VEVENT
BEGIN:VEVENT
UID:2
DTSTART;VALUE=DATE:20260401
SUMMARY:Away
END:VEVENT
BEGIN:VEVENT
UID:3
DTSTART:20260501T100000Z
DURATION:PT1H
TRANSP:TRANSPARENT
END:VEVENT
END:VCALENDAR
""".replace("\n", "\r\n")


async def test_time_off_on_a_duty_is_refused_until_somebody_else_has_it(world: World, rotation_id: str) -> None:
    starts, ends = (await turns_of(world, rotation_id, "second"))[2]
    off = acting(world, "second", TimeOffServiceStub)
    wanted = off_pb.CreateTimeOffRequest(responder_id="second", starts_at=stamp(starts), ends_at=stamp(ends))
    with pytest.raises(Refused) as on_duty:
        await off.CreateTimeOff(wanted)
    assert on_duty.value.reason == "time_off_on_duty"
    assert "override or a swap" in on_duty.value.message
    first, second = acting(world, "first", SwapServiceStub), acting(world, "second", SwapServiceStub)
    asked = await second.RequestSwap(
        swap_pb.RequestSwapRequest(asked_of="first", gives=stretch(rotation_id, starts, ends))
    )
    await first.AcceptSwap(swap_pb.AcceptSwapRequest(swap_id=asked.swap_id))
    saved = await off.CreateTimeOff(wanted)
    with pytest.raises(Refused):  # the way back would put them on call while they are away
        back = await first.RequestSwap(
            swap_pb.RequestSwapRequest(asked_of="second", gives=stretch(rotation_id, starts, ends))
        )
        await second.AcceptSwap(swap_pb.AcceptSwapRequest(swap_id=back.swap_id))
    listed = await off.ListTimeOff(off_pb.ListTimeOffRequest(responder_id="second"))
    assert [each.time_off_id for each in listed.time_off] == [saved.time_off_id]
    await off.DeleteTimeOff(off_pb.DeleteTimeOffRequest(responder_id="second", time_off_id=saved.time_off_id))
    with pytest.raises(NotFound):
        await acting(world, "first", TimeOffServiceStub).ListTimeOff(off_pb.ListTimeOffRequest(responder_id="second"))


async def test_time_off_comes_from_a_calendar_and_only_its_times_are_kept(world: World) -> None:
    await world.plan()
    off = acting(world, "boss", TimeOffServiceStub)
    given = off_pb.ImportTimeOffRequest(responder_id="boss", ics=ICS, time_zone="America/Chicago")
    found = [each.starts_at.ToJsonString() for each in (await off.ImportTimeOff(given)).time_off]
    assert found == ["2026-03-02T15:00:00Z", "2026-03-16T14:00:00Z", "2026-04-01T05:00:00Z"]
    again = await off.ImportTimeOff(given)
    listed = await off.ListTimeOff(off_pb.ListTimeOffRequest(responder_id="boss"))
    assert len(listed.time_off) == len(again.time_off) == 3, "what came before is replaced"
    async with world.transaction() as tx:
        assert "Infusion" not in str([tuple(row) for row in await tx.fetch("SELECT * FROM time_off")])
    for bad in ("nothing", ICS.replace("WEEKLY;COUNT=3", "SECONDLY")):
        with pytest.raises(Invalid) as refused:
            await off.ImportTimeOff(off_pb.ImportTimeOffRequest(responder_id="boss", ics=bad, time_zone="UTC"))
        assert refused.value.violations[0].field == "ics"
    with pytest.raises(Refused) as nowhere:
        await off.ImportTimeOff(
            off_pb.ImportTimeOffRequest(responder_id="boss", url="http://127.0.0.1:9/x.ics", time_zone="UTC")
        )
    assert nowhere.value.reason == "unreachable_calendar"


async def test_a_calendar_at_an_address_is_read_again_each_hour(world: World) -> None:
    await world.plan()
    text = [ICS]

    async def tell(_: web.Request) -> web.Response:
        return web.Response(text=text[0], content_type="text/calendar")

    app = web.Application()
    app.add_routes([web.get("/off.ics", tell)])
    async with TestServer(app) as server:
        url = str(server.make_url("")).rstrip("/")
        off = acting(world, "boss", TimeOffServiceStub)
        request = off_pb.ImportTimeOffRequest(responder_id="boss", url=f"{url}/off.ics", time_zone="UTC")
        assert len((await off.ImportTimeOff(request)).time_off) == 3
        text[0] = ICS.replace("COUNT=3", "COUNT=1")
        world.clock.advance(HOUR + timedelta(minutes=1))
        await world.step("calendars")
        off = acting(world, "boss", TimeOffServiceStub)  # signed in anew, an hour later
        listed = await off.ListTimeOff(off_pb.ListTimeOffRequest(responder_id="boss"))
        assert len(listed.time_off) == 2
        text[0] = "gone"
        world.clock.advance(HOUR + timedelta(minutes=1))
        await world.step("calendars")
        off = acting(world, "boss", TimeOffServiceStub)
        assert len((await off.ListTimeOff(off_pb.ListTimeOffRequest(responder_id="boss"))).time_off) == 2


async def test_a_feed_is_read_by_its_secret_address_until_it_is_revoked(world: World, rotation_id: str) -> None:
    feeds = acting(world, "first", CalendarFeedServiceStub)
    made = await feeds.CreateCalendarFeed(feed_pb.CreateCalendarFeedRequest(responder_id="first"))
    whole = await feeds.CreateCalendarFeed(feed_pb.CreateCalendarFeedRequest(rotation_id=rotation_id))
    with pytest.raises(NotFound):
        await feeds.CreateCalendarFeed(feed_pb.CreateCalendarFeedRequest(responder_id="second"))
    own, rotation = await _read(world, made.url), await _read(world, whole.url)
    assert own[0] == rotation[0] == 200
    assert "SUMMARY:On call: Days" in own[1]
    assert "(Second)" not in own[1]
    assert "(Second)" in rotation[1]
    assert "(First)" in rotation[1]
    async with world.transaction() as tx:
        stored = str([tuple(row) for row in await tx.fetch("SELECT * FROM calendar_feed")])
    assert made.url.rpartition("/")[2].removesuffix(".ics") not in stored
    listed = await feeds.ListCalendarFeeds(feed_pb.ListCalendarFeedsRequest())
    assert all(each.HasField("last_read_at") for each in listed.feeds)
    with pytest.raises(NotFound):
        await acting(world, "second", CalendarFeedServiceStub).RevokeCalendarFeed(
            feed_pb.RevokeCalendarFeedRequest(feed_id=made.feed.feed_id)
        )
    await feeds.RevokeCalendarFeed(feed_pb.RevokeCalendarFeedRequest(feed_id=made.feed.feed_id))
    assert (await _read(world, made.url))[0] == 404
    assert (await _read(world, "https://crisis.example/calendars/guess.ics"))[0] == 404


async def _read(world: World, url: str) -> tuple[int, str]:
    edge = world.crisis.process.edge
    assert edge is not None
    at = url.replace("https://crisis.example", f"http://127.0.0.1:{edge.port}")
    async with aiohttp.ClientSession() as session, session.get(at) as answer:
        return answer.status, await answer.text()
