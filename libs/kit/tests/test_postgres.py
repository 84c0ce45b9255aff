"""Addresses of databases: what their options mean, and that every connection of a service keeps to them."""

from __future__ import annotations

import asyncio
import os
import ssl
import struct
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from haven_dev import databases
from haven_dev.pki import Pki
from haven_kit import migrations, tasks
from haven_kit.clock import SystemClock
from haven_kit.database import Database
from haven_kit.errors import Unavailable
from haven_kit.identity import system
from haven_kit.postgres import Address, AddressError, TlsFailed
from haven_kit.testing import eventually
from haven_kit.testing.servers import Shared
from haven_kit.workers import Worker, WorkerLoop

PRINCIPAL = system("test")
SERVER = "postgresql://intake:s3cret@db.example:5432/intake"
VERIFIED = f"{SERVER}?sslmode=verify-full"
NAMES = "SELECT application_name FROM pg_stat_activity WHERE datname = current_database()"
SSL_REQUEST = struct.pack("!ii", 8, 80877103)
"""The first words of a client that asks for TLS (PostgreSQL documentation, "Message Formats")."""


@pytest.mark.parametrize(
    "url",
    [
        SERVER,
        SERVER.replace("postgresql:", "postgres:"),
        "postgresql://one:5432,two:5433/name?target_session_attrs=read-write",
        "postgresql://u:p%2Fw%40@[::1]:5432/name",
        "postgresql://u@/name?host=/var/run/postgresql",
        VERIFIED,
        f"{SERVER}?sslmode=require&sslnegotiation=direct",
        f"{VERIFIED}&sslrootcert=system&channel_binding=require&options=endpoint%3Dcool-lake",
        f"{SERVER}?sslmode=require&channel_binding=prefer&gssencmode=disable&target_session_attrs=primary",
        f"{SERVER}?application_name=x&connect_timeout=10&keepalives=1&keepalives_idle=30",
    ],
)
def test_an_address_as_providers_write_it_is_taken(url: str) -> None:
    assert Address(url).verified == ("verify-full" in url)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("mysql://u:p@host/name", "must begin with postgresql://"),
        ("postgresql://u:p/w@host/name", "/ @ ? # and % are written"),
        ("postgresql://u:p@host:port/name", "cannot be read"),
        ("postgresql://u:p#w@host/name", "cannot be read"),
        (f"{SERVER}?sslmode", "cannot be read"),
        (f"{SERVER}?ssl=true", "ssl: no option that is known"),
        (f"{SERVER}?pgbouncer=true", "pgbouncer: no option that is known"),
        (f"{SERVER}?sslmode=on", "sslmode: must be one of disable, allow, prefer, require, verify-ca, verify-full"),
        (f"{SERVER}?sslmode=require&sslmode=disable", "sslmode: given twice"),
        (f"{SERVER}?sslmode=verify-ca", "sslrootcert: required"),
        (f"{SERVER}?sslrootcert=/ca.crt", "sslrootcert: only with sslmode=require, verify-ca or verify-full"),
        (f"{SERVER}?sslmode=verify-ca&sslrootcert=system", "sslrootcert: system authorities"),
        (f"{VERIFIED}&sslrootcert=/nowhere/ca.crt", "sslrootcert: the file cannot be read (No such file"),
        (f"{VERIFIED}&sslkey=/nowhere/tls.key", "sslkey: given together with sslcert"),
        (f"{SERVER}?sslmode=require&channel_binding=require", "channel_binding: the driver has none"),
        (f"{SERVER}?sslnegotiation=direct", "sslnegotiation: only with"),
        (f"{SERVER}?gssencmode=require", "gssencmode: must be one of"),
        (f"{SERVER}?target_session_attrs=standby", "target_session_attrs: must be one of any, primary, read-write"),
    ],
)
def test_what_cannot_be_kept_is_refused_by_name(url: str, told: str) -> None:
    with pytest.raises(AddressError) as refused:
        Address(url)
    assert told in str(refused.value)
    assert "s3cret" not in str(refused.value)
    assert "p/w" not in str(refused.value)


