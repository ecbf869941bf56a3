"""Mistakes put in on purpose, one at a time: the comparison with the models must catch every one of them.

It shows that the comparison can fail. Each mistake is one that engines of this kind are known to make.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

import query_api.analyses.funnel as funnel_analysis
from footfall.storage.store import Store
from query_api.analyses import trends as trends_analysis
from query_api.scan import NO_VALUE, Block, FunnelScan
from tests.populations import HOUR, NOON, RANGE, Body, make_person, tell
from tests.reference.events import Event
from tests.seeding import PERSON_NOW, Mistake, Patch, days_of_24_hours, in_scan, in_sql, in_zone
from tests.truth import Footfall, compare_funnel, compare_trends, deliver, running

PEOPLE = [
    *(make_person(seed, 3 + seed % 7) for seed in range(120)),
    tell("just in time", ("register", NOON), ("bind_card", NOON + HOUR)),
    tell("just too late", ("register", NOON), ("bind_card", NOON + HOUR + 1)),
    tell("by a detour", ("register", NOON), ("purchase", NOON + 1), ("bind_card", NOON + 2)),
]
BERLIN = {"range": RANGE, "timezone": "Europe/Berlin"}
ONE_DAY = {"from": "2026-03-29", "to": "2026-03-29"}
ADJACENT = [{"event": "register"}, {"event": "bind_card"}]

FUNNELS: Sequence[Body] = (
    {**BERLIN, "steps": ADJACENT, "window": {"value": 1, "unit": "hour"}, "breakdown": ["channel"]},
    {**BERLIN, "steps": ADJACENT, "window": {"value": 1, "unit": "second"}, "complete_after_range": True},
    {**BERLIN, "steps": [{"event": "purchase"}, {"event": "purchase"}, {"event": None}], "breakdown_limit": 2,
     "breakdown": {"properties": ["channel"], "attribution": "last_touch"}},
    {**BERLIN, "steps": [{"event": None}, *ADJACENT],
     "breakdown": {"properties": ["step_value"], "attribution": "step", "step": 1}},
    {**BERLIN, "steps": ADJACENT, "breakdown": {"properties": ["step_value"], "attribution": "all_steps"}},
    {**BERLIN, "range": ONE_DAY, "steps": [*ADJACENT, {"event": "register"}],
     "where": [{"property": "channel", "op": "ne", "value": "branch"}], "complete_after_range": True},
    {**BERLIN, "steps": ADJACENT, "order": "strict", "window": {"value": 1, "unit": "day"}},
    {**BERLIN, "steps": [*ADJACENT, {"event": "purchase"}], "order": "any", "trend": {"interval": "day"}},
    {**BERLIN, "steps": ADJACENT, "exclude": [{"event": "purchase"}], "histogram": {}, "trend": {}},
)  # fmt: skip
TRENDS: Sequence[Body] = (
    {**BERLIN, "series": [{"event": "register", "measure": "users"}], "interval": "day"},
    {**BERLIN, "series": [{"event": None, "measure": "events_per_user"}], "interval": "hour"},
    {**BERLIN, "series": [{"event": "purchase", "measure": {"sum": "amount"}}], "breakdown": ["channel"],
     "breakdown_limit": 2},
    {**BERLIN, "series": [{"event": "purchase", "measure": {"median": "amount"}}, {"event": "purchase"}],
     "interval": "week", "where": [{"property": "channel", "op": "not_contains", "value": "branch"}]},
    {**BERLIN, "series": [{"event": "bind_card", "measure": "users"}, {"event": "$SignUp"}],
     "where": [{"property": "amount", "op": "lt", "value": 12.34}]},
)  # fmt: skip


@pytest.fixture(scope="module")
def footfall(store: Store, store_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Footfall]:
    with running(store_url, tmp_path_factory.mktemp("mistakes")) as whole:
        yield whole


@pytest.fixture(scope="module")
def held(footfall: Footfall) -> tuple[str, list[Event]]:
    return deliver(footfall, PEOPLE)


def compare_all(footfall: Footfall, project: str, events: Sequence[Event]) -> None:
    for body in FUNNELS:
        compare_funnel(footfall, project, events, body)
    for body in TRENDS:
        compare_trends(footfall, project, events, body)


# ---- mistakes around the scanner ----


in_funnel = partial(in_scan, funnel_analysis, "scan_funnel")


def keep_first(by: Callable[[Block], Any]) -> Callable[[Block], Block]:
    """Of the events that agree in `by` only one is kept."""

    def keep(block: Block) -> Block:
        order = np.lexsort((block[1], block[0]))
        ordered = tuple(column[order] for column in block)
        _, first = np.unique(np.stack(by(ordered), axis=1), axis=0, return_index=True)
        return tuple(column[np.sort(first)] for column in ordered)

    return keep


def first_entry_only(block: Block) -> Block:
    """Of an actor's events of step 0 the first."""
    keys, times, masks = block[:3]
    starts = keep_first(lambda b: (b[0],))(tuple(column[masks & 1 == 1] for column in (keys, times, masks)))
    first_start = dict(zip(starts[0].tolist(), starts[1].tolist(), strict=True))
    is_later = [
        bool(m & 1) and t > first_start[k]
        for k, t, m in zip(keys.tolist(), times.tolist(), masks.tolist(), strict=True)
    ]
    return tuple(column[~np.array(is_later, bool)] for column in block)


