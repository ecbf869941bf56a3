"""retention: of those who start, how many come back, and when?

Unit of observation: an actor in an interval. A row is the actors whose start event falls in it; cell k those
of them with a return event k intervals later; cell 0 the cohort itself, whether or not they returned.
Denominator: the row's cohort; `mean[k]` is retained actors / cohort sizes over the rows whose interval k has
begun. Edge rules: intervals that the range only cuts are whole; returns count past the range's end; cells
whose interval has not begun by now are not in the answer, and a row with one still running is `partial`.
Events at one instant have no order: where an actor enters with their first event, any of that instant that
fits will do, and the smallest value of them is the entry's. An actor may be in other groups in other rows.
Groups are ranked by their cohorts' sizes, all rows together; ties by key, a missing value first. What it does
not answer: how often a person came back.

The SQL only filters and projects: actor, time, a bit each for start and return, a code of the breakdown's
value. query_api.scan walks each actor's intervals. Numbers and lists of people come from the same entries.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from footfall.storage.store import Query
from query_api.analyses.analysis import Analysis, Explained, Page, People, place_of_bucket, read_persons
from query_api.analyses.breakdown_values import (
    HashedValues,
    Values,
    missing_keys,
    scan_with_values,
    texts_sql,
    values_sql,
)
from query_api.analyses.retention_intervals import Intervals
from query_api.analyses.value_groups import (
    CodedValues,
    Rows,
    join_texts,
    largest,
    pair_codes,
    profiles_sql,
    values_of_users,
)
from query_api.buckets import Period
from query_api.group_keys import NAMED_AS_REST, REST, GroupKeys
from query_api.problems import Fault, refused
from query_api.scan import ENTERS, NAMED, RETURNS, Block, RetentionPlan, RetentionScan, scan_retention, tally
from query_api.scope import Scope
from query_api.spec.breakdown import OTHER, Part
from query_api.spec.retention import RetentionSpec, RetentionUsersSpec
from query_api.sql.events import PERSON, TIME, EventSql
from query_api.store_reader import StoreReader

# ------------------------------------------------------------------------------------------- SQL


def rows_sql(
    sql: EventSql,
    spec: RetentionSpec,
    intervals: Intervals,
    parts: Sequence[Part] = (),
    values: Values | None = None,
) -> str:
    """What the scanner reads: actor, ms, mask and, of a breakdown by event properties, the entry's value."""
    columns = [f"{sql.actor} AS actor", f"{TIME} AS ms", f"{_mask(sql, spec)} AS mask"]
    if values is not None:
        entering = f"bitAnd(mask, {ENTERS}) != 0 AND {sql.within(intervals.entering)}"
        coded = values.column(sql.key(parts), sql.parameters)
        columns.append(f"if({entering}, {coded}, {values.nothing}) AS value")
    tests = [_reads(sql, spec, intervals)]
    if any(sql.plain_names(selector) is None for selector in (spec.start, spec.return_)):
        tests.append("mask != 0")
    source = _source(sql, spec, intervals)
    return f"SELECT {_joined(',', columns)}\nFROM {source}\nWHERE {_joined(' AND', tests)}"


def _period(spec: RetentionSpec, intervals: Intervals) -> Period:
    """From the first row on; where the first event of all counts, all the past too."""
    return intervals.history(spec) if _reads_history(spec) else intervals.read(spec)


def _reads_history(spec: RetentionSpec) -> bool:
    return spec.entry in ("first_matching", "first_ever")


def _source(sql: EventSql, spec: RetentionSpec, intervals: Intervals) -> str:
    return sql.source((spec.start, spec.return_), _period(spec, intervals))


def _reads(sql: EventSql, spec: RetentionSpec, intervals: Intervals) -> str:
    """Of the past only start events; for first_ever also those that fail the query's own conditions."""
    filtered = spec.entry != "first_ever"
    read = sql.reads((spec.start, spec.return_), _period(spec, intervals), filtered=filtered)
    if not _reads_history(spec):
        return read
    return f"{read}\n        AND ({sql.within(intervals.read(spec))} OR {sql.named((spec.start,))})"


