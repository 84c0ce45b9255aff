"""Calls between services: declared, bounded in time, repeated only where that does no harm, and made for someone."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf.wrappers_pb2 import StringValue
from google.rpc.error_details_pb2 import RequestInfo
from grpc import aio
from haven.crisis.v1.crisis_service_pb2_grpc import CrisisServiceStub
from haven.crisis.v1.signals_pb2 import RaiseSignalRequest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from haven_dev.pki import Pki
from haven_kit import clients as clients_module
from haven_kit import errors, telemetry, tls
from haven_kit.clients import Clients, NotDeclared, current_deadline, current_token
from haven_kit.settings import Settings
from haven_kit.testing import eventually

from .desk import SERVICE, Desk, DeskStub, Place, carrying, make_settings


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path / "pki")


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
async def place(pki: Pki, desk: Desk) -> AsyncIterator[Place]:
    place = Place(desk, tls.Folder(pki.issue("crisis")))
    await place.start()
    yield place
    await place.stop()


@pytest.fixture
def settings(pki: Pki, place: Place) -> Settings:
    return make_settings(pki, f"ipv4:127.0.0.1:{place.port}")


@pytest.fixture
async def clients(settings: Settings) -> AsyncIterator[Clients]:
    clients = Clients(settings, ("crisis",), tls.Folder(settings.tls_dir))
    yield clients
    await clients.close()


@pytest_asyncio.fixture(loop_scope="session")
async def stub(clients: Clients) -> DeskStub:
    return clients.stub("crisis", DeskStub)


async def test_a_call_is_answered_and_shows_this_services_certificate(stub: DeskStub, desk: Desk) -> None:
    assert (await stub.GetNote(StringValue(value="x"))).value == "done"
    assert desk.peers == ["sessions"]


async def test_warm_connects_before_the_first_call(clients: Clients) -> None:
    await clients.warm()
    assert clients.reachable() == {"crisis": True}


async def test_warm_leaves_a_target_that_is_down_for_later(pki: Pki, place: Place) -> None:
    await place.stop()
    clients = Clients(
        make_settings(pki, f"ipv4:127.0.0.1:{place.port}"), ("crisis",), tls.Folder(pki.issue("sessions"))
    )
    await clients.warm(timeout_seconds=0.2)
    assert clients.reachable() == {"crisis": False}
    await clients.close()


def test_a_target_that_is_not_declared_is_refused(settings: Settings) -> None:
    clients = Clients(settings, ("crisis", "intake"), tls.Folder(settings.tls_dir))
    with pytest.raises(NotDeclared, match="sessions does not declare that it calls billing"):
        clients.stub("billing", DeskStub)
    with pytest.raises(NotDeclared, match="HAVEN_TARGET_INTAKE"):
        clients.stub("intake", DeskStub)


async def test_a_server_that_is_another_service_is_not_talked_to(pki: Pki, desk: Desk, place: Place) -> None:
    impostor = Place(desk, tls.Folder(pki.issue("billing")))
    await impostor.start()
    clients = Clients(
        make_settings(pki, f"ipv4:127.0.0.1:{impostor.port}"), ("crisis",), tls.Folder(pki.issue("sessions"))
    )
    with pytest.raises(errors.Unavailable):
        await clients.stub("crisis", DeskStub).CreateNote(StringValue())
    assert desk.metadata == []
    await clients.close()
    await impostor.stop()


async def test_every_call_has_the_default_deadline(stub: DeskStub, desk: Desk, settings: Settings) -> None:
    await stub.GetNote(StringValue())
    assert settings.default_deadline_seconds - 2 < desk.remaining[0] <= settings.default_deadline_seconds


async def test_a_call_ends_no_later_than_the_call_it_is_made_for(stub: DeskStub, desk: Desk) -> None:
    with carrying(current_deadline, time.monotonic() + 1.5):
        await stub.GetNote(StringValue())
        await stub.GetNote(StringValue(), timeout=60)
        assert [answer.value async for answer in stub.WatchNotes(StringValue(value="1"))] == ["0"]
    assert all(0 < remaining <= 1.5 for remaining in desk.remaining)
    assert len(desk.remaining) == 3


async def test_a_call_made_after_the_deadline_is_not_sent(stub: DeskStub, desk: Desk) -> None:
    with carrying(current_deadline, time.monotonic() - 1), pytest.raises(errors.DeadlineExceeded):
        await stub.CreateNote(StringValue())
    assert desk.metadata == []


async def test_an_answer_that_is_late_is_an_error_of_ours(clients: Clients) -> None:
    def make(channel: aio.Channel) -> aio.UnaryUnaryMultiCallable[StringValue, StringValue]:
        return channel.unary_unary(
            f"/{SERVICE}/GetSlow",
            request_serializer=StringValue.SerializeToString,
            response_deserializer=StringValue.FromString,
        )

    with pytest.raises(errors.DeadlineExceeded, match="The crisis service did not answer in time"):
        await clients.stub("crisis", make)(StringValue(), timeout=0.1)


async def test_the_token_of_the_person_is_passed_on(stub: DeskStub, desk: Desk) -> None:
    await stub.GetNote(StringValue())
    with carrying(current_token, "abc.def.ghi"):
        await stub.GetNote(StringValue())
        await stub.GetNote(StringValue(), metadata=(("authorization", "Bearer other"),))
    assert [seen.get("authorization") for seen in desk.metadata] == [None, "Bearer abc.def.ghi", "Bearer other"]


@pytest.mark.parametrize(
    ("name", "request_", "metadata", "sent"),
    [
        ("GetNote", StringValue(), (), 3),
        ("CreateNote", StringValue(), (), 1),
        ("CreateNote", StringValue(), (("idempotency-key", "k"),), 3),
        ("ApplyNote", RequestInfo(), (), 1),
        ("ApplyNote", RequestInfo(request_id="r"), (), 3),
    ],
)
async def test_only_what_may_be_repeated_is_sent_again(
    stub: DeskStub, desk: Desk, name: str, request_: Any, metadata: tuple[tuple[str, str], ...], sent: int
) -> None:
    desk.fail = [errors.Unavailable("The store"), errors.Unavailable("The store")]
    call = getattr(stub, name)(request_, metadata=metadata)
    if sent == 1:
        with pytest.raises(errors.Unavailable, match="The store"):
            await call
    else:
        assert (await call).value == "done"
    assert len(desk.metadata) == sent


async def test_what_the_contract_calls_idempotent_is_sent_again(stub: DeskStub, desk: Desk) -> None:
    desk.fail = [errors.Unavailable("The store")]
    assert (await stub.PutNote(StringValue())).value == "done"
    assert len(desk.metadata) == 2


async def test_a_generated_stub_calls_too(clients: Clients) -> None:
    with pytest.raises(errors.Unimplemented):  # this server is another one
        await clients.stub("crisis", CrisisServiceStub).RaiseSignal(RaiseSignalRequest())


async def test_attempts_end(stub: DeskStub, desk: Desk) -> None:
    desk.fail = [errors.Unavailable("The store") for _ in range(10)]
    with pytest.raises(errors.Unavailable):
        await stub.GetNote(StringValue())
    assert len(desk.metadata) == 4


async def test_a_target_that_keeps_failing_is_not_pressed(stub: DeskStub, desk: Desk) -> None:
    desk.fail = [errors.Unavailable("The store") for _ in range(100)]
    for _ in range(10):
        with pytest.raises(errors.Unavailable):
            await stub.GetNote(StringValue())
    assert len(desk.metadata) < 20  # 40 without a budget


async def test_a_call_that_a_target_cancelled_as_it_ended_is_made_again(stub: DeskStub, desk: Desk) -> None:
    desk.fail = [grpc.StatusCode.CANCELLED]
    assert await stub.GetNote(StringValue())
    assert len(desk.metadata) == 2
    desk.fail = [grpc.StatusCode.CANCELLED]
    with pytest.raises(errors.Unavailable):
        await stub.CreateNote(StringValue())


@pytest.mark.parametrize("code", [grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS])
async def test_other_failures_are_not_repeated_and_words_of_the_peer_stay_behind(
    stub: DeskStub, desk: Desk, code: grpc.StatusCode
) -> None:
    desk.fail = [code]
    with pytest.raises(errors.Internal) as caught:
        await stub.GetNote(StringValue())
    assert "secret" not in caught.value.message
    assert len(desk.metadata) == 1


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.RESOURCE_EXHAUSTED, errors.Overloaded),
        (grpc.StatusCode.DEADLINE_EXCEEDED, errors.DeadlineExceeded),
        (grpc.StatusCode.UNIMPLEMENTED, errors.Unimplemented),
    ],
)
async def test_failures_of_grpc_itself_get_a_sentence_of_ours(
    stub: DeskStub, desk: Desk, code: grpc.StatusCode, kind: type[errors.HavenError]
) -> None:
    desk.fail = [code]
    with pytest.raises(kind) as caught:
        await stub.GetNote(StringValue())
    assert "crisis service" in caught.value.message
    assert "secret" not in caught.value.message


async def test_errors_of_the_target_come_back_as_they_were_raised(stub: DeskStub, desk: Desk) -> None:
    desk.fail = [
        errors.Invalid("note.text", "max_len", "The note is too long."),
        errors.Overloaded(2.5),
        errors.Stale(),
        errors.NotFound("note"),
    ]
    with pytest.raises(errors.Invalid) as invalid:
        await stub.CreateNote(StringValue())
    assert invalid.value.violations == (errors.Violation("note.text", "max_len", "The note is too long."),)
    with pytest.raises(errors.Overloaded) as overloaded:
        await stub.CreateNote(StringValue())
    assert overloaded.value.retry_after == 2.5
    with pytest.raises(errors.Stale):
        await stub.CreateNote(StringValue())
    with pytest.raises(errors.NotFound):
        await stub.CreateNote(StringValue())


async def test_a_read_outlasts_a_restart_of_the_target(stub: DeskStub, place: Place) -> None:
    await stub.GetNote(StringValue())
    await place.stop()
    asked = asyncio.ensure_future(stub.GetNote(StringValue()))
    await asyncio.sleep(0)
    await place.start()
    assert (await asked).value == "done"


async def test_a_target_that_is_down_is_an_error_of_ours(stub: DeskStub, place: Place) -> None:
    await place.stop()
    with pytest.raises(errors.Unavailable, match=r"The crisis service cannot be reached at the moment\."):
        await stub.CreateNote(StringValue())


async def test_a_stream_yields_and_ends_with_an_error_of_ours(stub: DeskStub, desk: Desk) -> None:
    desk.fail = [errors.Denied("No longer on duty.")]
    stream = aiter(stub.WatchNotes(StringValue(value="3")))
    assert [(await anext(stream)).value for _ in range(3)] == ["0", "1", "2"]
    with pytest.raises(errors.Denied):
        await anext(stream)
    assert desk.remaining[0] <= clients_module.STREAM_SECONDS


async def test_a_stream_that_is_left_is_cancelled_at_the_target(stub: DeskStub, desk: Desk) -> None:
    stream: Any = stub.WatchNotes(StringValue(value="1000000"))
    async for _ in stream:
        break
    await stream.aclose()
    await eventually(lambda: desk.left == 1)


async def test_a_call_is_a_client_span_and_carries_its_context(settings: Settings, stub: DeskStub, desk: Desk) -> None:
    exporter = InMemorySpanExporter()
    running = telemetry.setup(settings, exporter=exporter, always=True)
    with telemetry.span("work") as work:
        await stub.GetNote(StringValue())
    running.close()
    call = next(span for span in exporter.get_finished_spans() if span.kind is SpanKind.CLIENT)
    assert call.name == f"{SERVICE}/GetNote"
    assert call.parent is not None
    assert call.context is not None
    assert call.parent.span_id == work.span.get_span_context().span_id
    assert desk.metadata[0]["traceparent"].split("-")[2] == f"{call.context.span_id:016x}"


async def test_a_rotated_certificate_makes_a_new_channel(
    pki: Pki, clients: Clients, stub: DeskStub, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stub.GetNote(StringValue())
    folder = pki.issue("sessions")
    other = pki.issue("intake")
    for name in ("tls.crt", "tls.key"):
        (folder / name).write_bytes((other / name).read_bytes())
    monkeypatch.setattr(clients_module, "_CERTIFICATE_CHECK_SECONDS", 0)
    clients._target("crisis")._check_at = 0
    await stub.GetNote(StringValue())
    assert desk.peers == ["sessions", "intake"]


async def test_a_message_over_the_bound_is_refused(pki: Pki, place: Place) -> None:
    settings = make_settings(pki, f"ipv4:127.0.0.1:{place.port}", max_request_bytes=1024)
    clients = Clients(settings, ("crisis",), tls.Folder(settings.tls_dir))
    with pytest.raises(errors.Invalid, match="too large"):
        await clients.stub("crisis", DeskStub).CreateNote(StringValue(value="x" * 2000))
    await clients.close()


async def test_requests_are_never_streamed(clients: Clients) -> None:
    with pytest.raises(NotDeclared):
        clients.stub("crisis", lambda channel: channel.stream_unary(f"/{SERVICE}/UploadNotes"))
