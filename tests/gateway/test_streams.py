"""Server-sent events: form, resumption, heartbeats, refusals, and every way to end."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import orjson

from haven_kit import errors

from .contracts import message

PATH = "/v1/things:watch"
Event = message("ThingEvent")


def _event(number):
    made = Event(event_id=f"e{number}")
    made.thing.name = f"thing {number}"
    return made


async def _counted(request, context):
    start = int(request.last_event_id.removeprefix("e") or 0)
    for number in range(start + 1, 4):
        yield _event(number)


async def _endless(request, context):
    yield _event(1)
    await asyncio.Event().wait()


@asynccontextmanager
async def _watching(site, path=PATH, **headers):
    async with site.http.get(site.url + path, headers=site.headers(**headers)) as answer:
        yield answer


async def _blocks(answer):
    text = (await answer.read()).decode()
    return [block for block in text.split("\n\n") if block]


async def test_events_have_ids_and_public_json(site):
    site.probe.answers["WatchThings"] = _counted
    async with _watching(site) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert answer.headers["Cache-Control"] == "no-store"
        blocks = await _blocks(answer)
    assert blocks[0] == ": connected\nretry: 2000"
    assert [block.split("\n")[0] for block in blocks[1:]] == ["id: e1", "id: e2", "id: e3"]
    assert orjson.loads(blocks[1].split("data: ")[1])["thing"]["name"] == "thing 1"


async def test_a_stream_resumes_after_the_last_event_by_header_or_query(site):
    site.probe.answers["WatchThings"] = _counted
    async with _watching(site, Last_Event_ID="e2") as answer:
        assert [b.split("\n")[0] for b in (await _blocks(answer))[1:]] == ["id: e3"]
    async with _watching(site, PATH + "?lastEventId=e1&color=COLOR_RED") as answer:
        assert [b.split("\n")[0] for b in (await _blocks(answer))[1:]] == ["id: e2", "id: e3"]
    assert site.probe.calls[-1][1].color == 2


async def test_a_malformed_last_event_id_is_refused(site):
    async with _watching(site, Last_Event_ID="x" * 300) as answer:
        assert answer.status == 400
        assert (await answer.json(content_type=None))["violations"][0]["field"] == "Last-Event-ID"


async def test_a_refusal_before_the_first_event_is_a_plain_problem(site):
    async def refused(request, context):
        raise errors.NotFound("thing")
        yield

    site.probe.answers["WatchThings"] = refused
    async with _watching(site) as answer:
        assert answer.status == 404
        assert answer.headers["Content-Type"] == "application/problem+json"


async def test_a_failure_later_is_a_last_event(site):
    async def breaks(request, context):
        yield _event(1)
        raise errors.Unavailable("The thing service")

    site.probe.answers["WatchThings"] = breaks
    async with _watching(site) as answer:
        assert answer.status == 200
        last = (await _blocks(answer))[-1]
    name, data = last.split("\n")
    assert name == "event: problem"
    assert orjson.loads(data.removeprefix("data: "))["type"] == "/problems/unavailable"


async def test_a_client_that_leaves_ends_the_call_behind(site):
    site.probe.answers["WatchThings"] = _endless
    async with _watching(site) as answer:
        await answer.content.readuntil(b"id: e1")
    await asyncio.wait_for(site.probe.cancelled.wait(), 5)


async def test_a_quiet_stream_opens_and_beats(open_site):
    async def quiet(request, context):
        await asyncio.Event().wait()
        yield

    async with open_site(heartbeat_seconds=0.1) as site:
        site.probe.answers["WatchThings"] = quiet
        async with _watching(site) as answer:
            assert await answer.content.readuntil(b": still here\n\n")
            assert await answer.content.readuntil(b": still here\n\n") == b": still here\n\n"


async def test_a_stream_ends_in_time_so_that_its_sign_in_is_looked_at_again(open_site):
    async with open_site(stream_seconds=0.5, heartbeat_seconds=0.1) as site:
        site.probe.answers["WatchThings"] = _endless
        async with _watching(site) as answer:
            blocks = await asyncio.wait_for(_blocks(answer), 10)
        assert blocks[-1].startswith("retry: ")
        assert not any("event: problem" in block for block in blocks)
        await asyncio.wait_for(site.probe.cancelled.wait(), 5)


async def test_a_slow_client_holds_the_service_back(site):
    sent = 0

    async def flood(request, context):
        nonlocal sent
        while True:
            sent += 1
            made = _event(sent)
            made.thing.name = "x" * 50_000
            yield made

    site.probe.answers["WatchThings"] = flood
    async with _watching(site) as answer:
        await answer.content.readuntil(b"\n\n")
        settled = -1
        while settled != sent:  # until nothing more is asked for
            settled = sent
            await asyncio.sleep(0.3)
        assert sent * 50_000 < 64 * 1024 * 1024


async def test_one_account_may_hold_only_so_many_streams(open_site):
    async with open_site(person_streams=2) as site:
        site.probe.answers["WatchThings"] = _endless
        async with _watching(site) as one, _watching(site) as two:
            assert (one.status, two.status) == (200, 200)
            async with _watching(site) as three:
                assert three.status == 429


async def test_draining_ends_streams_cleanly_and_lets_calls_finish(open_site):
    entered, release = asyncio.Event(), asyncio.Event()

    async def slow(request, context):
        entered.set()
        await release.wait()
        return message("Thing")(name="done")

    async with open_site() as site:
        site.probe.answers.update(WatchThings=_endless, GetThing=slow)
        path = "/v1/things/01890a5d-ac96-774b-bcce-b302099a8057"
        call = asyncio.ensure_future(site.call("GET", path))
        await asyncio.wait_for(entered.wait(), 5)
        async with _watching(site) as answer:
            await answer.content.readuntil(b"id: e1")
            stopping = asyncio.ensure_future(site.gateway.stop())
            rest = (await asyncio.wait_for(answer.read(), 5)).decode()
        assert "retry: " in rest
        assert "event: problem" not in rest
        assert not site.gateway.readiness()["accepting"]
        release.set()
        status, _, body = await call
        assert (status, body["name"]) == (200, "done")
        await asyncio.wait_for(stopping, 10)
