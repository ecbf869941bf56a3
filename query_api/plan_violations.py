"""How often what was sent did not keep to the tracking plan: counts over some days, by what is asked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from footfall.storage.store import Parameter, Query
from footfall.tracking_plan.judging import KINDS
from footfall.workspace.projects import Project
from query_api.problems import Fault, refused
from query_api.spec.spellings import nearest
from query_api.spec.time_range import read_date
from query_api.store_reader import StoreReader

COLUMNS: Final = ("day", "event", "property", "kind", "lib", "app_version", "refused")
FILTERS: Final = ("event", "property", "kind", "lib", "app_version")
DEFAULT_BY: Final = "event,property,kind,app_version"
_DEFAULT_DAYS: Final = 7


def read_violations(
    reader: StoreReader, project: Project, asked: Mapping[str, str], *, limit: int, now: int
) -> dict[str, Any]:
    """`{"from", "to", "by", "total", "refused", "rows": [{..., "count"}], "truncated"}`, most frequent first.

    `asked`: from, to (days of the project's time zone, both included; default: the last seven), by, and
    filters by value; `now` in epoch milliseconds.
    """
    first, last = _days(project, asked, now)
    by = _columns(asked.get("by", DEFAULT_BY))
    where = ["project = {project:String}", "day BETWEEN {first:Date} AND {last:Date}"]
    parameters: dict[str, Parameter] = {"project": project.name, "first": str(first), "last": str(last)}
    for name in FILTERS:
        if name in asked:
            where.append(f"{name} = {{{name}:String}}")
            parameters[name] = _kind(asked[name]) if name == "kind" else asked[name]
    source = f"FROM plan_violations WHERE {' AND '.join(where)}"
    total, turned_away = reader.rows(
        Query(f"SELECT sum(count), sumIf(count, refused) {source}", parameters)
    ).rows[0]
    columns = ", ".join("toString(day)" if name == "day" else name for name in by)
    grouped = (
        f"SELECT {columns}, sum(count) AS violations {source} GROUP BY {', '.join(by)} "
        f"ORDER BY violations DESC, {', '.join(by)} LIMIT {limit + 1}"
    )
    rows = reader.rows(Query(grouped, parameters)).rows
    return {
        "from": str(first),
        "to": str(last),
        "by": list(by),
        "total": int(total),
        "refused": int(turned_away),
        "rows": [dict(zip((*by, "count"), (*row[:-1], int(row[-1])), strict=True)) for row in rows[:limit]],
        "truncated": len(rows) > limit,
    }


def _days(project: Project, asked: Mapping[str, str], now: int) -> tuple[date, date]:
    today = datetime.fromtimestamp(now / 1000, ZoneInfo(project.timezone)).date()
    last = _day("to", asked["to"]) if "to" in asked else today
    first = _day("from", asked["from"]) if "from" in asked else last - timedelta(days=_DEFAULT_DAYS - 1)
    if first > last:
        raise refused([Fault("from", "invalid_value", f"from ({first}) lies behind to ({last})", str(first))])
    return first, last


def _day(field: str, given: str) -> date:
    try:
        day = read_date(given)
    except ValueError:
        raise refused([Fault(field, "invalid_value", "a day like 2026-10-01", given)]) from None
    if not 1970 <= day.year < 2149:
        raise refused([Fault(field, "invalid_value", "years 1970 to 2148 can be asked", given)])
    return day


def _columns(given: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in given.split(",")))
    for name in names:
        if name not in COLUMNS:
            message = f"{name[:100]!r} is nothing to count by"
            raise refused([Fault("by", "unknown_value", message, name, COLUMNS, nearest(name, COLUMNS))])
    return names


def _kind(given: str) -> str:
    if given not in KINDS:
        message = f"{given[:100]!r} is no kind of violation"
        raise refused([Fault("kind", "unknown_value", message, given, KINDS, nearest(given, KINDS))])
    return given
