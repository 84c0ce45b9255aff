"""A development certificate authority, and one certificate for each part of the platform."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from haven_dev import project

NATS = "nats"
_AUTHORITY_DAYS = 3650
_DAYS = 365
_RENEW_DAYS = 30


class Pki:
    """The authority, kept in `folder`. A part finds ca.crt, tls.crt and tls.key in `folder/<part>`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._key: ec.EllipticCurvePrivateKey
        self._certificate: x509.Certificate
        key_file, certificate_file = folder / "ca.key", folder / "ca.crt"
        if key_file.exists() and certificate_file.exists():
            key = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
            if not isinstance(key, ec.EllipticCurvePrivateKey):
                raise TypeError(f"{key_file} is not a key of ours; remove {folder}")
            self._key, self._certificate = key, x509.load_pem_x509_certificate(certificate_file.read_bytes())
        else:
            folder.mkdir(parents=True, exist_ok=True)
            self._key, self._certificate = _authority()
            _write_secret(key_file, _pem(self._key))
            certificate_file.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def issue_all(self) -> None:
        """Make what is missing or near its end for every part and for NATS."""
        for name in (*project.PARTS, NATS):
            self.issue(name)

    def issue(self, name: str) -> Path:
        """The folder of a part's certificate, valid for `<name>.haven.internal` and loopback."""
        folder = self.folder / name
        certificate = folder / "tls.crt"
        if not _fresh(certificate):
            folder.mkdir(parents=True, exist_ok=True)
            key = ec.generate_private_key(ec.SECP256R1())
            _write_secret(folder / "tls.key", _pem(key))
            (folder / "ca.crt").write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))
            certificate.write_bytes(self._sign(name, key).public_bytes(serialization.Encoding.PEM))
        return folder

    def _sign(self, name: str, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
        names: list[x509.GeneralName] = [
            x509.DNSName(f"{name}.haven.internal"),
            x509.DNSName("localhost"),
            x509.IPAddress(ipaddress.IPv4Address("127.0.0.1")),
        ]
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        return (
            _builder(f"{name}.haven.internal", _DAYS)
            .issuer_name(self._certificate.subject)
            .public_key(key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )


def _authority() -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = "Haven development authority"
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        _builder(name, _AUTHORITY_DAYS)
        .issuer_name(_named(name))
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return key, certificate


def _builder(name: str, days: int) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=days))
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _fresh(path: Path) -> bool:
    if not path.exists():
        return False
    ends = x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
    return ends > datetime.now(UTC) + timedelta(days=_RENEW_DAYS)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write_secret(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)
