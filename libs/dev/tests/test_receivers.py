"""Issuer and receivers: what they serve is what the platform's own libraries accept."""

import smtplib
from asyncio import to_thread
from email.message import EmailMessage
from pathlib import Path

import aiohttp
import jwt
import pytest
from haven.options.v1.options_pb2 import Role
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from haven_dev.issuer import ROLES, Issuer
from haven_dev.otlp import OtlpReceiver
from haven_dev.receivers import SmtpReceiver, WebhookReceiver


async def test_the_issuers_tokens_verify_with_its_published_keys(tmp_path: Path) -> None:
    issuer = Issuer(tmp_path)
    await issuer.start()
    try:
        form = {"role": "participant", "person_id": "0190aaaa-0000-7000-8000-000000000001"}
        async with aiohttp.ClientSession() as session:
            async with session.get(f"{issuer.url}/.well-known/openid-configuration") as answer:
                discovered = await answer.json()
            async with session.get(discovered["jwks_uri"]) as answer:
                keys = jwt.PyJWKSet.from_dict(await answer.json())
            async with session.post(discovered["token_endpoint"], data=form) as answer:
                token = (await answer.json())["access_token"]
            async with session.post(discovered["token_endpoint"], data={"role": "nobody"}) as answer:
                assert answer.status == 400
        claims = jwt.decode(token, keys.keys[0], ["ES256"], audience="haven", issuer=issuer.url)
        assert claims["roles"] == ["participant"]
        assert claims["person_id"] == form["person_id"]
        assert jwt.decode(Issuer(tmp_path).sign({"sub": "x"}), keys.keys[0], ["ES256"], audience="haven")["sub"] == "x"
    finally:
        await issuer.stop()


def test_every_role_of_the_contracts_can_sign_in(tmp_path: Path) -> None:
    issuer = Issuer(tmp_path)
    assert len(ROLES) == len(Role.keys()) - 1
    assert len({issuer.token(role) for role in ROLES}) == len(ROLES)
    with pytest.raises(ValueError, match="no such role"):
        issuer.token("emperor")


async def test_a_webhook_is_recorded_and_a_failing_provider_can_be_played() -> None:
    receiver = WebhookReceiver()
    await receiver.start()
    try:
        async with aiohttp.ClientSession() as session:
            async with session.post(receiver.url, json={"alert": "1"}, headers={"X-Key": "k"}) as answer:
                assert answer.status == 204
            receiver.status = 503
            async with session.post(receiver.url, data=b"") as answer:
                assert answer.status == 503
        assert [(call.body, call.headers.get("X-Key"), call.status) for call in receiver.received] == [
            (b'{"alert": "1"}', "k", 204),
            (b"", None, 503),
        ]
    finally:
        await receiver.stop()


async def test_a_mail_is_recorded() -> None:
    receiver = SmtpReceiver()
    await receiver.start()
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "haven@example.org", "oncall@example.org", "Page"
    mail.set_content("An alert needs you.")

    def send() -> None:
        with smtplib.SMTP("127.0.0.1", receiver.port, timeout=5) as client:
            client.send_message(mail)

    try:
        await to_thread(send)
        receiver.reply = "451 later"
        with pytest.raises(smtplib.SMTPDataError):
            await to_thread(send)
    finally:
        await receiver.stop()
    assert [(each.recipients, each.message["Subject"]) for each in receiver.received] == [
        (("oncall@example.org",), "Page")
    ]


async def test_a_trace_is_received_and_printed_as_a_tree() -> None:
    receiver = OtlpReceiver()
    await receiver.start()
    provider = TracerProvider(resource=Resource.create({"service.name": "crisis"}))
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(receiver.endpoint, insecure=True)))
    tracer = provider.get_tracer("test")

    def trace() -> str:
        start = tracer.start_as_current_span
        with start("press") as top, start("accept", attributes={"alert_id": "a"}), start("page"):
            return format(top.get_span_context().trace_id, "032x")

    try:
        trace_id = await to_thread(trace)
        provider.shutdown()
        names = {span.name: span for span in receiver.trace(trace_id)}
        assert names["page"].parent_id == names["accept"].span_id
        assert names["accept"].attributes == {"alert_id": "a"}
        lines = receiver.tree(trace_id).splitlines()
        assert [line.strip().split("  ")[0] for line in lines] == ["press", "└─ accept", "└─ page"]
        assert all("crisis" in line for line in lines)
        assert b"alert_id" in receiver.everything()
    finally:
        await receiver.stop()
