"""funnel: how many get from step to step, where are they lost, how long does it take?

Unit of observation: the actor, by default the person after all merges; an actor counts once, at the deepest
level of all their attempts. Denominators: `conversion_rate` is of those who entered (step 0),
`step_conversion_rate` of those who reached the step before. Times between steps are those of the actor's
chosen attempt. Edge rules: the window includes its end; events at one instant are taken in whichever order
converts; an event serves one step only. Groups are ranked by who entered, ties by key, a missing value
first. What it does not answer: how often a person converted.

The SQL only filters and projects: actor, time, a bit for each step that the event fits, a code of the
breakdown's value. query_api.scan walks each actor's events. Every number and list below comes from one
FunnelScan.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from query_api.analyses.analysis import Analysis, Explained, Page, People, place_of_bucket, read_persons
from query_api.analyses.breakdown_values import (
    HashedValues,
    Values,
    missing_keys,
    scan_with_values,
    texts_sql,
    values_sql,
)
from query_api.analyses.funnel_figures import (
    Edges,
    Reached,
    bar_rows,
    histogram_of,
    histogram_steps,
    lost_rows,
    next_closing,
    reached_rows,
    steps_of,
    trend_buckets,
    trend_of,
    trend_rows,
)
from query_api.analyses.funnel_groups import Group, build_groups, event_codes
from query_api.analyses.value_groups import CodedValues, Rows, profiles_sql, values_of_users
from query_api.buckets import Period
from query_api.group_keys import REST, GroupKeys
from query_api.scan import Block, FunnelPlan, FunnelScan, scan_funnel
from query_api.scope import Scope
from query_api.spec.breakdown import OTHER, Part
from query_api.spec.funnel import FunnelSpec, FunnelUsersSpec
from query_api.spec.selector import Selector
from query_api.sql.events import PERSON, TIME, EventSql
from query_api.store_reader import StoreReader

_ANY_TRACK_EVENT = Selector(event=None)

# ------------------------------------------------------------------------------------------- SQL


def rows_sql(
    sql: EventSql, spec: FunnelSpec, parts: Sequence[Part] = (), values: Values | None = None
) -> str:
    """What the scanner reads: actor, ms, mask and, of a breakdown by event properties, the value."""
    columns = [f"{sql.actor} AS actor", f"{TIME} AS ms", f"{_mask(sql, spec)} AS mask"]
    if values is not None:
        columns.append(f"{values.column(sql.key(parts), sql.parameters)} AS value")
    tests = [_reads(sql, spec)]
    if spec.order == "strict":
        tests.append(_enters(sql, spec))
    if any(sql.plain_names(selector) is None for selector in _selectors(spec)):
        tests.append("mask != 0")
    return f"SELECT {_joined(',', columns)}\nFROM {_source(sql, spec)}\nWHERE {_joined(' AND', tests)}"


def _selectors(spec: FunnelSpec) -> tuple[Selector, ...]:
    """A bit of the mask each: steps, exclusions and, for strict order, what may break a chain."""
    breaks = (_ANY_TRACK_EVENT,) if spec.order == "strict" else ()
    return (*spec.steps, *spec.exclude, *breaks)


def _period(sql: EventSql, spec: FunnelSpec) -> Period:
    """The range, or up to the last window's end."""
    after = spec.window_ms if spec.complete_after_range else 0
    return Period(sql.scope.period.start, sql.scope.period.end + after)


def _reads(sql: EventSql, spec: FunnelSpec) -> str:
    return sql.reads(_selectors(spec), _period(sql, spec))


def _source(sql: EventSql, spec: FunnelSpec) -> str:
    return sql.source(_selectors(spec), _period(sql, spec))


def _enters(sql: EventSql, spec: FunnelSpec) -> str:
    """Rows of actors who have an event of step 0: nobody else's chain can break."""
    entering = f"{sql.reads(spec.steps[:1], sql.scope.period)} AND {sql.selects(spec.steps[0])}"
    return f"{sql.actor} IN (SELECT {sql.actor} FROM {_source(sql, spec)} WHERE {entering})"


def _mask(sql: EventSql, spec: FunnelSpec) -> str:
    """Bit k: the event fits selector k. Those that are plain names cost one look-up all together."""
    plain: dict[str, int] = {}
    tests = []
    for index, selector in enumerate(_selectors(spec)):
        names = sql.plain_names(selector)
        if names is not None:
            for name in names:
                plain[name] = plain.get(name, 0) | 1 << index
        else:
            tests.append(f"if({sql.selects(selector)}, toUInt64({1 << index}), 0)")
    if plain:
        known, bits = sql.parameters.texts(plain), sql.parameters.keys(list(plain.values()))
        tests.append(f"transform(event, {known}, {bits}, toUInt64(0))")
    mask = tests[0]
    for test in tests[1:]:
        mask = f"bitOr({mask}, {test})"
    return f"CAST({mask}, '{_mask_type(len(_selectors(spec)))}')"


def _mask_type(bits: int) -> str:
    return next(f"UInt{size}" for size in (8, 16, 32, 64) if bits <= size)


