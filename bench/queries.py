"""What funnels, retention and paths cost, as the query API computes them, beside a raw scan of the same rows.

The limit is `SELECT sum(cityHash64(user_key, time, event))` with the query's filter, in the same store and
run: about the least that any query can do that looks at every event of every user. A funnel is the whole
answer: spec parsed, catalogue read, levels and times of every actor found, rates and medians made.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

from rich.progress import Progress

from bench.engine import open_engine
from bench.events import FUNNELS, Traffic, fill, time_range
from bench.results import Row, Section, Target
from bench.storage import storage_section
from bench.timing import cpu_clock, median_seconds, readable, wall_clock
from footfall.eventlog.opening import open_log
from footfall.storage.store import Query, Store
from footfall.workspace import Project, open_workspace
from query_api.access import Access
from query_api.options import QueryOptions
from query_api.run import Queries

WHOLE, FIFTH = "bench", "bench_fifth"
DAYS = 30
OVERRIDDEN_SHARE = 40  # one id in so many
_FIFTY_MILLION = 40_000_000  # from here on design.md's targets for 50M events hold


class Ask(Protocol):
    """Asks an analysis and returns its result."""

    def __call__(self, spec: dict[str, Any], analysis: str = "funnel") -> dict[str, Any]: ...


_RAW = """
SELECT sum(cityHash64(user_key, time, event)) FROM events
WHERE project = {project:String} AND event IN {events:Array(String)}
  AND time >= fromUnixTimestamp64Milli({start:Int64}, 'UTC')
  AND time < fromUnixTimestamp64Milli({end:Int64}, 'UTC')"""

# Conditions that every event fulfils: the funnel's answer and the scanner's work stay the same, so that
# reading and testing the column is what is measured.
_OUTSIDE_PROJECTION = {"property": "$network_type", "op": "in", "value": ["WIFI", "5G", "4G"]}
_EXCLUDED = "screen_08_view"
_IN_MAP = {"property": "entrance", "op": "in", "value": ["home", "search", "push", "banner", "menu"]}


@dataclass(frozen=True, slots=True)
class Effort:
    """How much to measure."""

    events: int = 10_000_000
    rounds: int = 5

    @classmethod
    def of(cls, quick: bool, events: int) -> Effort:
        return cls(events=20_000, rounds=1) if quick else cls(events=events)


def measure(home: Path, effort: Effort, progress: Progress) -> Iterator[Section]:
    """Fills the store (or finds it filled) and yields a section as soon as it is measured."""
    with open_engine(home) as engine, _open_questions(home) as ask_with:
        filled = time.perf_counter()
        task = progress.add_task(f"{effort.events * 1.2:,.0f} events into {home}", total=1.0)
        traffic = (Traffic(WHOLE, effort.events), Traffic(FIFTH, effort.events // 5))
        for share in fill(engine.two_threads, traffic):
            progress.update(task, completed=share)
        progress.remove_task(task)
        yield storage_section(engine.two_threads, time.perf_counter() - filled)
        ask = ask_with(engine.one_thread, 1)
        yield _funnels(engine.one_thread, ask, effort)
        yield _retention(engine.one_thread, ask, effort)
        yield _paths(engine.one_thread, ask, effort)
        yield _identity(engine.one_thread, ask, effort)
        yield _growth(ask, ask_with(engine.two_threads, 2), effort)


@contextmanager
def _open_questions(home: Path) -> Iterator[Callable[[Store, int], Ask]]:
    """A function that makes an `ask` for a store: the query API's one path, without HTTP around it."""
    workspace = open_workspace(f"sqlite:///{home}/workspace.db", lambda: bytes(32))
    log = open_log("memory://", max_bytes=1 << 20)
    secret_key = "ff_sk_" + "b" * 32
    workspace.bootstrap("ff_wk_" + "b" * 32, secret_key)
    known = {project.name for project in workspace.projects()}
    for name in {WHOLE, FIFTH} - known:
        workspace.create_project(Project(name=name, timezone="UTC"))
    access = Access(workspace)

    def ask_with(store: Store, threads: int) -> Ask:
        options = QueryOptions(seconds=600, memory_bytes=8 << 30, threads=threads)
        queries = Queries(store, access, log, at_rest=_as_it_is, data_until=_now, clock=_now, options=options)

        def ask(spec: dict[str, Any], analysis: str = "funnel") -> dict[str, Any]:
            prepared = queries.prepare(analysis, json.dumps(spec).encode(), f"Bearer {secret_key}")
            result: dict[str, Any] = queries.answer(prepared)["result"]
            return result

        return ask

    try:
        yield ask_with
    finally:
        log.close()
        workspace.close()


