"""Compares the API's answers with the models of tests/reference, through the real system from end to end.

Counts and sums are compared exactly, averages and rates to 12 digits.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

from footfall.events.keys import event_key
from footfall.workspace import Project
from tests.populations import Body, Person, Record, delivered
from tests.reference.events import Event, read_events
from tests.reference.funnel import funnel
from tests.reference.paths import paths
from tests.reference.retention import retention
from tests.reference.trends import trends
from tests.system import System, open_system

TIMEZONE = "Asia/Shanghai"
AFTER_ALL = 1_780_272_000_000  # 2026-06-01: no window of tests/populations is open any more

T = TypeVar("T")


class Footfall:
    """A whole system behind plain calls, since Hypothesis calls plain functions."""

    def __init__(self, system: System, loop: asyncio.AbstractEventLoop) -> None:
        self._system = system
        self._loop = loop
        self._numbers = itertools.count(1)
        # Who claims a device first is told by the clock: it must not be set back, nor answers change with it.
        system.clock.freeze(max(system.clock(), AFTER_ALL))

    @contextmanager
    def asked_at(self, now: int | None) -> Iterator[int]:
        """Questions are asked at that instant, None: now. Nothing may be sent meanwhile."""
        clock = self._system.clock
        before = clock()
        clock.freeze(before if now is None else now)
        yield clock()
        clock.freeze(before)

    def new_project(self) -> tuple[str, str]:
        """A project of its own and its write key."""
        name = f"truth_{next(self._numbers)}"
        return name, self._system.create_project(Project(name=name, timezone=TIMEZONE))

    def send(self, write_key: str, records: Sequence[Record]) -> None:
        """Sends records in one request and processes them; every one must be accepted."""
        if not records:
            return
        clock = self._system.clock
        clock.freeze(clock() + 1_000)
        answer = self._run(self._system.send(*records, key=write_key))
        assert answer.json() == {"accepted": len(records), "rejected": []}, answer.text
        self._run(self._system.settle())

    def save_virtual_event(self, project: str, body: Body) -> None:
        """It must be taken."""
        url = f"/api/v1/projects/{project}/virtual-events"
        answer = self._run(self._system.query_api.post(url, json=body))
        assert answer.status_code == 201, answer.text

    def tie_of(self, project: str) -> Callable[[str], int]:
        """The order of events that nothing else tells apart, by the ids that their client gave them."""
        hash_ = self._system.keyed_hash
        return lambda id_: event_key(hash_.event_id(project.encode(), b"client", id_.encode())) & 0xFFFFFFFF

    def ask(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The answer of the query API; decimals stay exact."""
        answer = self._run(self._system.query_api.post(f"/api/v1/query/{path}", json=body))
        assert answer.status_code == 200, answer.text
        parsed: dict[str, Any] = json.loads(answer.text, parse_float=Decimal)
        return parsed

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(coroutine)


@contextmanager
def running(store_url: str, directory: Path) -> Iterator[Footfall]:
    """A whole system for many populations: each has a project of its own."""
    with asyncio.Runner() as runner:
        opened = open_system(f"{store_url}?database=truth", directory)
        system = runner.run(opened.__aenter__())
        try:
            yield Footfall(system, runner.get_loop())
        finally:
            runner.run(opened.__aexit__(None, None, None))


def deliver(footfall: Footfall, people: Sequence[Person]) -> tuple[str, list[Event]]:
    """Sends a population into a project of its own; the project and the events that it must hold now."""
    project, write_key = footfall.new_project()
    first, second = delivered(people)
    footfall.send(write_key, first)
    footfall.send(write_key, second)
    return project, read_events([*first, *second], seqs=[*range(len(first)), *range(len(second))])


def compare_trends(footfall: Footfall, project: str, events: Sequence[Event], body: Body) -> None:
    """Raises AssertionError where an answer differs from the model's."""
    with told(f"trends of {project}", body):
        found = footfall.ask("trends", {**body, "project": project, "refresh": True})["result"]
        expected = trends(events, body, timezone=TIMEZONE)
        assert_equal(found["buckets"], expected["buckets"], "buckets")
        for i, (one, wanted) in enumerate(zip(found["series"], expected["series"], strict=False)):
            assert_equal(one["key"], wanted["key"], f"series[{i}].key")
            assert_equal(one["values"], wanted["values"], f"series[{i}].values")
            assert_equal(one["total"], wanted["total"], f"series[{i}].total")
        assert_equal(len(found["series"]), len(expected["series"]), "number of series")


