"""Hides small cells from keys that have a minimum cell size k: what such a key sees of an answer.

The rules, of every analysis:
1. A cell of fewer than k distinct persons is null; a group, link or node of fewer than k is left out.
2. Numbers of persons, sessions and events are rounded down to multiples of k, totals too, and rates are made
   of rounded numbers. So what is hidden is not what a total is more than the cells that are shown, and two
   questions whose answers differ by one person give the same numbers, or ones that differ by k.
3. Sums and times are rounded to a grid that is at least the k-th part of them: what one of k persons adds is
   lost.
4. What is one person's number is refused: min, max, percentiles; formulas, samples and other actors, too,
   since they could be made such. So are lists of persons, exports, and all that is no count
   (query_api/access.py).

It is no differential privacy: who asks many questions about groups that they chose can learn that a number
went over a multiple of k.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from math import floor, log10
from typing import Any, Final

from query_api.analyses.analysis import Analysis
from query_api.problems import Fault, refused
from query_api.scope import Scope
from query_api.spec.breakdown import OTHER
from query_api.spec.trends import Measure, TrendsSpec
from query_api.store_reader import StoreReader

ONE_PERSONS: Final = ("min", "max", "median", "p75", "p90", "p95", "p99")
"""Measures that are the number of one event, and so of one person."""

_COUNTS: Final = ("events", "users", "distinct")
Answer = Callable[[Any, Scope, StoreReader], dict[str, Any]]


def check_spec(spec: Any, k: int) -> None:
    """Raises InvalidQuery for what a key of this minimum cell size may not ask."""
    faults = []
    if spec.actor != "user":
        faults.append(_fault("actor", "counts users only", k))
    if spec.sample is not None:
        faults.append(_fault("sample", "cannot take samples", k))
    if isinstance(spec, TrendsSpec):
        if spec.formula is not None:
            faults.append(_fault("formula", "cannot use formulas", k))
        for index, series in enumerate(spec.series):
            if series.measure.kind in ONE_PERSONS:
                why = f"cannot measure {series.measure.kind}, which is one person's number"
                faults.append(_fault(f"series[{index}].measure", why, k))
    if faults:
        raise refused(faults)


def _fault(field: str, what: str, k: int) -> Fault:
    return Fault(field, "min_cell", f"this key's minimum cell size is {k}: it {what}")


def answering(analysis: Analysis, k: int | None) -> Answer:
    """The analysis's answer as a key of this minimum cell size sees it; None: as it is."""
    if k is None:
        return analysis.answer
    hide = _HIDING[analysis.spec.__name__]

    def answer(spec: Any, scope: Scope, reader: StoreReader) -> dict[str, Any]:
        return hide(analysis, spec, scope, reader, Cells(k))

    return answer


def warning(k: int) -> str:
    """What answers say about it."""
    return (
        f"this key's minimum cell size is {k}: cells of fewer persons are hidden, "
        f"numbers are rounded down to multiples of {k}"
    )


def without_counts(catalogue: dict[str, Any]) -> dict[str, Any]:
    """A catalogue of names and types alone: its counts are of events, of which one person may have made all,
    and its times are single records'.
    """
    unknown = {"first_seen": None, "last_seen": None, "count": None}
    return catalogue | {
        "events": [event | unknown for event in catalogue["events"]],
        "properties": [
            each | {"first_seen": None, "conflicts": dict.fromkeys(each["conflicts"])}
            for each in catalogue["properties"]
        ],
    }


class Cells:
    """How numbers are shown where cells have at least k persons."""

    def __init__(self, k: int) -> None:
        self.k = k

    def count(self, number: Any) -> Any:
        """A count, null if it is below k."""
        return None if number is None or number < self.k else int(number) // self.k * self.k

    def value(self, number: Any) -> Any:
        """A sum or a time on a grid of 1, 2 or 5 times a power of ten, at least a k-th of it."""
        if number is None or not number:
            return number
        step = _grid(abs(float(number)) / self.k)
        on_grid = Decimal(floor(abs(float(number)) / float(step))) * step
        shown = on_grid if number > 0 else -on_grid
        return float(shown) if shown != int(shown) else int(shown)

    def rate(self, part: int | None, whole: int | None) -> float | None:
        """Of counts that are shown."""
        return None if part is None or not whole else part / whole


def _grid(least: float) -> Decimal:
    """The smallest 1, 2 or 5 times a power of ten that is not below `least`."""
    power = floor(log10(least))
    steps = (Decimal(each).scaleb(power + more) for more in (0, 1) for each in (1, 2, 5))
    return next(step for step in steps if float(step) >= least)


# --------------------------------------------------------------------------------------- analyses


