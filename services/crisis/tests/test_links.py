"""Links in pages: opening one changes nothing, one tap takes the alert, and nothing is told about anybody."""

from __future__ import annotations

import re
from datetime import timedelta

import aiohttp
from haven.crisis.v1 import alert_service_pb2 as pb
from haven.crisis.v1 import alerts_pb2

from haven_kit import ids

from .paging_world import PHONES, Phones, get, sms, tap_of

OPEN, TAKEN = alerts_pb2.ALERT_STATE_PAGED, alerts_pb2.ALERT_STATE_ACKNOWLEDGED
BOTH = {name: [sms(name)] for name in PHONES}


async def paged(phones: Phones, person_id: str) -> tuple[str, str]:
    """An alert that `first` was paged for, and the link they got."""
    await phones.seat(BOTH)
    raised = await phones.signal(person_id)
    await phones.reached(raised.alert_id, ("sms", "ACCEPTED", ""))
    return raised.alert_id, await phones.link(PHONES["first"])


async def state(phones: Phones, alert_id: str) -> int:
    return (await phones.world.alert(alert_id)).state


async def test_a_scanner_that_opens_the_link_takes_nothing(phones: Phones, person_id: str) -> None:
    alert_id, link = await paged(phones, person_id)
    for verb in ("GET", "HEAD", "GET", "HEAD"):
        assert (await get(link, verb))[0] == 200
    assert (await get(link, "OPTIONS"))[0] == 405
    assert await state(phones, alert_id) == OPEN


async def test_one_tap_takes_the_alert(phones: Phones, person_id: str) -> None:
    alert_id, link = await paged(phones, person_id)
    _, html, headers = await get(link)
    assert "Nobody has taken this alert yet" in html
    assert "<script" not in html
    assert "script-src" not in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"
    status, _, headers = await get(link, "POST", data={"tap": tap_of(html)})
    assert (status, headers["Location"]) == (303, "/p/" + link.rpartition("/")[2])
    assert "You have this alert" in (await get(link))[1]
    alert = await phones.world.alert(alert_id)
    assert (alert.state, alert.responder_id) == (TAKEN, "first")
    entries = (
        await phones.world.alerts("first").GetAlertTimeline(pb.GetAlertTimelineRequest(alert_id=alert_id))
    ).entries
    taken = next(each for each in entries if each.kind == alerts_pb2.ENTRY_KIND_ACKNOWLEDGED)
    assert (taken.actor_id, taken.facts["channel"]) == ("first", "link")
    async with phones.world.transaction() as tx:
        rows = await tx.fetch("SELECT principal_id FROM audit_entry WHERE action = 'crisis/link'")
    assert {row["principal_id"] for row in rows} == {"first"}
    await phones.world.replays(alert_id)


async def test_nothing_but_the_tap_of_the_opened_page_takes_it(phones: Phones, person_id: str) -> None:
    alert_id, link = await paged(phones, person_id)
    _, other = await paged(phones, ids.new_id())
    elsewhere = tap_of((await get(other))[1])
    for data in ({}, {"tap": ""}, {"tap": "A" * 28}, {"tap": elsewhere}, {"tap": "é"}, {"other": "x"}):
        status, _, _ = await get(link, "POST", data=data)
        assert status == 303
    old = tap_of((await get(link))[1])
    phones.world.clock.advance(timedelta(minutes=11))
    assert (await get(link, "POST", data={"tap": old}))[0] == 303
    assert (await phones.world.alert(alert_id)).responder_id == ""


async def test_a_link_that_was_changed_is_none(phones: Phones, person_id: str) -> None:
    _, link = await paged(phones, person_id)
    base, token = link.rsplit("/", 1)
    for place in range(len(token)):
        changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        if place % 6 == 0:
            assert (await get(f"{base}/{changed}"))[0] in (404, 410), place
    for wrong in ("x", "a" * 48, token[:-4], token + "AAAA", "%00", "🦆"):
        status, html, _ = await get(f"{base}/{wrong}")
        assert (status, "This link does not work" in html) == (404, True)


