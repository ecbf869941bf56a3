"""trends: how much of it, over time?

Unit of observation: the event. A series takes the events that its selector matches inside the range and
measures them by bucket, and once more over the whole range (`total`: its own number, never a sum of the
buckets). Denominators: per-user measures divide by the actors of the same bucket and group; averages and
percentiles by the events that have a number. Events whose id identifies nobody count as events and never as
users. Edge rules: empty buckets are 0, also for averages. Buckets count only their part inside the range; a
trailing window counts whole buckets before it. Groups are ranked within a series by events, users or the
sum, whatever is measured; ties by key, a missing value first. What it does not answer: in which order a
person did things.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from typing import Any

from query_api.analyses.analysis import Analysis, Explained, Page, People
from query_api.analyses.measures import Measured, Number, measured
from query_api.analyses.trends_cuts import Cut, cell_period, cuts_of
from query_api.answers import as_number
from query_api.buckets import Bucket, Period
from query_api.group_keys import NAMED_AS_REST, REST, GroupKeys
from query_api.scope import Scope
from query_api.spec.breakdown import Part
from query_api.spec.conditions import Owner
from query_api.spec.formula import evaluate
from query_api.spec.trends import Series, TrendsCell, TrendsSpec, TrendsUsersSpec
from query_api.sql.events import PERSON, TIME, EventSql
from query_api.store_reader import StoreReader

# ------------------------------------------------------------------------------------------- SQL


@dataclass(frozen=True, slots=True)
class Groups:
    """Group keys, largest first. With `others`, all further ones are one group."""

    keys: tuple[str, ...]
    others: bool

    @property
    def listed(self) -> tuple[str, ...]:
        """All that the answer lists."""
        return (*self.keys, REST) if self.others else self.keys


def rows_sql(
    sql: EventSql,
    spec: TrendsSpec,
    series: Sequence[Series],
    cut: Cut,
    groups: Groups | None = None,
    *,
    people: bool = False,
) -> str:
    """The rows that a series measures: actor, bucket, key, the property's value; person where needed."""
    columns = [f"{sql.actor} AS actor"]
    if cut.edges:
        columns.append(f"{_bucket(sql, cut)} AS bucket")
    columns += [f"{sql.key_part(part)} AS {name}" for name, part in _parts(spec, "event")]
    if people or _parts(spec, "user"):
        columns.append(f"{PERSON} AS person")
    if len(series) == 1:
        columns += _measured_columns(sql, series[0])
        narrowed = sql.narrows(series[0])
    else:
        narrowed = [f"({' OR '.join(sql.selects(one) for one in series)})"]
    rows = f"""SELECT {_listed(columns)}
    FROM {sql.source(series, cut.period)}
    WHERE {_all([sql.reads(series, cut.period), *narrowed])}"""
    return _keyed(sql, spec, rows, groups) if spec.breakdown else f"(\n    {rows}\n)"


def _measured_columns(sql: EventSql, series: Series) -> list[str]:
    measure = series.measure
    if measure.property is None:
        return []
    found = sql.property(measure.property)
    if measure.kind == "distinct":
        return [f"{found.canonical} AS canonical"]
    return [f"{found.exact} AS exact", f"{found.float} AS double"]


def _parts(spec: TrendsSpec, owner: Owner) -> list[tuple[str, Part]]:
    """The breakdown's parts of events or of users, each with its column."""
    of_user = owner == "user"
    return [(f"part{index}", part) for index, part in enumerate(spec.breakdown) if part.is_of_user == of_user]


def _bucket(sql: EventSql, cut: Cut) -> str:
    """The start of a row's bucket; with a trailing window one row for each window that the row lies in."""
    edges = sql.parameters.integers(cut.edges)
    start = f"roundDown({TIME}, {edges})"
    if cut.trailing == 1:
        return start
    place = f"indexOf({edges}, {start})"
    first, last = (
        f"greatest({place}, {cut.trailing})",
        f"least({place} + {cut.trailing - 1}, {len(cut.edges)})",
    )
    return f"arrayJoin(arraySlice({edges}, {first}, {last} - {first} + 1))"


def _keyed(sql: EventSql, spec: TrendsSpec, rows: str, groups: Groups | None) -> str:
    """The rows with their group's key; the values of users are joined."""
    key = sql.joined_key([f"part{index}" for index in range(len(spec.breakdown))])
    if groups is not None and groups.others:
        key = f"if(has({sql.parameters.texts(groups.keys)}, {key}), {key}, '{REST}')"
    joined, of_user = "", [f"{sql.key_part(part)} AS {name}" for name, part in _parts(spec, "user")]
    if of_user:
        profiles = sql.profiles(f"SELECT user_key AS profile_key, {', '.join(of_user)}")
        joined = f" LEFT ANY JOIN {profiles} AS profiles_of ON matched.person = profiles_of.profile_key"
    return f"(\nSELECT *, {key} AS key FROM (\n    {rows}\n) AS matched{joined}\n)"


