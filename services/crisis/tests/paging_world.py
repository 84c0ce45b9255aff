"""A crisis service that pages by the doubles of real providers, and the people who answer."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from haven.crisis.v1 import alert_service_pb2 as alert_pb
from haven.crisis.v1 import alerts_pb2, channels_pb2
from haven.crisis.v1 import on_call_service_pb2 as on_call_pb

from haven_crisis.__main__ import READINESS
from haven_crisis.store import on_call
from haven_dev.providers import Alertmanager, PagerDuty, PushService, Twilio
from haven_dev.providers.twilio import Message
from haven_kit import ids
from haven_kit.errors import NotFound
from haven_kit.testing import eventually
from haven_kit.testing.proxy import Proxy

from .world import World, step

URL = "https://crisis.example"
PHONES = {"first": "+15551230001", "second": "+15551230002"}
Channels = Sequence[on_call_pb.Channel]


@dataclass
class Phones:
    """The world, its providers, and the edge that links and callbacks reach."""

    world: World
    twilio: Twilio
    pager_duty: PagerDuty
    alertmanager: Alertmanager
    push: PushService
    database: Proxy
    policy_id: str = field(default_factory=ids.new_id)

    @property
    def edge(self) -> str:
        """Where `URL` is reached."""
        edge = self.world.crisis.process.edge
        assert edge is not None
        return f"http://127.0.0.1:{edge.port}"

    async def seat(
        self,
        channels: Mapping[str, Channels],
        quiet: channels_pb2.QuietHours | None = None,
        order: str = "first second",
    ) -> None:
        """These people are paged, in this order, by these channels."""
        cipher = self.world.crisis.process.parts.cipher
        async with self.world.transaction() as tx:
            for name, ways in channels.items():
                made = on_call_pb.Responder(responder_id=name, name=name.title(), channels=ways)
                for each in made.channels:
                    each.verified_at.FromDatetime(tx.now)
                if quiet is not None:
                    made.drill_quiet_hours.CopyFrom(quiet)
                await on_call.put(tx, "responder", name, 1, cipher.seal(made, f"responder/{name}"))
            steps = [step(on_call_pb.Target(responder_id=each)) for each in ("first", "second")]
            policy = on_call_pb.Policy(policy_id=self.policy_id, name="Crisis", steps=steps, last_resort=steps[-1])
            await on_call.put(tx, "policy", self.policy_id, 1, policy)
            await on_call.make_default(tx, self.policy_id, True)
            await tx.fetch("UPDATE on_call_version SET version = version + 1")
        await self.world.step("on-call")

    @asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        """The database is away in the block, and back after it."""
        await self.database.refuse()
        try:
            yield
        finally:
            await self.database.start()

    async def read_nothing(self) -> None:
        """The replica never read what is open in the record."""
        check: Any = self.world.crisis.process.service.checks[READINESS]
        keeping = check.__self__.keeping
        async with keeping._stepping:
            keeping._claims._open.clear()
            keeping._claims._paged.clear()

    async def pages(self, alert_id: str) -> list[alerts_pb2.Page]:
        """The pages of an alert."""
        try:
            found = await self.world.alerts("first").ListPages(alert_pb.ListPagesRequest(alert_id=alert_id))
        except NotFound:
            # Where the database is slow an alert is kept elsewhere first, and in the record a moment later.
            raise AssertionError("not in the record yet") from None
        return list(found.pages)

    async def states(self, alert_id: str) -> list[tuple[str, str, str]]:
        """Channel, state and failure of each page, in order."""
        return [
            (each.channel, alerts_pb2.PageState.Name(each.state).removeprefix("PAGE_STATE_"), each.failure)
            for each in await self.pages(alert_id)
        ]

    async def reached(self, alert_id: str, *wanted: tuple[str, str, str]) -> None:
        """Until the pages are exactly these."""

        async def so() -> bool:
            await self.world.step("deliveries")
            found = sorted(await self.states(alert_id))
            assert found == sorted(wanted), found
            return True

        await eventually(so)

    async def link(self, number: str, count: int = 1) -> str:
        """The link in the last message to a number, where it is reached from here."""
        await eventually(lambda: len([each for each in self.twilio.messages if each.to == number]) >= count)
        last = [each for each in self.twilio.messages if each.to == number][-1]
        found = re.search(rf"{URL}/p/\S+", last.body)
        assert found is not None
        return found.group().replace(URL, self.edge)

    async def over(self) -> None:
        """No alert is open any more."""
        async with self.world.transaction() as tx:
            await tx.fetch("UPDATE alert SET state = 6, next_deadline = NULL")

    async def message(self, alert_id: str) -> Message:
        """The first text message about an alert: the three digits in its text may be another alert's too."""
        pages = [each.page_id for each in await self.pages(alert_id)]
        return next(each for each in self.twilio.messages if each.callback.partition("page=")[2] in pages)

    def signal(self, person_id: str, **given: Any) -> Any:
        """Somebody calls for help."""
        return self.world.signal(person_id, **given)


def sms(name: str) -> on_call_pb.Channel:
    """Somebody's text messages."""
    return on_call_pb.Channel(sms=channels_pb2.Sms(number=PHONES[name]))


def voice(name: str) -> on_call_pb.Channel:
    """Somebody's telephone."""
    return on_call_pb.Channel(voice=channels_pb2.Voice(number=PHONES[name]))


async def get(url: str, verb: str = "GET", **options: Any) -> tuple[int, str, Mapping[str, str]]:
    """One request that follows nothing."""
    async with aiohttp.ClientSession() as http, http.request(verb, url, allow_redirects=False, **options) as answer:
        return answer.status, await answer.text(), answer.headers


def tap_of(html: str) -> str:
    """What the button of an opened page sends."""
    found = re.search(r'name="tap" value="([^"]+)"', html)
    assert found is not None, html
    return found.group(1)