async def test_a_link_expires(phones: Phones, person_id: str) -> None:
    alert_id, link = await paged(phones, person_id)
    tap = tap_of((await get(link))[1])
    phones.world.clock.advance(timedelta(minutes=61))
    for verb in ("GET", "POST"):
        status, html, _ = await get(link, verb, **({"data": {"tap": tap}} if verb == "POST" else {}))
        assert (status, "This link has expired" in html) == (410, True)
    assert (await phones.world.alert(alert_id)).responder_id == ""


async def test_a_colleague_was_faster(phones: Phones, person_id: str) -> None:
    await phones.over()
    alert_id, link = await paged(phones, person_id)
    tap = tap_of((await get(link))[1])
    await phones.world.later(timedelta(seconds=60))
    theirs = await phones.link(PHONES["second"])
    await get(theirs, "POST", data={"tap": tap_of((await get(theirs))[1])})
    assert (await phones.world.alert(alert_id)).responder_id == "second"
    await get(link, "POST", data={"tap": tap})
    status, html, _ = await get(link)
    assert (status, "Taken by a colleague" in html, "<button" in html) == (200, True, False)
    assert "econd" not in html
    assert (await phones.world.alert(alert_id)).responder_id == "second"


async def test_the_link_of_an_alert_that_is_over_is_worth_nothing(phones: Phones, person_id: str) -> None:
    alert_id, link = await paged(phones, person_id)
    tap = tap_of((await get(link))[1])
    async with phones.world.transaction() as tx:
        await tx.fetch("UPDATE alert SET state = 6, next_deadline = NULL WHERE alert_id = $1", alert_id)
    assert (await get(link))[0] == 410
    status, html, _ = await get(link, "POST", data={"tap": tap})
    assert (status, "This alert is over" in html) == (410, True)


async def test_the_page_tells_nothing_about_anybody(phones: Phones, person_id: str) -> None:
    alert_id, link = await paged(phones, person_id)
    _, html, headers = await get(link)
    said = html + str(headers)
    assert person_id not in said
    assert "first" not in said.lower()
    assert set(re.findall(ids_pattern(), html)) == {alert_id}
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "noindex" in headers["X-Robots-Tag"]


async def test_a_program_asks_and_taps(phones: Phones, person_id: str) -> None:
    alert_id, link = await paged(phones, person_id)
    async with aiohttp.ClientSession(headers={"Accept": "application/json"}) as http:
        async with http.get(link) as answer:
            told = await answer.json()
        assert (told["state"], told["drill"]) == ("open", False)
        async with http.post(link, data={"tap": told["tap"]}) as answer:
            assert (answer.status, (await answer.json())["state"]) == (200, "yours")
    assert (await phones.world.alert(alert_id)).responder_id == "first"


async def test_whoever_tries_many_links_is_slowed_down(phones: Phones, person_id: str) -> None:
    _, link = await paged(phones, person_id)
    base = link.rpartition("/")[0]
    assert {404, 429} == await statuses(f"{base}/guess", 120)
    # Nobody's link is shut by what others at their address do, even where all come through one proxy.
    assert await statuses(link, 10) == {200}


async def test_a_scanner_that_goes_on_opening_one_link_is_slowed_down_at_that_link(
    phones: Phones, person_id: str
) -> None:
    _, link = await paged(phones, person_id)
    _, other = await paged(phones, ids.new_id())
    assert await statuses(link, 120) == {200, 429}
    assert await statuses(other, 10) == {200}


async def statuses(link: str, count: int) -> set[int]:
    found = set()
    async with aiohttp.ClientSession() as http:
        for _ in range(count):
            async with http.get(link) as answer:
                found.add(answer.status)
                assert answer.status != 429 or int(answer.headers["Retry-After"]) >= 1
    return found


def ids_pattern() -> str:
    return r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
