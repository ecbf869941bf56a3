"""A collector in memory that takes one request after the other, and tells what it put into the log."""

from __future__ import annotations

import asyncio
import logging
from base64 import b64encode
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from collector.options import CollectorOptions
from footfall.envelopes.keys import Algorithm, KeyRing, generate, hold
from footfall.eventlog.log import LogRecord
from footfall.events.keys import KeyedHash
from footfall.events.log_record import Header
from footfall.events.reasons import Reason
from footfall.events.record import split_array
from footfall.sealing import Sealer
from footfall.treatment.policy import Policies
from footfall.workspace import Project, open_workspace
from processor.event_block import build_block, cut
from processor.id_keys import IdKeys
from processor.intake import open_record, take_in
from processor.pipeline import EVENT_STEPS, ITEM_STEPS, PROFILE_STEPS, UNSET_STEPS, run_steps
from processor.snapshots import item_operations, profile_operations
from tests.collector_worker import NOW, Worker
from tests.envelopes import Device

REASONS = {reason.value for reason in Reason}
_KEY = b"k" * 32
SEALER = Sealer(_KEY)
_UNSETS = ("profile_unset", "profile_delete")
_PIECE = 1_000


class Heard(NamedTuple):
    """An answer, and what the log gained by the request."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes
    gained: list[LogRecord]


class Doors:
    """Both doors and the polls of a worker with room for everything: no answer of it may be 5xx.

    Its projects' privacy is as it is by default.
    """

    def __init__(self) -> None:
        logging.getLogger("collector.doors").setLevel(logging.CRITICAL)
        plenty = 1 << 40
        self.phone = Device(generate(Algorithm.RSA), pkv=1)
        self.shared_key = generate(Algorithm.AES).private
        self.ekey = b64encode(self.phone.ekey).decode()
        self.ring = KeyRing(
            [
                ("1", hold(Algorithm.RSA, "1", self.phone.pair.private)),
                ("7", hold(Algorithm.AES, "7", self.shared_key)),
            ]
        )
        self._directory = TemporaryDirectory()
        self._workspace = open_workspace(f"sqlite:///{self._directory.name}/workspace.db", lambda: _KEY)
        self._workspace.bootstrap(None, None)
        for name in ("bank", "open", "open_too"):
            self._workspace.create_project(Project(name))
        self.worker = Worker(
            CollectorOptions(
                quarantine_bytes_per_second=plenty,
                lookups_per_second=plenty,
                session_keys_per_second=plenty,
                key_seconds=1e9,
                project_seconds=1e9,
            ),
            policy_of=Policies(self._workspace, _KEY),
            ring_of=lambda _: self.ring,
        )
        self._loop = asyncio.new_event_loop()
        self._read = 0

    def ask(
        self,
        method: str,
        path: str,
        query: bytes = b"",
        headers: list[tuple[bytes, bytes]] | None = None,
        body: bytes = b"",
    ) -> Heard:
        """One request, straight to the application."""
        return self._loop.run_until_complete(self._ask(method, path, query, headers or [], body))

    async def _ask(
        self, method: str, path: str, query: bytes, headers: list[tuple[bytes, bytes]], body: bytes
    ) -> Heard:
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query,
            "headers": headers,
            "client": ("192.0.2.7", 4711),
            "extensions": {},
        }
        said: dict[str, Any] = {"body": b""}

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                said["status"] = message["status"]
                said["headers"] = {name.lower(): value for name, value in message["headers"]}
            else:
                said["body"] += message.get("body", b"")

        await self.worker.app(scope, receive, send)
        return Heard(said["status"], said["headers"], said["body"], self._gained())

    def _gained(self) -> list[LogRecord]:
        log = self.worker.log
        gained = list(log.read(0, self._read, 1 << 30))
        if gained:
            self._read = gained[-1].offset + 1
            log.commit(0, self._read)
            log.truncate(0, self._read)
        return gained

    def close(self) -> None:
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()
        self._workspace.close()
        self._directory.cleanup()


def check_log_records(gained: list[LogRecord]) -> tuple[int, int]:
    """Whether the processor can work on each as it will; how many records they hold, and refused ones."""
    held = refused = 0
    for record in gained:
        opened = open_record(record)
        assert opened.header is not None, opened.error
        _check_header(opened.header, opened.array)
        held += opened.header.count
        refused += len(opened.header.refusals)
        _process(record)
    return held, refused


def _check_header(header: Header, array: bytes) -> None:
    assert len(split_array(array)) == header.count == len(header.event_ids)
    indexes = [refusal.index for refusal in header.refusals]
    assert indexes == sorted(set(indexes)), "one verdict a record"
    assert all(0 <= index < header.count for index in indexes)
    assert all(refusal.reason in REASONS for refusal in header.refusals)
    for index, event_id in enumerate(header.event_ids):
        assert len(event_id) == (0 if index in indexes else 32)


def _process(record: LogRecord) -> None:
    """The processor's way as far as it needs no store: what the door accepted must not fail there."""
    id_keys = IdKeys(KeyedHash(_KEY))
    intake = take_in([open_record(record)], id_keys, NOW, SEALER)
    assert not [each for each in intake.dead_letters if each.reason == Reason.UNPROCESSABLE], (
        intake.dead_letters
    )
    for requests, rows in cut(intake.requests, intake.rows, _PIECE):
        parts: dict[str, list[int]] = {"event": [], "user": [], "unset": [], "item": []}
        for row, each in enumerate(rows.records):
            parts[_part_of(each.type)].append(row)
        for part, steps in (
            ("event", EVENT_STEPS), ("user", PROFILE_STEPS), ("unset", UNSET_STEPS), ("item", ITEM_STEPS)
        ):  # fmt: skip
            if parts[part]:
                source = "user" if part == "unset" else part
                block = run_steps(steps, build_block(requests, rows.select(parts[part]), source))
                if source == "user":
                    profile_operations(block, id_keys)
                elif part == "item":
                    item_operations(block)


def _part_of(kind: str) -> str:
    if kind.startswith("item_"):
        return "item"
    if kind in _UNSETS:
        return "unset"
    return "user" if kind.startswith("profile_") else "event"