def funnel(steps: int, project: str = WHOLE, **more: Any) -> dict[str, Any]:
    """The body of a funnel query over the last 30 days, window 7 days."""
    start, end = time_range(DAYS)
    return {
        "project": project,
        "range": {"from": start.isoformat(), "to": end.isoformat()},
        "steps": [{"event": name} for name in FUNNELS[steps]],
        "window": {"value": 7, "unit": "day"},
        "histogram": {},
        "refresh": True,
        **more,
    }


def raw_scan(events: Sequence[str], project: str = WHOLE) -> Query:
    """The limit: all events of these names in the last 30 days."""
    start, end = time_range(DAYS)
    times = {"start": _milliseconds(start), "end": _milliseconds(end)}
    return Query(_RAW, {"project": project, "events": list(events), **times})


@dataclass(frozen=True, slots=True)
class Variant:
    """A funnel with something more, and what its time is compared with."""

    name: str
    more: dict[str, Any]
    limit: Literal["raw scan", "raw scan with the excluded", "the funnel without"]
    most: float


_VARIANTS = (
    Variant("by channel", {"breakdown": ["channel"]}, "raw scan", 4),
    Variant("daily trend", {"trend": {"interval": "day"}}, "raw scan", 4),
    Variant("an exclusion", {"exclude": [{"event": _EXCLUDED}]}, "raw scan with the excluded", 4),
    Variant("condition outside the projection", {"where": [_OUTSIDE_PROJECTION]}, "the funnel without", 1.5),
    Variant("condition in the map", {"where": [_IN_MAP]}, "the funnel without", 3),
)


def _funnels(store: Store, ask: Ask, effort: Effort) -> Section:
    cases: dict[str, Callable[[], object]] = {}
    for steps in FUNNELS:
        _check_same_answer(ask, steps)
        cases[f"{steps} raw scan"] = partial(store.rows, raw_scan(FUNNELS[steps]))
        with_excluded = raw_scan((*FUNNELS[steps], _EXCLUDED))
        cases[f"{steps} raw scan with the excluded"] = partial(store.rows, with_excluded)
        cases[f"{steps} the funnel without"] = partial(ask, funnel(steps))
        cases |= {f"{steps} {one.name}": partial(ask, funnel(steps, **one.more)) for one in _VARIANTS}
    seconds = median_seconds(cases, effort.rounds, cpu_clock)
    plain = Target("<=", 4 if effort.events >= _FIFTY_MILLION else 3, "x")
    rows = []
    for steps in FUNNELS:
        label, without, raw = f"funnel, {steps} steps", f"{steps} the funnel without", f"{steps} raw scan"
        rows.append(_row(f"{label}, levels, times, histogram / raw scan", seconds, without, raw, plain))
        for one in _VARIANTS:
            what, limit = f"{label}, {one.name} / {one.limit}", f"{steps} {one.limit}"
            rows.append(_row(what, seconds, f"{steps} {one.name}", limit, Target("<=", one.most, "x")))
    notes = [f"users by level: {steps} steps {_levels(ask(funnel(steps)))}" for steps in FUNNELS]
    notes.append(f"{DAYS} days; CPU time of one thread; the conditions hold for every event: equal answers")
    return Section(f"Funnels, {effort.events:,} events", rows, notes)


