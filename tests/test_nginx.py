"""deploy/nginx/footfall.conf, run by a real nginx before a real collector.

Skipped, and said so, without nginx; REQUIRE_NGINX, as in CI, forbids that.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sdk_server import unused_port

from collector.options import CollectorOptions
from footfall.events.limits import BodyLimits
from tests.collector_worker import Worker, event, wrapped

CONF = Path(__file__).parent.parent / "deploy" / "nginx" / "footfall.conf"
NAME = "collect.bank.example"
LOOPBACK = IPv4Address("127.0.0.1")


@dataclass
class Proxied:
    """A collector behind nginx; its idle connections end soon, and 4 KB are too much of a body for it."""

    worker: Worker
    client: httpx.Client
    folder: Path

    def post(self, path: str, body: bytes, **headers: str) -> httpx.Response:
        return self.client.post(path, content=body, headers=headers)


@pytest.fixture(scope="module")
def nginx() -> str:
    found = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if found is None:
        if os.environ.get("REQUIRE_NGINX"):
            pytest.fail("no nginx here")
        pytest.skip("no nginx here")
    return found


@pytest.fixture(scope="module")
def proxied(nginx: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    folder = tmp_path_factory.mktemp("nginx")
    worker = Worker(CollectorOptions(limits=BodyLimits(4096, 1 << 20), keep_alive_seconds=1))
    with worker.listening() as collector, behind(nginx, folder, collector) as client:
        yield Proxied(worker, client, folder)


@contextmanager
def behind(nginx: str, folder: Path, collector: int) -> Iterator[httpx.Client]:
    """Who speaks to the collector on that port by way of nginx."""
    port = unused_port()
    write_configuration(folder, port, collector)
    trust = ssl.create_default_context(cafile=str(folder / "collect.pem"))
    with (
        running(nginx, folder, port),
        closing(httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=trust, timeout=60)) as client,
    ):
        yield client


def write_configuration(folder: Path, port: int, collector: int) -> None:
    """The file with what is marked CHANGE changed, and as little around it as nginx needs."""
    text = CONF.read_text()
    for shown, own in (
        ("127.0.0.1:8106", f"127.0.0.1:{collector}"),
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("/etc/nginx/tls", str(folder)),
        ("/var/log/nginx", str(folder)),
    ):
        assert shown in text
        text = text.replace(shown, own)
    (folder / "footfall.conf").write_text(text)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "\n".join(f"    {kind}_temp_path {folder}/{kind};" for kind in kinds)
    (folder / "nginx.conf").write_text(f"""
{"user root;" if os.getuid() == 0 else ""}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log notice;
events {{}}
http {{
{temporary}
    include {folder}/footfall.conf;
}}
""")
    make_certificate(folder)


def make_certificate(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    names = x509.SubjectAlternativeName([x509.DNSName(NAME), x509.IPAddress(LOOPBACK)])
    today = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "collect.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "collect.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


@contextmanager
def running(nginx: str, folder: Path, port: int) -> Iterator[None]:
    command = [nginx, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        for _ in range(600):
            if process.poll() is not None or (folder / "nginx.pid").exists():
                break
            time.sleep(0.05)
        assert process.poll() is None, process.stderr and process.stderr.read()
        yield
    finally:
        process.terminate()
        process.communicate(timeout=60)


@pytest.mark.parametrize("prefix", ["", "/collect", "/a/b"])
@pytest.mark.parametrize("name", ["sa", "sa.gif"])
def test_events_are_stored_under_any_prefix(proxied: Proxied, prefix: str, name: str) -> None:
    before = len(proxied.worker.stored())
    answer = proxied.post(f"{prefix}/{name}?project=open", b"data_list=" + wrapped([event()]))
    assert (answer.status_code, answer.content) == (200, b"")
    assert len(proxied.worker.stored()) == before + 1


def test_the_client_is_the_one_that_asked_nginx_whatever_it_says(proxied: Proxied) -> None:
    trust = ssl.create_default_context(cafile=str(proxied.folder / "collect.pem"))
    transport = httpx.HTTPTransport(verify=trust, local_address="127.0.0.2")
    with httpx.Client(base_url=proxied.client.base_url, transport=transport) as client:
        body = b"data_list=" + wrapped([event()])
        client.post("/sa?project=open", content=body, headers={"X-Forwarded-For": "203.0.113.9"})
    assert proxied.worker.stored()[-1].header.ip == "127.0.0.2"


def test_an_event_of_the_image_mode_fits_into_the_address(proxied: Proxied) -> None:
    record = event(properties={"text": "长" * 4000})
    answer = proxied.client.get("/sa.gif?project=open&data=" + wrapped(record).decode())
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/gif")
    assert proxied.worker.stored()[-1].plain == [record]


def test_what_is_too_large_is_the_collectors_to_answer(proxied: Proxied) -> None:
    for size in (5_000, 9_000_000):
        answer = proxied.post("/sa?project=open", b"data_list=" + b"A" * size)
        assert answer.status_code == 200
        assert proxied.worker.stored()[-1].reasons == ["body_too_large"]


def test_browsers_of_other_origins_may_send(proxied: Proxied) -> None:
    headers = {"Origin": "https://bank.example", "Access-Control-Request-Headers": "dry-run"}
    answer = proxied.client.options("/debug?project=open", headers=headers)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "https://bank.example"
    assert answer.headers["access-control-max-age"] == "86400"


def test_errors_of_debug_mode_reach_the_developer(proxied: Proxied) -> None:
    answer = proxied.post("/collect/debug?project=open", b"data=" + wrapped(event(event="1bad")))
    assert (answer.status_code, answer.json()["errors"][0]["reason"]) == (400, "invalid_name")


def test_a_connection_that_the_collector_just_closed_costs_no_event(nginx: str, tmp_path: Path) -> None:
    """It answers one request of each connection, and closes when the next one comes, as in a race."""
    with closing(socket.create_server(("127.0.0.1", 0))) as upstream:
        thread = threading.Thread(target=answer_once_a_connection, args=(upstream,))
        thread.start()
        with behind(nginx, tmp_path, upstream.getsockname()[1]) as client:
            answers = [client.post("/sa?project=open", content=b"data_list=W10=") for _ in range(4)]
        upstream.shutdown(socket.SHUT_RDWR)
        thread.join()
    assert [each.status_code for each in answers] == [200] * 4


def answer_once_a_connection(upstream: socket.socket) -> None:
    with suppress(OSError):
        while True:
            connection, _ = upstream.accept()
            with connection:
                if has_request(connection):
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                    has_request(connection)


def has_request(connection: socket.socket) -> bool:
    """Reads one; False if the connection ends instead."""
    read = b""
    while not read.endswith(b"data_list=W10="):
        part = connection.recv(65536)
        if not part:
            return False
        read += part
    return True


@pytest.mark.parametrize("path", ["/metrics", "/readyz", "/healthz", "/docs", "/openapi.json", "/", "/sa/x"])
def test_what_is_inside_stays_there(proxied: Proxied, path: str) -> None:
    assert proxied.client.get(path).status_code == 404


@pytest.mark.parametrize("path", ["/config/Android.conf?v=1", "/x/config/iOS.conf?v=1", "/mp_login?code=1"])
def test_polls_get_through(proxied: Proxied, path: str) -> None:
    assert proxied.client.get(path).status_code in (200, 304)


def test_503_and_when_to_come_again_get_through(proxied: Proxied) -> None:
    proxied.worker.full = "full"
    try:
        answer = proxied.post("/sa?project=open", b"data_list=" + wrapped([event()]))
    finally:
        proxied.worker.full = None
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


PAGES = ("point-your-sdk.md", "point-your-sdk.zh.md")


@pytest.mark.parametrize("page", PAGES)
def test_the_pages_first_request_works(proxied: Proxied, page: str) -> None:
    """The command of docs/point-your-sdk, but for its address, as a shell runs it."""
    text = (CONF.parent.parent.parent / "docs" / page).read_text()
    (shown,) = re.findall(r"\$ (curl .*?\n.*?)\n\{\}\n", text)
    command = shown.replace(f"https://{NAME}", str(proxied.client.base_url)).replace(
        "ff_wk_...", "wk-default"
    )
    command = command.replace("curl ", f"curl --cacert {proxied.folder}/collect.pem ")
    stopped, proxied.worker.now = proxied.worker.now, time.time_ns() // 1_000_000  # it says the time
    try:
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    finally:
        proxied.worker.now = stopped
    assert (done.stdout, done.stderr) == ("{}", "")


MINI_PROGRAM = "https://servicewechat.com/wx0123456789abcdef/12/page-frame.html"


def test_a_mini_program_gets_no_answer_for_what_is_not_stored(proxied: Proxied) -> None:
    body = b"data_list=" + wrapped([event()])
    assert proxied.post("/sa?project=open", body, Referer=MINI_PROGRAM).status_code == 200
    proxied.worker.full = "full"
    try:
        with pytest.raises(httpx.RemoteProtocolError):
            proxied.post("/sa?project=open", body, Referer=MINI_PROGRAM)
    finally:
        proxied.worker.full = None


def test_no_event_and_no_key_is_in_the_access_log(proxied: Proxied) -> None:
    proxied.client.get("/sa.gif?project=open&token=wk-default&data=" + wrapped(event()).decode())
    for _ in range(100):
        log = (proxied.folder / "footfall.log").read_text()
        if '"GET /sa.gif" 200' in log:
            break
        time.sleep(0.05)
    assert '"GET /sa.gif" 200' in log
    assert not re.search(r"token|data=|wk-default", log)
