"""What the release is given from outside: sign-in over TLS, receivers of pages and mail, a collector, a clock."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from cluster import Cluster
from forward import Forward

from haven_dev.issuer import Issuer
from haven_dev.otlp import OtlpReceiver
from haven_dev.pki import Pki
from haven_dev.receivers import SmtpReceiver, WebhookReceiver

ISSUER = "issuer.haven.internal"
PAGES = "receivers.test"


class _Issuer(Issuer):
    """The development issuer under a public name, behind TLS."""

    public_url = ""

    @property
    def url(self) -> str:
        """The issuer's name and address."""
        return self.public_url


class _Webhook(WebhookReceiver):
    public_url = ""

    @property
    def url(self) -> str:
        """Where to send."""
        return self.public_url


class Outside:
    """Everything outside, started on loopback and reachable from the containers at `address`."""

    def __init__(self, folder: Path, address: str) -> None:
        self._pki = Pki(folder / "outside-pki")
        self._address = address
        self.issuer = _Issuer(folder)
        self.webhook = _Webhook()
        self.smtp = SmtpReceiver()
        self.otlp = OtlpReceiver()
        self._forwards: list[Forward] = []
        self.otlp_endpoint = ""
        self.smtp_port = 0

    @property
    def authority(self) -> bytes:
        """The authority that the issuer's certificate is from, PEM."""
        return (self._pki.folder / "ca.crt").read_bytes()

    @property
    def hosts(self) -> dict[str, str]:
        """Names that pods reach by."""
        return {ISSUER: self._address, PAGES: self._address}

    async def start(self) -> None:
        """Start everything."""
        for each in (self.issuer, self.webhook, self.smtp, self.otlp):
            await each.start()
        certificate = self._pki.issue("issuer")
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate / "tls.crt", certificate / "tls.key")
        self.issuer.public_url = f"https://{ISSUER}:{await self._forward(self.issuer.port, tls)}"
        self.webhook.public_url = f"http://{PAGES}:{await self._forward(self.webhook.port)}/page"
        self.otlp_endpoint = f"http://{PAGES}:{await self._forward(self.otlp.port)}"
        self.smtp_port = await self._forward(self.smtp.port)

    async def stop(self) -> None:
        """Stop everything."""
        for forward in self._forwards:
            await forward.stop()
        for each in (self.issuer, self.webhook, self.smtp, self.otlp):
            await each.stop()

    async def _forward(self, port: int, tls: ssl.SSLContext | None = None) -> int:
        forward = Forward(self._address, port, tls)
        await forward.start()
        self._forwards.append(forward)
        return forward.port


@dataclass
class Played:
    """The release as the story of the day sees a platform."""

    cluster: Cluster
    outside: Outside
    gateway_url: str
    crisis_url: str
    ahead: float = 0
    """How far the pods' clocks are set forward, in seconds."""

    @property
    def issuer(self) -> Issuer:
        """Who signs people in."""
        return self.outside.issuer

    @property
    def webhook(self) -> WebhookReceiver:
        """Who takes pages."""
        return self.outside.webhook

    @property
    def smtp(self) -> SmtpReceiver:
        """Who takes mail."""
        return self.outside.smtp

    @property
    def otlp(self) -> OtlpReceiver:
        """Who takes spans."""
        return self.outside.otlp

    def turn_clock(self, to_seconds: float) -> None:
        """Set every pod's time of day forward."""
        self.ahead = to_seconds
        self.cluster.put("ConfigMap", "clock", {"ahead": str(to_seconds).encode()})