def swap_touches(found: FunnelScan) -> FunnelScan:
    return replace(found, first_values=found.last_values, last_values=found.first_values)


def late_durations(found: FunnelScan) -> FunnelScan:
    """Times of any attempt: the last step's time of everyone is a millisecond late."""
    return replace(
        found,
        step_times=found.step_times + (found.levels[:, None] == np.arange(1, found.step_times.shape[1] + 1)),
    )


def twice_in_the_trend(found: FunnelScan) -> FunnelScan:
    columns = ("bucket_rows", "bucket_indexes", "bucket_levels")
    return replace(found, **{name: np.repeat(getattr(found, name), 2) for name in columns})


def reverse_ranks(ranks: Any) -> Any:
    return ranks and (lambda: ranks()[::-1].copy() if len(ranks()) < 2 else len(ranks()) - 1 - ranks())


def total_is_a_sum_of_buckets(patch: Patch) -> None:
    def read(*given: Any, **named: Any) -> Any:
        return {
            key: replace(values, total=sum(values.by_bucket.values()))
            for key, values in whole(*given, **named).items()
        }

    whole = trends_analysis._read_values
    patch.setattr(trends_analysis, "_read_values", read)


def no_other_group(patch: Patch) -> None:
    whole = funnel_analysis.build_groups
    patch.setattr(
        funnel_analysis,
        "build_groups",
        lambda *given, **named: [g for g in whole(*given, **named) if g.key != "$"],
    )


MISTAKES: dict[str, Mistake] = {
    "the window's end is excluded": in_funnel(window_ms=lambda ms: ms - 1),
    "the window is a millisecond longer": in_funnel(window_ms=lambda ms: ms + 1),
    "the range's start is excluded": in_sql(("time >= fromUnix", "time > fromUnix")),
    "the range's end is included": in_sql(("time < fromUnix", "time <= fromUnix")),
    "overrides are ignored": in_sql((PERSON_NOW, "user_key")),
    "nobody is a user": in_sql(
        ("actor != 0 AND mask != 0", "mask != 0"), ("uniqExactIf(actor, actor != 0)", "uniqExact(actor)")
    ),
    "nobody's events are not counted": in_sql(
        ("GROUP BY GROUPING SETS", "WHERE actor != 0 GROUP BY GROUPING SETS")
    ),
    "a missing property passes": in_sql((", 0)\n", ", 1)\n"), (", 0))", ", 1))")),
    "a missing property fails a negation": in_sql(("NOT (ifNull(", "NOT (isNull(`p_channel`) OR ifNull(")),
    "sums are of doubles": in_sql(("sumIf(exact, 1)", "toDecimal256(sumIf(double, 1), 30)")),
    "identity records are track events": in_sql(("type = 'track'", "1")),
    "texts are compared without case": in_sql(("position(", "positionCaseInsensitive(")),
    "days are cut in UTC": in_zone("UTC"),
    "every day has 24 hours": days_of_24_hours,
    "users of a range are a sum of days": total_is_a_sum_of_buckets,
    "of tied events one is lost": in_funnel(blocks=keep_first(lambda b: (b[0], b[1].astype(np.uint64)))),
    "of equal tied events one is lost": in_funnel(
        blocks=keep_first(lambda b: (b[0], b[1].astype(np.uint64), b[2].astype(np.uint64)))
    ),
    "one event serves two steps": in_funnel(
        blocks=lambda block: tuple(np.repeat(column, 3) for column in block)
    ),
    "only the first entry starts an attempt": in_funnel(blocks=first_entry_only),
    "attempts start after the range too": in_funnel(entry_until_ms=lambda _: None),
    "the last touch is taken for the first": in_funnel(found=swap_touches),
    "ties of values take the largest": in_funnel(ranks=reverse_ranks),
    "the value of step 0 is taken for step 1's": in_funnel(value_step=lambda step: 0 if step else step),
    "times are of another attempt": in_funnel(found=late_durations),
    "steps need not share the value": in_funnel(
        blocks=lambda block: (
            (*block[:-1], np.where(block[-1] == NO_VALUE, block[-1], 0))
            if block[-1].dtype == np.uint32
            else block
        )
    ),
    "groups beyond the limit are dropped": no_other_group,
    "exclusions are ignored": in_funnel(exclusions=lambda _: ()),
    "strict is taken for ordered": in_funnel(order=lambda order: "ordered" if order == "strict" else order),
    "any order is taken for ordered": in_funnel(order=lambda order: "ordered" if order == "any" else order),
    "an attempt at midnight belongs to the day before": in_funnel(
        bucket_starts_ms=lambda starts: tuple(s + 1 for s in starts)
    ),
    "every attempt counts in the trend": in_funnel(found=twice_in_the_trend),
}


def test_nothing_differs_before_a_mistake_is_made(footfall: Footfall, held: tuple[str, list[Event]]) -> None:
    compare_all(footfall, *held)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_comparison_catches(
    mistake: str, footfall: Footfall, held: tuple[str, list[Event]], monkeypatch: pytest.MonkeyPatch
) -> None:
    MISTAKES[mistake](monkeypatch)
    with pytest.raises(AssertionError) as difference:
        compare_all(footfall, *held)
    assert "is not" in str(difference.value), "it failed, but not by a difference"
