"""What Twilio tells: answers by text message and by key, how messages and calls went; signed, or refused."""

from __future__ import annotations

from datetime import timedelta

import pytest
from haven.crisis.v1 import alert_service_pb2 as pb
from haven.crisis.v1 import alerts_pb2
from haven.crisis.v1 import on_call_service_pb2 as on_call_pb

from haven_crisis.domain import replies
from haven_dev.providers.twilio import Call
from haven_kit import ids
from haven_kit.testing import eventually

from .paging_world import PHONES, URL, Phones, get, sms, voice

BOTH = {name: [sms(name)] for name in PHONES}
STATUS = f"{URL}/callbacks/twilio/status"


async def paged(phones: Phones, person_id: str, first: list[on_call_pb.Channel] | None = None) -> str:
    """An alert that `first` was paged for."""
    await phones.seat(BOTH | ({"first": first} if first else {}))
    alert_id: str = (await phones.signal(person_id)).alert_id

    async def accepted() -> bool:
        return any(state == "ACCEPTED" for _, state, _ in await phones.states(alert_id))

    await eventually(accepted)
    return alert_id


async def holder(phones: Phones, alert_id: str) -> str:
    return (await phones.world.alert(alert_id)).responder_id


async def test_a_reply_with_the_code_takes_the_alert(phones: Phones, person_id: str) -> None:
    alert_id = await paged(phones, person_id)
    told = await phones.twilio.reply(PHONES["first"], f" {replies.code(alert_id)}\n")
    assert (told.status, told.words) == (200, "You have this alert. The console shows whom to reach and how.")
    assert await holder(phones, alert_id) == "first"
    entries = (
        await phones.world.alerts("first").GetAlertTimeline(pb.GetAlertTimelineRequest(alert_id=alert_id))
    ).entries
    assert [each.facts["channel"] for each in entries if each.kind == alerts_pb2.ENTRY_KIND_ACKNOWLEDGED] == ["sms"]
    again = await phones.twilio.reply(PHONES["first"], replies.code(alert_id))
    assert again.words.startswith("You have this alert")


async def test_a_plain_yes_takes_the_only_alert_and_asks_where_there_are_two(phones: Phones, person_id: str) -> None:
    await phones.over()
    one = await paged(phones, person_id)
    two = await paged(phones, ids.new_id())
    while replies.code(two) == replies.code(one):
        two = await paged(phones, ids.new_id())
    assert "three digits" in (await phones.twilio.reply(PHONES["first"], "Yes")).words
    assert {await holder(phones, each) for each in (one, two)} == {""}
    await phones.twilio.reply(PHONES["first"], f"ok {replies.code(two)}")
    assert (await holder(phones, one), await holder(phones, two)) == ("", "first")
    await phones.over()
    three = await paged(phones, ids.new_id())
    assert "three digits" in (await phones.twilio.reply(PHONES["first"], "who is this")).words
    await phones.twilio.reply(PHONES["first"], "OK!")
    assert await holder(phones, three) == "first"


async def test_only_who_was_paged_answers(phones: Phones, person_id: str) -> None:
    alert_id = await paged(phones, person_id)
    for stranger in ("+15559999999", PHONES["second"]):
        assert (
            await phones.twilio.reply(stranger, replies.code(alert_id))
        ).words == "No alert waits for you. Thank you."
    assert await holder(phones, alert_id) == ""


async def test_a_colleague_was_faster(phones: Phones, person_id: str) -> None:
    alert_id = await paged(phones, person_id)
    await phones.world.later(timedelta(seconds=60))
    await phones.link(PHONES["second"])
    await phones.twilio.reply(PHONES["second"], replies.code(alert_id))
    told = await phones.twilio.reply(PHONES["first"], replies.code(alert_id))
    assert told.words == "A colleague has this alert already. Thank you."
    assert await holder(phones, alert_id) == "second"


async def test_one_on_the_keys_takes_the_alert_and_nothing_else_does(phones: Phones, person_id: str) -> None:
    alert_id = await paged(phones, person_id, [voice("first")])
    call = phones.twilio.calls[-1]
    for wrong in ("", "2", "11", "#"):
        assert "Press 1" in (await phones.twilio.press(call, wrong)).words
    assert await holder(phones, alert_id) == ""
    told = await phones.twilio.press(call, "1")
    assert told.words == "You have this alert. The console shows whom to reach and how."
    assert await holder(phones, alert_id) == "first"
    await phones.world.replays(alert_id)


async def test_voice_mail_that_answers_takes_nothing(phones: Phones, person_id: str) -> None:
    alert_id = await paged(phones, person_id, [voice("first")])
    assert (await phones.twilio.tell_call(phones.twilio.calls[-1], "completed")).status == 204
    await phones.reached(alert_id, ("voice", "DELIVERED", ""))
    assert await holder(phones, alert_id) == ""
    await phones.world.later(timedelta(seconds=60))
    assert [each.responder_id for each in await phones.pages(alert_id)] == ["first", "second"]


async def test_a_message_that_arrived_is_delivered_whatever_is_told_then(phones: Phones, person_id: str) -> None:
    alert_id = await paged(phones, person_id)
    message = await phones.message(alert_id)
    for status in ("queued", "sent", "delivered", "sent", "delivered", "queued"):
        assert (await phones.twilio.tell_message(message, status)).status == 204
    await phones.reached(alert_id, ("sms", "DELIVERED", ""))
    await phones.twilio.tell_message(message, "undelivered", "30003")
    await phones.reached(alert_id, ("sms", "DELIVERED", ""))
    async with phones.world.transaction() as tx:
        row = await tx.fetch_one("SELECT reported, reason FROM delivery WHERE reference = $1", message.sid)
    assert row is not None
    assert (row["reported"], row["reason"]) == (alerts_pb2.PAGE_STATE_DELIVERED, "delivered")


