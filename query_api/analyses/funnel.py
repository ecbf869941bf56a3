"""funnel: how many get from step to step, where are they lost, how long does it take?

Unit of observation: the actor, by default the person after all merges; an actor counts once, at the deepest
level of all their attempts. Denominators: `conversion_rate` is of those who entered (step 0),
`step_conversion_rate` of those who reached the step before. Times between steps are those of the actor's
chosen attempt. Edge rules: the window includes its end; events at one instant are taken in whichever order
converts; an event serves one step only. Groups are ranked by who entered, ties by key, a missing value
first. What it does not answer: how often a person converted.

The SQL only filters and projects: actor, time, a bit for each step that the event fits, a hash of the
breakdown's value. query_api.scan walks each actor's events. Every number and list below comes from the one
FunnelScan.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from query_api.analyses.analysis import Analysis, Explained, Page, People
from query_api.analyses.funnel_groups import CodedValues, Group, build_groups, event_codes
from query_api.buckets import Period
from query_api.group_keys import REST, GroupKeys
from query_api.problems import TooExpensive
from query_api.scan import NO_VALUE, FunnelScan, scan_funnel
from query_api.scope import Scope
from query_api.spec.breakdown import OTHER, Part
from query_api.spec.funnel import FunnelSpec, FunnelUsersSpec, Step
from query_api.spec.query import Key
from query_api.sql.events import PERSON, TIME, EventSql
from query_api.store_reader import StoreReader
from query_api.value_codes import ValueCodes, ranks_of

MAX_ACTORS_LISTED = 200_000

# ------------------------------------------------------------------------------------------- SQL


def rows_sql(sql: EventSql, spec: FunnelSpec, *, event_parts: Sequence[Part] = ()) -> str:
    """What the scanner reads: actor, ms, mask and, of a breakdown by event properties, the value's hash."""
    columns = [f"{sql.actor} AS actor", f"{TIME} AS ms", f"{_mask(sql, spec.steps)} AS mask"]
    names = ["actor", "ms", "mask"]
    if event_parts:
        columns.append(f"{_value(sql, spec, event_parts)} AS value")
        names.append("value")
    # Where all steps are plain names, no row that is read has an empty mask.
    fits = "" if all(_is_plain(step) for step in spec.steps) else " AND mask != 0"
    return f"""SELECT {", ".join(names)}
FROM (
    SELECT {_listed(columns)}
    FROM events
    WHERE {sql.reads(spec.steps, _period(spec, sql.scope))}
)
WHERE actor != 0{fits}"""


def _is_plain(step: Step) -> bool:
    return step.event is not None and not step.where and step.occurrence == "any"


def _period(spec: FunnelSpec, scope: Scope) -> Period:
    """The events read: of the range, or up to the last window's end."""
    after = spec.window_ms if spec.complete_after_range else 0
    return Period(scope.period.start, scope.period.end + after)


def _mask(sql: EventSql, steps: Sequence[Step]) -> str:
    """Bit k: the event fits step k. Steps that are plain names cost one look-up all together."""
    plain: dict[str, int] = {}
    tests = []
    for index, step in enumerate(steps):
        if not _is_plain(step):
            tests.append(f"if({sql.selects(step)}, {1 << index}, 0)")
        for name in step.event or () if _is_plain(step) else ():
            plain[name] = plain.get(name, 0) | 1 << index
    if plain:
        names, bits = sql.parameters.texts(plain), sql.parameters.keys(list(plain.values()))
        tests.append(f"transform(event, {names}, {bits}, toUInt64(0))")
    mask = tests[0]
    for test in tests[1:]:
        mask = f"bitOr({mask}, {test})"
    return f"CAST({mask}, '{_mask_type(len(steps))}')"


def _mask_type(bits: int) -> str:
    return "UInt8" if bits <= 8 else "UInt16" if bits <= 16 else "UInt32"


