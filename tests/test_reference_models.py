"""The models that the truth tests rely on: worked examples, and two built differently agree."""

from __future__ import annotations

import random
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from query_api.scan import oracle
from query_api.scan.funnel_plan import NEVER, NO_VALUE, Block, FunnelPlan
from tests.reference.events import Event, read_events
from tests.reference.funnel import funnel
from tests.reference.trends import list_buckets, trends
from tests.scan_histories import Kind, random_block, random_plan

RANGE = {"from": "1970-01-01", "to": "1970-01-31"}
MINUTE = 60_000


def happened(name: str, time: int, person: str | None = "ann", **properties: Any) -> Event:
    return Event(name, "track", time, person, properties)


def steps_of(*names: str, **body: Any) -> dict[str, Any]:
    return {"range": RANGE, "steps": [{"event": name} for name in names], **body}


def test_the_example_of_the_contract_takes_six_minutes() -> None:
    history = [happened("A", 781 * MINUTE), happened("A", 815 * MINUTE), happened("B", 821 * MINUTE)]
    answer = funnel(history, steps_of("A", "B"), timezone="UTC")
    assert answer["steps"][1]["average_seconds"] == 360
    assert answer["steps"][1]["users"] == 1


def test_one_event_is_not_two_steps_but_two_tied_ones_are() -> None:
    once = funnel([happened("A", 5)], steps_of("A", "A"), timezone="UTC")
    twice = funnel([happened("A", 5), happened("A", 5)], steps_of("A", "A"), timezone="UTC")
    assert [row["users"] for row in once["steps"]] == [1, 0]
    assert [row["users"] for row in twice["steps"]] == [1, 1]


def test_events_of_nobody_count_as_events_and_never_as_users() -> None:
    body = {
        "range": RANGE,
        "series": [{"event": "A", "measure": m} for m in ("events", "users")],
        "interval": "total",
    }
    answer = trends([happened("A", 1), happened("A", 2), happened("A", 3, None)], body, timezone="UTC")
    assert [series["total"] for series in answer["series"]] == [3, 1]


def test_users_of_the_whole_range_are_not_a_sum_of_days() -> None:
    body = {
        "range": {"from": "1970-01-01", "to": "1970-01-03"},
        "series": [{"event": "A", "measure": "users"}],
    }
    answer = trends([happened("A", 1), happened("A", 86_400_001)], body, timezone="UTC")
    assert answer["series"][0]["values"] == [1, 1, 0]
    assert answer["series"][0]["total"] == 1


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [("Europe/Berlin", "2026-03-29", 23), ("Europe/Berlin", "2026-10-25", 25), ("UTC", "2026-03-29", 24)],
)
def test_a_day_has_as_many_hours_as_the_clock_makes(zone: str, day: str, hours: int) -> None:
    from zoneinfo import ZoneInfo

    assert len(list_buckets({"range": {"from": day, "to": day}}, ZoneInfo(zone), "hour")) == hours


def test_a_sign_up_gives_earlier_events_to_the_login_and_a_second_login_nothing() -> None:
    def record(n: int, **fields: Any) -> Mapping[str, Any]:
        return {"event_id": str(n), "event": "A", "time": n, **fields}

    events = read_events(
        [
            record(1, distinct_id="device"),
            record(2, type="track_signup", original_id="device", distinct_id="ann"),
            record(3, type="track_signup", original_id="device", distinct_id="bob"),
            record(3, type="track_signup", original_id="device", distinct_id="bob"),
            record(4, distinct_id="guest"),
        ]
    )
    assert [event.person for event in events] == ["ann", "ann", "bob", None]


KINDS = (
    Kind(),
    Kind(repeated=True),
    Kind(overlapping=True),
    Kind(overlapping=True, repeated=True, range_end=True),
    Kind(values=True, overlapping=True, repeated=True),
    Kind(values=True),
)


@pytest.mark.parametrize("kind", KINDS)
def test_the_reference_funnel_agrees_with_the_literal_model_of_the_scanner(kind: Kind) -> None:
    rng = random.Random(f"{kind}")
    for _ in range(60):
        plan = random_plan(kind, rng)
        block = random_block(kind, plan, 10, rng)
        scan = oracle.scan_funnel([block], plan)
        answer = funnel(_as_events(block, plan), _as_body(plan), timezone="UTC")
        assert [row["users"] for row in answer["steps"]] == [
            int((scan.levels > k).sum()) for k in range(plan.steps)
        ]
        for k in range(1, plan.steps):
            times = scan.step_times[scan.levels > k]
            assert (times != NEVER)[:, : k + 1].all()
            seconds = [Fraction(int(b) - int(a), 1000) for a, b in times[:, k - 1 : k + 1]]
            assert answer["steps"][k]["average_seconds"] == (sum(seconds) / len(seconds) if seconds else None)
        if plan.with_values:
            assert _group_sizes(answer) == _code_sizes(scan.first_values)
        if plan.value_step is not None:
            by_step = {"properties": ["code"], "attribution": "step", "step": plan.value_step}
            answer = funnel(_as_events(block, plan), _as_body(plan) | {"breakdown": by_step}, timezone="UTC")
            assert scan.step_values is not None
            assert _group_sizes(answer) == _code_sizes(scan.step_values[scan.levels > plan.value_step])


def _as_events(block: Block, plan: FunnelPlan) -> list[Event]:
    codes = block[3].tolist() if plan.with_values else [NO_VALUE] * len(block[0])
    return [
        Event(f"mask {mask}", "track", time, str(key), {} if code == NO_VALUE else {"code": str(code)})
        for key, time, mask, code in zip(*(column.tolist() for column in block[:3]), codes, strict=True)
    ]


def _as_body(plan: FunnelPlan) -> dict[str, Any]:
    """Step k takes every mask with bit k. Milliseconds become the range's last instant and the window."""
    end = 41 if plan.entry_until_ms is None else plan.entry_until_ms
    return {
        "range": {"from": "1970-01-01T00:00:00+00:00", "to": f"1970-01-01T00:00:00.{end:03d}+00:00"},
        "complete_after_range": True,
        "steps": [
            {"event": [f"mask {m}" for m in range(1 << plan.steps) if m >> k & 1]} for k in range(plan.steps)
        ],
        "window": {"value": Fraction(plan.window_ms, 1000), "unit": "second"},
        "breakdown": ["code"] if plan.with_values else None,
    }


def _group_sizes(answer: dict[str, Any]) -> dict[str | None, int]:
    return {group["key"][0]: group["steps"][0]["users"] for group in answer["groups"]}


def _code_sizes(codes: np.ndarray[Any, Any] | None) -> dict[str | None, int]:
    assert codes is not None
    found, counts = np.unique(codes, return_counts=True)
    return {
        None if code == NO_VALUE else str(code): int(n)
        for code, n in zip(found.tolist(), counts, strict=True)
    }