def _mask(sql: EventSql, spec: RetentionSpec) -> str:
    """The bits of an event: plain names cost one look-up together."""
    # First ever is decided over all events of the name, so that conditions become part of the bits.
    where = sql.scope.where if spec.entry == "first_ever" else ()
    plain: dict[str, int] = {}
    tests = []
    for selector, bit in ((spec.start, ENTERS), (spec.return_, RETURNS)):
        names = sql.plain_names(selector)
        if names is not None and not where:
            for name in names:
                plain[name] = plain.get(name, 0) | bit
        else:
            holds = _joined(" AND", [sql.selects(selector), *map(sql.conditions.one, where)])
            tests.append(f"if({holds}, {bit}, 0)")
    if spec.entry == "first_ever" and (where or sql.plain_names(spec.start) is None):
        tests.append(f"if({sql.taken(spec.start)}, {NAMED}, 0)")
    if plain:
        known, bits = sql.parameters.texts(plain), sql.parameters.keys(list(plain.values()))
        tests.append(f"transform(event, {known}, {bits}, toUInt64(0))")
    mask = tests[0]
    for test in tests[1:]:
        mask = f"bitOr({mask}, {test})"
    return f"CAST({mask}, 'UInt8')"


def _entering(sql: EventSql, spec: RetentionSpec, intervals: Intervals) -> str:
    """FROM and WHERE of the rows' start events."""
    where = _joined(" AND", [sql.reads((spec.start,), intervals.entering), sql.selects(spec.start)])
    return f"FROM {_source(sql, spec, intervals)}\nWHERE {where}"


def people_sql(sql: EventSql, spec: RetentionSpec, intervals: Intervals, actors: Sequence[int]) -> str:
    """The persons behind actors that are no persons."""
    tests = [
        _reads(sql, spec, intervals),
        f"person != 0 AND {sql.actor} IN {sql.parameters.keys(actors)}",
    ]
    source = _source(sql, spec, intervals)
    return f"SELECT DISTINCT {PERSON} AS person\nFROM {source}\nWHERE {_joined(' AND', tests)}"


def _joined(separator: str, parts: Sequence[str]) -> str:
    return f"{separator}\n    ".join(parts)


# ----------------------------------------------------------------------------------------- result


@dataclass(frozen=True, slots=True)
class Group:
    """A group of the breakdown: its key's text and its entries."""

    key: str
    entries: Rows


@dataclass(frozen=True, slots=True)
class Found:
    """Entries, or only the cells that they make; and the groups of the entries."""

    intervals: Intervals
    plan: RetentionPlan
    scan: RetentionScan
    groups: Sequence[Group]


def scan(
    reader: StoreReader, query: Query, plan: RetentionPlan, values: Values | None = None
) -> RetentionScan:
    """Streams the rows through the scanner, with `values` for those of the entering events."""

    def blocks() -> Iterator[Block]:
        for actors, times, masks, *column in reader.stream(query):
            yield (actors, times, masks, *(values.encode(each) for each in column if values is not None))

    return scan_retention(blocks(), plan, memory_bytes=reader.memory_bytes, threads=reader.threads)


def _plan(spec: RetentionSpec, intervals: Intervals, values: Values | None, *, listed: bool) -> RetentionPlan:
    entry = "first_in_range" if spec.is_rolling and spec.entry == "recurring" else spec.entry
    return RetentionPlan(
        edges_ms=intervals.edges,
        rows=len(intervals.rows),
        periods=spec.periods,
        entry=entry,
        mode=spec.mode,
        rolling=spec.is_rolling,
        min_occurrences=spec.min_occurrences,
        with_values=values is not None,
        ranks=None if values is None else values.ranks,
        listed=listed,
    )


def find(spec: RetentionSpec, scope: Scope, reader: StoreReader, *, listed: bool) -> Found:
    """Scans; entries are listed where they are asked for, or needed for groups."""
    intervals = Intervals.of(spec, scope)
    if not spec.breakdown:
        plan = _plan(spec, intervals, None, listed=listed)
        sql = EventSql(scope)
        query = sql.parameters.query(rows_sql(sql, spec, intervals))
        return Found(intervals, plan, scan(reader, query, plan), [])
    plan, found, texts = _scan_with_codes(spec, scope, reader, intervals)
    of_event = CodedValues(_parts(spec, of_user=False), found.values, texts)
    of_user = values_of_users(scope, reader, _parts(spec, of_user=True), found.keys)
    keys = GroupKeys.of(spec.breakdown, scope.catalogue)
    return Found(intervals, plan, found, _build_groups(spec, of_event, of_user, keys))


