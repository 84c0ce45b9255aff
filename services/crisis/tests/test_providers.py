"""What counts as one provider: two channels of it fail together."""

from __future__ import annotations

import pytest

from haven_crisis.directory import Channel, Responder


@pytest.mark.parametrize(
    ("one", "other", "provider"),
    [
        (("webhook", "https://hooks.x/a"), ("webhook", "https://HOOKS.x:443/b"), "hooks.x"),
        (("webhook", "https://hooks.x/a"), ("webhook", "https://me:secret@hooks.x./b"), "hooks.x"),
        (("webhook", "http://hooks.x:8080/a"), ("alertmanager", "http://Hooks.X:8080"), "hooks.x:8080"),
        (("webhook", "https://hooks.x/a"), ("apprise", "jsons://hooks.x/b"), "hooks.x"),
        (("email", "me@example.org"), ("apprise", "mailto://me:word@example.com"), "email"),
        (("apprise", "mailtos://me:word@example.com"), ("apprise", "MAILTO://you:word@example.net"), "email"),
        (("sms", "+15550001610"), ("voice", "+15550001611"), "twilio"),
        (("voice", "+15550001610"), ("apprise", "twilio://sid:token@+15550001610"), "twilio"),
        (("pager_duty", ""), ("apprise", "pagerduty://key@integration"), "pager_duty"),
        (("apprise", "ntfy://host/topic"), ("apprise", "ntfys://host/other"), "ntfy"),
    ],
)
def test_two_channels_of_one_provider(one: tuple[str, str], other: tuple[str, str], provider: str) -> None:
    channels = tuple(_channel(*each) for each in (one, other))
    assert [each.provider for each in channels] == [provider, provider]
    assert not Responder("ann", "Ann", channels).verified


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("webhook", "https://hooks.x/a"), ("webhook", "https://hooks.y/a")),
        (("webhook", "https://hooks.x/a"), ("webhook", "https://hooks.x:8443/a")),
        (("webhook", "https://hooks.x/a"), ("email", "me@hooks.x")),
        (("sms", "+15550001610"), ("apprise", "ntfy://host/topic")),
        (
            ("webhook", "https://hooks.x:99999/a"),
            ("webhook", "https://hooks.y:99999/a"),
        ),
    ],
)
def test_two_channels_of_two_providers(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert Responder("ann", "Ann", (_channel(*one), _channel(*other))).verified


def _channel(kind: str, address: str) -> Channel:
    return Channel(kind, "", address, verified=True) if kind == "apprise" else Channel(kind, address, verified=True)
