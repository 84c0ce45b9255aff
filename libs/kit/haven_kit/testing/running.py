"""A service that runs in the test's own process, and those who call it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Self, TypeVar

from google.protobuf.message import Message
from grpc import aio

from haven_dev.issuer import Issuer
from haven_kit import contract, ids, telemetry
from haven_kit.clients import Clients
from haven_kit.identity import Principal, role_numbers, service, system
from haven_kit.reactions import Delivered
from haven_kit.service import Process
from haven_kit.settings import Settings
from haven_kit.testing.wait import eventually
from haven_kit.tls import Folder

T = TypeVar("T")
E = TypeVar("E", bound=Message)
READY_S = 30


class Caller:
    """Someone who calls the service: `await caller.stub(AlertServiceStub).GetAlert(request)`."""

    def __init__(self, running: Running, principal: Principal, via: str) -> None:
        self._running = running
        self.principal = principal
        self._via = via

    def stub(self, make: Callable[[aio.Channel], T]) -> T:
        """A stub of the service whose every call is made as this caller."""
        clients = self._running.clients_of(self._via)
        token = self.principal.token
        return clients.stub(self._running.name, lambda channel: make(_As(channel, token)))


class Running:
    """A service under test."""

    def __init__(self, process: Process[Any], issuer: Issuer, tls_of: Callable[[str], Any]) -> None:
        self.process = process
        self.name = process.spec.name
        self._issuer = issuer
        self._tls_of = tls_of
        self._clients: dict[str, Clients] = {}
        self.stopped = False

    @property
    def address(self) -> str:
        """Where it listens, for `targets` of another service."""
        return f"dns:///127.0.0.1:{self.process.port}"

    @property
    def parts(self) -> Any:
        """What the service was built from: clock, database, cipher, clients, settings."""
        return self.process.parts

    def as_role(
        self,
        *roles: str,
        person_id: str | None = None,
        sub: str | None = None,
        via: str = "gateway",
    ) -> Caller:
        """A signed-in person who calls by way of the service `via`. Roles as in tokens: `on_call_responder`."""
        now = self.process.parts.clock.now().timestamp()
        claims: dict[str, Any] = {"sub": sub or ids.new_id(), "roles": list(roles)}
        if person_id is not None:
            claims["person_id"] = person_id
        token = self._issuer.sign(claims, at=now)
        principal = Principal(claims["sub"], role_numbers(roles), person_id, service=via, token=token)
        return Caller(self, principal, via)

    def as_service(self, name: str) -> Caller:
        """Another service that calls for itself."""
        return Caller(self, service(name), name)

    def anonymous(self) -> Caller:
        """Someone without a token, by way of the gateway, as a service that may not call for itself."""
        return self.as_service("gateway")

    async def react(self, event: Message, *, key: str = "", event_id: str = "", attempt: int = 1) -> str:
        """React to an event as if it came from NATS. Returns the event's id. Fails where a reaction fails."""
        delivered = Delivered(
            event_id or ids.new_id(),
            contract.event_subject(type(event)),
            key,
            event.SerializeToString(),
            telemetry.traceparent(),
            attempt,
        )
        again_after = await self.process.reactor.react(delivered)
        assert again_after is None, f"the reaction to {delivered.subject} failed; its log says why"
        return delivered.event_id

    async def told(self, event: type[E]) -> list[E]:
        """The events of one kind that the service has told, in order."""
        async with self.process.database.transaction(system("test/told")) as tx:
            rows = await tx.fetch(
                "SELECT payload FROM outbox WHERE subject = $1 ORDER BY seq", contract.event_subject(event)
            )
        return [event.FromString(row["payload"]) for row in rows]

    async def all_published(self) -> None:
        """Wait until NATS has every event the service has told."""

        async def none_waits() -> bool:
            async with self.process.database.transaction(system("test/published")) as tx:
                return not await tx.fetch("SELECT 1 FROM outbox WHERE published_at IS NULL LIMIT 1")

        await eventually(none_waits)

    async def stop(self) -> None:
        """Stop it as SIGTERM would; a second time does nothing."""
        if self.stopped:
            return
        self.stopped = True
        await asyncio.gather(*(clients.close() for clients in self._clients.values()))
        await self.process.stop()

    def clients_of(self, name: str) -> Clients:
        """Channels to the service with the certificate of `name`."""
        if name not in self._clients:
            settings: Settings = self.process.settings.model_copy(
                update={"service": name, "targets": {self.name: self.address}}
            )
            self._clients[name] = Clients(settings, [self.name], Folder(self._tls_of(name)))
        return self._clients[name]


class _As(aio.Channel):
    """A channel whose calls carry a token."""

    def __init__(self, channel: aio.Channel, token: str | None) -> None:
        self._channel = channel
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()

    def unary_unary(self, *args: Any, **kwargs: Any) -> Any:
        method: Any = self._channel.unary_unary(*args, **kwargs)

        async def call(request: Message, *, timeout: float | None = None, metadata: Any = ()) -> Any:
            return await method(request, timeout=timeout, metadata=(*metadata, *self._metadata))

        return call

    def unary_stream(self, *args: Any, **kwargs: Any) -> Any:
        method: Any = self._channel.unary_stream(*args, **kwargs)

        async def call(request: Message, *, timeout: float | None = None, metadata: Any = ()) -> AsyncIterator[Any]:
            async for each in method(request, timeout=timeout, metadata=(*metadata, *self._metadata)):
                yield each

        return call

    def stream_unary(self, *args: Any, **kwargs: Any) -> Any:
        return self._channel.stream_unary(*args, **kwargs)

    def stream_stream(self, *args: Any, **kwargs: Any) -> Any:
        return self._channel.stream_stream(*args, **kwargs)

    async def close(self, grace: float | None = None) -> None:
        await self._channel.close(grace)

    def get_state(self, try_to_connect: bool = False) -> Any:
        return self._channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: Any) -> None:
        await self._channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        await self._channel.channel_ready()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
