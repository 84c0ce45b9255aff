"""What the service tests of crisis share: people, receivers, and a plan of who is on call."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from haven.crisis.v1 import alert_service_pb2 as alert_pb
from haven.crisis.v1 import alerts_pb2, signals_pb2
from haven.crisis.v1 import channel_service_pb2 as channel_pb
from haven.crisis.v1 import on_call_service_pb2 as on_call_pb
from haven.crisis.v1.alert_service_pb2_grpc import AlertServiceStub
from haven.crisis.v1.channel_service_pb2_grpc import ChannelServiceStub
from haven.crisis.v1.crisis_service_pb2_grpc import CrisisServiceStub
from haven.crisis.v1.on_call_service_pb2_grpc import OnCallServiceStub
from prometheus_client import REGISTRY

from haven_crisis.domain.alerts import replay
from haven_crisis.store import alerts
from haven_dev.codes import Codes
from haven_dev.receivers import Mail, SmtpReceiver, Webhook, WebhookReceiver
from haven_kit import ids
from haven_kit.clock import FakeClock
from haven_kit.database import Tx
from haven_kit.identity import system
from haven_kit.testing import eventually
from haven_kit.testing.running import Caller, Running

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
WAIT = timedelta(seconds=60)


@dataclass
class World:
    """One running crisis service, and everyone around it."""

    crisis: Running
    clock: FakeClock
    hooks: dict[str, WebhookReceiver]
    mail: SmtpReceiver
    ids: dict[str, str] = field(default_factory=dict)

    def staff(self, name: str, role: str = "on_call_responder", replica: Running | None = None) -> Caller:
        return (replica or self.crisis).as_role(role, sub=name)

    def participant(self, person_id: str) -> Caller:
        return self.crisis.as_role("participant", person_id=person_id)

    async def plan(
        self, *, channels: dict[str, list[str]] | None = None, round_robins: tuple[tuple[str, ...], ...] = ()
    ) -> None:
        """`first` is on call; `second` is paged next; `boss` is the last resort. Or these round robins, twice."""
        admin = self.staff("admin", "administrator").stub(OnCallServiceStub)
        wanted = channels or {name: [name] for name in ("first", "second", "boss")}
        for name, ways in wanted.items():
            await self.responder(name, ways)
        rotation_id = self.ids.setdefault("rotation", ids.new_id())
        held = await self._etag(admin.GetRotation, on_call_pb.GetRotationRequest(rotation_id=rotation_id))
        rotation = on_call_pb.Rotation(
            name="Nights",
            responder_ids=["first"],
            shift_days=1,
            time_zone="America/Chicago",
            hand_over="08:00",
            first_day="2026-01-01",
            etag=held,
        )
        await admin.PutRotation(on_call_pb.PutRotationRequest(rotation_id=rotation_id, rotation=rotation))
        policy_id = self.ids.setdefault("policy", ids.new_id())
        held = await self._etag(admin.GetPolicy, on_call_pb.GetPolicyRequest(policy_id=policy_id))
        policy = on_call_pb.Policy(
            name="Crisis",
            steps=[
                step(*(on_call_pb.Target(responder_id=each) for each in names), round_robin=True)
                for names in round_robins
            ]
            or [
                step(on_call_pb.Target(rotation_id=rotation_id)),
                step(on_call_pb.Target(responder_id="second")),
            ],
            repeats=1 if round_robins else 0,
            last_resort=step(on_call_pb.Target(responder_id="boss")),
            is_default=True,
            etag=held,
        )
        await admin.PutPolicy(on_call_pb.PutPolicyRequest(policy_id=policy_id, policy=policy))

    async def responder(self, name: str, ways: list[str]) -> on_call_pb.Responder:
        """Somebody with these channels, hooks and addresses, at least one of each; all of them are verified."""
        admin = self.staff("admin", "administrator")
        held = await self._etag(
            admin.stub(OnCallServiceStub).GetResponder, on_call_pb.GetResponderRequest(responder_id=name)
        )
        own = [] if any("@" in way for way in ways) else [f"{name}@example.org"]
        own += [] if any("@" not in way for way in ways) else [name]
        saved: on_call_pb.Responder = await admin.stub(OnCallServiceStub).PutResponder(
            on_call_pb.PutResponderRequest(
                responder_id=name,
                name=name.title(),
                channels=[self._channel(way) for way in [*ways, *own]],
                etag=held,
            )
        )
        return await self.verify(saved)

    async def verify(self, responder: on_call_pb.Responder) -> on_call_pb.Responder:
        """Give the codes that come to the responder's channels that are not verified yet."""
        stub = self.staff("admin", "administrator").stub(ChannelServiceStub)
        codes = Codes(self.hooks.values(), self.mail)
        for each in responder.channels:
            if not each.HasField("verified_at"):
                at = {"responder_id": responder.responder_id, "channel_id": each.channel_id}
                await stub.SendChannelCode(channel_pb.SendChannelCodeRequest(**at))
                code = await codes.take(each.webhook.url or each.email.address)
                responder = await stub.VerifyChannel(channel_pb.VerifyChannelRequest(**at, code=code))
        return responder

    async def _etag(self, get: Any, request: Any) -> str:
        from haven_kit.errors import NotFound

        try:
            return str((await get(request)).etag)
        except NotFound:
            return ""

    def _channel(self, way: str) -> on_call_pb.Channel:
        if "@" in way:
            return on_call_pb.Channel(email=on_call_pb.Email(address=way))
        return on_call_pb.Channel(webhook=on_call_pb.Webhook(url=self.hooks[way].url, secret=SECRET))

    async def signal(
        self, person_id: str, caller: Caller | None = None, **given: Any
    ) -> signals_pb2.RaiseSignalResponse:
        who = (caller or self.participant(person_id)).stub(CrisisServiceStub)
        given.setdefault("source", signals_pb2.SIGNAL_SOURCE_HELP_BUTTON)
        response: signals_pb2.RaiseSignalResponse = await who.RaiseSignal(
            signals_pb2.RaiseSignalRequest(person_id=person_id, **given)
        )
        return response

    async def alert(self, alert_id: str) -> alerts_pb2.Alert:
        found: alerts_pb2.Alert = await self.alerts("first").GetAlert(alert_pb.GetAlertRequest(alert_id=alert_id))
        return found

    def alerts(self, name: str = "first", replica: Running | None = None) -> Any:
        return self.staff(name, replica=replica).stub(AlertServiceStub)

    def pages(self, hook: str, alert_id: str) -> list[dict[str, Any]]:
        return [body for body in map(body_of, self.hooks[hook].received) if body["alert_id"] == alert_id]

    async def paged(self, hook: str, alert_id: str, count: int = 1) -> list[dict[str, Any]]:
        await eventually(lambda: len(self.pages(hook, alert_id)) >= count)
        return self.pages(hook, alert_id)

    async def mails(self, alert_id: str) -> list[Mail]:
        """The emails about an alert: each names its page as its message id."""
        found = await self.alerts("first").ListPages(alert_pb.ListPagesRequest(alert_id=alert_id))
        pages = {each.page_id for each in found.pages}
        return [each for each in self.mail.received if str(each.message["Message-ID"])[1:37] in pages]

    async def step(self, worker: str, replica: Running | None = None) -> None:
        """Have one loop do what is due now."""
        loops = {each.name: each for each in (replica or self.crisis).process.service.workers}
        while await loops[worker].step():
            continue

    async def later(self, by: timedelta) -> None:
        """Turn the clock, and have what became due done."""
        self.clock.advance(by)
        for worker in ("escalations", "follow-ups", "pages"):
            await self.step(worker)

    async def noted(self) -> None:
        """Until it is written how every page under way went: no lease is to run out because the clock is turned."""

        async def so() -> bool:
            async with self.transaction() as tx:
                row = await tx.fetch_one("SELECT count(*) AS sending FROM page WHERE state = 2")
            return row is not None and row["sending"] == 0

        await eventually(so)

    async def replays(self, alert_id: str) -> None:
        """The timeline gives the very alert that the table holds, and its chain is whole."""
        async with self.crisis.process.database.transaction(system("test")) as tx:
            held = await alerts.get(tx, alert_id, lock=True)
            assert replay(alert_id, held.person_id, await alerts.entries(tx, alert_id)) == held
            assert await alerts.verify(tx, alert_id) is None

    def transaction(self) -> Any:
        return self.crisis.process.database.transaction(system("test"))


async def care_team(tx: Tx, person_id: str, principal_id: str) -> None:
    await tx.fetch(
        "INSERT INTO care_team (person_id, principal_id, role, version) VALUES ($1, $2, 'individual_therapist', 1)",
        person_id,
        principal_id,
    )


def step(*targets: on_call_pb.Target, round_robin: bool = False) -> on_call_pb.Step:
    made = on_call_pb.Step(targets=targets, round_robin=round_robin)
    made.wait.FromTimedelta(WAIT)
    return made


def body_of(received: Webhook) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(received.body)
    return found


def measured(name: str, **labels: str) -> float:
    """A metric of this process; 0 where it was never set."""
    return REGISTRY.get_sample_value(name, labels) or 0.0
