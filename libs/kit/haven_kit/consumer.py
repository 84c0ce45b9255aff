"""The pull consumer: takes events from the streams of other services and hands them to the reactor.

It keeps one pull request open per stream and takes messages as they come, with heartbeats from the server: when those
stop (after a reconnect, say) it asks again, so that it can never fall silent.
"""

from __future__ import annotations

import asyncio
from weakref import WeakValueDictionary

import orjson
from nats import errors as nats_errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js import JetStreamContext
from nats.js import errors as js_errors
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from haven_kit import logs, tasks
from haven_kit.contract import SERVICES
from haven_kit.messaging import Messaging, stream_of
from haven_kit.reactions import Delivered, Reactor

BATCH = 64
IN_FLIGHT = 32
EXPIRES_S = 10.0
HEARTBEAT_S = 1.0
ACK_WAIT_S = 10.0
RETRY_S = 0.5
_log = logs.get(__name__)


class Consumer:
    """All of one service's consumers, one a stream."""

    def __init__(self, service: str, messaging: Messaging, reactor: Reactor) -> None:
        self._service = service
        self._messaging = messaging
        self._reactor = reactor
        self._tasks: list[asyncio.Task[None]] = []
        self._running: set[asyncio.Task[None]] = set()
        self._lines: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._room = asyncio.Semaphore(IN_FLIGHT)

    def start(self) -> None:
        """Begin to consume, once NATS is there."""
        for source in SERVICES:
            if subjects := self._reactor.subjects_from(source):
                task = asyncio.create_task(self._consume(source, subjects), name=f"consume {source}")
                self._tasks.append(task)

    async def stop(self, grace: float) -> None:
        """Take nothing more; let reactions under way finish for at most `grace` seconds."""
        await tasks.end(*self._tasks)
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=grace)
            await tasks.end(*late)

    async def _consume(self, source: str, subjects: list[str]) -> None:
        client, stream = await self._messaging.ready()
        waiting = False
        while True:
            try:
                await self._ensure(stream, source, subjects)
                waiting = False
                await self._pull(client, source)
            except js_errors.NotFoundError:
                if not waiting:
                    _log.info("consumer.stream_awaited", source=source)
                waiting = True
                await asyncio.sleep(RETRY_S)
            except (TimeoutError, nats_errors.Error) as error:
                _log.warning("consumer.interrupted", source=source, error=type(error).__name__)
                await asyncio.sleep(RETRY_S)
            except Exception:  # noqa: BLE001 - a consumer that ends would never be heard of again
                _log.exception("consumer.failed", source=source)
                await asyncio.sleep(RETRY_S)

    async def _ensure(self, stream: JetStreamContext, source: str, subjects: list[str]) -> None:
        config = ConsumerConfig(
            durable_name=self._service,
            deliver_policy=DeliverPolicy.ALL,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=ACK_WAIT_S,
            max_ack_pending=BATCH * 4,
            filter_subjects=subjects,
        )
        await stream.add_consumer(stream_of(source), config)

    async def _pull(self, client: Client, source: str) -> None:
        inbox = client.new_inbox()
        subscription = await client.subscribe(inbox)
        ask = f"$JS.API.CONSUMER.MSG.NEXT.{stream_of(source)}.{self._service}"
        request = orjson.dumps(
            {"batch": BATCH, "expires": int(EXPIRES_S * 1e9), "idle_heartbeat": int(HEARTBEAT_S * 1e9)}
        )
        try:
            while True:
                await client.publish(ask, request, reply=inbox)
                await self._take(subscription)
        finally:
            if client.is_connected:
                await subscription.unsubscribe()

    async def _take(self, subscription: Subscription) -> None:
        """Take messages until the pull request has ended, or the server has fallen silent."""
        taken = 0
        while taken < BATCH:
            try:
                message = await subscription.next_msg(timeout=2.5 * HEARTBEAT_S)
            except TimeoutError:
                return
            status = (message.headers or {}).get("Status")
            if status is None:
                taken += 1
                await self._begin(message)
            elif status != "100":  # 100 is the heartbeat; 404, 408 and 409 end the request
                if status == "409":
                    raise nats_errors.Error(f"pull ended: {status}")
                return

    async def _begin(self, message: Msg) -> None:
        await self._room.acquire()
        task = asyncio.create_task(self._handle(message))
        self._running.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._room.release()

    async def _handle(self, message: Msg) -> None:
        delivered = _delivered(message)
        line = self._lines.setdefault(delivered.key, asyncio.Lock())
        async with line:  # events of one aggregate one after the other
            delay = await self._reactor.react(delivered)
        try:
            if delay is None:
                await message.ack()
            else:
                await message.nak(delay=delay)
        except nats_errors.Error as error:
            # It will be delivered again, and the inbox knows it.
            _log.warning("consumer.not_acknowledged", event_id=delivered.event_id, error=type(error).__name__)


def _delivered(message: Msg) -> Delivered:
    headers = message.headers or {}
    return Delivered(
        event_id=headers.get("ce-id", ""),
        subject=message.subject,
        key=headers.get("ce-partitionkey", ""),
        payload=message.data,
        traceparent=headers.get("traceparent", ""),
        attempt=message.metadata.num_delivered or 1,
    )