def test_a_file_that_holds_no_authority_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("nothing")
    with pytest.raises(AddressError, match="sslrootcert: the file holds no certificates"):
        Address(f"{VERIFIED}&sslrootcert={tmp_path / 'ca.crt'}")


class Front:
    """Takes connections by TLS, or without, before a server that has no TLS itself: as front ends of providers do."""

    def __init__(self, url: str, folder: Path) -> None:
        self.right, self.wrong = folder / "pki" / "ca.crt", folder / "other" / "ca.crt"
        identity = Pki(folder / "pki").issue("postgres")
        Pki(folder / "other")
        self.by_tls: list[bool] = []
        """Of each connection."""
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(identity / "tls.crt", identity / "tls.key")
        self._context.set_alpn_protocols(["postgresql"])
        self._url = urlsplit(url)
        self._servers: list[asyncio.Server] = []
        self._pumps: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        for context in (None, self._context):
            self._servers.append(await asyncio.start_server(self._connected, "0.0.0.0", 0, ssl=context))

    async def stop(self) -> None:
        for server in self._servers:
            server.close()
        await tasks.end(*self._pumps)

    def address(self, options: str, host: str = "127.0.0.1") -> str:
        """The address of the server by way of this front, with options in which files are named."""
        port = self._servers["direct" in options].sockets[0].getsockname()[1]
        server = self._url._replace(netloc=f"{self._url.netloc.rpartition('@')[0]}@{host}:{port}").geturl()
        return f"{server}?{options.format(right=self.right, wrong=self.wrong)}".removesuffix("?")

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, onward = await asyncio.open_connection(self._url.hostname, self._url.port)
        by_tls = writer.get_extra_info("ssl_object") is not None
        try:
            first = await reader.readexactly(8)
            if first == SSL_REQUEST:
                writer.write(b"S")
                await writer.start_tls(self._context)
                by_tls, first = True, b""
            onward.write(first)
        except (OSError, asyncio.IncompleteReadError):  # the client did not like the certificate
            onward.close()
            return
        self.by_tls.append(by_tls)
        for source, sink in ((reader, onward), (there, writer)):
            pump = asyncio.create_task(_pump(source, sink))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    except OSError:
        return
    finally:
        sink.close()


@pytest_asyncio.fixture
async def front(shared_servers: Shared, tmp_path: Path) -> AsyncIterator[Front]:
    made = Front(await databases.create(shared_servers.admin_url, "kit_tls", "intake", "test"), tmp_path)
    await made.start()
    yield made
    await made.stop()


@pytest.mark.parametrize(
    ("options", "by_tls"),
    [
        ("sslmode=verify-full&sslrootcert={right}", True),
        ("sslmode=verify-full&sslrootcert={right}&sslnegotiation=direct", True),
        ("sslmode=verify-ca&sslrootcert={right}", True),
        ("sslmode=require", True),
        ("sslmode=require&sslrootcert={right}", True),
        ("sslmode=prefer", True),
        ("", True),
        ("sslmode=disable", False),
    ],
)
async def test_every_connection_of_a_service_is_as_the_address_says(front: Front, options: str, by_tls: bool) -> None:
    url = front.address(options)
    await migrations.migrate(url, "haven_intake")
    database, other = (Database(url, clock=SystemClock(), application=name) for name in ("one", "two"))
    stepped = asyncio.Event()

    async def step() -> bool:
        stepped.set()
        return False

    loop = WorkerLoop(Worker("alone", step, every=timedelta(seconds=60), exclusive=True), database)
    try:
        assert await migrations.is_current(database, "haven_intake")
        for each in (database, other):
            each.wake.start()
        loop.start()
        await asyncio.wait_for(stepped.wait(), 10)

        async def heard() -> bool:
            other.wake.wake("bell")
            return await database.wake.wait("bell", 0.2)

        await eventually(heard)
        async with database.transaction(PRINCIPAL) as tx:
            names = {row["application_name"] for row in await tx.fetch(NAMES)}
    finally:
        await loop.stop(1)
        await database.close()
        await other.close()
    assert names >= {"one", "haven-lock", ""}  # the bells' have no name
    assert set(front.by_tls) == {by_tls}


