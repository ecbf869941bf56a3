"""HTTPS on our own ports, with a certificate that signs itself."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.x509 import load_der_x509_certificate
from sdk_server import unused_port
from starlette.responses import Response

from footfall.cli.child import footfall_command
from footfall.cli.serving import QuietServer
from footfall.cli.tls import Certificate
from footfall.settings import InvalidSettings
from tests.certificates import write_certificate


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await Response(scope["scheme"])(scope, receive, send)


class Eager(Certificate):
    """Looks often."""

    async def keep_fresh(self, server: Any, look_seconds: float = 0.02) -> None:
        await super().keep_fresh(server, look_seconds)


def trusting(cert: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(cert))


def name_shown(port: int) -> str:
    """Whose certificate a new connection gets."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), 20) as plain, context.wrap_socket(plain) as connection:
        der = connection.getpeercert(binary_form=True)
        assert der is not None
        return load_der_x509_certificate(der).subject.rfc4514_string()


def until(condition: Any) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


def test_a_renewed_certificate_is_taken_up_and_a_bad_one_is_not(
    tmp_path: Path,
) -> None:
    certificate = Eager(*write_certificate(tmp_path, "first"))
    server = QuietServer(app)
    server.config.lifespan = "off"
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    thread = threading.Thread(target=_serve, args=(server, listener, certificate))
    thread.start()
    try:
        until(lambda: server.started)
        assert httpx.get(f"https://127.0.0.1:{port}/", verify=trusting(certificate.cert)).text == "https"
        assert name_shown(port) == "CN=first"
        certificate.cert.write_text("half a certific")
        time.sleep(0.1)
        assert name_shown(port) == "CN=first"
        write_certificate(tmp_path, "second")
        until(lambda: name_shown(port) == "CN=second")
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(f"http://127.0.0.1:{port}/")
    finally:
        server.stop()
        thread.join(30)
        listener.close()


def _serve(server: QuietServer, listener: socket.socket, certificate: Certificate) -> None:
    certificate.turn_on(server)

    async def both() -> None:
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        renewing = asyncio.create_task(certificate.keep_fresh(server))
        await serving
        renewing.cancel()

    asyncio.run(both())


@pytest.mark.parametrize("wrong", ["none", "other key", "passphrase"])
def test_files_that_are_no_pair_are_refused_at_start(tmp_path: Path, wrong: str) -> None:
    cert, key = write_certificate(tmp_path, passphrase="secret" if wrong == "passphrase" else "")
    if wrong == "none":
        key.unlink()
    if wrong == "other key":
        (tmp_path / "other").mkdir()
        key = write_certificate(tmp_path / "other")[1]
    with pytest.raises(InvalidSettings, match=r"FOOTFALL_TLS_CERT .*name two PEM files"):
        Certificate(cert, key).check()


def test_all_of_footfall_speaks_https_and_its_commands_find_it(tmp_path: Path) -> None:
    cert, key = write_certificate(tmp_path)
    collect, query = unused_port(), unused_port()
    environment = {name: text for name, text in os.environ.items() if not name.startswith("FOOTFALL_")} | {
        "FOOTFALL_HOME": str(tmp_path / "home"),
        "FOOTFALL_COLLECT_PORT": str(collect),
        "FOOTFALL_QUERY_PORT": str(query),
        "FOOTFALL_WRITE_KEY": "wk",
        "FOOTFALL_SECRET_KEY": "sk",
        "FOOTFALL_TLS_CERT": str(cert),
        "FOOTFALL_TLS_KEY": str(key),
    }

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            footfall_command(*command),
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    assert run("ready").returncode == 1
    with (tmp_path / "lines").open("w") as lines:
        up = subprocess.Popen(footfall_command("up"), env=environment, stdout=lines, stderr=lines)
    try:
        until(lambda: up.poll() is not None or "Footfall is up" in (tmp_path / "lines").read_text())
        told = (tmp_path / "lines").read_text()
        assert f"https://127.0.0.1:{collect}/v1/events" in told
        assert run("ready").stdout == "ready\n", told
        answer = httpx.post(
            f"https://127.0.0.1:{collect}/v1/events?key=wk",
            json=[{"event": "register", "distinct_id": "a"}],
            verify=trusting(cert),
        )
        assert answer.json() == {"accepted": 1, "rejected": []}
        verified = run("verify")
        assert verified.returncode == 0, verified.stderr
        looked = run("doctor").stdout
        assert f"running, https://127.0.0.1:{query}/readyz answers ready" in looked
    finally:
        up.send_signal(signal.SIGTERM)
        assert up.wait(60) == 0
