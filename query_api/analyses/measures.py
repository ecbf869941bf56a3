"""What trends can measure: for each, its aggregates in SQL and the number that they give.

Aggregates read the columns `actor` (0: nobody) and, of a property, `exact` (Decimal(76, 30)), `double` and
`canonical` (its text), each NULL where the value is missing or no number. Sums are exact, so that they do not
depend on the order of the events; a value too large for that makes its sum one of doubles.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from query_api.answers import as_number
from query_api.spec.trends import Measure, PlainMeasure, PropertyMeasure

Number = int | float | Decimal

USERS = "uniqExactIf(actor, actor != 0)"
_SORTED = "arraySort(groupArrayIf(assumeNotNull(exact), isNotNull(exact)))"


@dataclass(frozen=True, slots=True)
class Measured:
    """A measure: its aggregates, what their values make, and by which aggregate groups are ranked.

    scales: whether a sample's value is multiplied up to the whole.
    """

    aggregates: tuple[str, ...]
    fold: Callable[[Sequence[Any]], Number]
    size: str
    scales: bool = False


def _exactly(function: str, condition: str = "1") -> tuple[str, str, str]:
    """The aggregate exactly, as a double, and how many values are too large for the exact one."""
    return (
        f"{function}If(exact, {condition})",
        f"{function}If(double, {condition})",
        f"countIf(isNull(exact) AND isNotNull(double) AND {condition})",
    )


def _percentile(percent: int) -> tuple[str, ...]:
    """The two values around the place (n - 1) * percent / 100, and the place's hundredths between them."""
    place = f"(toInt64(count(exact)) - 1) * {percent}"
    return (
        f"{_SORTED}[intDiv({place}, 100) + 1]",
        f"{_SORTED}[least(intDiv({place}, 100) + 2, count(exact))]",
        f"({place}) % 100",
        f"quantileExactInclusiveIf({percent / 100})(double, isNotNull(double))",
        "countIf(isNull(exact) AND isNotNull(double))",
    )


def _only(values: Sequence[Any]) -> Number:
    return int(values[0])


def _ratio(values: Sequence[Any]) -> Number:
    return values[0] / values[1] if values[1] else 0


def _exact(values: Sequence[Any]) -> Number:
    exact, double, too_large = values
    if too_large:
        return float(double)
    return 0 if exact is None else as_number(Fraction(exact))


def _average(values: Sequence[Any]) -> Number:
    exact, double, too_large, count = values
    if not count:
        return 0
    if too_large:
        return float(double) / int(count)
    return 0 if exact is None else as_number(Fraction(exact) / int(count))


def _interpolated(values: Sequence[Any]) -> Number:
    low, high, hundredths, double, too_large = values
    if too_large:
        return float(double)
    return as_number(Fraction(low) + (Fraction(high) - Fraction(low)) * Fraction(int(hundredths), 100))


_MEASURES: dict[PlainMeasure | PropertyMeasure, Measured] = {
    "events": Measured(("count()",), _only, "count()", scales=True),
    "users": Measured((USERS,), _only, USERS, scales=True),
    "events_per_user": Measured(("countIf(actor != 0)", USERS), _ratio, USERS),
    "sum": Measured(_exactly("sum"), _exact, "ifNull(sum(exact), toDecimal256(0, 30))", scales=True),
    "min": Measured(_exactly("min"), _exact, "count()"),
    "max": Measured(_exactly("max"), _exact, "count()"),
    "average": Measured((*_exactly("sum"), "count(double)"), _average, "count()"),
    "sum_per_user": Measured((*_exactly("sum", "actor != 0"), USERS), _average, USERS),
    "distinct": Measured(("uniqExactIf(canonical, isNotNull(canonical))",), _only, "count()"),
    "median": Measured(_percentile(50), _interpolated, "count()"),
    "p75": Measured(_percentile(75), _interpolated, "count()"),
    "p90": Measured(_percentile(90), _interpolated, "count()"),
    "p95": Measured(_percentile(95), _interpolated, "count()"),
    "p99": Measured(_percentile(99), _interpolated, "count()"),
}


def measured(measure: Measure) -> Measured:
    """How to compute a measure. Over nothing each is 0."""
    return _MEASURES[measure.kind]
