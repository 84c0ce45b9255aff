"""What stands between a call and its method, over real mutual TLS, tokens and PostgreSQL."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

import grpc
import pytest
import pytest_asyncio
from google.protobuf import descriptor_pb2, struct_pb2, wrappers_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from haven.crisis.v1 import on_call_service_pb2 as crisis

from haven_dev.issuer import Issuer
from haven_kit import contract, errors, ids
from haven_kit.call import Call, own_transactions
from haven_kit.cipher import Cipher
from haven_kit.contract import ContractError
from haven_kit.database import Database
from haven_kit.identity import TokenVerifier, system
from haven_kit.issuer_keys import IssuerKeys
from haven_kit.pipeline import Pipeline, validate
from haven_kit.server import LIVE, Api, Server
from haven_kit.testing import eventually
from haven_kit.testing.module import Module
from haven_kit.testing.servers import Shared
from haven_kit.tls import Folder

F = TypeVar("F", bound=Callable[..., Any])


def _load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


notes = _load("notes_contract")


def answers(name: str, *, streaming: bool = False) -> Callable[[F], F]:
    """Give a method the types of its RPC, which exist at run time only."""

    def annotate(method: F) -> F:
        note: Any = notes.Note
        gives = AsyncIterator[note] if streaming else note
        method.__annotations__ = {"call": Call, "request": getattr(notes, f"{name}Request"), "return": gives}
        return method

    return annotate


PERSON = ids.new_id()


class Notes:
    """Answers the contract; a test changes what `on_write` does."""

    def __init__(self) -> None:
        self.written = 0
        self.on_write: Any = None

    @answers("WriteNote")
    async def write_note(self, call: Call, request: Any) -> Any:
        self.written += 1
        if self.on_write is not None:
            await self.on_write(call)
        return notes.Note(note_id=ids.new_id(), text=request.text)

    @answers("ReadNote")
    async def read_note(self, call: Call, request: Any) -> Any:
        call.about()
        raise errors.NotFound("note") if not request.text else ZeroDivisionError(request.text)

    @answers("WatchNotes", streaming=True)
    async def watch_notes(self, call: Call, request: Any) -> AsyncIterator[Any]:
        for number in range(1000):
            async with call.transaction():
                call.about(request.person_id)
            yield notes.Note(note_id=str(number))
            await asyncio.sleep(0.01)

    @own_transactions
    @answers("CountNotes")
    async def count_notes(self, call: Call, request: Any) -> Any:
        with pytest.raises(RuntimeError):
            call.tx.wake("none")
        return notes.Note(note_id=request.person_id)

    @answers("Stray")
    async def stray(self, call: Call, request: Any) -> Any:
        call.tx.wake("none")
        return notes.Note(text=request.text)


class Desk:
    """The running server and ways to call it."""

    def __init__(
        self, port: int, shared: Shared, issuer: Issuer, implementation: Notes, database: Database, server: Server
    ) -> None:
        self.port, self.shared, self.issuer = port, shared, issuer
        self.notes = implementation
        self.database = database
        self.server = server

    def token(self, *roles: str, sub: str = "dr-who") -> str:
        return self.issuer.sign({"sub": sub, "roles": list(roles)})

    def channel(self, caller: str = "gateway") -> grpc.aio.Channel:
        credentials = Folder(self.shared.authority.issue(caller)).channel_credentials()
        options = [("grpc.ssl_target_name_override", "intake.haven.internal")]
        return grpc.aio.secure_channel(f"127.0.0.1:{self.port}", credentials, options)

    async def call(
        self,
        name: str,
        request: Message,
        *,
        token: str = "",
        key: str = "",
        caller: str = "gateway",
        timeout: float = 5,
    ) -> Any:
        metadata = [("authorization", f"Bearer {token}")] if token else []
        metadata += [("idempotency-key", key)] if key else []
        async with self.channel(caller) as channel:
            method = channel.unary_unary(
                f"/{notes.SERVICE}/{name}",
                request_serializer=type(request).SerializeToString,
                response_deserializer=notes.Note.FromString,
            )
            return await method(request, metadata=metadata, timeout=timeout)

    async def refusal(self, name: str, request: Message, **given: Any) -> errors.HavenError:
        """The error that a call ends with."""
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.call(name, request, **given)
        details = dict(caught.value.trailing_metadata() or ()).get(errors.STATUS_DETAILS_KEY)
        assert isinstance(details, bytes)
        return errors.from_status(caught.value.code(), caught.value.details() or "", details)

    async def audited(self) -> list[tuple[str, str, str]]:
        async with self.database.transaction(system("test")) as tx:
            rows = await tx.fetch("SELECT principal_id, role, person_id FROM audit_entry ORDER BY entry_id")
        return [(row["principal_id"], row["role"], row["person_id"]) for row in rows]


@pytest_asyncio.fixture
async def desk(shared_servers: Shared, haven: Module, kit_db: Database) -> AsyncIterator[Desk]:
    keys = IssuerKeys(haven.issuer.url, allow_development_issuer=True)
    await keys.start()
    pipeline = Pipeline(
        database=kit_db,
        verifier=TokenVerifier(keys, "haven"),
        cipher=Cipher.load(shared_servers.keyset),
        callers=frozenset({"gateway", "billing"}),
        default_deadline=5,
    )
    implementation = Notes()
    server = Server(
        [Api(notes.SERVICE, implementation)], pipeline, checks={"database": kit_db.reachable}, max_request_bytes=100_000
    )
    credentials = Folder(shared_servers.authority.issue("intake")).server_credentials()
    port = await server.start("127.0.0.1", 0, credentials)
    made = Desk(port, shared_servers, haven.issuer, implementation, kit_db, server)
    yield made
    await server.drain(1)
    await keys.close()


def _write(text: str = "hello") -> Message:
    return notes.WriteNoteRequest(person_id=PERSON, text=text)  # type: ignore[no-any-return]


async def test_a_call_that_is_allowed_is_answered_and_audited(desk: Desk) -> None:
    assert (await desk.call("WriteNote", _write(), token=desk.token("prescriber"))).text == "hello"
    assert await desk.audited() == [("dr-who", "prescriber", PERSON)]


async def test_who_may_call(desk: Desk) -> None:
    assert isinstance(await desk.refusal("WriteNote", _write()), errors.Unauthenticated)
    assert isinstance(await desk.refusal("WriteNote", _write(), token="forged"), errors.Unauthenticated)
    assert isinstance(await desk.refusal("WriteNote", _write(), token=desk.token("biller")), errors.Denied)
    assert isinstance(await desk.refusal("WriteNote", _write(), token=desk.token()), errors.Denied)
    strangers = await desk.refusal("WriteNote", _write(), token=desk.token("prescriber"), caller="sessions")
    assert isinstance(strangers, errors.Denied)
    assert desk.notes.written == 0
    count = notes.CountNotesRequest(person_id=PERSON)
    assert (await desk.call("CountNotes", count, caller="billing")).note_id == PERSON
    assert isinstance(await desk.refusal("CountNotes", count, token=desk.token("administrator")), errors.Denied)


async def test_bad_input_names_every_field_and_rule_and_no_value(desk: Desk) -> None:
    bad = notes.WriteNoteRequest(person_id="nobody", text="a secret that is far too long")
    refusal = await desk.refusal("WriteNote", bad, token=desk.token("prescriber"))
    assert {(each.field, each.rule) for each in refusal.violations} == {
        ("person_id", "string.uuid"),
        ("text", "string.max_len"),
    }
    assert "secret" not in str(refusal) + str(refusal.violations)
    assert desk.notes.written == 0


def test_what_breaks_a_rule_in_a_list_is_named_with_its_place() -> None:
    good = crisis.Step(targets=[crisis.Target(everyone_on_duty=True)], wait={"seconds": 60})
    bad = crisis.Step(targets=[*good.targets, crisis.Target(rotation_id="the day's")], wait={"seconds": 60})
    with pytest.raises(errors.Invalid) as caught:
        validate(crisis.Policy(name="Nights", steps=[good, bad], last_resort=good))
    assert [each.field for each in caught.value.violations] == ["steps[1].targets[1].rotation_id"]


async def test_a_text_with_nul_is_refused_by_field_and_rule(desk: Desk) -> None:
    refused = await desk.refusal("WriteNote", _write("a\0b"), token=desk.token("prescriber"))
    assert [(each.field, each.rule) for each in refused.violations] == [("text", "string.no_nul")]
    assert desk.notes.written == 0


def test_nul_is_found_wherever_a_text_may_stand() -> None:
    found = descriptor_pb2.FileDescriptorProto(dependency=["a", "b\0"], message_type=[{"name": "\0"}])
    with pytest.raises(errors.Invalid) as caught:
        validate(found)
    assert [each.field for each in caught.value.violations] == ["dependency", "message_type.name"]
    with pytest.raises(errors.Invalid):
        validate(struct_pb2.Struct(fields={"\0": struct_pb2.Value(bool_value=True)}))
    with pytest.raises(errors.Invalid):
        validate(error_details_pb2.ErrorInfo(metadata={"key": "\0"}))
    validate(struct_pb2.Value(number_value=1))
    validate(wrappers_pb2.BytesValue(value=b"\0"))


async def test_bytes_that_are_no_request_are_the_callers_mistake(desk: Desk) -> None:
    async with desk.channel() as channel:
        method = channel.unary_unary(f"/{notes.SERVICE}/WriteNote")
        for sent in (b"\xff\xff\xff", b"\x12\x02\xc3\x28"):
            token = ("authorization", f"Bearer {desk.token('prescriber')}")
            call = method(sent, metadata=[token], timeout=5)
            assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_the_same_key_gives_the_same_answer_once_done(desk: Desk) -> None:
    token = desk.token("prescriber")
    first = await desk.call("WriteNote", _write(), token=token, key="k1")
    assert await desk.call("WriteNote", _write(), token=token, key="k1") == first
    assert desk.notes.written == 1
    other = await desk.call("WriteNote", _write(), token=desk.token("prescriber", sub="another"), key="k1")
    assert other.note_id != first.note_id
    reused = await desk.refusal("WriteNote", _write("other"), token=token, key="k1")
    assert reused.reason == "idempotency_key_reused"
    assert isinstance(await desk.refusal("WriteNote", _write(), token=token, key="k" * 129), errors.Invalid)


async def test_the_same_key_at_the_same_moment_is_done_once(desk: Desk) -> None:
    token = desk.token("prescriber")
    answers = await asyncio.gather(*(desk.call("WriteNote", _write(), token=token, key="race") for _ in range(8)))
    assert len({each.note_id for each in answers}) == 1
    assert len(await desk.audited()) == 1


async def test_a_failed_command_leaves_nothing_and_its_key_free(desk: Desk) -> None:
    async def fail(call: Call) -> None:
        await call.tx.fetch("INSERT INTO inbox VALUES (gen_random_uuid(), 'half', now())")
        raise errors.Refused("not_now", "This cannot be done now.")

    desk.notes.on_write = fail
    token = desk.token("prescriber")
    refusal = await desk.refusal("WriteNote", _write(), token=token, key="again")
    assert (type(refusal), refusal.reason) == (errors.Refused, "not_now")
    async with desk.database.transaction(system("test")) as tx:
        assert not await tx.fetch("SELECT 1 FROM inbox")
    desk.notes.on_write = None
    assert (await desk.call("WriteNote", _write(), token=token, key="again")).text == "hello"


async def test_our_mistakes_tell_nothing_but_a_trace_id(desk: Desk) -> None:
    request = notes.ReadNoteRequest(person_id=PERSON, text="secret")
    refusal = await desk.refusal("ReadNote", request, token=desk.token("prescriber"))
    assert isinstance(refusal, errors.Internal)
    assert "secret" not in str(refusal)


async def test_an_answer_with_health_information_that_names_nobody_is_withheld(desk: Desk) -> None:
    refusal = await desk.refusal("Stray", notes.StrayRequest(text="x"), token=desk.token("prescriber"))
    assert isinstance(refusal, errors.Internal)


async def test_a_deadline_ends_the_call_and_its_transaction(desk: Desk) -> None:
    async def dawdle(call: Call) -> None:
        await call.tx.fetch("INSERT INTO inbox VALUES (gen_random_uuid(), 'late', now())")
        await asyncio.sleep(30)

    desk.notes.on_write = dawdle
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await desk.call("WriteNote", _write(), token=desk.token("prescriber"), timeout=0.3)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    async with desk.database.transaction(system("test")) as tx:
        assert not await tx.fetch("SELECT 1 FROM inbox")


async def test_a_deadlock_is_run_again(desk: Desk) -> None:
    import asyncpg

    async def unlucky_once(call: Call) -> None:
        if desk.notes.written == 1:
            raise asyncpg.DeadlockDetectedError("made up")
        call.tx.wake("none")

    desk.notes.on_write = unlucky_once
    assert (await desk.call("WriteNote", _write(), token=desk.token("prescriber"))).text == "hello"
    assert desk.notes.written == 2
    assert len(await desk.audited()) == 1


async def test_a_stream_gives_its_items_and_ends_when_the_process_drains(desk: Desk) -> None:
    seen = []
    async with desk.channel() as channel:
        method = channel.unary_stream(
            f"/{notes.SERVICE}/WatchNotes",
            request_serializer=notes.WatchNotesRequest.SerializeToString,
            response_deserializer=notes.Note.FromString,
        )
        metadata = [("authorization", f"Bearer {desk.token('prescriber')}")]
        draining: list[asyncio.Task[None]] = []

        async def watch() -> None:
            async for note in method(notes.WatchNotesRequest(person_id=PERSON), metadata=metadata, timeout=20):
                seen.append(int(note.note_id))
                if len(seen) == 3:
                    draining.append(asyncio.create_task(desk.server.drain(5)))

        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await watch()
        await asyncio.gather(*draining)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert seen == list(range(len(seen)))
    assert len(await desk.audited()) == 1


async def test_health_tells_readiness_apart_from_liveness(desk: Desk) -> None:
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    desk.server._checks = {"broken": _false}
    desk.server._ready_by = ("broken",)
    desk.server.state = {"broken": True}

    async with desk.channel() as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)

        async def status(name: str) -> int:
            return int((await stub.Check(health_pb2.HealthCheckRequest(service=name))).status)

        async def not_ready() -> bool:
            return await status("") == health_pb2.HealthCheckResponse.NOT_SERVING

        await eventually(not_ready)
        assert await status(notes.SERVICE) == health_pb2.HealthCheckResponse.NOT_SERVING
        assert await status(LIVE) == health_pb2.HealthCheckResponse.SERVING


async def _false() -> bool:
    return False


def test_a_method_that_is_missing_or_of_other_types_is_refused_at_start() -> None:
    class Incomplete:
        @answers("ReadNote")
        async def write_note(self, call: Call, request: Any) -> Any:
            raise AssertionError((call, request))

    write, read, *_ = contract.methods_of(notes.SERVICE)
    from haven_kit.server import answer_of

    with pytest.raises(ContractError, match="must take WriteNoteRequest"):
        answer_of(Api(notes.SERVICE, Incomplete()), write)
    with pytest.raises(ContractError, match="has no method read_note"):
        answer_of(Api(notes.SERVICE, Incomplete()), read)
