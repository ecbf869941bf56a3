"""What changes between two plans, place by place: so that a person sees what a change means beforehand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from footfall.tracking_plan.plan import Plan
from footfall.tracking_plan.writing import plan_as_json


class Difference(NamedTuple):
    """A place that is added, removed or changed; `before` and `after` are JSON values, None for nothing."""

    path: str
    change: Literal["added", "removed", "changed"]
    before: Any
    after: Any


def differences(before: Plan, after: Plan) -> list[Difference]:
    """In the order of `after`, what is gone last. Order alone is no difference.

    >>> differences(Plan("off"), Plan("report"))
    [Difference(path='mode', change='changed', before='off', after='report')]
    """
    return list(_between(plan_as_json(before), plan_as_json(after), ""))


def _between(before: Mapping[str, Any], after: Mapping[str, Any], path: str) -> Iterator[Difference]:
    for name, value in after.items():
        place = f"{path}.{name}" if path else name
        if name not in before:
            yield Difference(place, "added", None, value)
        elif isinstance(value, dict) and isinstance(before[name], dict):
            yield from _between(before[name], value, place)
        elif before[name] != value:
            yield Difference(place, "changed", before[name], value)
    for name, value in before.items():
        if name not in after:
            yield Difference(f"{path}.{name}" if path else name, "removed", value, None)