def _parts(spec: RetentionSpec, *, of_user: bool) -> list[Part]:
    """The breakdown's properties of users, or of events."""
    return [part for part in spec.breakdown if part.is_of_user == of_user]


def _scan_with_codes(
    spec: RetentionSpec, scope: Scope, reader: StoreReader, intervals: Intervals
) -> tuple[RetentionPlan, RetentionScan, Sequence[str]]:
    """A scan with the values of event properties, by list if few, else by hash; and the texts by code."""
    parts, sql = _parts(spec, of_user=False), EventSql(scope)

    def scanned(values: Values | None) -> tuple[RetentionPlan, RetentionScan, Sequence[str]]:
        plan = _plan(spec, intervals, values, listed=True)
        query = sql.parameters.query(rows_sql(sql, spec, intervals, parts, values))
        return plan, scan(reader, query, plan, values), values.texts() if values is not None else []

    if not parts:
        return scanned(None)
    missing, keys = missing_keys(len(parts), empty_too=False), GroupKeys.of(parts, scope.catalogue)
    key, rows = sql.key(parts), _entering(sql, spec, intervals)
    listed, texts = (sql.parameters.query(write(key, rows)) for write in (values_sql, texts_sql))
    return scan_with_values(scanned, reader, listed=listed, texts=texts, missing=missing, keys=keys)


def _build_groups(
    spec: RetentionSpec, of_event: CodedValues, of_user: CodedValues, keys: GroupKeys
) -> list[Group]:
    """By size (the cohorts of all rows), ties by key; beyond the limit the rest are one, the last."""
    places, pairs = pair_codes(of_event, of_user, np.arange(len(of_event.codes)))
    sizes = np.bincount(places)

    def text(place: int) -> str:
        event_code, user_code = pairs(place)
        return join_texts(spec.breakdown, of_event.split(event_code), of_user.split(user_code))

    shown = largest(sizes, text, keys, spec.breakdown_limit)
    has_rest = len(shown) < np.count_nonzero(sizes)
    if has_rest:
        shown = [place for place in shown if text(place) != NAMED_AS_REST]
    by_group, ends = np.argsort(places, kind="stable"), np.cumsum(sizes)
    groups = [Group(text(place), by_group[ends[place] - sizes[place] : ends[place]]) for place in shown]
    if has_rest:
        groups.append(Group(REST, np.flatnonzero(~np.isin(places, shown))))
    return groups


# ------------------------------------------------------------------------------------------- fold


def answer(spec: RetentionSpec, scope: Scope, reader: StoreReader) -> dict[str, Any]:
    """`{"rows": [{"bucket", "size", "values", "partial"}], "mean", "groups": [{"key", "rows", "mean"}]}`."""
    found = find(spec, scope, reader, listed=False)
    if not spec.breakdown:
        assert found.scan.cells is not None
        return {**_table(scope, found.intervals, found.scan.cells), "groups": []}
    cells = _tally_groups(found)
    read = GroupKeys.of(spec.breakdown, scope.catalogue).read
    return {
        **_table(scope, found.intervals, cells.sum(axis=0)),
        "groups": [
            {"key": list(read(group.key)), **_table(scope, found.intervals, of_group)}
            for group, of_group in zip(found.groups, cells, strict=True)
        ],
    }


def _tally_groups(found: Found) -> NDArray[np.int64]:
    """The cells of each group: every entry is in one."""
    group_of = np.zeros(len(found.scan.keys), np.uint32)
    for index, group in enumerate(found.groups):
        group_of[group.entries] = index
    return tally(found.plan, found.scan, group_of, len(found.groups))


def _table(scope: Scope, intervals: Intervals, cells: NDArray[np.int64]) -> dict[str, Any]:
    """`{"rows", "mean"}` of all actors or of a group's."""
    rows = [
        {
            "bucket": bucket.name,
            "size": scope.scaled(counts[0]),
            "values": _scaled(scope, counts[: intervals.begun(row)]),
            "partial": intervals.is_partial(row),
        }
        for row, (bucket, counts) in enumerate(zip(intervals.rows, cells.tolist(), strict=True))
    ]
    return {"rows": rows, "mean": _mean(intervals, cells)}


