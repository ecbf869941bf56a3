"""Real sockets: slow and broken clients, long URLs, one-byte segments, draining."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from collector.options import CollectorOptions
from footfall.events.limits import BodyLimits
from tests.collector_worker import Worker, converse, event, read_answer, wrapped

BODY = json.dumps(event()).encode()
HEAD = b"POST /v1/events?key=wk-default HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
REQUEST = HEAD % len(BODY) + BODY


@pytest.fixture
def hurried() -> Iterator[tuple[Worker, int]]:
    """A worker with little patience, and its port."""
    worker = Worker(
        CollectorOptions(head_seconds=0.4, body_seconds=0.4, keep_alive_seconds=60, connections=20)
    )
    with worker.listening() as port:
        yield worker, port


def trickle(connection: socket.socket) -> None:
    for byte in REQUEST * 100:
        connection.sendall(bytes([byte]))
        time.sleep(0.03)


def is_closed(connection: socket.socket) -> bool:
    """Whether the server ends the connection without an answer."""
    connection.settimeout(20)
    try:
        return connection.recv(100) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("sent", [b"", b"P", REQUEST[:40], REQUEST[:-5]])
def test_ends_a_request_that_does_not_get_ready(hurried, sent):
    worker, port = hurried
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(sent)
        assert is_closed(connection)
    assert b" 200 " in converse(port, REQUEST), "the next request is served"
    assert len(worker.stored()) == 1


@pytest.mark.parametrize("start", [b"", HEAD % 100_000])
def test_ends_a_client_that_trickles(hurried, start):
    _, port = hurried
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(start)
        with pytest.raises(OSError):  # noqa: PT011 - reset or broken pipe
            trickle(connection)


def test_deadlines_are_of_each_request_on_a_connection(hurried):
    worker, port = hurried
    with socket.create_connection(("127.0.0.1", port)) as connection:
        for _ in range(4):
            connection.sendall(REQUEST)
            assert b" 200 " in read_answer(connection)
            time.sleep(0.3)
        connection.sendall(REQUEST[:30])
        assert is_closed(connection)
    assert len(worker.stored()) == 4


def test_a_connection_may_rest_between_requests(hurried):
    _, port = hurried
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(REQUEST)
        read_answer(connection)
        time.sleep(1.5)
        connection.sendall(REQUEST)
        assert b" 200 " in read_answer(connection)


def test_refuses_a_head_without_end(hurried):
    _, port = hurried
    answer = converse(port, b"GET /sa HTTP/1.1\r\n" + b"X-A: " + b"y" * 100_000)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b"more than 65535 bytes" in answer


@pytest.mark.parametrize("length", [66_000, 80_000, 300_000])
def test_refuses_an_address_that_is_too_long_also_if_it_comes_in_one_piece(hurried, length):
    _, port = hurried
    answer = converse(port, b"GET /sa.gif?data=" + b"A" * length + b" HTTP/1.1\r\nHost: c\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 431 ")


def test_refuses_more_connections_than_its_limit(hurried):
    _, port = hurried
    held = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
    try:
        assert b" 503 " in converse(port, REQUEST)
    finally:
        for connection in held:
            connection.close()


@pytest.mark.parametrize("size", [16_000, 40_000])
def test_takes_long_urls(hurried, size):
    worker, port = hurried
    data = wrapped(
        event(properties={"url": "x" * 16_000, "title": "y" * (size - 16_000) if size > 16_000 else ""})
    )
    request = b"GET /sa.gif?project=open&data=" + data + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    if size > 16_000:
        request = request.replace(
            b"GET /sa.gif?project=open&", b"GET /sa.gif?project=open&pad=" + b"z" * 10_000 + b"&"
        )
    assert len(request) > size
    assert b"GIF89a" in converse(port, request)
    assert worker.stored()[0].reasons == ([] if size == 16_000 else ["string_too_long"])


def test_takes_segments_of_one_byte():
    worker = Worker()
    with worker.listening() as port:
        assert b" 200 " in converse(port, REQUEST, segment=1)
    assert worker.stored()[0].plain == [event()]


def test_takes_a_body_in_chunks_and_after_expect():
    worker = Worker()
    head = b"POST /v1/events?key=wk-default HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = b"".join(b"1\r\n" + bytes([byte]) + b"\r\n" for byte in BODY) + b"0\r\n\r\n"
    with worker.listening() as port:
        assert b" 200 " in converse(port, head + chunks)
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall((HEAD % len(BODY)).replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
            assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
            connection.sendall(BODY)
            assert b" 200 " in read_answer(connection)


@pytest.mark.parametrize(
    "garbage",
    [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 3, b"GET\r\n\r\n", b"POST /sa HTTP/9.9\r\n\r\n"],
)
def test_survives_what_is_no_http(garbage):
    worker = Worker()
    with worker.listening() as port:
        assert converse(port, garbage)[:13] in (b"HTTP/1.1 400 ", b"")
        assert b" 200 " in converse(port, REQUEST)


def test_a_client_that_goes_away_costs_nothing():
    worker = Worker()
    with worker.listening() as port:
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(REQUEST[:-5])
        assert b" 200 " in converse(port, REQUEST)
    assert len(worker.stored()) == 1


def test_a_stopping_server_answers_what_it_has_begun():
    worker = Worker()
    release = threading.Event()
    append = worker.writer.append_async

    with worker.listening() as port:
        connection = socket.create_connection(("127.0.0.1", port), timeout=20)
        connection.sendall(HEAD % len(BODY) + BODY[:5])
        time.sleep(0.2)
        threading.Timer(0.5, lambda: (connection.sendall(BODY[5:]), release.set())).start()
    assert release.is_set()
    assert append is not None
    assert b" 200 " in read_answer(connection)
    connection.close()
    assert len(worker.stored()) == 1


def test_a_body_that_comes_whole_and_is_too_large_is_answered():
    worker = Worker(CollectorOptions(limits=BodyLimits(1000, 1 << 20)))
    body = b"data_list=" + b"A" * 2000
    with worker.listening() as port:
        request = b"POST /sa?project=open HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
        assert b" 200 " in converse(port, request + body)
    assert worker.stored()[0].reasons == ["body_too_large"]


def test_a_mini_program_is_not_told_of_what_is_not_stored():
    """It takes any answer for success, and sends again what got none."""
    worker = Worker(CollectorOptions(hold_seconds=0), full="full")
    head = b"GET /sa?project=open HTTP/1.1\r\nHost: x\r\n"
    with worker.listening() as port:
        assert b" 503 " in converse(port, head + b"\r\n")
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(head + b"Referer: https://servicewechat.com/wx01/12/page-frame.html\r\n\r\n")
            assert is_closed(connection)
    assert worker.app._sensors.counts.requests["sensors", 503] == 2
