"""Settings from the environment: every `HAVEN_*` variable is known, checked, and named when it is wrong."""

import difflib
import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NoReturn, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from typing_extensions import override

from haven_kit.clock import Clock, SystemClock, TurnedClock
from haven_kit.postgres import Address

PREFIX = "HAVEN_"
_TARGET = "TARGET_"
_FILE = "_FILE"
_BAD_CONFIGURATION = 78  # EX_CONFIG of sysexits.h

# What Kubernetes adds by itself for every Service of the namespace whose name begins with "haven-".
_SERVICE_LINK = re.compile(r".+_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP)(_\w+)?)?)")

# What the `haven` command and the tests read from the same shell.
_OF_TOOLS = frozenset({"GATEWAY", "TOKEN", "FHIR_SAMPLES"})


class Settings(BaseSettings):
    """What every service needs to be told. A service's own settings are a subclass with more fields.

    `HAVEN_GRPC_PORT` sets `grpc_port`; any `HAVEN_X` may be given as `HAVEN_X_FILE`, the path of a file that holds the
    value; `HAVEN_TARGET_CRISIS` sets `targets["crisis"]`. Lists and mappings are JSON.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True, hide_input_in_errors=True)

    service: str = Field(default="", pattern=r"^[a-z][a-z0-9-]*$|^$", description="The name of this service.")
    environment: Literal["development", "test", "production"] = Field(
        default="production", description="development, test or production, which refuses what is for development."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="debug, info, warning or error."
    )

    grpc_host: str = Field(default="127.0.0.1", description="The address the gRPC server listens on.")
    grpc_port: int = Field(default=0, ge=0, le=65535, description="0 takes a free one.")
    http_host: str = Field(default="127.0.0.1", description="The address of metrics and health.")
    http_port: int = Field(default=0, ge=0, le=65535, description="0 takes a free one.")
    health_port: int | None = Field(
        default=None, ge=0, le=65535, description="gRPC health without TLS, for probes; none unless set."
    )

    database_url: SecretStr = Field(description="postgresql://user:password@host:port/name?sslmode=verify-full")
    database_pool_size: int = Field(default=10, ge=1, le=200, description="Connections of this replica.")
    nats_url: str = Field(description="nats://host:port or tls://host:port, several with commas between them.")
    nats_user: str | None = Field(default=None, description="This service's user on NATS.")
    nats_password: SecretStr | None = Field(default=None, description="And its password.")
    nats_copies: int | None = Field(
        default=None, ge=1, le=5, description="Copies of each message, one a server; as it is, or one, unless set."
    )
    nats_tls: bool = Field(default=False, description="Ask NATS for TLS with this service's certificate.")

    tls_dir: Path = Field(description="Folder with ca.crt, tls.crt and tls.key of this service.")
    targets: dict[str, str] = Field(default_factory=dict, description="Where each called service is: dns:///host:port.")

    issuer_url: str = Field(pattern=r"^https?://", description="The OpenID provider that signs people in.")
    audience: str = Field(default="haven", min_length=1, description="Whom access tokens must be made for.")
    jwks_url: str | None = Field(default=None, pattern=r"^https?://", description="By discovery when not given.")
    jwks_cache: Path | None = Field(
        default=None, description="File that keeps the last keys seen, for a start without the issuer."
    )
    allow_development_issuer: bool = Field(default=False, description="Accept an issuer on loopback without TLS.")

    keyset_file: Path = Field(description="The keys that health information is sealed with (Tink JSON keysets).")
    keyset_kek_file: Path | None = Field(
        default=None, description="The key that the keyset file is wrapped with; required in production."
    )

    otlp_endpoint: str | None = Field(
        default=None, pattern=r"^https?://", description="Where spans go, by OTLP over gRPC."
    )
    trace_sample_ratio: float = Field(default=0.05, ge=0, le=1, description="Of traces that begin here; crisis: all.")

    max_request_bytes: int = Field(default=4 * 1024 * 1024, ge=1024, description="The largest gRPC request.")
    default_deadline_seconds: float = Field(default=10, gt=0, le=300, description="The longest a call may take.")
    drain_seconds: float = Field(default=20, ge=0, le=600, description="For calls under way, after SIGTERM.")
    clock_file: Path | None = Field(default=None, description="Development only: seconds to set the clock forward by.")
    version: str = Field(default="0", description="The release that runs, as telemetry names it.")

    @field_validator("database_url")
    @classmethod
    def _of_postgresql(cls, url: SecretStr) -> SecretStr:
        Address(url.get_secret_value())
        return url

    @model_validator(mode="after")
    def _production_is_safe(self) -> Self:
        if self.environment == "production":
            if self.allow_development_issuer:
                raise ValueError("allow_development_issuer: not in production")
            if self.clock_file is not None:
                raise ValueError("clock_file: not in production")
            if self.keyset_kek_file is None:
                raise ValueError(
                    "keyset_kek_file: required in production; a keyset in clear text is for development only"
                )
        return self

    def clock(self) -> Clock:
        """The clock that this process goes by."""
        return SystemClock() if self.clock_file is None else TurnedClock(self.clock_file)

    @classmethod
    @override
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What is given in code, then the environment; there is no other source."""
        return (init_settings, _Environment(settings_cls, os.environ))

    @classmethod
    def load(cls, **given: Any) -> Self:
        """The settings of this process. Names each bad or missing one on stderr and ends the process with status 78."""
        try:
            return cls(**given)
        except ValidationError as error:
            _refuse(cls, [_line(entry) for entry in error.errors(include_input=False, include_context=False)])
        except SettingsRefused as error:
            _refuse(cls, error.lines)


