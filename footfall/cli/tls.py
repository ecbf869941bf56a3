"""HTTPS on our own ports: a certificate from two files, taken up again when they are renewed."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog
import uvicorn

from footfall.settings import InvalidSettings, Settings

_LOOK_SECONDS: Final = 10.0
_NO_PASSPHRASE: Final = ""  # else a key that needs one would be asked for on the terminal
_logger = structlog.get_logger("tls")


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM files: the certificate with its chain, and its private key."""

    cert: Path
    key: Path

    def turn_on(self, server: uvicorn.Server) -> None:
        """For a server that has not begun: all its connections are HTTPS, TLS 1.2 or newer."""
        server.config.ssl_certfile, server.config.ssl_keyfile = str(self.cert), str(self.key)

    async def keep_fresh(self, server: uvicorn.Server, look_seconds: float = _LOOK_SECONDS) -> None:
        """For ever: connections that come after the files changed get the new certificate. One that cannot be
        read is told, and the old one stays.
        """
        seen = self._changed_at()
        while True:
            await asyncio.sleep(look_seconds)
            if (now := self._changed_at()) == seen or now is None or server.config.ssl is None:
                continue
            try:
                self.check()  # beside the one in use, which half of a pair would spoil
                server.config.ssl.load_cert_chain(self.cert, self.key, _NO_PASSPHRASE)
                _logger.info("the renewed certificate is in use", file=str(self.cert))
                seen = now
            except (InvalidSettings, OSError) as error:
                _logger.error("the renewed certificate cannot be used: the old one stays", error=str(error))

    def check(self) -> None:
        """InvalidSettings where the files are no pair that can be used."""
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.cert, self.key, _NO_PASSPHRASE)
        except OSError as error:  # ssl.SSLError is one, too
            why = error.strerror or error
            raise InvalidSettings(
                f"FOOTFALL_TLS_CERT {self.cert}, FOOTFALL_TLS_KEY {self.key}: {why}: name two PEM files that "
                "this user can read, the key without a passphrase"
            ) from error

    def _changed_at(self) -> tuple[int, int] | None:
        try:
            return self.cert.stat().st_mtime_ns, self.key.stat().st_mtime_ns
        except OSError:
            return None  # being replaced


def certificate_of(settings: Settings) -> Certificate | None:
    """None: our ports speak HTTP. InvalidSettings."""
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    certificate = Certificate(settings.tls_cert, settings.tls_key)
    certificate.check()
    return certificate


def trusting_ourselves(cert: Path | None) -> ssl.SSLContext | None:
    """For commands on this machine that ask our own ports: that certificate, whatever name it is for."""
    if cert is None:
        return None
    context = ssl.create_default_context(cafile=str(cert))
    context.check_hostname = False  # it is asked by its address
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context