def _trends(
    analysis: Analysis, spec: TrendsSpec, scope: Scope, reader: StoreReader, cells: Cells
) -> dict[str, Any]:
    """The series as asked beside the same series of users, which says how many persons a cell has."""
    numbered = [one.model_copy(update={"label": str(index)}) for index, one in enumerate(spec.series)]
    users = [one.model_copy(update={"measure": Measure(kind="users")}) for one in numbered]
    asked = analysis.answer(spec.model_copy(update={"series": tuple(numbered)}), scope, reader)
    counted = analysis.answer(spec.model_copy(update={"series": tuple(users)}), scope, reader)
    persons = {(one["label"], tuple(one["key"])): one for one in counted["series"]}
    # Where both do not list the same groups, their rests are not of the same ones.
    same = persons.keys() == {(one["label"], tuple(one["key"])) for one in asked["series"]}
    shown = []
    for one in asked["series"]:
        measure = spec.series[int(one["label"])].measure.kind
        behind = persons.get((one["label"], tuple(one["key"])))
        if behind is None or (one["key"] == [OTHER] and not same):
            continue
        if one["key"] and cells.count(behind["total"]) is None:
            continue

        def cell(number: Any, users: Any, measure: str = measure) -> Any:
            if cells.count(users) is None:
                return None
            return cells.count(number) if measure in _COUNTS else cells.value(number)

        shown.append(
            {
                **one,
                "label": spec.series[int(one["label"])].shown,
                "values": [cell(*each) for each in zip(one["values"], behind["values"], strict=True)],
                "total": cell(one["total"], behind["total"]),
            }
        )
    return {**asked, "series": shown}


def _funnel(analysis: Analysis, spec: Any, scope: Scope, reader: StoreReader, cells: Cells) -> dict[str, Any]:
    """Groups by who entered; a step's figures go with its number of users."""
    found = analysis.answer(spec, scope, reader)
    groups = [group for group in found["groups"] if cells.count(group["steps"][0]["users"]) is not None]
    return {
        **found,
        **_funnel_figures(found, cells),
        "groups": [{**group, **_funnel_figures(group, cells)} for group in groups],
    }


def _funnel_figures(found: Mapping[str, Any], cells: Cells) -> dict[str, Any]:
    counts = [cells.count(step["users"]) for step in found["steps"]]
    steps = []
    for index, step in enumerate(found["steps"]):
        users, before = counts[index], counts[max(0, index - 1)]
        times = ("average_seconds", "median_seconds")
        steps.append(
            {
                **step,
                "users": users,
                "conversion_rate": cells.rate(users, counts[0]),
                "step_conversion_rate": cells.rate(users, before),
                "dropped": None if users is None or before is None else before - users,
                **{name: None if users is None else cells.value(step[name]) for name in times},
            }
        )
    trend = []
    for each in found["trend"]:
        entered, converted = cells.count(each["entered"]), cells.count(each["converted"])
        rate = cells.rate(converted, entered)
        trend.append({**each, "entered": entered, "converted": converted, "rate": rate})
    bars = [{**bar, "users": cells.count(bar["users"])} for bar in found["histogram"]]
    return {"steps": steps, "trend": trend, "histogram": bars}


def _retention(
    analysis: Analysis, spec: Any, scope: Scope, reader: StoreReader, cells: Cells
) -> dict[str, Any]:
    """A row's cells go with its cohort; groups with the largest of theirs."""
    found = analysis.answer(spec, scope, reader)
    groups = [
        group
        for group in found["groups"]
        if any(cells.count(row["size"]) is not None for row in group["rows"])
    ]
    return {
        **found,
        **_table(found, cells),
        "groups": [{**group, **_table(group, cells)} for group in groups],
    }


def _table(found: Mapping[str, Any], cells: Cells) -> dict[str, Any]:
    rows = [
        {**row, "size": cells.count(row["size"]), "values": [cells.count(each) for each in row["values"]]}
        for row in found["rows"]
    ]
    means = []
    for period in range(len(found["mean"])):
        begun = [row for row in rows if period < len(row["values"]) and row["size"] is not None]
        retained = sum(row["values"][period] or 0 for row in begun)
        means.append(cells.rate(retained or None, sum(row["size"] for row in begun)))
    return {"rows": rows, "mean": means}


def _paths(analysis: Analysis, spec: Any, scope: Scope, reader: StoreReader, cells: Cells) -> dict[str, Any]:
    """Nodes and links by their users; sessions of what is shown."""
    found = analysis.answer(spec, scope, reader)
    # How many persons went on from a node and how many ended there is not known, so neither is shown.
    unknown = {"continuing": None, "exits": None}
    nodes = [
        {**node, **{name: cells.count(node[name]) for name in ("users", "sessions")}, **unknown}
        for node in found["nodes"]
        if cells.count(node["users"]) is not None
    ]
    ids = {node["id"] for node in nodes}
    links = [
        {
            **link,
            "count": cells.count(link["count"]),
            "users": cells.count(link["users"]),
            "average_seconds": cells.value(link["average_seconds"]),
        }
        for link in found["links"]
        if cells.count(link["users"]) is not None and {link["source"], link["target"]} <= ids
    ]
    sessions = cells.count(found["sessions"]) if nodes else None
    return {**found, "nodes": nodes, "links": links, "sessions": sessions, "other": None}


_HIDING: Final[dict[str, Callable[[Analysis, Any, Scope, StoreReader, Cells], dict[str, Any]]]] = {
    "TrendsSpec": _trends,
    "FunnelSpec": _funnel,
    "RetentionSpec": _retention,
    "PathsSpec": _paths,
}
