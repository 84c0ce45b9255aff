"""The stream that keeps calls for help while the database is away: crisis's own, one message for each case.

A message is the newest state of its case, sealed. It is written only over the state that its writer has seen, so that
one replica at a time pages for a case, whatever the replicas believe of each other. An acknowledged message is on the
disks of a quorum of the servers that keep the stream.
"""

from __future__ import annotations

from dataclasses import dataclass

from nats import errors as nats_errors
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, Header, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import APIError, NotFoundError, ServiceUnavailableError

from haven_kit.messaging import Messaging, make

STREAM = "CRISIS_KEPT"
_SUBJECT = "crisis.kept"
MOST_BYTES = 512 * 1024**2
_WRONG_LAST_SEQUENCE = 10071


class NotKept(Exception):
    """The stream has not acknowledged it in time; it may have it nevertheless."""


class Changed(Exception):
    """Another replica has written the case meanwhile, or has completed it."""


@dataclass(frozen=True, slots=True)
class Found:
    """A case as another replica, or an earlier run, has left it."""

    alert_id: str
    blob: bytes
    revision: int


@dataclass(slots=True)
class Stream:
    """This replica's access to the stream."""

    messaging: Messaging
    timeout: float
    """Seconds for NATS to acknowledge."""
    _made: bool = False
    _seen: int = 0

    @property
    def connected(self) -> bool:
        """Whether NATS answers now."""
        return self.messaging.connected

    async def put(self, alert_id: str, blob: bytes, revision: int) -> int:
        """Write a case over the given revision, 0 for none. Returns the new one. Raises NotKept, or Changed."""
        try:
            stream = await self._open()
            headers = {Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value: str(revision)}
            ack = await stream.publish(f"{_SUBJECT}.{alert_id}", blob, timeout=self.timeout, headers=headers)
        except APIError as error:
            if error.err_code == _WRONG_LAST_SEQUENCE:
                raise Changed from error
            raise NotKept from error
        except (TimeoutError, nats_errors.Error) as error:
            self._made = False
            raise NotKept from error
        return ack.seq

    async def get(self, alert_id: str) -> Found | None:
        """The case of an alert. Raises NotKept."""
        try:
            stream = await self._open()
            message = await stream.get_last_msg(STREAM, f"{_SUBJECT}.{alert_id}")
        except NotFoundError:
            return None
        except (TimeoutError, nats_errors.Error) as error:
            raise NotKept from error
        return Found(alert_id, message.data or b"", message.seq or 0)

    async def news(self, most: int) -> list[Found]:
        """What was written since the last look, at most so many. Raises NotKept."""
        found: list[Found] = []
        try:
            stream = await self._open()
            last = (await stream.stream_info(STREAM)).state.last_seq
            self._seen = min(self._seen, last)  # the stream was made anew
            while self._seen < last and len(found) < most:
                message = await _next(stream, self._seen + 1)
                if message is None:
                    self._seen = last
                    break
                self._seen = message.revision
                found.append(message)
        except (TimeoutError, nats_errors.Error) as error:
            self._made = False
            raise NotKept from error
        return found

    async def forget(self, revision: int) -> bool:
        """Take that state of a case away. False where it is not there: another replica was first, or has written the
        case anew. Raises NotKept."""
        try:
            await (await self._open()).delete_msg(STREAM, revision)
        except ServiceUnavailableError as error:
            raise NotKept from error
        except APIError:
            return False
        except (TimeoutError, nats_errors.Error) as error:
            raise NotKept from error
        return True

    async def _open(self) -> JetStreamContext:
        if not self.messaging.connected:
            raise NotKept
        client, _ = await self.messaging.ready()
        context: JetStreamContext = client.jetstream(timeout=self.timeout)
        if not self._made:
            await _ensure(context, self.messaging.copies)
            self._made = True
        return context


async def _next(stream: JetStreamContext, revision: int) -> Found | None:
    try:
        message = await stream.get_msg(STREAM, seq=revision, subject=f"{_SUBJECT}.>", next=True)
    except NotFoundError:
        return None
    return Found((message.subject or "").rpartition(".")[2], message.data or b"", message.seq or 0)


async def _ensure(stream: JetStreamContext, copies: int | None) -> None:
    """Create the stream, or bring it up to date."""
    config = StreamConfig(
        name=STREAM,
        subjects=[f"{_SUBJECT}.>"],
        retention=RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        # What is kept is never pushed out by what comes later: the journal is next.
        discard=DiscardPolicy.NEW,
        max_bytes=MOST_BYTES,
        max_msgs_per_subject=1,
    )
    await make(stream, config, copies)