def values_sql(
    sql: EventSql, spec: TrendsSpec, series: Series, cut: Cut, groups: Groups | None, *, total: bool
) -> str:
    """The measure by bucket and group, with `total` over all buckets too: rows of is_total, bucket, key, …"""
    key = ["key"] if spec.breakdown else []
    sets = [["bucket", *key]] if cut.edges else []
    if total or not cut.edges:
        sets.append(key)
    columns = [
        "grouping(bucket) AS is_total, bucket" if cut.edges else "1 AS is_total, toInt64(0) AS bucket",
        "key" if spec.breakdown else "'' AS key",
        *measured(series.measure).aggregates,
    ]
    grouping = ", ".join(f"({', '.join(one)})" for one in sets)
    return f"""SELECT {", ".join(columns)}
FROM {rows_sql(sql, spec, [series], cut, groups)}
GROUP BY GROUPING SETS ({grouping})"""


def ranking_sql(sql: EventSql, spec: TrendsSpec, series: Sequence[Series], period: Period, size: str) -> str:
    """The largest groups in the order of GroupKeys, one more than are shown, to see if there are others."""
    parts = [f"part{i}" for i in range(len(spec.breakdown))]
    types = GroupKeys.of(spec.breakdown, sql.scope.catalogue).types
    order = ["size DESC", *(sql.order_of_part(*each) for each in zip(parts, types, strict=True))]
    return f"""SELECT key, {size} AS size
FROM {rows_sql(sql, spec, series, Cut(period))}
GROUP BY key, {", ".join(parts)}
ORDER BY {", ".join(order)}
LIMIT {spec.breakdown_limit + 1}"""


def people_sql(sql: EventSql, spec: TrendsSpec, cell: TrendsCell, cut: Cut, groups: Groups | None) -> str:
    """The persons behind a cell: rows of person."""
    rows = rows_sql(sql, spec, [spec.series[cell.series]], cut, groups, people=True)
    tests = ["person != 0"]
    if cell.key:
        tests.append(f"key = {sql.parameters.text(_cell_key(spec, sql.scope, cell, groups))}")
    return f"SELECT DISTINCT person FROM {rows} WHERE {' AND '.join(tests)}"


def _cell_key(spec: TrendsSpec, scope: Scope, cell: TrendsCell, groups: Groups | None) -> str:
    if cell.key == ("$other",) and groups is not None and groups.others:
        return REST
    if len(cell.key) != len(spec.breakdown):
        return REST
    return GroupKeys.of(spec.breakdown, scope.catalogue).write(cell.key)


def _listed(columns: Sequence[str]) -> str:
    return (",\n" + " " * 8).join(columns)


def _all(tests: Sequence[str]) -> str:
    return "\n        AND ".join(tests)


# ----------------------------------------------------------------------------------------- result


@dataclass(frozen=True, slots=True)
class Values:
    """A series of one group: a number for each bucket that has one, and the total."""

    by_bucket: dict[int, Number]
    total: Number


def answer(spec: TrendsSpec, scope: Scope, reader: StoreReader) -> dict[str, Any]:
    """`{"buckets": [...], "series": [{"label", "key", "values", "total"}]}`."""
    buckets = scope.calendar.buckets(scope.period, spec.interval)
    if spec.formula is not None:
        series = _formula_series(spec, scope, reader, buckets)
    else:
        series = []
        for one in spec.series:
            groups = _rank(spec, scope, reader, [one], measured(one.measure).size)
            series += _read_series(spec, scope, reader, one, buckets=buckets, groups=groups)
    return {"buckets": [bucket.name for bucket in buckets], "series": series}


def _read_series(
    spec: TrendsSpec,
    scope: Scope,
    reader: StoreReader,
    series: Series,
    *,
    buckets: Sequence[Bucket],
    groups: Groups | None,
) -> list[dict[str, Any]]:
    """The answer's entries of one series: a group each, in the groups' order."""
    values = _read_values(spec, scope, reader, series, cuts_of(spec, scope, buckets), groups=groups)
    read = GroupKeys.of(spec.breakdown, scope.catalogue).read
    nothing = Values({}, 0)
    return [
        {
            "label": series.shown,
            "key": list(read(key)) if spec.breakdown else [],
            "values": _listed_values(spec, buckets, values.get(key, nothing)),
            "total": values.get(key, nothing).total,
        }
        for key in (groups.listed if groups is not None else ("",))
    ]


def _rank(
    spec: TrendsSpec, scope: Scope, reader: StoreReader, series: Sequence[Series], size: str
) -> Groups | None:
    """The groups that are shown; None without a breakdown."""
    if not spec.breakdown:
        return None
    sql = EventSql(scope)
    period = cuts_of(spec, scope, ())[-1].period
    found = reader.rows(sql.parameters.query(ranking_sql(sql, spec, series, period, size))).rows
    keys = [row[0] for row in found]
    if len(keys) <= spec.breakdown_limit:
        return Groups(tuple(keys), others=False)
    listed = (key for key in keys[: spec.breakdown_limit] if key != NAMED_AS_REST)
    return Groups(tuple(listed), others=True)


