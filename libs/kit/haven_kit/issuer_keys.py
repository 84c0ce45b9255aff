"""The signing keys that an OpenID provider publishes (OpenID Connect Discovery 1.0; RFC 7517)."""

import asyncio
import ipaddress
import os
import ssl
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import jwt
import orjson

from haven_kit import logs, tasks
from haven_kit.clock import Clock, SystemClock
from haven_kit.errors import Unavailable

ALGORITHMS: Final = frozenset({"RS256", "ES256", "EdDSA"})
"""Signatures that are accepted. All are asymmetric, so that no published key can be used as a shared secret."""

_REFRESH_SECONDS: Final = 300
_REFETCH_SECONDS: Final = 10
_FETCH_TIMEOUT_SECONDS: Final = 5
_MAX_DOCUMENT_BYTES: Final = 256 * 1024

log = logs.get(__name__)


class IssuerRefused(Exception):
    """The issuer, or a document of it, cannot be trusted. The message says which and why."""


class IssuerKeys:
    """Fetches keys in the background and keeps them while the issuer cannot be reached.

    With `cache_file` the last ones also outlive a restart. A plain-HTTP issuer is refused, except on loopback where
    `allow_development_issuer` is set.
    """

    def __init__(
        self,
        issuer: str,
        jwks_url: str | None = None,
        *,
        clock: Clock | None = None,
        allow_development_issuer: bool = False,
        ssl_context: ssl.SSLContext | None = None,
        cache_file: Path | None = None,
    ) -> None:
        self.issuer = issuer
        self.generation = 0
        """Grows each time the set of keys changes."""
        self._jwks_url = jwks_url
        self._clock = clock or SystemClock()
        self._allow_development_issuer = allow_development_issuer
        self._ssl = ssl_context
        self._cache_file = cache_file
        self._document = b""
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._fetching = asyncio.Lock()
        self._fetched_at = float("-inf")
        self._refresher: asyncio.Task[None] | None = None
        self._check_url(issuer)
        if jwks_url is not None:
            self._check_url(jwks_url)

    @property
    def ready(self) -> bool:
        """Whether there are keys to verify with."""
        return bool(self._keys)

    async def start(self) -> None:
        """Fetch once, and from now on every five minutes. An issuer that cannot be reached does not stop the start."""
        self._read_cache()
        if not self._keys:
            await self._fetch()
        self._refresher = asyncio.create_task(self._refresh(), name="issuer-keys")

    async def close(self) -> None:
        """Stop refreshing."""
        if self._refresher is not None:
            await tasks.end(self._refresher)

    async def find(self, key_id: str | None) -> jwt.PyJWK | None:
        """The key of that id, asking the issuer once more for an unknown one, at most every ten seconds.

        Raises Unavailable while no key was ever had.
        """
        if key_id not in self._keys and self._clock.monotonic() - self._fetched_at >= _REFETCH_SECONDS:
            await self._fetch()
        if not self._keys:
            raise Unavailable("The sign-in service", retry_after=_REFETCH_SECONDS)
        return self._keys.get(key_id)

    async def _refresh(self) -> None:
        while True:
            if self._fetched_at > float("-inf"):
                await self._clock.sleep(_REFRESH_SECONDS if self._keys else _REFETCH_SECONDS)
            await self._fetch()

    async def _fetch(self) -> None:
        asked_at = self._clock.monotonic()
        async with self._fetching:
            if self._fetched_at >= asked_at:  # another caller did while this one waited
                return
            try:
                document = await self._download()
                if document != self._document:
                    self._take(document)
                    self._write_cache()
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError, IssuerRefused) as error:
                log.warning("issuer_keys.not_fetched", error=type(error).__name__, kept=len(self._keys))
            finally:
                self._fetched_at = self._clock.monotonic()

    async def _download(self) -> bytes:
        async with asyncio.timeout(_FETCH_TIMEOUT_SECONDS), aiohttp.ClientSession() as session:
            return await self._get(session, self._jwks_url or await self._discover(session))

    async def _discover(self, session: aiohttp.ClientSession) -> str:
        url = self.issuer.rstrip("/") + "/.well-known/openid-configuration"
        document: Any = orjson.loads(await self._get(session, url))
        if not isinstance(document, dict) or document.get("issuer") != self.issuer:
            raise IssuerRefused("the discovery document names another issuer")
        if not isinstance(document.get("jwks_uri"), str):
            raise IssuerRefused("the discovery document has no jwks_uri")
        self._check_url(document["jwks_uri"])
        return str(document["jwks_uri"])

    async def _get(self, session: aiohttp.ClientSession, url: str) -> bytes:
        async with session.get(url, ssl=self._ssl or True, allow_redirects=False) as response:
            if response.status != 200:
                raise ValueError(f"status {response.status}")
            body = bytearray()
            async for part in response.content.iter_any():
                body += part
                if len(body) > _MAX_DOCUMENT_BYTES:
                    raise ValueError("document too large")
            return bytes(body)

    def _take(self, document: bytes) -> None:
        keys = usable_keys(document)
        if not keys:
            raise ValueError("no usable key")
        self._document, self._keys = document, keys
        self.generation += 1
        log.info("issuer_keys.changed", keys=len(keys))

    def _read_cache(self) -> None:
        if self._cache_file is None or not self._cache_file.exists():
            return
        try:
            self._take(self._cache_file.read_bytes())
        except (OSError, ValueError, IssuerRefused) as error:
            log.warning("issuer_keys.cache_not_read", error=type(error).__name__)

    def _write_cache(self) -> None:
        if self._cache_file is None:
            return
        try:
            scratch = self._cache_file.with_name(f"{self._cache_file.name}.{os.getpid()}")
            scratch.write_bytes(self._document)
            scratch.replace(self._cache_file)
        except OSError as error:
            log.warning("issuer_keys.cache_not_written", error=type(error).__name__)

    def _check_url(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme == "https":
            return
        if not (self._allow_development_issuer and parts.scheme == "http" and _is_loopback(parts.hostname or "")):
            raise IssuerRefused(
                "an issuer must be reached by https; plain http is for a development issuer on loopback"
            )


def usable_keys(document: bytes) -> dict[str | None, jwt.PyJWK]:
    """The keys of a JWKS that may verify signatures, by id. Raises IssuerRefused or ValueError where it is not one."""
    parsed: Any = orjson.loads(document)
    if not isinstance(parsed, dict) or not isinstance(parsed.get("keys"), list):
        raise IssuerRefused("not a JSON Web Key Set")
    keys: dict[str | None, jwt.PyJWK] = {}
    for entry in parsed["keys"]:
        if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
            continue
        try:
            key = jwt.PyJWK.from_dict(entry)
        except jwt.PyJWTError:
            log.info("issuer_keys.key_skipped", kty=str(entry.get("kty"))[:16])
            continue
        if key.algorithm_name in ALGORITHMS:
            keys[entry.get("kid")] = key
    return keys


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