def _rows(sql: EventSql, spec: FunnelSpec) -> str:
    return f"FROM {_source(sql, spec)}\nWHERE {_reads(sql, spec)}"


def people_sql(sql: EventSql, spec: FunnelSpec, actors: Sequence[int]) -> str:
    """The persons behind actors that are no persons."""
    tests = [_reads(sql, spec), f"person != 0 AND {sql.actor} IN {sql.parameters.keys(actors)}"]
    return f"SELECT DISTINCT {PERSON} AS person\nFROM {_source(sql, spec)}\nWHERE {_joined(' AND', tests)}"


def _joined(separator: str, parts: Sequence[str]) -> str:
    return f"{separator}\n    ".join(parts)


# ----------------------------------------------------------------------------------------- result


@dataclass(frozen=True, slots=True)
class Scanned:
    """What a scan found, and the texts of its value codes."""

    scan: FunnelScan
    texts: Sequence[str] = ()


def scan(
    spec: FunnelSpec,
    scope: Scope,
    reader: StoreReader,
    parts: Sequence[Part] = (),
    values: Values | None = None,
) -> Scanned:
    """Streams the rows through the scanner, with `values` for the breakdown's attribution."""
    sql = EventSql(scope)

    def blocks() -> Iterator[Block]:
        for block in reader.stream(sql.parameters.query(rows_sql(sql, spec, parts, values))):
            somebody = block[0] != 0
            actors, times, masks, *column = block if somebody.all() else (each[somebody] for each in block)
            yield (actors, times, masks, *(values.encode(each) for each in column if values is not None))

    found = scan_funnel(
        blocks(), _plan(spec, scope, values), memory_bytes=reader.memory_bytes, threads=reader.threads
    )
    reader.check()
    return Scanned(found, values.texts() if values is not None else ())


def _plan(spec: FunnelSpec, scope: Scope, values: Values | None) -> FunnelPlan:
    attribution = spec.breakdown.attribution if spec.breakdown is not None and values is not None else None
    with_values = attribution not in (None, "all_steps")
    return FunnelPlan(
        steps=len(spec.steps),
        window_ms=spec.window_ms,
        entry_until_ms=scope.period.end if spec.complete_after_range else None,
        order=spec.order,
        exclusions=tuple((exclusion.from_step, exclusion.to_step) for exclusion in spec.exclude),
        bucket_starts_ms=tuple(bucket.start for bucket in trend_buckets(spec, scope)),
        with_values=with_values,
        value_step=spec.breakdown.step if spec.breakdown is not None and attribution == "step" else None,
        ranks=values.ranks if values is not None and with_values else None,
        partitioned=attribution == "all_steps",
    )


def _parts(spec: FunnelSpec) -> tuple[list[Part], list[Part]]:
    """The breakdown's properties of events, and of users."""
    parts = spec.breakdown.parts if spec.breakdown is not None else ()
    return [part for part in parts if not part.is_of_user], [part for part in parts if part.is_of_user]


def scan_with_codes(spec: FunnelSpec, scope: Scope, reader: StoreReader, parts: Sequence[Part]) -> Scanned:
    """A scan with the values of event properties, if the breakdown has any."""
    assert spec.breakdown is not None
    if not parts:
        return scan(spec, scope, reader)
    is_touch = spec.breakdown.attribution in ("first_touch", "last_touch")
    missing, keys = missing_keys(len(parts), empty_too=is_touch), GroupKeys.of(parts, scope.catalogue)
    sql = EventSql(scope)
    key, rows = sql.key(parts), _rows(sql, spec)
    listed, texts = (sql.parameters.query(write(key, rows)) for write in (values_sql, texts_sql))
    scanned = partial(scan, spec, scope, reader, parts)
    return scan_with_values(scanned, reader, listed=listed, texts=texts, missing=missing, keys=keys)


@dataclass(frozen=True, slots=True)
class Found:
    """All that the figures are made of: the actors as a whole, and the groups with the scan they refer to."""

    all: Reached
    grouped: Reached
    groups: Sequence[Group]


def find(spec: FunnelSpec, scope: Scope, reader: StoreReader) -> Found:
    """Scans. Where groups have attempts of their own (all_steps), the actors as a whole have others."""
    if spec.breakdown is None:
        everybody = Reached.of(scan(spec, scope, reader).scan)
        return Found(everybody, everybody, [])
    event_parts, user_parts = _parts(spec)
    scanned = scan_with_codes(spec, scope, reader, event_parts)
    of_event = CodedValues(event_parts, event_codes(spec.breakdown, scanned.scan), scanned.texts)
    of_user = values_of_users(scope, reader, user_parts, scanned.scan.keys)
    keys = GroupKeys.of(spec.breakdown.parts, scope.catalogue)
    groups = build_groups(
        spec.breakdown, scanned.scan, of_event, of_user, keys=keys, limit=spec.breakdown_limit
    )
    grouped = Reached.of(scanned.scan)
    return Found(grouped if scanned.scan.whole is None else Reached.of(scanned.scan.whole), grouped, groups)


