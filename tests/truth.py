"""Compares the API's answers with the models of tests/reference, through the real system from end to end.

Counts and sums are compared exactly, averages and rates to 12 digits.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import httpx

from collector.app import build_app as build_collector
from collector.options import CollectorOptions
from footfall.eventlog.memory_log import MemoryLog
from footfall.events.keys import KeyedHash
from footfall.storage.sealing import Sealer
from footfall.storage.store import Store
from footfall.workspace import NewProject, open_workspace
from processor.loop import Processor
from query_api.app import build_app as build_query_api
from tests.populations import Body, Person, Record, delivered
from tests.reference.events import Event, read_events
from tests.reference.funnel import funnel
from tests.reference.trends import trends

SECRET_KEY = "ff_sk_truth"
TIMEZONE = "Asia/Shanghai"
_KEY = b"the installation key of the test"
_partitions = itertools.count(7_000)


class Footfall:
    """A collector, a processor that is stepped by hand, and a query API, in this process."""

    def __init__(self, store: Store, directory: Path) -> None:
        partition = next(_partitions)
        self._log = MemoryLog(max_bytes=1 << 30)
        self._workspace = open_workspace(f"sqlite:///{directory / 'workspace.db'}")
        self._workspace.bootstrap("ff_wk_truth", SECRET_KEY)
        keyed_hash = KeyedHash(_KEY)
        self._writer = self._log.open_writer(partition)
        self._processor = Processor(self._log, store, keyed_hash, Sealer(_KEY), self._workspace.project)
        collector = build_collector(
            CollectorOptions(worker=partition), self._writer, self._workspace, keyed_hash
        )
        query_api = build_query_api(store, self._workspace, self._log, self._processor.data_until, keyed_hash)
        self._loop = asyncio.new_event_loop()
        self._collector = _client(collector)
        self._query_api = _client(query_api)
        self._names = itertools.count(1)

    def new_project(self) -> tuple[str, str]:
        """A project of its own and its write key."""
        name = f"truth_{next(_partitions)}_{next(self._names)}"
        return name, self._workspace.create_project(NewProject(name=name, timezone=TIMEZONE)).write_key

    def send(self, write_key: str, records: Sequence[Record]) -> None:
        """Sends records in one request and processes them; every one must be accepted."""
        if not records:
            return
        answer = self._run(
            self._collector.post(
                "/v1/events", content=json.dumps(records), headers={"Authorization": f"Bearer {write_key}"}
            )
        )
        assert answer.status_code == 200, answer.text
        assert answer.json()["rejected"] == [], answer.text
        while self._processor.step():
            pass

    def ask(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The answer of the query API; decimals stay exact."""
        answer = self._run(
            self._query_api.post(
                f"/api/v1/query/{path}", json=body, headers={"Authorization": f"Bearer {SECRET_KEY}"}
            )
        )
        assert answer.status_code == 200, answer.text
        parsed: dict[str, Any] = json.loads(answer.text, parse_float=Decimal)
        return parsed

    def close(self) -> None:
        self._run(self._collector.aclose())
        self._run(self._query_api.aclose())
        self._loop.close()
        self._writer.close()
        self._log.close()
        self._workspace.close()

    def _run(self, coroutine: Any) -> Any:
        return self._loop.run_until_complete(coroutine)


def _client(app: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://footfall", timeout=60)


@contextmanager
def running(store: Store, directory: Path) -> Iterator[Footfall]:
    footfall = Footfall(store, directory)
    try:
        yield footfall
    finally:
        footfall.close()


def deliver(footfall: Footfall, people: Sequence[Person]) -> tuple[str, list[Event]]:
    """Sends a population into a project of its own; the project and the events that it must hold now."""
    project, write_key = footfall.new_project()
    first, second = delivered(people)
    footfall.send(write_key, first)
    footfall.send(write_key, second)
    return project, read_events([*first, *second])


def compare_trends(footfall: Footfall, project: str, events: Sequence[Event], body: Body) -> None:
    """Raises AssertionError where an answer differs from the model's."""
    found = footfall.ask("trends", {**body, "project": project})["result"]
    expected = trends(events, body, timezone=TIMEZONE)
    assert_equal(found["buckets"], expected["buckets"], "buckets")
    for i, (one, wanted) in enumerate(zip(found["series"], expected["series"], strict=False)):
        assert_equal(one["key"], wanted["key"], f"series[{i}].key")
        assert_equal(one["values"], wanted["values"], f"series[{i}].values")
        assert_equal(one["total"], wanted["total"], f"series[{i}].total")
    assert len(found["series"]) == len(expected["series"])


def compare_funnel(footfall: Footfall, project: str, events: Sequence[Event], body: Body) -> None:
    """Likewise; also that the people behind the last step are those."""
    found = footfall.ask("funnel", {**body, "project": project})["result"]
    expected = funnel(events, body, timezone=TIMEZONE)
    assert_equal(found["steps"], expected["steps"], "steps")
    groups = [{"key": group["key"], "steps": group["steps"]} for group in found["groups"]]
    assert_equal(groups, expected["groups"], "groups")
    step = len(body["steps"]) - 1
    users = footfall.ask("funnel/users", {**body, "project": project, "cell": {"step": step}, "limit": 1000})
    assert sorted(user["user_id"] for user in users["users"]) == expected["people"][step]
    assert users["total"] == expected["steps"][step]["users"]


def assert_equal(found: Any, expected: Any, place: str) -> None:
    """Deep equality; fractions of the model to 12 digits."""
    if isinstance(expected, Mapping):
        for name, value in expected.items():
            assert_equal(found[name], value, f"{place}.{name}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), f"{place}: {found} is not {expected}"
        for i, (one, wanted) in enumerate(zip(found, expected, strict=True)):
            assert_equal(one, wanted, f"{place}[{i}]")
    elif isinstance(expected, Fraction):
        close = found is not None and abs(Fraction(found) - expected) <= abs(expected) * Fraction(1, 10**12)
        assert close, f"{place}: {found} is not {float(expected)}"
    else:
        same = found == expected and isinstance(found, bool) == isinstance(expected, bool)
        assert same, f"{place}: {found!r} is not {expected!r}"