def _levels(result: dict[str, Any]) -> list[int]:
    return [step["users"] for step in result["steps"]]


def _check_same_answer(ask: Ask, steps: int) -> None:
    plain = _levels(ask(funnel(steps)))
    for condition in (_OUTSIDE_PROJECTION, _IN_MAP):
        if _levels(ask(funnel(steps, where=[condition]))) != plain:
            raise AssertionError(f"{condition} holds for every event, but changes the answer {plain}")


_COMES_BACK = ("app_start", "transfer")
_RETENTIONS: dict[str, dict[str, Any]] = {
    "daily, 7 periods": {},
    "daily, the whole triangle": {"periods": DAYS - 1},
    "daily, first in range, on or after": {"entry": "first_in_range", "mode": "on_or_after"},
    "hourly, 48 periods": {"interval": "hour", "periods": 48},
    "daily, twice at least": {"min_occurrences": 2},
    "rolling 24 h": {"day_mode": "rolling_24h"},
    "daily, by channel": {"breakdown": ["channel"]},
}
"""What is asked of retention."""
_TWICE_RAW = Target("<=", 2, "x")
"""What design.md asks of the retention triangle and of paths; their variants are held to it too."""


def retention(**more: Any) -> dict[str, Any]:
    """The body of a retention query over the last 30 days: opening the app, then a transfer."""
    start, end = time_range(DAYS)
    return {
        "project": WHOLE,
        "range": {"from": start.isoformat(), "to": end.isoformat()},
        "start": {"event": _COMES_BACK[0]},
        "return": {"event": _COMES_BACK[1]},
        "refresh": True,
        **more,
    }


def _retention(store: Store, ask: Ask, effort: Effort) -> Section:
    cases: dict[str, Callable[[], object]] = {"raw": partial(store.rows, raw_scan(_COMES_BACK))}
    cases |= {name: partial(ask, retention(**more), "retention") for name, more in _RETENTIONS.items()}
    seconds = median_seconds(cases, effort.rounds, cpu_clock)
    rows = [_row(f"retention, {name} / raw scan", seconds, name, "raw", _TWICE_RAW) for name in _RETENTIONS]
    mean = ask(retention(), "retention")["mean"]
    notes = [f"mean by day: {[round(rate, 4) for rate in mean]}", f"{DAYS} days; CPU time of one thread"]
    return Section(f"Retention, {effort.events:,} events", rows, notes)


# All events: what is read is the table itself, sorted by person, not the projection.
_RAW_TRACK = """
SELECT sum(cityHash64({columns})) FROM events
WHERE project = {{project:String}} AND type = 'track'
  AND time >= fromUnixTimestamp64Milli({{start:Int64}}, 'UTC')
  AND time < fromUnixTimestamp64Milli({{end:Int64}}, 'UTC')"""
_PATH_STEPS = 10
_PATHS: dict[str, dict[str, Any]] = {
    "by event": {},
    "from app_start": {"start": "app_start"},
    "by screen": {"node": {"property": "$screen_name"}},
    "by screen, cleaned and grouped": {
        "node": {"property": "$screen_name"},
        "clean": [{"pattern": "^com[.]bank[.]", "replace": ""}, {"pattern": "[0-9]+", "replace": "n"}],
        "groups": ["fund_*"],
    },
}
"""What is asked of paths."""


def paths(**more: Any) -> dict[str, Any]:
    """The body of a paths query over the last 30 days."""
    start, end = time_range(DAYS)
    range_ = {"from": start.isoformat(), "to": end.isoformat()}
    return {"project": WHOLE, "range": range_, "max_steps": _PATH_STEPS, "refresh": True, **more}