@pytest.mark.parametrize(
    ("options", "host", "told"),
    [
        ("sslmode=verify-full&sslrootcert={wrong}", "127.0.0.1", "its certificate does not hold"),
        ("sslmode=verify-ca&sslrootcert={wrong}", "127.0.0.1", "its certificate does not hold"),
        ("sslmode=require&sslrootcert={wrong}", "127.0.0.1", "its certificate does not hold"),
        ("sslmode=verify-full", "127.0.0.1", "its certificate does not hold"),
        ("sslmode=verify-full&sslrootcert={right}", "127.0.0.2", "not valid for '127.0.0.2'"),
    ],
)
async def test_a_certificate_that_does_not_hold_is_not_talked_to(
    front: Front, options: str, host: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    url = front.address(options, host)
    with pytest.raises(TlsFailed, match=told):
        await migrations.migrate(url, "haven_intake")
    database = Database(url, clock=SystemClock())
    with pytest.raises(Unavailable):
        async with database.transaction(PRINCIPAL) as tx:
            await tx.read("SELECT 1")
    assert not await database.reachable()
    await database.close()
    out = capsys.readouterr().out
    assert "database.tls_failed" in out
    assert "s3cret" not in out


async def test_a_server_without_tls_is_not_talked_to_where_it_is_asked_for(shared_servers: Shared) -> None:
    with pytest.raises(TlsFailed, match="it has none, and the address says sslmode=require"):
        await Address(f"{shared_servers.admin_url}?sslmode=require").connect(timeout=5)


async def test_an_authority_that_is_replaced_is_read_again(front: Front, tmp_path: Path) -> None:
    held = tmp_path / "ca.crt"
    held.write_bytes(front.wrong.read_bytes())
    address = Address(front.address(f"sslmode=verify-full&sslrootcert={held}"))
    with pytest.raises(TlsFailed):
        await address.connect(timeout=5)
    held.unlink()
    with pytest.raises(TlsFailed):
        await address.connect(timeout=5)
    held.write_bytes(front.right.read_bytes())
    await (await address.connect(timeout=5)).close()


async def test_the_program_says_why_it_cannot_start(front: Front, tmp_path: Path) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "HAVEN_ENVIRONMENT": "production",
        "HAVEN_NATS_URL": "nats://127.0.0.1:1",
        "HAVEN_TLS_DIR": str(tmp_path),
        "HAVEN_ISSUER_URL": "https://id.example",
        "HAVEN_KEYSET_FILE": str(tmp_path / "keys"),
        "HAVEN_KEYSET_KEK_FILE": str(tmp_path / "kek"),
    }

    async def run(url: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "haven_intake", "migrate"]
        given = environment | {"HAVEN_DATABASE_URL": url}
        return await asyncio.to_thread(subprocess.run, command, check=False, capture_output=True, text=True, env=given)

    done = await run(f"{SERVER}?sslmode=always")
    assert done.returncode == 78
    assert "HAVEN_DATABASE_URL: sslmode: must be one of" in done.stderr
    done = await run(front.address("sslmode=verify-full&sslrootcert={wrong}"))
    assert done.returncode == 1
    assert done.stderr.startswith("The database cannot be reached by TLS as its address asks: its certificate does not")
    assert "Traceback" not in done.stderr
    for options, told in (("sslmode=verify-full&sslrootcert={right}", False), ("sslmode=require", True)):
        done = await run(front.address(options))
        assert (done.returncode, done.stderr) == (0, "")
        assert ("database.certificate_unchecked" in done.stdout) == told