@pytest.mark.parametrize("status", ["undelivered", "failed", "canceled"])
async def test_a_message_that_did_not_arrive_starts_the_next_channel(
    phones: Phones, person_id: str, status: str
) -> None:
    alert_id = await paged(phones, person_id, [sms("first"), voice("first")])
    message = await phones.message(alert_id)
    for told in ("queued", status, "sent", status):
        await phones.twilio.tell_message(message, told, "30003" if told == status else "")
    await phones.reached(
        alert_id, ("sms", "FAILED", f"{status}, code 30003"), ("sms", "QUEUED", ""), ("voice", "ACCEPTED", "")
    )
    await phones.twilio.tell_message(message, "delivered")
    await phones.reached(alert_id, ("sms", "DELIVERED", f"{status}, code 30003"), *REST)
    await phones.world.replays(alert_id)


REST = (("sms", "QUEUED", ""), ("voice", "ACCEPTED", ""))


@pytest.mark.parametrize("status", ["busy", "no-answer", "failed", "canceled"])
async def test_a_call_that_nobody_answers_starts_the_next_channel(phones: Phones, person_id: str, status: str) -> None:
    alert_id = await paged(phones, person_id, [voice("first"), sms("first")])
    call: Call = phones.twilio.calls[-1]
    await phones.twilio.tell_call(call, "ringing")
    await phones.twilio.tell_call(call, status)
    await phones.reached(alert_id, ("voice", "FAILED", status), ("voice", "QUEUED", ""), ("sms", "ACCEPTED", ""))


async def test_a_report_that_comes_before_the_page_is_noted_waits_for_it(phones: Phones, person_id: str) -> None:
    alert_id = await paged(phones, person_id)
    async with phones.world.transaction() as tx:
        # As it is between the send and its note: claimed, and not yet accepted.
        await tx.fetch(
            "UPDATE page SET state = 2, lease_until = $2 WHERE alert_id = $1", alert_id, tx.now + timedelta(seconds=5)
        )
    await phones.twilio.tell_message(await phones.message(alert_id), "delivered")
    await phones.reached(alert_id, ("sms", "SENDING", ""))
    async with phones.world.transaction() as tx:
        await tx.fetch("UPDATE page SET state = 3, lease_until = NULL WHERE alert_id = $1", alert_id)
    await phones.reached(alert_id, ("sms", "DELIVERED", ""))


async def test_what_twilio_has_not_signed_is_refused(phones: Phones, person_id: str) -> None:
    alert_id = await paged(phones, person_id)
    twilio, message = phones.twilio, await phones.message(alert_id)
    fields = {"MessageSid": message.sid, "MessageStatus": "failed"}
    reply = {"From": PHONES["first"], "Body": replies.code(alert_id)}
    told = [
        await twilio.tell(message.callback, fields, token="0" * 32),
        await twilio.tell(message.callback, fields | {"AccountSid": "AC" + "0" * 32}),
        await twilio.tell(f"{STATUS}?page={ids.new_id()}", fields, to=twilio.route(message.callback)),
        await twilio.tell(f"{URL}/callbacks/twilio/message", reply, token="0" * 32),
        await twilio.tell(f"{URL}/callbacks/twilio/key?page={ids.new_id()}", {"Digits": "1"}, token="x"),
    ]
    assert [each.status for each in told] == [403] * 5
    for path in ("status", "key", "message"):
        status, _, _ = await get(f"{phones.edge}/callbacks/twilio/{path}", "POST", data=reply)
        assert status == 403
    await phones.reached(alert_id, ("sms", "ACCEPTED", ""))
    assert await holder(phones, alert_id) == ""


async def test_whoever_sends_what_is_not_signed_is_slowed_down_and_twilio_is_not(
    phones: Phones, person_id: str
) -> None:
    alert_id = await paged(phones, person_id)
    address = f"{phones.edge}/callbacks/twilio/message"
    assert {(await get(address, "POST", data={"Body": "yes"}))[0] for _ in range(120)} == {403, 429}
    assert (await phones.twilio.reply(PHONES["first"], replies.code(alert_id))).status == 200
    assert await holder(phones, alert_id) == "first"


async def test_a_report_about_no_page_of_ours_changes_nothing(phones: Phones) -> None:
    unknown = f"{STATUS}?page={ids.new_id()}"
    assert (await phones.twilio.tell(unknown, {"MessageSid": "SMx", "MessageStatus": "failed"})).status == 204
    await phones.world.step("deliveries")
    assert (await phones.twilio.tell(f"{STATUS}?page=x", {"MessageStatus": "failed"})).status == 404


@pytest.mark.parametrize(
    ("text", "meant"),
    [("431", 0), ("Take 431 please", 0), ("431 532", None), ("532", 1), ("999", None), ("yes", None), ("", None)],
)
def test_what_a_reply_means(text: str, meant: int | None) -> None:
    alerts = [f"00000000-0000-0000-0000-{code - 100:012x}" for code in (431, 532)]
    assert [replies.code(each) for each in alerts] == ["431", "532"]
    found = replies.meant(text, alerts)
    assert found == (None if meant is None else alerts[meant])


def test_a_yes_takes_one_alert_alone() -> None:
    one = ids.new_id()
    for text in ("yes", "OK", "Ack.", "take it", "mine"):
        assert replies.meant(text, [one]) == one
    for text in ("no", "not ok", "stop", "who is this?", ""):
        assert replies.meant(text, [one]) is None