def _paths(store: Store, ask: Ask, effort: Effort) -> Section:
    start, end = time_range(DAYS)
    times = {"start": _milliseconds(start), "end": _milliseconds(end)}
    raw = {
        "raw": "user_key, time, event",
        "same columns": "user_key, alias_key, time, seq, event_key, event",
    }
    cases: dict[str, Callable[[], object]] = {
        name: partial(store.rows, Query(_RAW_TRACK.format(columns=columns), {"project": WHOLE, **times}))
        for name, columns in raw.items()
    }
    cases |= {name: partial(ask, paths(**more), "paths") for name, more in _PATHS.items()}
    seconds = median_seconds(cases, effort.rounds, cpu_clock)
    label = f"paths of {_PATH_STEPS} steps"
    rows = [_row(f"{label}, {name} / raw scan", seconds, name, "raw", _TWICE_RAW) for name in _PATHS]
    all_columns = "raw scan of all columns that paths read"
    rows += [
        _row(f"{label}, {name} / {all_columns}", seconds, name, "same columns")
        for name in ("by event", "from app_start")
    ]
    answer = ask(paths(start="app_start"), "paths")
    notes = [
        f"{answer['sessions']:,} sessions from app_start; all events of {DAYS} days; CPU time of one thread"
    ]
    return Section(f"Paths, {effort.events:,} events", rows, notes)


def _identity(store: Store, ask: Ask, effort: Effort) -> Section:
    """The same funnel with and without overrides, alternating, since it is one table."""
    medians: dict[str, list[float]] = {}
    for _ in range(max(1, effort.rounds // 2)):
        for overridden in (False, True):
            entries = _fill_overrides(store, overridden)
            cases = {f"{steps}": partial(ask, funnel(steps)) for steps in FUNNELS}
            for steps, median in median_seconds(cases, 3, cpu_clock).items():
                medians.setdefault(f"{steps} {overridden}", []).append(median)
    _fill_overrides(store, overridden=False)
    seconds = {name: min(measured) for name, measured in medians.items()}
    rows = [
        _row(f"funnel, {steps} steps, {entries:,} ids overridden / none", seconds,
             f"{steps} True", f"{steps} False", Target("<=", 1.05, "x"))
        for steps in FUNNELS
    ]  # fmt: skip
    return Section("Identity map", rows, ["best of the alternating rounds' medians"])


def _fill_overrides(store: Store, overridden: bool) -> int:
    """Gives one person in 40 another's rows, or takes all overrides back; returns how many there are."""
    store.command("TRUNCATE TABLE overrides")
    if overridden:
        store.command(
            f"INSERT INTO overrides SELECT user_key, cityHash64(user_key), 1 FROM events "
            f"WHERE project = '{WHOLE}' AND user_key % {OVERRIDDEN_SHARE} = 0 GROUP BY user_key"
        )
    store.command("SYSTEM RELOAD DICTIONARY overrides_map")
    return int(store.rows(Query("SELECT count() FROM overrides")).rows[0][0])


def _growth(ask_one: Ask, ask_two: Ask, effort: Effort) -> Section:
    sizes = {"whole": partial(ask_one, funnel(6)), "fifth": partial(ask_one, funnel(6, FIFTH))}
    seconds = median_seconds(sizes, effort.rounds, cpu_clock)
    cases = {"one": partial(ask_one, funnel(6)), "two": partial(ask_two, funnel(6))}
    seconds |= median_seconds(cases, effort.rounds, wall_clock)
    rows = [
        _row("funnel, 6 steps, two threads / one", seconds, "two", "one", Target("<=", 0.6, "x")),
        _row("funnel, 6 steps, 5x the events / 1x", seconds, "whole", "fifth", Target("<=", 6, "x")),
    ]
    return Section("Threads and growth", rows)


def _row(what: str, seconds: dict[str, float], case: str, limit: str, target: Target | None = None) -> Row:
    ratio = seconds[case] / seconds[limit]
    return Row(what, readable(seconds[case]), readable(seconds[limit]), ratio, target)


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _as_it_is(_project: str, id_: str) -> str:
    return id_


def _now() -> int:
    return time.time_ns() // 1_000_000
