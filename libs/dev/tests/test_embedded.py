"""The embedded servers: they start, keep what they were told, and keep parts apart."""

import asyncio
import json
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import nats
import psutil
import pytest
from nats.aio.client import Client
from nats.js.errors import APIError

from haven_dev.embedded import Nats, Postgres
from haven_dev.pki import Pki
from haven_dev.process import Child
from haven_kit.testing import eventually


@pytest.fixture
async def postgres(tmp_path: Path) -> AsyncIterator[Postgres]:
    server = Postgres(tmp_path)
    await server.start()
    yield server
    await server.stop()
    server.remove()


async def test_what_was_committed_survives_a_crash(postgres: Postgres) -> None:
    await postgres.create_database("kept", "keeper", "secret")
    connection = await postgres.connect("kept")
    await connection.execute("CREATE TABLE t (n INT); INSERT INTO t VALUES (7)")
    await connection.close()
    port = postgres.port
    postgres.kill()
    await postgres.start()
    connection = await postgres.connect("kept")
    assert await connection.fetchval("SELECT n FROM t") == 7
    assert postgres.port == port
    await connection.close()


async def connect(server: Nats, authority: Pki, user: str) -> Client:
    context = ssl.create_default_context(cafile=str(authority.folder / "ca.crt"))
    return await nats.connect(
        server.url,
        user=user,
        password=server.password(user),
        tls=context,
        tls_hostname="nats.haven.internal",
        inbox_prefix=f"_INBOX.{user}".encode(),
        allow_reconnect=False,
    )


async def test_what_crisis_keeps_is_read_by_crisis_alone(tmp_path: Path) -> None:
    authority = Pki(tmp_path / "pki")
    server = Nats(tmp_path, authority)
    await server.start()
    try:
        crisis, intake = await connect(server, authority, "crisis"), await connect(server, authority, "intake")
        stream = crisis.jetstream()
        await stream.add_stream(name="CRISIS_KEPT", subjects=["crisis.kept.>"])
        made = await stream.publish("crisis.kept.one", b"1")
        assert (await stream.get_msg("CRISIS_KEPT", seq=1, subject="crisis.kept.>", next=True)).data == b"1"
        other = intake.jetstream(timeout=0.5)
        for attempt in (
            other.pull_subscribe("crisis.kept.>", stream="CRISIS_KEPT"),
            other.pull_subscribe("crisis.kept.>", durable="intake", stream="CRISIS_KEPT"),
            other.get_msg("CRISIS_KEPT", seq=1),
            other.publish("crisis.kept.one", b"2"),
        ):
            with pytest.raises((APIError, TimeoutError, nats.errors.Error)):
                await attempt
        await stream.delete_msg("CRISIS_KEPT", made.seq)
        await asyncio.gather(crisis.close(), intake.close())
    finally:
        await server.stop()


async def test_a_part_tells_its_own_events_and_no_others(tmp_path: Path) -> None:
    authority = Pki(tmp_path / "pki")
    server = Nats(tmp_path, authority)
    await server.start()
    try:
        crisis, intake = await connect(server, authority, "crisis"), await connect(server, authority, "intake")
        await crisis.jetstream().add_stream(name="HAVEN_CRISIS", subjects=["haven.crisis.>"])
        await crisis.jetstream().publish("haven.crisis.alert.raised.v1", b"1")
        with pytest.raises(Exception, match=r"(?i)timeout|permissions|no response"):
            await intake.jetstream(timeout=0.5).publish("haven.crisis.alert.raised.v1", b"2")
        with pytest.raises((APIError, TimeoutError, nats.errors.Error)):
            await intake.jetstream(timeout=0.5).delete_stream("HAVEN_CRISIS")
        reader = await intake.jetstream().pull_subscribe("haven.crisis.>", durable="intake", stream="HAVEN_CRISIS")
        assert [message.data for message in await reader.fetch(5, timeout=1)] == [b"1"]
        await asyncio.gather(crisis.close(), intake.close())
        server.kill()
        await server.start()
        crisis = await connect(server, authority, "crisis")
        assert (await crisis.jetstream().stream_info("HAVEN_CRISIS")).state.messages == 1
        await crisis.close()
    finally:
        await server.stop()


async def test_a_part_reads_as_itself_and_touches_no_other_reader(tmp_path: Path) -> None:
    authority = Pki(tmp_path / "pki")
    server = Nats(tmp_path, authority)
    await server.start()
    try:
        names = ("crisis", "billing", "intake")
        crisis, billing, intake = [await connect(server, authority, name) for name in names]
        told = crisis.jetstream()
        await told.add_stream(name="HAVEN_CRISIS", subjects=["haven.crisis.>"])
        await told.publish("haven.crisis.alert.raised.v1", b"1")
        reader = await billing.jetstream().pull_subscribe("haven.crisis.>", durable="billing", stream="HAVEN_CRISIS")
        (message,) = await reader.fetch(1, timeout=5)
        other = intake.jetstream(timeout=0.5)
        asked = intake.request("$JS.API.CONSUMER.MSG.NEXT.HAVEN_CRISIS.billing", b"1", timeout=0.5)
        for attempt in (
            other.delete_consumer("HAVEN_CRISIS", "billing"),
            other.consumer_info("HAVEN_CRISIS", "billing"),
            other.pull_subscribe("haven.crisis.>", durable="billing", stream="HAVEN_CRISIS"),
            other.subscribe("haven.crisis.>", stream="HAVEN_CRISIS"),
            asked,
            intake.request(message.reply, b"+ACK", timeout=0.5),
        ):
            with pytest.raises((APIError, TimeoutError, nats.errors.Error)):
                await attempt
        as_another = {"stream_name": "HAVEN_CRISIS", "config": {"durable_name": "billing", "ack_policy": "explicit"}}
        for kind in ("DURABLE.CREATE", "CREATE"):
            subject = f"$JS.API.CONSUMER.{kind}.HAVEN_CRISIS.intake"
            refused = await intake.request(subject, json.dumps(as_another).encode(), timeout=5)
            assert "error" in json.loads(refused.data)
        assert (await billing.jetstream().consumer_info("HAVEN_CRISIS", "billing")).num_ack_pending == 1
        await message.ack_sync(timeout=5)
        assert (await billing.jetstream().consumer_info("HAVEN_CRISIS", "billing")).num_ack_pending == 0
        await asyncio.gather(crisis.close(), billing.close(), intake.close())
    finally:
        await server.stop()


PARENT = """
import sys, time
from pathlib import Path
from haven_dev.process import Child
child = Child("sleeper", Path(sys.argv[1]))
child.spawn([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""


def start_parent(state: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", PARENT, str(state)], stdout=subprocess.PIPE)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the next start ends leftovers")
async def test_a_child_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    parent = start_parent(tmp_path)
    assert parent.stdout
    child = int(parent.stdout.readline())
    assert psutil.pid_exists(child)
    parent.kill()
    parent.wait()
    await eventually(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE)


async def test_a_start_ends_what_an_earlier_one_left(tmp_path: Path) -> None:
    sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
    left, next_one = Child("sleeper", tmp_path), Child("sleeper", tmp_path)
    left.spawn(sleeper)
    pid = left.pid
    next_one.spawn(sleeper)
    assert pid is not None
    await eventually(lambda: not psutil.pid_exists(pid))
    assert next_one.running
    next_one.kill()
    assert not next_one.running
