"""Secrets planted in what reaches a running `footfall up`: none is in what its processes log or leave."""

from __future__ import annotations

import json
import socket
import time

from footfall.cli.demo_system import RunningSystem
from tests.test_privacy_planted import CARD, EMAIL, PASSWORD, PHONE, RECORDS, assert_clean, readable_of


def _say(port: int, request: bytes) -> bytes:
    """The first bytes of the answer to whatever these bytes are."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(request)
        return connection.recv(65_536)


def _request(method: str, path: str, body: bytes, *headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", "Connection: close"]
    return "\r\n".join([*lines, *headers, "", ""]).encode() + body


def test_no_process_logs_or_leaves_a_secret(footfall: RunningSystem) -> None:
    running = footfall
    with_key = f"Authorization: Bearer {running.write_key}"
    for body in (
        json.dumps(RECORDS).encode(),
        f"no JSON: {CARD}".encode(),
        f'{{"{PHONE}": '.encode() * 20_000,
    ):
        for path in (
            f"/v1/events?x={PHONE}",
            f"/v1/validate?x={EMAIL}",
            f"/sa?token={running.write_key}&x={CARD}",
        ):
            assert _say(running.collect_port, _request("POST", path, body, with_key, f"User-Agent: {EMAIL}"))
    for port in (running.collect_port, running.query_port):
        for request in (
            f"{PHONE} {PASSWORD}\r\n\r\n".encode(),  # no HTTP
            _request("GET", f"/{PHONE}?mail={EMAIL}&password={PASSWORD}", b""),
            _request(PASSWORD, "/", b""),
            _request(
                "POST",
                "/api/v1/query/trends",
                f'{{"event": "{CARD}"'.encode(),
                f"Authorization: Bearer {PHONE}",
            ),
            _request("GET", f"/api/v1/users/{PHONE}", b"", f"Authorization: Bearer {running.secret_key}"),
        ):
            _say(port, request)
    while running.ledger()["queued"]:
        time.sleep(0.1)
    log = running.log_path.read_bytes()
    assert b"supervisor" in log
    assert b"Invalid HTTP request" in log
    assert_clean(log, "the supervisor's log")
    for path in running.home.rglob("*"):
        if path.is_file() and path.suffix in (".log", ".db", ".json", ".prom"):
            for text in readable_of(path):
                assert_clean(text, path)
