"""Requests captured from Sensors SDKs, replayed over a socket: every record is in the log as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from decimal import Decimal
from typing import Any

import pytest

from footfall.events.record import Record
from footfall.workspace.projects import Project
from tests.captured import Captured, capture_time, captured_requests
from tests.collector_worker import Stored, Worker, converse

REQUESTS = captured_requests()
YEAR_MS = 365 * 86_400_000
VARIANTS = {
    "as captured": lambda request: (request.request, 0),
    "plus bare": lambda request: (request.with_plus_as(b"+"), 0),
    "plus as space": lambda request: (request.with_plus_as(b" " if request.body else b"%20"), 0),
    "without Content-Type": lambda request: (request.without_content_type(), 0),
    "segments of one byte": lambda request: (request.request, 1),
}


class Replays:
    """A listening worker for each folder of captures, its clock stopped at the capture."""

    def __init__(self) -> None:
        self._running = ExitStack()
        self._workers: dict[str, tuple[Worker, int]] = {}

    def replay(self, request: Captured, sent: bytes, segment: int) -> tuple[bytes, list[Stored]]:
        """The answer, and what the log gained."""
        worker, port = self._worker(request.path.parent.name)
        before = len(worker.stored())
        return converse(port, sent, segment=segment), worker.stored()[before:]

    def _worker(self, folder: str) -> tuple[Worker, int]:
        if folder not in self._workers:
            worker = Worker(now=capture_time(folder))
            for name in ("default", "bank"):
                worker.workspace.known[name] = Project(name, keyless=True)
            self._workers[folder] = worker, self._running.enter_context(worker.listening())
        return self._workers[folder]

    def close(self) -> None:
        self._running.close()


@pytest.fixture(scope="module")
def replays() -> Iterator[Replays]:
    opened = Replays()
    yield opened
    opened.close()


def test_there_are_captures_of_every_sdk():
    assert {request.path.parent.name for request in REQUESTS} == {
        "node",
        "python",
        "web_1.26.17_ajax",
        "web_1.26.17_batch",
        "web_1.26.17_beacon",
        "web_1.26.17_image",
    }
    assert len(REQUESTS) == 35
    assert sum(request.is_dry_run for request in REQUESTS) == 2


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: request.name)
def test_every_captured_record_is_stored_as_it_was(replays, request_, variant):
    answer, stored = replays.replay(request_, *VARIANTS[variant](request_))
    assert answer.startswith(b"HTTP/1.1 200 ")
    if request_.is_dry_run:
        assert not stored
        return
    old = is_old(request_)
    assert {each.header.project for each in stored} == {
        record.get("project", "default") for record in request_.records
    }
    assert [plain for each in stored for plain in each.plain] == request_.records
    assert [letter for each in stored for letter in each.reasons] == ["too_old"] * sum(old)
    records = [record for each in stored for record in each.records()]
    for record, expected, is_refused in zip(records, request_.records, old, strict=True):
        if is_refused:
            assert record is None
        else:
            assert_equal_fields(record, expected)


def is_old(request: Captured) -> list[bool]:
    """Which records are older than a year and do not say that this is all right."""
    oldest = capture_time(request.path.parent.name) - YEAR_MS
    return [record["time"] < oldest and not record.get("time_free", False) for record in request.records]


WIRE_NAMES = {"track_id": "_track_id", "flush_time": "_flush_time"}


def assert_equal_fields(record: Record | None, expected: dict[str, Any]) -> None:
    assert record is not None
    for field in Record.__struct_fields__:
        got = getattr(record, field)
        if field == "properties":
            got = {key: float(value) if isinstance(value, Decimal) else value for key, value in got.items()}
        assert got == expected.get(WIRE_NAMES.get(field, field)), field


def test_a_retry_of_a_captured_event_has_the_same_id(replays):
    request = next(each for each in REQUESTS if each.path.parent.name == "web_1.26.17_batch")
    _, first = replays.replay(request, request.request, 0)
    _, again = replays.replay(request, request.request, 0)
    assert [each.header.event_ids for each in first] == [each.header.event_ids for each in again]


def test_image_requests_are_answered_with_a_pixel(replays):
    request = next(each for each in REQUESTS if each.path.parent.name == "web_1.26.17_image")
    answer, _ = replays.replay(request, request.request, 0)
    assert b"\r\ncontent-type: image/gif\r\n" in answer
    assert answer.partition(b"\r\n\r\n")[2].startswith(b"GIF89a")


def test_every_checksum_of_the_captures_matches(replays):
    request = next(each for each in REQUESTS if each.path.parent.name == "web_1.26.17_image")
    worker = replays._worker(request.path.parent.name)[0]
    replays.replay(request, request.request, 0)
    counts = worker.app._sensors.counts
    assert counts.crc["match"] > 0
    assert counts.crc["mismatch"] == 0