def _value(sql: EventSql, spec: FunnelSpec, parts: Sequence[Part]) -> str:
    """The hash of the key's text, 0 where it is missing; for a touch, '' is missing too."""
    assert spec.breakdown is not None
    texts = [sql.key_part(part) for part in parts]
    empty = "('', '=')" if spec.breakdown.attribution in ("first_touch", "last_touch") else "('')"
    missing = " AND ".join(f"{text} IN {empty}" for text in texts)
    return f"if({missing}, 0, greatest(sipHash64({sql.joined_key(texts)}), 1))"


def texts_sql(sql: EventSql, spec: FunnelSpec, parts: Sequence[Part]) -> str:
    """The texts of the breakdown's values by their hashes."""
    texts = sql.joined_key([sql.key_part(part) for part in parts])
    return f"""SELECT value, any(text)
FROM (
    SELECT {texts} AS text, {_value(sql, spec, parts)} AS value
    FROM events
    WHERE {sql.reads(spec.steps, _period(spec, sql.scope))}
)
WHERE value != 0 GROUP BY value"""


def profiles_sql(sql: EventSql, parts: Sequence[Part], columns: str) -> str:
    """Of all current profiles: the person and the value's hash, or the texts by hash."""
    text = sql.joined_key([sql.key_part(part) for part in parts])
    rows = sql.profiles(f"SELECT user_key, {text} AS text, greatest(sipHash64(text), 1) AS value")
    return f"SELECT {columns} FROM {rows}"


def people_sql(sql: EventSql, spec: FunnelSpec, actors: Sequence[int]) -> str:
    """The persons behind actors that are no persons."""
    return f"""SELECT DISTINCT {PERSON} AS person FROM events
WHERE {sql.reads(spec.steps, _period(spec, sql.scope))}
    AND {PERSON} != 0 AND {sql.actor} IN {sql.parameters.keys(actors)}"""


def _listed(columns: Sequence[str]) -> str:
    return (",\n" + " " * 8).join(columns)


# ----------------------------------------------------------------------------------------- result


@dataclass(frozen=True, slots=True)
class Scanned:
    """What a scan found, and the texts of its value codes."""

    scan: FunnelScan
    texts: list[str]


def scan(spec: FunnelSpec, scope: Scope, reader: StoreReader, event_parts: Sequence[Part] = ()) -> Scanned:
    """Streams the rows through the scanner. With `event_parts`, values for the breakdown's attribution."""
    sql, codes, texts = EventSql(scope), ValueCodes(), list[str]()
    breakdown = spec.breakdown
    partitioned = bool(event_parts) and breakdown is not None and breakdown.attribution == "all_steps"
    with_values = bool(event_parts) and not partitioned
    query = sql.parameters.query(rows_sql(sql, spec, event_parts=event_parts))

    def blocks() -> Iterator[tuple[NDArray[Any], ...]]:
        for actors, times, masks, *values in reader.stream(query):
            yield (actors, times, masks, *(codes.encode(column) for column in values))

    def ranks() -> NDArray[np.uint32]:
        texts[:] = codes.texts(lambda: _read_texts(spec, scope, reader, event_parts))
        return ranks_of(texts, GroupKeys.of(event_parts, scope.catalogue).smallest)

    at_step = with_values and breakdown is not None and breakdown.attribution == "step"
    found = scan_funnel(
        blocks(),
        steps=len(spec.steps),
        window_ms=spec.window_ms,
        entry_until_ms=scope.period.end if spec.complete_after_range else None,
        with_values=with_values,
        value_step=breakdown.step if at_step and breakdown is not None else None,
        ranks=ranks if with_values else None,
        partitioned=partitioned,
    )
    if partitioned:
        ranks()
    return Scanned(found, texts)


def _read_texts(
    spec: FunnelSpec, scope: Scope, reader: StoreReader, parts: Sequence[Part]
) -> Mapping[int, str]:
    sql = EventSql(scope)
    return dict(reader.rows(sql.parameters.query(texts_sql(sql, spec, parts))).rows)


