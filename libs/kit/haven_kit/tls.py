"""Mutual TLS between processes. A service is who its certificate says: `<service>.haven.internal` (RFC 9525)."""

import re
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from haven_kit import logs

DOMAIN: Final = ".haven.internal"
_FILES: Final = ("ca.crt", "tls.crt", "tls.key")
_NAME: Final = re.compile(r"([a-z][a-z0-9-]*)" + re.escape(DOMAIN))

log = logs.get(__name__)


def name_of(service: str) -> str:
    """The DNS name in the certificate of a service."""
    return service + DOMAIN


@dataclass(frozen=True, slots=True)
class Identity:
    """The certificate of this service, its key, and the authority that everyone's certificate comes from; PEM."""

    authority: bytes
    certificate: bytes
    key: bytes


class Folder:
    """A folder with `ca.crt`, `tls.crt` and `tls.key`, as cert-manager lays it out. Rotated files are read again.

    Raises OSError where one is missing, ValueError where they do not belong together.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = self._read_stamp()
        self._identity = self._read()

    def identity(self) -> Identity:
        """What the files hold now. While they are being replaced, what they held before."""
        try:
            stamp = self._read_stamp()
            if stamp != self._stamp:
                self._identity = self._read()
                self._stamp = stamp
        except (OSError, ValueError) as error:
            log.warning("certificate.not_read", error=type(error).__name__)
        return self._identity

    def server_credentials(self) -> grpc.ServerCredentials:
        """Credentials that ask every client for a certificate, and use rotated files from the next handshake on."""
        served = self.identity()

        def configuration() -> grpc.ServerCertificateConfiguration:
            return grpc.ssl_server_certificate_configuration([(served.key, served.certificate)], served.authority)

        def fetch() -> Any:
            nonlocal served
            current = self.identity()
            if current is served:
                return None  # no change, in grpc's terms
            served = current
            return configuration()

        return grpc.dynamic_ssl_server_credentials(configuration(), fetch, require_client_authentication=True)

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """Credentials that show this service's certificate and trust only the authority's."""
        identity = self.identity()
        return grpc.ssl_channel_credentials(identity.authority, identity.key, identity.certificate)

    def client_context(self) -> ssl.SSLContext:
        """For NATS and other servers of ours: shows this service's certificate and trusts only the authority's."""
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(self._path / "ca.crt"))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self._path / "tls.crt", self._path / "tls.key")
        return context

    def public_context(self) -> ssl.SSLContext:
        """For servers of others, such as the issuer: trusts the system's authorities and ours, shows no certificate."""
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH)
        context.load_verify_locations(cafile=str(self._path / "ca.crt"))
        return context

    def _read(self) -> Identity:
        identity = Identity(*((self._path / name).read_bytes() for name in _FILES))
        certified = x509.load_pem_x509_certificate(identity.certificate).public_key()
        if load_pem_private_key(identity.key, password=None).public_key() != certified:
            raise ValueError("tls.key is not the key of tls.crt")  # seen in the middle of a rotation
        return identity

    def _read_stamp(self) -> tuple[tuple[int, int], ...]:
        found = [(self._path / name).stat() for name in _FILES]
        return tuple((each.st_mtime_ns, each.st_ino) for each in found)


class HasAuthContext(Protocol):
    """The part of a gRPC servicer context that tells who is at the other end."""

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        """What the handshake proved about the peer."""
        ...


def peer_service(context: HasAuthContext) -> str | None:
    """The service at the other end of a call, by its certificate; None where that names none of ours."""
    for raw in context.auth_context().get("x509_subject_alternative_name", ()):
        if (found := _NAME.fullmatch(raw.decode("ascii", "replace"))) is not None:
            return found[1]
    return None
