"""A collector worker for tests: the real application on a log in memory, and a workspace of few projects."""

from __future__ import annotations

import base64
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import httpx

from collector.app import build_app
from collector.options import CollectorOptions
from collector.server import build_server
from footfall.envelopes.keys import RingOf, no_keys
from footfall.eventlog.memory_log import MemoryLog
from footfall.events.keys import KeyedHash
from footfall.events.log_record import Header, read_log_record
from footfall.events.record import Record, raw_bytes, read_records, split_array
from footfall.treatment.policy import Policy, PolicyOf
from footfall.workspace.envelope_keys import EnvelopeKey
from footfall.workspace.projects import Project
from footfall.workspace.remote_config import RemoteConfig
from footfall.workspace.workspace import Grant

NOW = 1_795_301_590_252
"""2026-11-21, when most of the captured requests were sent."""


class FewProjects:
    """A workspace as far as a collector asks it."""

    def __init__(self) -> None:
        self.grants = {
            "wk-default": Grant("write", "default"),
            "wk-bank": Grant("write", "bank"),
            "sk-bank": Grant("secret", "bank"),
            "sk-all": Grant("secret", None),
        }
        self.known = {
            "default": Project("default"),
            "bank": Project("bank"),
            "open": Project("open", keyless=True),
            "open_too": Project("open_too", keyless=True),
        }
        self.configs: dict[str, dict[str, RemoteConfig]] = {}  # by project and app
        self.published_keys: dict[str, list[EnvelopeKey]] = {}
        self.asked: list[str] = []
        self.recorded: list[tuple[Any, ...]] = []  # audit rows
        self.broken = False

    @property
    def remote_config(self) -> Any:
        return SimpleNamespace(of=lambda project: self._answer(project, self.configs.get(project, {})))

    @property
    def envelope_keys(self) -> Any:
        return SimpleNamespace(current=lambda project: self.published_keys.get(project, []))

    @property
    def audit(self) -> Any:
        return SimpleNamespace(record=lambda *row: self.recorded.append(self._answer(row[1], row)))

    def grant(self, key: str) -> Grant | None:
        return self._answer(key, self.grants.get(key))

    def project(self, name: str) -> Project | None:
        return self._answer(name, self.known.get(name))

    def _answer(self, name: str, answer: Any) -> Any:
        self.asked.append(name)
        if self.broken:
            raise OSError("the workspace is gone")
        return answer


@dataclass
class Stored:
    """A log record, taken apart."""

    header: Header
    events: bytes

    @property
    def elements(self) -> list[Any]:
        return [bytes(element) for element in split_array(self.events)]

    @property
    def plain(self) -> list[Any]:
        return [json.loads(element) for element in self.elements]

    @property
    def reasons(self) -> list[str]:
        return [refusal.reason for refusal in self.header.refusals]

    def records(self) -> list[Record | None]:
        return read_records(self.events, {refusal.index for refusal in self.header.refusals})

    def dead_letters(self) -> list[bytes]:
        return [raw_bytes(self.elements[refusal.index]) for refusal in self.header.refusals]


@dataclass
class Worker:
    """`now` is the clock's time, in epoch ms; `full` says why there is no room on the disk."""

    options: CollectorOptions = field(default_factory=CollectorOptions)
    log_bytes: int = 1 << 30
    now: int = NOW
    full: str | None = None
    policy_of: PolicyOf = Policy
    ring_of: RingOf = no_keys
    numbers: int = 0  # of the log's partitions, where it routes

    def __post_init__(self) -> None:
        self.workspace = FewProjects()
        self.log = MemoryLog(max_bytes=self.log_bytes, routes=self.numbers > 0, numbers=self.numbers)
        self.writer = self.log.open_writer(self.options.worker)
        self.app = build_app(
            self.options,
            self.writer,
            self.workspace,
            KeyedHash(b"k" * 32),
            self.policy_of,
            ring_of=self.ring_of,
            clock=lambda: self.now,
            full=lambda: self.full,
        )

    def client(self, **options: Any) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app)
        return httpx.AsyncClient(transport=transport, base_url="http://collector", **options)

    async def post(self, path: str, body: Any, **options: Any) -> httpx.Response:
        """`body`: bytes as they are, anything else as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with self.client() as client:
            return await client.post(path, content=content, **options)

    async def get(self, path: str, **options: Any) -> httpx.Response:
        async with self.client() as client:
            return await client.get(path, **options)

    async def track(self, body: Any, **options: Any) -> httpx.Response:
        """To the native door, with the key of `default`."""
        return await self.post("/v1/events?key=wk-default", body, **options)

    async def sa(self, records: Any, *, query: str = "project=open", **options: Any) -> httpx.Response:
        """To the Sensors door, as its SDKs send without gzip."""
        return await self.post(f"/sa?{query}", b"data_list=" + wrapped(records), **options)

    def stored(self, partition: int | None = None) -> list[Stored]:
        partition = self.options.worker if partition is None else partition
        return [
            Stored(*read_log_record(record.payload)) for record in self.log.read(partition, 0, self.log_bytes)
        ]

    @contextmanager
    def listening(self) -> Iterator[int]:
        """Serves on a real socket in a thread; yields the port."""
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            server = build_server(self.app, self.options)
            thread = threading.Thread(target=lambda: server.run(sockets=[listener]))
            thread.start()
            try:
                while not server.started:
                    time.sleep(0.01)
                yield listener.getsockname()[1]
            finally:
                server.stop()
                thread.join(30)
                assert not thread.is_alive()


def wrapped(records: Any) -> bytes:
    """Records as the `data` or `data_list` of a Sensors SDK: percent-encoded base64."""
    text = records if isinstance(records, bytes) else json.dumps(records).encode()
    return base64.b64encode(text).replace(b"+", b"%2B").replace(b"/", b"%2F").replace(b"=", b"%3D")


def event(**fields: Any) -> dict[str, Any]:
    """A good record."""
    return {"event": "view_fund", "distinct_id": "u1", "time": NOW, "properties": {"fund": "A"}} | fields


def converse(port: int, request: bytes, *, segment: int = 0) -> bytes:
    """Sends bytes (in segments of so many) and reads until the server closes or the answer is complete."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if segment:
            for at in range(0, len(request), segment):
                connection.sendall(request[at : at + segment])
        else:
            connection.sendall(request)
        return read_answer(connection)


def read_answer(connection: socket.socket) -> bytes:
    answer = b""
    while True:
        head, separator, body = answer.partition(b"\r\n\r\n")
        if separator:
            lines = head.lower().split(b"\r\n")
            length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
            if len(body) >= length:
                return answer
        part = connection.recv(65536)
        if not part:
            return answer
        answer += part