def _split(spec: FunnelSpec) -> tuple[list[Part], list[Part]]:
    """The breakdown's properties of events, and of users."""
    parts = spec.breakdown.parts if spec.breakdown is not None else ()
    return [p for p in parts if p.of == "event"], [p for p in parts if p.of == "user"]


def grouped(spec: FunnelSpec, scope: Scope, reader: StoreReader) -> tuple[FunnelScan, list[Group]]:
    """The scan that the groups refer to, and the groups."""
    assert spec.breakdown is not None
    event_parts, user_parts = _split(spec)
    scanned = scan(spec, scope, reader, event_parts)
    found = scanned.scan
    of_event = CodedValues(event_parts, event_codes(spec.breakdown, found), scanned.texts)
    of_user = _of_users(scope, reader, user_parts, found.keys)
    keys = GroupKeys.of(spec.breakdown.parts, scope.catalogue)
    limit = spec.breakdown_limit
    groups = build_groups(spec.breakdown, found, of_event, of_user, keys=keys, limit=limit)
    return found, groups


def _of_users(
    scope: Scope, reader: StoreReader, parts: Sequence[Part], actors: NDArray[np.uint64]
) -> CodedValues:
    """The current profile's value of each actor."""
    if not parts:
        return CodedValues(parts, np.full(len(actors), NO_VALUE, np.uint32), [])
    sql, codes = EventSql(scope), ValueCodes()
    query = sql.parameters.query(profiles_sql(sql, parts, "user_key, value"))
    blocks = [(keys, codes.encode(values)) for keys, values in reader.stream(query)]
    persons = np.concatenate([np.zeros(1, np.uint64), *(keys for keys, _ in blocks)])
    values = np.concatenate([np.full(1, NO_VALUE, np.uint32), *(values for _, values in blocks)])
    order = np.argsort(persons)
    places = np.minimum(np.searchsorted(persons[order], actors), len(order) - 1)
    found = order[places]
    of_actor = np.where(persons[found] == actors, values[found], np.uint32(NO_VALUE))
    by_hash = sql.parameters.query(profiles_sql(sql, parts, "value, any(text)") + " GROUP BY value")
    return CodedValues(parts, of_actor, codes.texts(lambda: dict(reader.rows(by_hash).rows)))


def answer(spec: FunnelSpec, scope: Scope, reader: StoreReader) -> dict[str, Any]:
    """`{"steps", "groups": [{"key", "steps", ...}], "trend", "histogram", "correlate"}`."""
    if spec.breakdown is None:
        found, groups = scan(spec, scope, reader).scan, list[Group]()
        all_steps = fold(spec, scope, found)
    elif _is_partitioned(spec):
        all_steps = fold(spec, scope, scan(spec, scope, reader).scan)
        found, groups = grouped(spec, scope, reader)
    else:
        found, groups = grouped(spec, scope, reader)
        all_steps = fold(spec, scope, found)
    read = GroupKeys.of(spec.breakdown.parts if spec.breakdown else (), scope.catalogue).read
    return {
        "steps": all_steps,
        "groups": [
            {
                "key": list(read(group.key)),
                "steps": fold(spec, scope, found, group.rows),
                "trend": [],
                "histogram": [],
            }
            for group in groups
        ],
        "trend": [],
        "histogram": [],
        "correlate": [],
    }


def _is_partitioned(spec: FunnelSpec) -> bool:
    return spec.breakdown is not None and spec.breakdown.attribution == "all_steps" and bool(_split(spec)[0])


# ------------------------------------------------------------------------------------------- fold


def fold(
    spec: FunnelSpec, scope: Scope, found: FunnelScan, rows: NDArray[np.int64] | None = None
) -> list[dict[str, Any]]:
    """The steps of all actors, or of those rows."""
    levels = found.levels if rows is None else found.levels[rows]
    times = found.step_times if rows is None else found.step_times[rows]
    reached = [int(np.count_nonzero(levels > index)) for index in range(len(spec.steps))]
    return [
        _step(scope, step.shown, index, reached, _durations(levels, times, index))
        for index, step in enumerate(spec.steps)
    ]