def answer(spec: FunnelSpec, scope: Scope, reader: StoreReader) -> dict[str, Any]:
    """`{"steps", "groups": [{"key", "steps", "trend", "histogram"}], "trend", "histogram", "correlate"}`."""
    found = find(spec, scope, reader)
    buckets, edges = trend_buckets(spec, scope), _edges(spec, scope, reader, found)
    read = GroupKeys.of(spec.breakdown.parts if spec.breakdown else (), scope.catalogue).read
    return {
        "steps": steps_of(spec, scope, found.all),
        "groups": [
            {
                "key": list(read(group.key)),
                "steps": steps_of(spec, scope, found.grouped, group.rows),
                "trend": trend_of(spec, scope, found.grouped, buckets, group),
                "histogram": histogram_of(spec, scope, found.grouped, edges, group.rows),
            }
            for group in found.groups
        ],
        "trend": trend_of(spec, scope, found.all, buckets),
        "histogram": histogram_of(spec, scope, found.all, edges),
        "correlate": [],
    }


def _edges(spec: FunnelSpec, scope: Scope, reader: StoreReader, found: Found) -> Edges:
    """The histogram's edges: over all actors of the query's periods, so that a comparison shares them."""
    if spec.histogram is None:
        return Edges(0, 1, 0)
    steps = histogram_steps(spec, spec.histogram)
    took = [found.all.durations(*steps)]
    for period in scope.periods:
        if period != scope.period:
            other = Reached.of(scan(spec, replace(scope, period=period), reader).scan)
            took.append(other.durations(*steps))
    return Edges.over(spec.histogram, np.concatenate(took))


# -------------------------------------------------------------------------------------------- who


def select_people(spec: FunnelUsersSpec, scope: Scope, reader: StoreReader, page: Page) -> People:
    """The persons behind a cell: the very rows that its number counts."""
    found = find(spec, scope, reader)
    group = _group_of(spec, scope, found.groups)
    if spec.cell.key and group is None:
        return People([], 0)
    reached = found.grouped if group is not None else found.all
    rows = _rows_of_cell(spec, scope, reached, group, _edges(spec, scope, reader, found))
    actors = np.sort(reached.scan.keys[rows])
    if scope.actor is not None:
        sql = EventSql(scope)
        actors = read_persons(reader, actors, lambda keys: sql.parameters.query(people_sql(sql, spec, keys)))
    return People.on_page(actors, page)


def _group_of(spec: FunnelUsersSpec, scope: Scope, groups: Sequence[Group]) -> Group | None:
    """The group that the cell names."""
    key = spec.cell.key
    if not key or spec.breakdown is None:
        return None
    by_key = {group.key: group for group in groups}
    if key == (OTHER,) and REST in by_key:
        return by_key[REST]
    keys = GroupKeys.of(spec.breakdown.parts, scope.catalogue)
    return by_key.get(keys.write(key)) if len(key) == len(keys.types) else None


def _rows_of_cell(
    spec: FunnelUsersSpec, scope: Scope, reached: Reached, group: Group | None, edges: Edges
) -> Rows:
    """Which rows of the scan a cell counts."""
    cell, rows = spec.cell, None if group is None else group.rows
    if cell.histogram is not None and spec.histogram is not None:
        steps = histogram_steps(spec, spec.histogram)
        return bar_rows(reached, steps, edges, cell.histogram, rows)
    assert cell.step is not None
    if cell.bucket is None or spec.trend is None:
        chosen = reached_rows if cell.outcome == "converted" else lost_rows
        return chosen(reached, cell.step, rows)
    place = place_of_bucket(cell.bucket, trend_buckets(spec, scope))
    entered, converted = trend_rows(spec, spec.trend, reached, place, group)
    if cell.outcome == "dropped":
        return np.setdiff1d(entered, converted) if cell.step != spec.trend.from_step else entered[:0]
    return entered if cell.step == spec.trend.from_step else converted


def explain(spec: FunnelSpec, scope: Scope) -> list[Explained]:
    """The queries that feed the scanner, and those that name its groups."""
    event_parts, user_parts = _parts(spec)
    sql = EventSql(scope)
    queries = [Explained("the rows that are scanned", sql.parameters.query(rows_sql(sql, spec)))]
    if event_parts:
        values = HashedValues(missing_keys(len(event_parts), empty_too=False), GroupKeys(()), dict)
        listed = sql.parameters.query(values_sql(sql.key(event_parts), _rows(sql, spec)))
        with_value = sql.parameters.query(rows_sql(sql, spec, event_parts, values))
        queries += [
            Explained("the breakdown's values", listed),
            Explained("the rows with their value; few values come as codes", with_value),
        ]
    if user_parts:
        of_users = sql.parameters.query(profiles_sql(sql, user_parts, "user_key, value"))
        queries.append(Explained("the breakdown's values of users", of_users))
    return queries


FUNNEL = Analysis(FunnelSpec, FunnelUsersSpec, answer, select_people, explain, next_closing, scanned=True)
