"""The address of a database, read once, and the one way to connect to it: for queries, locks, bells and migrations.

Options have the names and meanings of libpq (PostgreSQL documentation, "Connection URIs" and "SSL Support"), as managed
providers write them; docs/operate/postgresql.md lists them. What cannot be kept is refused by name, never passed over.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import parse_qsl, urlsplit

import asyncpg

from haven_kit import logs

MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
DIALECT: Final = "postgresql+asyncpg://"
"""For SQLAlchemy, which is handed the connections that an address makes."""
SYSTEM: Final = "system"
"""As `sslrootcert`: the authorities that the system trusts, which libpq names so too."""

_OPPORTUNISTIC: Final = frozenset(MODES[:3])
_OF_SERVER: Final = frozenset({"host", "port", "user", "password", "dbname"})
_FILES: Final = ("sslrootcert", "sslcert", "sslkey")
_READ: Final = frozenset({"sslmode", "sslnegotiation", "channel_binding", "target_session_attrs", "options", *_FILES})
_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "sslmode": MODES,
    "sslnegotiation": ("postgres", "direct"),
    "channel_binding": ("disable", "prefer", "require"),
    "gssencmode": ("disable", "prefer"),  # there is no encryption by GSSAPI to ask for
    "target_session_attrs": ("any", "primary", "read-write"),  # the services write
}
_OURS: Final = frozenset(
    {"application_name", "fallback_application_name", "connect_timeout", "client_encoding", "gssencmode"}
    | {"keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout"}
)
"""Passed over: each connection has a name, time limits and keepalives of ours, and none asks for GSSAPI."""
_HOST: Final = re.compile(r"(\[[^\]]*\]|[^:\[\]]*)(:\d+)?")
_MALFORMED: Final = "cannot be read; in a user's name or password / @ ? # and % are written %2F %40 %3F %23 and %25"

T = TypeVar("T")
_log = logs.get(__name__)


class AddressError(ValueError):
    """The address cannot be used. The message names the part, and none of its values."""


class TlsFailed(ConnectionError):
    """The database was reached, and not by TLS as the address asks for. The message says why."""


class Address:
    """Where a database is, as whom to sign in, and how far its certificate is checked. Raises AddressError."""

    def __init__(self, url: str) -> None:
        base, _, query = url.partition("?")
        options = _options(base, query)
        of_server = "&".join(each for each in query.split("&") if each.partition("=")[0] in _OF_SERVER)
        self._dsn = f"{base}?{of_server}" if of_server else base
        self._mode = options.get("sslmode", "prefer")
        self._direct = options.get("sslnegotiation") == "direct"
        self._session = options.get("target_session_attrs", "any")
        self._settings = {"options": options["options"]} if "options" in options else {}
        self._files = {name: options[name] for name in _FILES if name in options}
        self._stamp = self._read_stamp()
        self._tls = self._context()

    @property
    def verified(self) -> bool:
        """Whether nobody else can pass for the database: its certificate is checked, name and all."""
        return self._mode == "verify-full"

    async def connect(
        self, *, timeout: float, command_timeout: float | None = None, settings: Mapping[str, str] | None = None
    ) -> asyncpg.Connection:
        """A connection, within `timeout` seconds. `settings` are the server's, for this session.

        Raises TlsFailed, and what the driver raises.
        """
        try:
            return await asyncpg.connect(
                self._dsn,
                timeout=timeout,
                command_timeout=command_timeout,
                ssl=self._current(),
                direct_tls=self._direct,
                target_session_attrs=self._session,
                server_settings={**self._settings, **(settings or {})},
            )
        except ssl.SSLCertVerificationError as error:
            raise _failed(f"its certificate does not hold: {error.verify_message.rstrip('.')}") from error
        except ssl.SSLError as error:
            raise _failed(f"the handshake failed: {error.reason}") from error
        except ConnectionError as error:
            if "rejected SSL upgrade" in str(error):
                raise _failed(f"it has none, and the address says sslmode={self._mode}") from error
            raise

    def _current(self) -> ssl.SSLContext | str:
        """TLS by what the files hold now; while they are being replaced, by what they held before."""
        try:
            stamp = self._read_stamp()
            if stamp != self._stamp:
                self._tls = self._context()
                self._stamp = stamp
        except AddressError as error:
            _log.warning("database.certificate_not_read", option=str(error).partition(":")[0])
        return self._tls

    def _context(self) -> ssl.SSLContext | str:
        if self._mode in _OPPORTUNISTIC:
            return self._mode
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["postgresql"])
        context.check_hostname = self.verified
        authorities = self._files.get("sslrootcert", SYSTEM if self.verified else "")
        if not authorities:
            context.verify_mode = ssl.CERT_NONE
        elif authorities == SYSTEM:
            context.load_default_certs()
        else:
            _read("sslrootcert", lambda: context.load_verify_locations(cafile=authorities))
        if "sslcert" in self._files:
            _read("sslcert", lambda: context.load_cert_chain(self._files["sslcert"], self._files.get("sslkey")))
        return context

    def _read_stamp(self) -> tuple[tuple[int, int], ...]:
        found = [_read(name, Path(path).stat) for name, path in self._files.items() if path != SYSTEM]
        return tuple((each.st_mtime_ns, each.st_ino) for each in found)


def _options(base: str, query: str) -> dict[str, str]:
    """The options of an address that this module reads. Raises AddressError."""
    try:
        parts = urlsplit(base)
        given = parse_qsl(query, keep_blank_values=True, strict_parsing=True) if query else []
    except ValueError:
        raise AddressError(_MALFORMED) from None
    if parts.scheme not in {"postgresql", "postgres"}:
        raise AddressError("must begin with postgresql://")
    if parts.fragment or not all(_HOST.fullmatch(each) for each in parts.netloc.rpartition("@")[2].split(",")):
        raise AddressError(_MALFORMED)
    options: dict[str, str] = {}
    for name, value in given:
        if name in options:
            raise AddressError(f"{name}: given twice")
        if name not in _READ | _OURS | _OF_SERVER:
            raise AddressError(f"{name}: no option that is known; docs/operate/postgresql.md lists them")
        if name in _CHOICES and value not in _CHOICES[name]:
            raise AddressError(f"{name}: must be one of {', '.join(_CHOICES[name])}")
        options[name] = value
    _check(options)
    return options


def _check(options: Mapping[str, str]) -> None:
    """Raises AddressError for an option that would promise what the others take away."""
    mode = options.get("sslmode", "prefer")
    authorities = options.get("sslrootcert", "")
    for name in (*_FILES, "sslnegotiation"):
        if mode in _OPPORTUNISTIC and options.get(name, "postgres") != "postgres":
            raise AddressError(f"{name}: only with sslmode=require, verify-ca or verify-full; {mode} checks nothing")
    if mode == "verify-ca" and not authorities:
        raise AddressError("sslrootcert: required with sslmode=verify-ca")
    if authorities == SYSTEM and mode != "verify-full":
        raise AddressError("sslrootcert: system authorities vouch for everybody; use them with sslmode=verify-full")
    if "sslkey" in options and "sslcert" not in options:
        raise AddressError("sslkey: given together with sslcert")
    if options.get("channel_binding") == "require" and mode != "verify-full":
        raise AddressError(
            "channel_binding: the driver has none; use sslmode=verify-full, which keeps others out of the middle too"
        )


def _read(name: str, read: Callable[[], T]) -> T:
    """What `read` gives. Raises AddressError that names the option where the file cannot be used."""
    try:
        return read()
    except ssl.SSLError:
        raise AddressError(f"{name}: the file holds no certificates in PEM, or not those of the key") from None
    except OSError as error:
        raise AddressError(f"{name}: the file cannot be read ({error.strerror})") from None


def _failed(reason: str) -> TlsFailed:
    _log.error("database.tls_failed", reason=re.sub(r"\W+", "_", reason)[:200])
    return TlsFailed(f"The database cannot be reached by TLS as its address asks: {reason}.")
