"""Mutual TLS: only certificates of our authority get in, and they say which service it is."""

import asyncio
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue
from grpc import aio

from haven_dev.pki import Pki
from haven_kit import tls

WHO = "/kit.test.Who/GetName"


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path / "pki")


@asynccontextmanager
async def serving(folder: tls.Folder) -> AsyncIterator[int]:
    """A server that answers with the caller's service."""

    async def who(_: StringValue, context: Any) -> StringValue:
        return StringValue(value=tls.peer_service(context) or "nobody")

    handler = grpc.unary_unary_rpc_method_handler(
        who, request_deserializer=StringValue.FromString, response_serializer=StringValue.SerializeToString
    )
    server = aio.server(options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("kit.test.Who", {"GetName": handler}),))
    port = server.add_secure_port("127.0.0.1:0", folder.server_credentials())
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


async def ask(port: int, credentials: grpc.ChannelCredentials, name: str = "crisis") -> str:
    options = [("grpc.ssl_target_name_override", tls.name_of(name)), ("grpc.use_local_subchannel_pool", 1)]
    async with aio.secure_channel(f"127.0.0.1:{port}", credentials, options=options) as channel:
        call = channel.unary_unary(
            WHO, request_serializer=StringValue.SerializeToString, response_deserializer=StringValue.FromString
        )
        answer: StringValue = await call(StringValue(), timeout=5)
        return answer.value


async def test_the_server_knows_the_calling_service(pki: Pki) -> None:
    async with serving(tls.Folder(pki.issue("crisis"))) as port:
        assert await ask(port, tls.Folder(pki.issue("sessions")).channel_credentials()) == "sessions"


async def test_a_caller_with_a_certificate_of_another_authority_is_refused(pki: Pki, tmp_path: Path) -> None:
    stranger = Pki(tmp_path / "other").issue("sessions")
    shutil.copy(pki.issue("crisis") / "ca.crt", stranger / "ca.crt")  # it trusts us, we do not trust it
    async with serving(tls.Folder(pki.issue("crisis"))) as port:
        with pytest.raises(aio.AioRpcError) as refused:
            await ask(port, tls.Folder(stranger).channel_credentials())
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_caller_without_a_certificate_is_refused(pki: Pki) -> None:
    authority = (pki.issue("crisis") / "ca.crt").read_bytes()
    async with serving(tls.Folder(pki.issue("crisis"))) as port:
        with pytest.raises(aio.AioRpcError) as refused:
            await ask(port, grpc.ssl_channel_credentials(authority))
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_server_that_is_another_service_is_refused(pki: Pki) -> None:
    async with serving(tls.Folder(pki.issue("billing"))) as port:
        with pytest.raises(aio.AioRpcError):
            await ask(port, tls.Folder(pki.issue("sessions")).channel_credentials(), name="crisis")


async def test_a_rotated_certificate_is_used_from_the_next_handshake_on(pki: Pki, tmp_path: Path) -> None:
    served = tls.Folder(pki.issue("crisis"))
    caller = tls.Folder(pki.issue("sessions"))
    async with serving(served) as port:
        assert await ask(port, caller.channel_credentials()) == "sessions"
        renewed = Pki(tmp_path / "next")
        for name in ("crisis", "sessions"):
            replace_files(pki.issue(name), renewed.issue(name))
        assert await ask(port, caller.channel_credentials()) == "sessions"
        with pytest.raises(aio.AioRpcError):
            await ask(port, grpc.ssl_channel_credentials((pki.folder / "ca.crt").read_bytes()))


def test_while_files_are_missing_the_last_identity_is_kept(pki: Pki) -> None:
    path = pki.issue("crisis")
    folder = tls.Folder(path)
    before = folder.identity()
    (path / "tls.crt").unlink()
    assert folder.identity() is before


def test_a_key_of_another_certificate_is_not_taken(pki: Pki) -> None:
    path = pki.issue("crisis")
    folder = tls.Folder(path)
    before = folder.identity()
    shutil.copy(pki.issue("intake") / "tls.key", path / "tls.key")
    assert folder.identity() is before
    with pytest.raises(ValueError, match=r"tls\.key"):
        tls.Folder(path)
    shutil.copy(pki.issue("intake") / "tls.crt", path / "tls.crt")
    assert folder.identity().certificate == (path / "tls.crt").read_bytes()


def test_a_folder_without_certificates_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        tls.Folder(tmp_path)


def replace_files(folder: Path, source: Path) -> None:
    for name in ("ca.crt", "tls.crt", "tls.key"):
        scratch = folder / f".{name}"
        shutil.copy(source / name, scratch)
        scratch.replace(folder / name)


@pytest.mark.parametrize(
    ("names", "service"),
    [
        ([b"crisis.haven.internal"], "crisis"),
        ([b"localhost", b"127.0.0.1", b"on-call.haven.internal"], "on-call"),
        ([b".haven.internal"], None),
        ([b"evil.crisis.haven.internal"], None),
        ([b"crisis.haven.internal.example.org"], None),
        ([b"\xff.haven.internal"], None),
        ([], None),
    ],
)
def test_the_service_is_read_from_the_names_of_the_certificate(names: list[bytes], service: str | None) -> None:
    class Context:
        def auth_context(self) -> dict[str, list[bytes]]:
            return {"x509_subject_alternative_name": names}

    assert tls.peer_service(Context()) == service


async def test_contexts_for_other_servers_check_the_name_and_the_authority(pki: Pki, tmp_path: Path) -> None:
    nats = pki.issue("nats")
    serving_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(nats / "ca.crt"))
    serving_context.load_cert_chain(nats / "tls.crt", nats / "tls.key")
    serving_context.verify_mode = ssl.CERT_REQUIRED

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=serving_context)
    port = server.sockets[0].getsockname()[1]
    folder = tls.Folder(pki.issue("intake"))
    async with server:
        assert await echo(port, folder.client_context(), "nats.haven.internal") == b"hello\n"
        with pytest.raises(ssl.SSLCertVerificationError):
            await echo(port, folder.client_context(), "other.haven.internal")
        with pytest.raises(ssl.SSLCertVerificationError):
            await echo(port, tls.Folder(Pki(tmp_path / "x").issue("intake")).client_context(), "nats.haven.internal")
        with pytest.raises((ssl.SSLError, ConnectionError)):  # it shows no certificate, which this server asks for
            assert await echo(port, folder.public_context(), "nats.haven.internal") == b"hello\n"


async def echo(port: int, context: ssl.SSLContext, name: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name)
    writer.write(b"hello\n")
    line = await reader.readline()
    writer.close()
    if not line:
        raise ConnectionError("closed")
    return line
