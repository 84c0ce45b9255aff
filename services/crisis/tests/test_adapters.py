"""Each adapter against a double of its provider's real API: what is taken, what is refused, and what nobody knows."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import ec

from haven_crisis.channels import Channels, web_push
from haven_crisis.channels.twilio import signature
from haven_crisis.directory import Channel
from haven_crisis.domain import replies
from haven_crisis.store.pages import PageState
from haven_dev.providers import PagerDuty, Trouble
from haven_kit.clock import SystemClock

from .providers_world import ALL, KEY, KINDS, LINK, NUMBER, Providers, page, settings
from .world import World


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def providers(world: World) -> AsyncIterator[Providers]:
    made = Providers()
    servers = (made.twilio, made.pager_duty, made.alertmanager, made.push, made.webhook, made.mail)
    for each in servers:
        await each.start()
    made.settings = settings(world, made)
    made.channels = Channels(made.settings, SystemClock())
    await made.channels.prepare({"apprise"})
    yield made
    await made.channels.close()
    for each in servers:
        await each.stop()


async def test_a_text_message_says_what_to_do_and_fits_into_one(providers: Providers) -> None:
    long = page(drill=True)
    long.title, long.link = "Haven: DRILL, crisis alert", "https://crisis.example.org/p/" + "x" * 48
    outcome = await providers.channels.send(providers.channel("sms"), long)
    message = providers.twilio.messages[-1]
    assert (outcome.state, outcome.reference) == (PageState.ACCEPTED, message.sid)
    assert message.body == f"{long.title}, open {long.link} or reply {replies.code(long.alert_id)} to take it."
    assert len(message.body) <= 160
    assert message.callback == f"{providers.settings.crisis_url}/callbacks/twilio/status?page={long.page_id}"


async def test_a_call_reads_the_page_out_and_asks_for_a_key(providers: Providers) -> None:
    sent = page()
    outcome = await providers.channels.send(providers.channel("voice"), sent)
    call = providers.twilio.calls[-1]
    assert (outcome.state, outcome.reference, call.to) == (PageState.ACCEPTED, call.sid, NUMBER)
    gather = call.twiml.find("Gather")
    assert gather is not None
    assert gather.attrib["numDigits"] == "1"
    assert gather.attrib["action"].endswith(f"/callbacks/twilio/key?page={sent.page_id}")
    assert "".join(gather.itertext()) == "Haven: crisis alert. Press 1 to take it."


@pytest.mark.parametrize(
    ("number", "why"), [("+1", "status 400, code 21211"), ("+15550001610", "status 400, code 21610")]
)
async def test_what_twilio_refuses_is_named_by_its_number(providers: Providers, number: str, why: str) -> None:
    providers.twilio.refusing.unsubscribed.add("+15550001610")
    outcome = await providers.channels.send(Channel("sms", number), page())
    assert (outcome.state, outcome.reason) == (PageState.FAILED, why)


@pytest.mark.parametrize("kind", ["sms", "voice"])
async def test_a_message_that_was_taken_without_an_answer_is_not_sent_twice_by_itself(
    providers: Providers, kind: str
) -> None:
    for _ in range(2):
        await providers.channels.send(providers.channel(kind), page())
    providers.twilio.trouble = Trouble(drops_after=True)
    asked = providers.twilio.asked
    outcome = await providers.channels.send(providers.channel(kind), page())
    providers.twilio.trouble = Trouble()
    assert (outcome.state, providers.twilio.asked - asked) == (PageState.UNKNOWN, 1)


async def test_a_wrong_token_is_refused(world: World, providers: Providers) -> None:
    channels = Channels(settings(world, providers, twilio_auth_token="0" * 32), SystemClock())
    outcome = await channels.send(providers.channel("sms"), page())
    await channels.close()
    assert (outcome.state, outcome.reason) == (PageState.FAILED, "status 401, code 20003")


async def test_pager_duty_opens_an_incident_and_ends_it(providers: Providers) -> None:
    sent, channel = page(), providers.channel("pager_duty")
    outcome = await providers.channels.send(channel, sent)
    await providers.channels.send(channel, sent)
    incident = providers.pager_duty.incidents[outcome.reference]
    assert [each["event_action"] for each in incident.events] == ["trigger", "trigger"]
    event = incident.events[0]
    assert event["payload"] == {"summary": sent.title, "source": "haven-crisis", "severity": "critical"}
    assert event["links"] == [{"href": LINK, "text": "Open"}]
    assert (await providers.channels.send_over(channel, outcome.reference)).state is PageState.ACCEPTED
    assert incident.status == "resolved"


async def test_a_new_step_is_a_new_incident_though_the_earlier_one_was_acknowledged_there(providers: Providers) -> None:
    sent, channel = page(), providers.channel("pager_duty")
    first = await providers.channels.send(channel, sent)
    providers.pager_duty.incidents[first.reference].status = "acknowledged"
    sent.stage = 1
    second = await providers.channels.send(channel, sent)
    sent.stage, sent.cycle = 0, 1
    third = await providers.channels.send(channel, sent)
    statuses = [providers.pager_duty.incidents[each.reference].status for each in (first, second, third)]
    assert statuses == ["acknowledged", "triggered", "triggered"]


async def test_alertmanager_has_an_alert_fire_until_it_is_over(providers: Providers) -> None:
    sent, channel = page(), providers.channel("alertmanager")
    outcome = await providers.channels.send(channel, sent)
    await providers.channels.send(channel, sent)

    def firing() -> list[Any]:
        return [
            each
            for each in providers.alertmanager.firing(datetime.now(UTC))
            if each.labels["round"].startswith(sent.alert_id)
        ]

    (alert,) = firing()
    assert alert.posts == 2
    assert (alert.labels["alertname"], alert.labels["severity"]) == ("HavenCrisisAlert", "critical")
    assert alert.annotations == {"summary": sent.title, "link": LINK}
    assert (await providers.channels.send_over(channel, outcome.reference)).state is PageState.ACCEPTED
    assert firing() == []


async def test_a_browser_opens_what_was_pushed(providers: Providers) -> None:
    sent = page()
    assert (await providers.channels.send(providers.channel("web_push"), sent)).state is PageState.ACCEPTED
    pushed = providers.push.pushed[-1]
    assert json.loads(pushed.plain) == {
        "title": sent.title,
        "link": LINK,
        "drill": False,
        "resent": False,
        "alert_id": sent.alert_id,
    }
    assert (pushed.urgency, pushed.ttl) == ("high", 1800)
    resent = page(resent=True, drill=True)
    await providers.channels.send(providers.channel("web_push"), resent)
    assert providers.push.pushed[-1].sealed_length == pushed.sealed_length


async def test_a_browser_that_is_gone_is_said_to_be(providers: Providers) -> None:
    channel = providers.channel("web_push")
    list(providers.push.subscriptions.values())[-1].gone = True
    assert (await providers.channels.send(channel, page())).reason == "browser gone"
    elsewhere = Channel("web_push", f"{providers.push.url}/push/nobody", channel.secret)
    assert (await providers.channels.send(elsewhere, page())).reason == "browser gone"


async def test_a_push_service_refuses_who_may_not_push(world: World, providers: Providers) -> None:
    stranger = ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value.to_bytes(32, "big")
    channels = Channels(settings(world, providers, web_push_key=web_push.text(stranger)), SystemClock())
    outcome = await channels.send(providers.channel("web_push"), page())
    await channels.close()
    assert outcome.reason == "status 403"


async def test_apprise_hands_the_page_on(providers: Providers) -> None:
    assert (await providers.channels.send(providers.channel("apprise"), page())).state is PageState.ACCEPTED
    told = json.loads(providers.webhook.received[-1].body)
    assert (told["title"], told["message"]) == ("Haven: crisis alert", f"Open {LINK}")


async def test_apprise_reaches_nobody_by_what_is_shown_at_the_server(providers: Providers) -> None:
    for url in ("syslog://", "dbus://", "nosuchscheme://host"):
        assert (await providers.channels.send(Channel("apprise", "", url), page())).state is PageState.FAILED


async def test_apprise_that_hangs_holds_back_no_other_channel(providers: Providers) -> None:
    hanging = PagerDuty()
    hanging.trouble = Trouble(hangs=True)
    await hanging.start()
    stuck = Channel("apprise", "", f"json://127.0.0.1:{hanging.port}/v2/enqueue")
    began = time.monotonic()
    waiting = [asyncio.create_task(providers.channels.send(stuck, page())) for _ in range(10)]
    await asyncio.sleep(0)
    assert (await providers.channels.send(providers.channel("webhook"), page())).state is PageState.ACCEPTED
    assert time.monotonic() - began < 0.9
    assert {(await each).state for each in waiting} == {PageState.UNKNOWN}
    assert time.monotonic() - began < 3
    await hanging.stop()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("trouble", "state", "reason"),
    [
        (Trouble(status=429), PageState.FAILED, "status 429"),
        (Trouble(status=500), PageState.FAILED, "status 500"),
        (Trouble(status=503), PageState.FAILED, "status 503"),
        (Trouble(hangs=True), PageState.UNKNOWN, "no answer"),
        (Trouble(wait_s=1.5), PageState.UNKNOWN, "no answer"),
        (Trouble(drops=True), PageState.UNKNOWN, "no answer"),
        (Trouble(drops_after=True), PageState.UNKNOWN, "no answer"),
        (Trouble(wait_s=0.2), PageState.ACCEPTED, ""),
    ],
)
async def test_a_provider_in_trouble_is_not_waited_for(
    providers: Providers, kind: str, trouble: Trouble, state: PageState, reason: str
) -> None:
    channel, server = providers.channel(kind), providers.server(kind)
    server.trouble = trouble
    began = time.monotonic()
    try:
        outcome = await providers.channels.send(channel, page())
    finally:
        server.trouble = Trouble()
    assert time.monotonic() - began < 1.4
    assert (outcome.state, outcome.reason.partition(",")[0]) == (state, reason)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_provider_out_of_reach_has_not_taken_it(providers: Providers, kind: str) -> None:
    channel, server = providers.channel(kind), providers.server(kind)
    await server.stop()
    try:
        outcome = await providers.channels.send(channel, page())
    finally:
        await server.start()
    assert (outcome.state, outcome.reason) == (PageState.FAILED, "unreachable")


@pytest.mark.parametrize("kind", ALL)
async def test_every_channel_carries_a_code(providers: Providers, kind: str) -> None:
    assert (await providers.channels.send_code(providers.channel(kind), "483920")).state is PageState.ACCEPTED
    carried: dict[str, Callable[[], str]] = {
        "webhook": lambda: providers.webhook.received[-1].body.decode(),
        "apprise": lambda: providers.webhook.received[-1].body.decode(),
        "email": lambda: str(providers.mail.received[-1].message),
        "sms": lambda: providers.twilio.messages[-1].body,
        "voice": lambda: "".join(providers.twilio.calls[-1].twiml.itertext()).replace(" ", ""),
        "pager_duty": lambda: str(list(providers.pager_duty.incidents.values())[-1].events),
        "alertmanager": lambda: str(list(providers.alertmanager.alerts.values())[-1].annotations),
        "web_push": lambda: providers.push.pushed[-1].plain.decode(),
    }
    assert "483920" in carried[kind]()


@pytest.mark.parametrize("kind", ALL)
async def test_a_notice_has_nothing_to_take(providers: Providers, kind: str) -> None:
    notice = page()
    notice.ClearField("alert_id")
    notice.title = "Haven: something to look at"
    assert (await providers.channels.send(providers.channel(kind), notice)).state is PageState.ACCEPTED
    carried: dict[str, Callable[[], Any]] = {
        "webhook": lambda: json.loads(providers.webhook.received[-1].body)["alert_id"] == "",
        "apprise": lambda: notice.title in providers.webhook.received[-1].body.decode(),
        "email": lambda: providers.mail.received[-1].message["Subject"] == notice.title,
        "sms": lambda: providers.twilio.messages[-1].body == f"{notice.title}. Open {LINK}",
        "voice": lambda: (
            [(each.tag, each.text) for each in providers.twilio.calls[-1].twiml] == [("Say", notice.title)]
        ),
        "pager_duty": lambda: (
            providers.pager_duty.incidents[notice.page_id].events[0]["payload"]["severity"] == "warning"
        ),
        "alertmanager": lambda: (
            list(providers.alertmanager.alerts.values())[-1].labels["alertname"] == "HavenCrisisNotice"
        ),
        # What the console's service worker shows as it is, and offers nothing for.
        "web_push": lambda: set(json.loads(providers.push.pushed[-1].plain)) == {"title", "code"},
    }
    assert carried[kind]()


async def test_channels_that_are_not_set_up_fail_and_say_so(world: World, providers: Providers) -> None:
    none = {"twilio_account_sid": None, "twilio_auth_token": None, "twilio_from": None, "web_push_key": None}
    channels = Channels(settings(world, providers, **none), SystemClock())
    for kind in ("sms", "voice", "web_push"):
        assert (await channels.send(providers.channel(kind), page())).reason == "not set up"
    assert (await channels.send(Channel("pigeon", ""), page())).reason == "no adapter"
    await channels.close()


async def test_three_hundred_pages_at_once_to_one_provider_all_go(world: World, providers: Providers) -> None:
    channels = Channels(settings(world, providers, page_timeout_seconds=3), SystemClock())
    channel, sent = providers.channel("sms"), [page() for _ in range(300)]
    outcomes = await asyncio.gather(*(channels.send(channel, each) for each in sent))
    await channels.close()
    assert {each.state for each in outcomes} == {PageState.ACCEPTED}
    bodies = {each.body for each in providers.twilio.messages}
    assert all(any(replies.code(each.alert_id) in body for body in bodies) for each in sent)
    assert len({each.reference for each in outcomes}) == 300


async def test_a_provider_that_fails_again_and_again_is_not_well_until_it_takes_one(
    world: World, providers: Providers
) -> None:
    channels = Channels(providers.settings, SystemClock())
    channel = providers.channel("pager_duty")
    providers.pager_duty.trouble = Trouble(status=500)
    for _ in range(3):
        assert channels.healthy(channel.provider)
        await channels.send(channel, page())
    assert not channels.healthy(channel.provider)
    providers.pager_duty.trouble = Trouble()
    await channels.send(channel, page())
    assert channels.healthy(channel.provider)
    for _ in range(4):
        await channels.send(Channel("sms", "+1"), page())
    assert channels.healthy("twilio"), "a number that does not exist is no fault of the provider"
    await channels.close()


async def test_sealing_a_push_takes_no_time_to_speak_of(providers: Providers) -> None:
    browser = providers.push.subscribe(web_push.public_bytes(KEY))
    keys = web_push.raw(browser.p256dh), web_push.raw(browser.auth)
    took = []
    for _ in range(50):
        began = time.process_time()
        web_push.seal(b"{}", *keys, ec.generate_private_key(ec.SECP256R1()), bytes(16))
        took.append(time.process_time() - began)
    assert sorted(took)[25] < 0.005


def test_the_example_of_rfc_8291() -> None:
    """Appendix A: https://www.rfc-editor.org/rfc/rfc8291#appendix-A"""
    sealed = web_push.seal(
        b"When I grow up, I want to be a watermelon",
        web_push.raw("BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"),
        web_push.raw("BTBZMqHH6r4Tts7J_aSIgg"),
        web_push.private_key("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"),
        web_push.raw("DGv6ra1nlYgDCS1FRnbzlw"),
        size=0,
    )
    assert web_push.text(sealed) == (
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru"
        "3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )


def test_the_example_of_twilio() -> None:
    """https://www.twilio.com/docs/usage/security"""
    form = [
        ("CallSid", "CA1234567890ABCDE"),
        ("Caller", "+14158675309"),
        ("Digits", "1234"),
        ("From", "+14158675309"),
        ("To", "+18005551212"),
    ]
    made = signature("12345", "https://mycompany.com/myapp.php?foo=1&bar=2", form)
    assert made == "RSOYDt4T1cUTdK1PDd93/VVr8B8="
    assert len(base64.b64decode(made)) == 20
