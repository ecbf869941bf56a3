"""Mistakes put into retention on purpose, one at a time, as in tests/test_seeded_mistakes.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import query_api.analyses.retention as retention_analysis
import query_api.run
from footfall.storage.store import Store
from query_api.analyses.retention_intervals import Intervals
from query_api.scan import ENTERS, NAMED, RETURNS, Block, RetentionScan
from tests.populations import ANCHORS, DAY, HOUR, NOON, RANGE, Body, make_person, tell
from tests.reference.events import Event
from tests.seeding import PERSON_NOW, Mistake, Patch, days_of_24_hours, in_scan, in_sql, in_zone
from tests.truth import Footfall, compare_retention, deliver, running

MIDNIGHT = ANCHORS[0]  # in Berlin, where the range begins
PEOPLE = [
    *(make_person(seed, 3 + seed % 7, comes_back=True) for seed in range(110)),
    tell("just a day", ("register", NOON), ("bind_card", NOON + DAY)),
    tell("nearly a day", ("register", NOON), ("bind_card", NOON + DAY - 1)),
    tell("over midnight", ("register", MIDNIGHT + DAY), ("bind_card", MIDNIGHT + 2 * DAY)),
    tell("before midnight", ("register", MIDNIGHT + DAY - 1), ("bind_card", MIDNIGHT + 2 * DAY - 1)),
    tell("long ago", ("register", NOON - 40 * DAY), ("register", NOON), ("bind_card", NOON + DAY)),
    tell("much later", ("register", NOON), ("bind_card", NOON + 40 * DAY)),
    tell("the day after the last", ("register", NOON + 3 * DAY), ("bind_card", NOON + 5 * DAY)),
]
BERLIN = {"range": RANGE, "timezone": "Europe/Berlin"}
BIND = {**BERLIN, "start": {"event": "register"}, "return": {"event": "bind_card"}, "periods": 3}
ANY = {**BIND, "start": {"event": None}, "return": {"event": None}}
CUT = {"from": "2026-03-28T12:00:00Z", "to": "2026-03-29T01:00:00.001Z"}
OF_BRANCH = {"event": "register", "where": [{"property": "channel", "op": "eq", "value": "branch"}]}

ASKED: Sequence[tuple[Body, int | None]] = (
    (BIND, None),
    ({**ANY, "min_occurrences": 2}, None),
    ({**ANY, "entry": "first_in_range", "mode": "on_or_after"}, None),
    ({**BIND, "entry": "first_matching", "breakdown": ["channel"], "breakdown_limit": 2}, None),
    ({**BIND, "start": OF_BRANCH, "entry": "first_ever"}, None),
    ({**ANY, "entry": "first_ever", "where": [{"property": "vip", "op": "is_true"}]}, None),
    ({**ANY, "day_mode": "rolling_24h", "min_occurrences": 2, "mode": "on_or_after"}, None),
    ({**BIND, "day_mode": "rolling_24h"}, NOON + 4 * DAY),
    ({**ANY, "range": CUT, "interval": "hour", "periods": 30}, NOON + 30 * HOUR),
    ({**ANY, "range": CUT, "breakdown": ["step_value", "vip"]}, NOON + 2 * DAY),
    ({**ANY, "interval": "week", "week_start": "sunday", "periods": 1}, None),
    (BIND, NOON + 3 * DAY),
)


@pytest.fixture(scope="module")
def footfall(store: Store, store_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Footfall]:
    with running(store_url, tmp_path_factory.mktemp("mistakes")) as whole:
        yield whole


@pytest.fixture(scope="module")
def held(footfall: Footfall) -> tuple[str, list[Event]]:
    return deliver(footfall, PEOPLE)


def compare_all(footfall: Footfall, project: str, events: Sequence[Event]) -> None:
    for body, now in ASKED:
        compare_retention(footfall, project, events, body, now)


# ---- mistakes around the scanner ----


in_retention = partial(in_scan, retention_analysis, "scan_retention")


def instead(correct: Any, wrong: Any) -> Callable[[Any], Any]:
    return lambda value: wrong if value == correct else value


def earlier(bits: int, unless: int = 0) -> Callable[[Block], Block]:
    """Events with these bits, and not the others, come a millisecond earlier."""

    def shift(block: Block) -> Block:
        moved = (block[2] & bits != 0) & (block[2] & unless == 0)
        return (block[0], block[1] - moved, *block[2:])

    return shift


def only_returners(found: RetentionScan) -> RetentionScan:
    """The cohort is those who come back at all."""
    if found.cells is not None:
        return replace(found, cells=np.where(found.cells[:, 1:].any(axis=1), found.cells.T, 0).T)
    kept = (found.retained > 1).any(axis=1)
    columns = ("keys", "rows", "values", "retained")
    return replace(found, **{name: getattr(found, name)[kept] for name in columns})


def reverse_ranks(ranks: Any) -> Any:
    return ranks and (lambda: (len(ranks()) - 1 - ranks()).astype(np.uint32))


# ---- mistakes in the figures ----


def of_intervals(name: str, wrong: Callable[..., Any]) -> Mistake:
    """A method of Intervals answers something else; `wrong` gets what is right."""

    def put(patch: Patch) -> None:
        whole = getattr(Intervals, name)
        patch.setattr(Intervals, name, lambda self, *given: wrong(self, whole(self, *given), *given))

    return put


def cut_by_the_range(patch: Patch) -> None:
    """The first interval begins where the range does."""

    def of(spec: Any, scope: Any) -> Intervals:
        intervals = whole(spec, scope)
        return replace(intervals, edges=(scope.period.start, *intervals.edges[1:]))

    whole = Intervals.of
    patch.setattr(Intervals, "of", of)


def weeks_begin_on_monday(patch: Patch) -> None:
    calendar = query_api.run._calendar
    patch.setattr(query_api.run, "_calendar", lambda *given: replace(calendar(*given), week_start="monday"))


def with_mean(mean: Callable[[Intervals, NDArray[np.int64]], list[float]]) -> Mistake:
    return lambda patch: patch.setattr(retention_analysis, "_mean", mean)


def mean_of_rates(intervals: Intervals, cells: NDArray[np.int64]) -> list[float]:
    rates = cells / np.maximum(cells[:, :1], 1)
    return [float(rate) for rate in rates.mean(axis=0)]


def mean_of_all_rows(_: Intervals, cells: NDArray[np.int64]) -> list[float]:
    size = int(cells[:, 0].sum())
    return [int(column.sum()) / size if size else 0 for column in cells.T]


def no_other_group(patch: Patch) -> None:
    whole = retention_analysis._build_groups
    patch.setattr(
        retention_analysis, "_build_groups", lambda *given: [g for g in whole(*given) if g.key != "$"]
    )


def everybody_is_listed(patch: Patch) -> None:
    patch.setattr(RetentionScan, "is_in_cell", lambda self, _: np.ones(len(self.keys), bool))


MISTAKES: dict[str, Mistake] = {
    "overrides are ignored": in_sql((PERSON_NOW, "user_key")),
    "the first instant is excluded": in_sql(("time >= fromUnix", "time > fromUnix")),
    "a missing property passes": in_sql((", 0)", ", 1)")),
    "nobody is an actor": in_retention(blocks=lambda block: (np.maximum(block[0], np.uint64(1)), *block[1:])),
    "returns after the range are not read": of_intervals("read", lambda self, *_: self.entering),
    "the past is not read": of_intervals("history", lambda self, _, spec: self.read(spec)),
    "recurring is taken for first in range": in_retention(entry=instead("recurring", "first_in_range")),
    "first in range is taken for recurring": in_retention(entry=instead("first_in_range", "recurring")),
    "first matching is taken for first in range": in_retention(
        entry=instead("first_matching", "first_in_range")
    ),
    "first ever is taken for first matching": in_retention(
        blocks=lambda block: (*block[:2], block[2] & (ENTERS | RETURNS), *block[3:])
    ),
    "a tied event of the name bars an entry": in_retention(blocks=earlier(NAMED, unless=ENTERS)),
    "on is taken for on or after": in_retention(mode=instead("on", "on_or_after")),
    "on or after is taken for on": in_retention(mode=instead("on_or_after", "on")),
    "one return is enough": in_retention(min_occurrences=lambda _: 1),
    "a return more is asked": in_retention(min_occurrences=lambda n: n + 1),
    "days that roll end at midnight": in_retention(rolling=lambda _: False),
    "24 hours later is the same day": in_retention(blocks=earlier(RETURNS, unless=ENTERS)),
    "intervals begin a millisecond late": in_retention(edges_ms=lambda edges: tuple(e + 1 for e in edges)),
    "days are cut in UTC": in_zone("UTC"),
    "every day has 24 hours": days_of_24_hours,
    "weeks begin on Monday": weeks_begin_on_monday,
    "the range cuts its first interval": cut_by_the_range,
    "ties of values take the largest": in_retention(ranks=reverse_ranks),
    "the cohort is who came back": in_retention(found=only_returners),
    "intervals to come are zeros": of_intervals("begun", lambda self, *_: self.periods + 1),
    "running intervals are absent": of_intervals("begun", lambda self, right, *_: max(right - 1, 0)),
    "rows that run are not marked": of_intervals("is_partial", lambda *_: False),
    "the mean is one of rates": with_mean(mean_of_rates),
    "the mean counts intervals to come": with_mean(mean_of_all_rows),
    "groups beyond the limit are dropped": no_other_group,
    "the whole cohort is listed": everybody_is_listed,
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