class SettingsRefused(Exception):
    """The environment names settings that do not exist, or gives values that cannot be read."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("; ".join(lines))
        self.lines = lines


class _Environment(PydanticBaseSettingsSource):
    def __init__(self, settings_cls: type[BaseSettings], environ: Mapping[str, str]) -> None:
        super().__init__(settings_cls)
        self._given = {name: value for name, value in environ.items() if name.startswith(PREFIX)}

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        name = PREFIX + field_name.upper()
        return self._given.get(name), field_name, self.field_is_complex(field)

    def __call__(self) -> dict[str, Any]:
        fields = self.settings_cls.model_fields
        values: dict[str, Any] = {}
        refused: list[str] = []
        for name, text in sorted(self._given.items()):
            key = name.removeprefix(PREFIX)
            field = key.lower()
            try:
                if field in fields:
                    values[field] = self._decode(field, text)
                elif key.startswith(_TARGET):
                    values.setdefault("targets", {})[key.removeprefix(_TARGET).lower().replace("_", "-")] = text
                elif key.endswith(_FILE) and field.removesuffix(_FILE.lower()) in fields:
                    self._from_file(name, field.removesuffix(_FILE.lower()), text, values)
                elif key not in _OF_TOOLS and not _SERVICE_LINK.fullmatch(key):
                    raise ValueError(f"no such setting{_hint(field, list(fields))}")
            except (ValueError, OSError) as error:
                refused.append(f"{name}: {error.strerror if isinstance(error, OSError) else error}")
        if refused:
            raise SettingsRefused(refused)
        return values

    def _from_file(self, name: str, field: str, path: str, values: dict[str, Any]) -> None:
        if name.removesuffix(_FILE) in self._given:
            raise ValueError(f"given together with {name.removesuffix(_FILE)}")
        values[field] = self._decode(field, Path(path).read_text(encoding="utf-8").rstrip("\r\n"))

    def _decode(self, field: str, text: str) -> Any:
        if not self.field_is_complex(self.settings_cls.model_fields[field]):
            return text
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError("must be JSON") from error


def _hint(field: str, fields: list[str]) -> str:
    close = difflib.get_close_matches(field, fields, n=1)
    return f"; did you mean {PREFIX}{close[0].upper()}?" if close else ""


def _line(entry: Any) -> str:
    message = str(entry["msg"]).removeprefix("Value error, ")
    where = [str(part) for part in entry["loc"]]
    if not where:
        field, _, rest = message.partition(": ")
        return f"{PREFIX}{field.upper()}: {rest}"
    name = PREFIX + where[0].upper() + "".join(f"[{part}]" for part in where[1:])
    return f"{name}: {'required' if entry['type'] == 'missing' else message}"


def _refuse(cls: type[Settings], lines: list[str]) -> NoReturn:
    sys.stderr.write(f"{cls.__name__}: cannot start with these settings:\n" + "".join(f"  {line}\n" for line in lines))
    raise SystemExit(_BAD_CONFIGURATION)