def _scaled(scope: Scope, counts: list[int]) -> list[int]:
    return counts if scope.sample is None else [scope.scaled(count) for count in counts]


def _mean(intervals: Intervals, cells: NDArray[np.int64]) -> list[float]:
    """Of each period: the retained of all rows that have begun it, by the sizes of those rows."""
    begun = np.array([intervals.begun(row) for row in range(len(intervals.rows))])
    has_begun = begun[:, None] > np.arange(intervals.periods + 1)
    retained = np.where(has_begun, cells, 0).sum(axis=0).tolist()
    sizes = np.where(has_begun, cells[:, :1], 0).sum(axis=0).tolist()
    return [count / size if size else 0 for count, size in zip(retained, sizes, strict=True)]


# -------------------------------------------------------------------------------------------- who


def select_people(spec: RetentionUsersSpec, scope: Scope, reader: StoreReader, page: Page) -> People:
    """The persons behind a cell: the very entries that its number counts."""
    intervals = Intervals.of(spec, scope)
    row = place_of_bucket(spec.cell.bucket, intervals.rows)
    if spec.cell.period >= intervals.begun(row):
        message = f"interval {spec.cell.period} of {spec.cell.bucket} has not begun: there is no such cell"
        raise refused([Fault("cell.period", "invalid_value", message, spec.cell.period)])
    found = find(spec, scope, reader, listed=True)
    is_behind = found.scan.rows == row
    if spec.cell.key:
        is_behind &= _is_in_group(spec, scope, found)
    is_retained = found.scan.is_in_cell(spec.cell.period)
    is_behind &= is_retained if spec.cell.outcome == "retained" else ~is_retained
    actors = np.sort(found.scan.keys[is_behind])
    if scope.actor is not None:
        sql = EventSql(scope)
        actors = read_persons(
            reader, actors, lambda keys: sql.parameters.query(people_sql(sql, spec, intervals, keys))
        )
    return People.on_page(actors, page)


def _is_in_group(spec: RetentionUsersSpec, scope: Scope, found: Found) -> NDArray[np.bool_]:
    """Of each entry, whether it is in the group that the cell names."""
    key, by_key = spec.cell.key, {group.key: group.entries for group in found.groups}
    keys = GroupKeys.of(spec.breakdown, scope.catalogue)
    is_in = np.zeros(len(found.scan.keys), bool)
    if key == (OTHER,) and REST in by_key:
        is_in[by_key[REST]] = True
    elif len(key) == len(keys.types) and keys.write(key) in by_key:
        is_in[by_key[keys.write(key)]] = True
    return is_in


def explain(spec: RetentionSpec, scope: Scope) -> list[Explained]:
    """The queries that feed the scanner, and those that name its groups."""
    event_parts, user_parts = _parts(spec, of_user=False), _parts(spec, of_user=True)
    sql, intervals = EventSql(scope), Intervals.of(spec, scope)
    queries = [Explained("the rows that are scanned", sql.parameters.query(rows_sql(sql, spec, intervals)))]
    if event_parts:
        values = HashedValues(missing_keys(len(event_parts), empty_too=False), GroupKeys(()), dict)
        listed = sql.parameters.query(values_sql(sql.key(event_parts), _entering(sql, spec, intervals)))
        with_value = sql.parameters.query(rows_sql(sql, spec, intervals, event_parts, values))
        queries += [
            Explained("the breakdown's values", listed),
            Explained("the rows with their value; few values come as codes", with_value),
        ]
    if user_parts:
        of_users = sql.parameters.query(profiles_sql(sql, user_parts, "user_key, value"))
        queries.append(Explained("the breakdown's values of users", of_users))
    return queries


def _next_change(spec: RetentionSpec, scope: Scope) -> int | None:
    return Intervals.of(spec, scope).next_change()


RETENTION = Analysis(
    RetentionSpec, RetentionUsersSpec, answer, select_people, explain, _next_change, scanned=True
)