def _durations(levels: NDArray[np.uint8], times: NDArray[np.int64], index: int) -> NDArray[np.int64]:
    """Milliseconds from the step before, of those who reached the step; none for step 0."""
    if index == 0:
        return np.zeros(0, np.int64)
    there = times[levels > index]
    return there[:, index] - there[:, index - 1]


def _step(
    scope: Scope, label: str, index: int, reached: Sequence[int], durations: NDArray[np.int64]
) -> dict[str, Any]:
    users, entered = reached[index], reached[0]
    before = reached[index - 1] if index else users
    rate = users / entered if entered else 0
    return {
        "label": label,
        "users": scope.scaled(users),
        "conversion_rate": rate,
        "step_conversion_rate": rate if index == 0 else users / before if before else 0,
        "dropped": scope.scaled(before - users),
        "average_seconds": int(durations.sum()) / len(durations) / 1000 if len(durations) else None,
        "median_seconds": float(np.median(durations)) / 1000 if len(durations) else None,
    }


# -------------------------------------------------------------------------------------------- who


def select_people(spec: FunnelUsersSpec, scope: Scope, reader: StoreReader, page: Page) -> People:
    """The persons behind a cell: the rows that `fold` counted."""
    cell = spec.cell
    if cell.key and spec.breakdown is not None:
        found, groups = grouped(spec, scope, reader)
        keys = GroupKeys.of(spec.breakdown.parts, scope.catalogue)
        rows = _rows_of(groups, keys, cell.key)
    else:
        found = scan(spec, scope, reader).scan
        rows = np.arange(len(found.keys))
    levels = found.levels[rows]
    dropped = (levels == cell.step) & (cell.step > 0)
    chosen = levels > cell.step if cell.outcome == "converted" else dropped
    actors = np.sort(found.keys[rows][chosen])
    if scope.actor is not None:
        actors = _persons_of(spec, scope, reader, actors)
    after = actors[actors > np.uint64(page.after)][: page.limit]
    return People([int(actor) for actor in after], len(actors))


def _rows_of(groups: Sequence[Group], keys: GroupKeys, key: Key) -> NDArray[np.int64]:
    wanted = {keys.write(key)} if len(key) == len(keys.types) else set()
    if key == (OTHER,) and any(group.key == REST for group in groups):
        wanted = {REST}
    found = [group.rows for group in groups if group.key in wanted]
    return found[0] if found else np.zeros(0, np.int64)


def _persons_of(
    spec: FunnelSpec, scope: Scope, reader: StoreReader, actors: NDArray[np.uint64]
) -> NDArray[np.uint64]:
    if len(actors) > MAX_ACTORS_LISTED:
        raise TooExpensive(f"the people behind more than {MAX_ACTORS_LISTED} actors cannot be listed")
    sql = EventSql(scope)
    query = sql.parameters.query(people_sql(sql, spec, actors.tolist()))
    persons = [block[0] for block in reader.stream(query)]
    return np.sort(np.concatenate(persons)) if persons else np.zeros(0, np.uint64)


def explain(spec: FunnelSpec, scope: Scope) -> list[Explained]:
    """The queries that feed the scanner, and those that name its groups."""
    event_parts, user_parts = _split(spec)
    sql = EventSql(scope)
    rows = rows_sql(sql, spec, event_parts=event_parts)
    queries = [Explained("the rows that are scanned", sql.parameters.query(rows))]
    if _is_partitioned(spec):
        queries.insert(
            0, Explained("the rows of the ungrouped steps", sql.parameters.query(rows_sql(sql, spec)))
        )
    if event_parts:
        texts = texts_sql(sql, spec, event_parts)
        queries.append(Explained("the names of the breakdown's values", sql.parameters.query(texts)))
    if user_parts:
        of_users = profiles_sql(sql, user_parts, "user_key, value")
        queries.append(Explained("the breakdown's values of users", sql.parameters.query(of_users)))
    return queries


FUNNEL = Analysis(FunnelSpec, FunnelUsersSpec, answer, select_people, explain, scanned=True)