def compare_funnel(footfall: Footfall, project: str, events: Sequence[Event], body: Body) -> None:
    """Likewise; also that the people behind the last step are those."""
    with told(f"funnel of {project}", body):
        found = footfall.ask("funnel", {**body, "project": project, "refresh": True})["result"]
        expected = funnel(events, body, timezone=TIMEZONE)
        for part in ("steps", "trend", "histogram", "groups"):
            assert_equal(found[part], expected[part], part)
        last = len(body["steps"]) - 1
        reached, before = expected["people"][last], expected["people"][max(last - 1, 0)]
        assert_equal(people_in(footfall, project, body, {"step": last}), reached, "users who converted")
        lost = sorted(set(before) - set(reached))
        cell = {"step": last, "outcome": "dropped"}
        assert_equal(people_in(footfall, project, body, cell), lost, "users who dropped")


def compare_retention(
    footfall: Footfall, project: str, events: Sequence[Event], body: Body, now: int | None = None
) -> dict[str, Any]:
    """Likewise, asked at `now`; also the people of the fullest cells. Returns the model's answer."""
    with told(f"retention of {project} at {now}", body), footfall.asked_at(now) as asked:
        found = footfall.ask("retention", {**body, "project": project, "refresh": True})["result"]
        expected = retention(events, body, timezone=TIMEZONE, now=asked)
        for part in ("rows", "mean", "groups"):
            assert_equal(found[part], expected[part], part)
        if "actor" not in body:
            _compare_retained(footfall, project, body, expected)
    return expected


def _compare_retained(footfall: Footfall, project: str, body: Body, expected: Mapping[str, Any]) -> None:
    """Of all, and of the last group, the fullest cell but cohorts: who is retained, and who is lost."""
    people = expected["people"]
    for key in {(), *(tuple(group["key"]) for group in expected["groups"][-1:])}:
        later = [cell for cell in people if cell[1] > 0 and cell[2] == key]
        for row, period, _ in sorted(later, key=lambda cell: -len(people[cell]))[:1]:
            cell = {"bucket": expected["rows"][row]["bucket"], "period": period, "key": as_json(key)}
            retained, everybody = people[row, period, key], people[row, 0, key]
            lost = sorted(set(everybody) - set(retained))
            for outcome, who in (("retained", retained), ("lost", lost)):
                found = people_in(footfall, project, body, {**cell, "outcome": outcome}, "retention")
                assert_equal(found, who, f"users {outcome} in {cell}")


def compare_paths(
    footfall: Footfall,
    project: str,
    events: Sequence[Event],
    body: Body,
    expected: Mapping[str, Any] | None = None,
) -> Mapping[str, Any]:
    """Likewise; also the people behind some nodes and links. Returns what the model says, or what it said."""
    with told(f"paths of {project}", body):
        found = footfall.ask("paths", {**body, "project": project, "refresh": True})["result"]
        if expected is None:
            expected = paths(events, body, timezone=TIMEZONE, tie=footfall.tie_of(project))
        for part in ("sessions", "links", "other", "nodes"):
            assert_equal(found[part], expected[part], part)
        for cell, behind in expected["people"]:
            assert_equal(people_in(footfall, project, body, cell, "paths"), behind, f"users of {cell}")
        return expected


def as_json(key: Sequence[Any]) -> list[Any]:
    """A key of the model as a body has it."""
    return [float(part) if isinstance(part, Decimal) else part for part in key]


@contextmanager
def told(what: str, body: Body) -> Iterator[None]:
    """A difference says what was asked."""
    try:
        yield
    except AssertionError as difference:
        difference.add_note(f"{what}, asked with {json.dumps(body)}")
        raise


def people_in(
    footfall: Footfall, project: str, body: Body, cell: Body, analysis: str = "funnel"
) -> list[str]:
    """Who is behind a cell; as many as its total says."""
    users = footfall.ask(f"{analysis}/users", {**body, "project": project, "cell": cell, "limit": 1000})
    assert_equal(users["total"], len(users["users"]), f"total of {cell}")
    return sorted(user["user_id"] for user in users["users"])


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