def _read_values(
    spec: TrendsSpec,
    scope: Scope,
    reader: StoreReader,
    series: Series,
    cuts: Sequence[Cut],
    *,
    groups: Groups | None,
) -> dict[str, Values]:
    """The values of all groups, by key."""
    rows: list[Sequence[Any]] = []
    for cut in cuts:
        sql = EventSql(scope)
        text = values_sql(sql, spec, series, cut, groups, total=len(cuts) == 1)
        rows += reader.rows(sql.parameters.query(text)).rows
    measure = measured(series.measure)
    found: dict[str, Values] = {}
    for key, of_key in groupby(sorted(rows, key=lambda row: str(row[2])), key=lambda row: str(row[2])):
        by_bucket: dict[int, Number] = {}
        total: Number = 0
        for is_total, bucket, _, *aggregates in of_key:
            value = _scaled(measure, scope, measure.fold(aggregates))
            if is_total:
                total = value
            else:
                by_bucket[int(bucket)] = value
        found[key] = Values(by_bucket, total)
    return found


def _scaled(measure: Measured, scope: Scope, value: Number) -> Number:
    if not measure.scales or scope.sample is None:
        return value
    return (
        scope.scaled(value) if isinstance(value, int) else as_number(Fraction(value) / Fraction(scope.sample))
    )


# ------------------------------------------------------------------------------------------- fold


def _listed_values(spec: TrendsSpec, buckets: Sequence[Bucket], values: Values) -> list[Number]:
    if spec.interval == "total":
        return [values.total]
    return [values.by_bucket.get(bucket.start, 0) for bucket in buckets]


def _formula_series(
    spec: TrendsSpec, scope: Scope, reader: StoreReader, buckets: Sequence[Bucket]
) -> list[dict[str, Any]]:
    """One entry a group: the formula over all series, in every bucket and in total."""
    formula = spec.parsed_formula
    assert formula is not None
    assert spec.formula is not None
    groups = _rank(spec, scope, reader, spec.series, "count()")
    of_series = [
        _read_series(spec, scope, reader, series, buckets=buckets, groups=groups) for series in spec.series
    ]

    def combined(numbers: Sequence[Number]) -> Number | None:
        value = evaluate(formula, [Fraction(str(number)) for number in numbers])
        return None if value is None else as_number(value)

    return [
        {
            "label": spec.formula,
            "key": of_group[0]["key"],
            "values": [
                combined(numbers) for numbers in zip(*(entry["values"] for entry in of_group), strict=True)
            ],
            "total": combined([entry["total"] for entry in of_group]),
        }
        for of_group in zip(*of_series, strict=True)
    ]


def select_people(spec: TrendsUsersSpec, scope: Scope, reader: StoreReader, page: Page) -> People:
    """The persons behind a cell."""
    series = spec.series[spec.cell.series]
    ranked = spec.series if spec.formula is not None else [series]
    size = "count()" if spec.formula is not None else measured(series.measure).size
    groups = _rank(spec, scope, reader, ranked, size) if spec.cell.key else None
    cut = Cut(cell_period(spec, scope))
    sql = EventSql(scope)
    people = people_sql(sql, spec, spec.cell, cut, groups)
    total = reader.rows(sql.parameters.query(f"SELECT count() FROM ({people})")).rows[0][0]
    after = sql.parameters.key(page.after)
    keys = reader.rows(
        sql.parameters.query(
            f"SELECT person FROM ({people}) WHERE person > {after} ORDER BY person LIMIT {page.limit}"
        )
    ).rows
    return People([int(row[0]) for row in keys], int(total))


def explain(spec: TrendsSpec, scope: Scope) -> list[Explained]:
    """The queries of every series. Which groups are shown is the outcome of the first of them."""
    buckets = scope.calendar.buckets(scope.period, spec.interval)
    explained = []
    for series in spec.series:
        sql = EventSql(scope)
        if spec.breakdown:
            period = cuts_of(spec, scope, ())[-1].period
            text = ranking_sql(sql, spec, [series], period, measured(series.measure).size)
            explained.append(Explained(f"{series.shown}: the largest groups", sql.parameters.query(text)))
        cuts = cuts_of(spec, scope, buckets)
        for cut in cuts:
            text = values_sql(sql, spec, series, cut, None, total=len(cuts) == 1)
            what = "the values" if cut.edges or len(cuts) == 1 else "the total"
            explained.append(Explained(f"{series.shown}: {what}", sql.parameters.query(text)))
    return explained


TRENDS = Analysis(TrendsSpec, TrendsUsersSpec, answer, select_people, explain)
