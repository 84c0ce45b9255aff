"""Settings: a process starts only with settings that it understands, and says which it does not."""

import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from haven_kit.settings import Settings

REQUIRED = {
    "HAVEN_ENVIRONMENT": "test",
    "HAVEN_DATABASE_URL": "postgresql://intake:s3cret@127.0.0.1/intake",
    "HAVEN_NATS_URL": "nats://127.0.0.1:4222",
    "HAVEN_TLS_DIR": "/etc/haven/tls",
    "HAVEN_ISSUER_URL": "https://id.example.org",
    "HAVEN_KEYSET_FILE": "/etc/haven/keys.json",
}


class PagerSettings(Settings):
    """A service's own."""

    page_channels: list[str] = Field(default_factory=list)
    page_timeout_seconds: float = 2


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Any:
    def use(**changes: str | None) -> None:
        for name in tuple(os.environ):
            if name.startswith("HAVEN_"):
                monkeypatch.delenv(name)
        for name, value in {**REQUIRED, **changes}.items():
            if value is not None:
                monkeypatch.setenv(name, value)

    return use


def refusal(capsys: pytest.CaptureFixture[str], kind: type[Settings] = Settings) -> str:
    with pytest.raises(SystemExit) as ended:
        kind.load(service="intake")
    assert ended.value.code == 78
    return capsys.readouterr().err


def test_settings_come_from_the_environment(environment: Any) -> None:
    environment(
        HAVEN_GRPC_PORT="7001",
        HAVEN_TARGET_CRISIS="dns:///crisis:7000",
        HAVEN_TARGET_ON_CALL="dns:///on-call:7000",
        HAVEN_PAGE_CHANNELS='["sms","voice"]',
        HAVEN_PAGE_TIMEOUT_SECONDS="0.5",
        HAVEN_NATS_TLS="true",
    )
    settings = PagerSettings.load(service="intake")
    assert settings.grpc_port == 7001
    assert settings.targets == {"crisis": "dns:///crisis:7000", "on-call": "dns:///on-call:7000"}
    assert (settings.page_channels, settings.page_timeout_seconds) == (["sms", "voice"], 0.5)
    assert settings.nats_tls is True
    assert settings.service == "intake"


def test_any_setting_may_come_from_a_file(environment: Any, tmp_path: Path) -> None:
    secret = tmp_path / "url"
    secret.write_text("postgresql://from-a-file\n")
    port = tmp_path / "port"
    port.write_text("7009\n")
    environment(HAVEN_DATABASE_URL=None, HAVEN_DATABASE_URL_FILE=str(secret), HAVEN_GRPC_PORT_FILE=str(port))
    settings = Settings.load()
    assert settings.database_url.get_secret_value() == "postgresql://from-a-file"
    assert settings.grpc_port == 7009


def test_secrets_do_not_show(environment: Any) -> None:
    environment(HAVEN_NATS_PASSWORD="hunter2-unique")
    settings = Settings.load()
    assert "hunter2-unique" not in repr(settings)
    assert "s3cret" not in repr(settings)


def test_every_bad_setting_is_named_at_once(environment: Any, capsys: pytest.CaptureFixture[str]) -> None:
    environment(
        HAVEN_NATS_URL=None, HAVEN_GRPC_PORT="seventy", HAVEN_TRACE_SAMPLE_RATIO="2", HAVEN_ISSUER_URL="ftp://x"
    )
    told = refusal(capsys)
    for name in ("HAVEN_NATS_URL: required", "HAVEN_GRPC_PORT: ", "HAVEN_TRACE_SAMPLE_RATIO: ", "HAVEN_ISSUER_URL: "):
        assert name in told
    assert "seventy" not in told


def test_an_unknown_setting_is_refused_with_a_hint(environment: Any, capsys: pytest.CaptureFixture[str]) -> None:
    environment(HAVEN_GRPC_PROT="7000", HAVEN_PAGE_CHANNELS="[]")
    told = refusal(capsys)
    assert "HAVEN_GRPC_PROT: no such setting; did you mean HAVEN_GRPC_PORT?" in told
    assert "HAVEN_PAGE_CHANNELS: no such setting" in told  # another service's


def test_a_list_that_is_not_json_is_refused(environment: Any, capsys: pytest.CaptureFixture[str]) -> None:
    environment(HAVEN_PAGE_CHANNELS="sms,voice")
    assert "HAVEN_PAGE_CHANNELS: must be JSON" in refusal(capsys, PagerSettings)


def test_a_missing_secret_file_is_refused(environment: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    environment(HAVEN_NATS_PASSWORD_FILE=str(tmp_path / "none"))
    assert "HAVEN_NATS_PASSWORD_FILE: No such file or directory" in refusal(capsys)


def test_a_value_and_a_file_for_one_setting_are_refused(environment: Any, capsys: pytest.CaptureFixture[str]) -> None:
    environment(HAVEN_DATABASE_URL_FILE="/nonexistent")
    assert "HAVEN_DATABASE_URL_FILE: given together with HAVEN_DATABASE_URL" in refusal(capsys)


def test_what_kubernetes_adds_for_services_is_passed_over(environment: Any) -> None:
    environment(
        HAVEN_CRISIS_SERVICE_HOST="10.0.0.1",
        HAVEN_CRISIS_SERVICE_PORT="7000",
        HAVEN_CRISIS_SERVICE_PORT_GRPC="7000",
        HAVEN_CRISIS_PORT="tcp://10.0.0.1:7000",
        HAVEN_CRISIS_PORT_7000_TCP_ADDR="10.0.0.1",
    )
    assert Settings.load().targets == {}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"HAVEN_ALLOW_DEVELOPMENT_ISSUER": "true", "HAVEN_KEYSET_KEK_FILE": "/kek"}, "HAVEN_ALLOW_DEVELOPMENT_ISSUER"),
        ({}, "HAVEN_KEYSET_KEK_FILE"),
    ],
)
def test_production_refuses_what_is_for_development(
    environment: Any, capsys: pytest.CaptureFixture[str], changes: dict[str, str], named: str
) -> None:
    environment(HAVEN_ENVIRONMENT="production", **changes)
    assert f"{named}: " in refusal(capsys)


def test_production_is_the_default(environment: Any) -> None:
    environment(HAVEN_ENVIRONMENT=None, HAVEN_KEYSET_KEK_FILE="/kek")
    assert Settings.load().environment == "production"
