"""The spec of `funnel`: steps, the window they must fit in, and how they are split."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StrictBool, StrictInt, model_validator

from query_api.scan import MAX_STEPS, Order
from query_api.spec.breakdown import Breakdown, Part
from query_api.spec.query import Key, QuerySpec, UsersFields
from query_api.spec.selector import Selector
from query_api.spec.strict import Strict, refuse, refuse_not_implemented
from query_api.spec.time_range import Unit
from query_api.spec.trends import check_key

Attribution = Literal["first_touch", "last_touch", "step", "all_steps"]
WindowUnit = Literal["second", "minute", "hour", "day", "week"]

MAX_EXCLUSIONS = 20
_UNITS: dict[WindowUnit, timedelta] = {
    "second": timedelta(seconds=1),
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
}
_LONGEST = timedelta(days=3660)


class Window(Strict):
    """Elapsed time from an attempt's first event, end included."""

    value: StrictInt = Field(ge=1, le=1_000_000_000)
    unit: WindowUnit

    @model_validator(mode="after")
    def _check(self) -> Window:
        if self.value * _UNITS[self.unit].total_seconds() > _LONGEST.total_seconds():
            refuse("invalid_value", f"at most {_LONGEST.days} days", field="value", given=self.value)
        return self

    @property
    def duration(self) -> timedelta:
        return self.value * _UNITS[self.unit]


class Step(Selector):
    """A selector; optional steps come later."""

    optional: StrictBool = False

    @model_validator(mode="after")
    def _check(self) -> Step:
        if self.optional:
            refuse_not_implemented("optional steps", field="optional", given=True)
        return self


class FunnelBreakdown(Strict):
    """How actors are grouped: by an event property, touched in one of four ways, or by a user property."""

    properties: Breakdown = Field(min_length=1)
    of: Literal["event", "user"] | None = None
    attribution: Attribution = "first_touch"
    step: StrictInt = Field(default=0, ge=0)

    @property
    def parts(self) -> tuple[Part, ...]:
        """The properties; `of` says whose those are that do not say it themselves."""
        if self.of is None:
            return self.properties
        return tuple(
            part if "of" in part.model_fields_set else Part(property=part.property, of=self.of)
            for part in self.properties
        )


def _read_breakdown(given: Any) -> Any:
    """A list of properties means first_touch."""
    if isinstance(given, str | list | tuple) or (isinstance(given, Mapping) and "property" in given):
        return {"properties": given} if given not in ([], ()) else None
    return given


class Exclusion(Selector):
    """An event that voids an attempt in which it falls after one step and before another."""

    from_step: StrictInt = Field(default=0, ge=0)
    to_step: StrictInt = Field(default=1, ge=1)


class FunnelTrend(Strict):
    """Attempts by the bucket that they begin in. `to_step` null is the last step."""

    interval: Unit = "day"
    from_step: StrictInt = Field(default=0, ge=0)
    to_step: StrictInt | None = Field(default=None, ge=0)


class Histogram(Strict):
    """How long actors took from one step to another. `bins` null: the cube root of how many they are."""

    from_step: StrictInt = Field(default=0, ge=0)
    to_step: StrictInt | None = Field(default=None, ge=1)
    bins: StrictInt | None = Field(default=None, ge=1, le=1_000)


def _refuse_unbuilt(option: str) -> BeforeValidator:
    def check(given: Any) -> Any:
        if given is not None and not (isinstance(given, list | tuple) and not given):
            refuse_not_implemented(option, given=given)
        return None

    return BeforeValidator(check)


class FunnelSpec(QuerySpec):
    """`{"steps": [selector, ...], "window": {"value": 14, "unit": "day"}, "order": "ordered"}`."""

    steps: tuple[Step, ...] = Field(min_length=1, max_length=MAX_STEPS)
    window: Window = Window(value=14, unit="day")
    order: Order = "ordered"
    complete_after_range: StrictBool = False
    exclude: tuple[Exclusion, ...] = Field(default=(), max_length=MAX_EXCLUSIONS)
    hold: Annotated[Any, _refuse_unbuilt("hold")] = None
    breakdown: Annotated[FunnelBreakdown | None, BeforeValidator(_read_breakdown)] = None
    trend: FunnelTrend | None = None
    histogram: Histogram | None = None
    correlate: Annotated[Any, _refuse_unbuilt("correlate")] = None

    @model_validator(mode="after")
    def _check(self) -> FunnelSpec:
        self.check_leaves(*(selector.where for selector in (*self.steps, *self.exclude)))
        if self.breakdown is not None:
            self._check_step("breakdown.step", self.breakdown.step)
            if self.actor != "user" and any(part.of == "user" for part in self.breakdown.parts):
                refuse_not_implemented("a breakdown of users where the actor is no user", field="breakdown")
        for index, exclusion in enumerate(self.exclude):
            self._check_steps(f"exclude[{index}]", exclusion.from_step, exclusion.to_step)
        for field, pair in (("trend", self.trend), ("histogram", self.histogram)):
            if pair is not None:
                last = self.last_step if pair.to_step is None else pair.to_step
                self._check_steps(field, pair.from_step, last, equal=field == "trend")
        return self

    def _check_step(self, field: str, step: int) -> None:
        if step >= len(self.steps):
            refuse("invalid_value", f"there are {len(self.steps)} steps", field=field, given=step)

    def _check_steps(self, field: str, first: int, last: int, *, equal: bool = False) -> None:
        self._check_step(f"{field}.from_step", first)
        self._check_step(f"{field}.to_step", last)
        if first > last or (first == last and not equal):
            refuse("invalid_value", "a step behind from_step", field=f"{field}.to_step", given=last)

    @property
    def last_step(self) -> int:
        return len(self.steps) - 1

    @property
    def window_ms(self) -> int:
        return self.window.duration // timedelta(milliseconds=1)


class FunnelCell(Strict):
    """A number of the answer: who reached a step, or the one before and not it; or who is in a bar."""

    step: StrictInt | None = Field(default=None, ge=0)
    outcome: Literal["converted", "dropped"] = "converted"
    key: Key = ()
    bucket: str | None = Field(default=None, max_length=100)
    histogram: StrictInt | None = None
    correlate: Annotated[Any, _refuse_unbuilt("correlate")] = None

    @model_validator(mode="after")
    def _check(self) -> FunnelCell:
        if (self.step is None) == (self.histogram is None):
            refuse("missing_field", "give a step, or a bar of the histogram", field="step")
        return self


class FunnelUsersSpec(FunnelSpec, UsersFields):
    """Who is behind a cell."""

    cell: FunnelCell

    @model_validator(mode="after")
    def _check_cell(self) -> FunnelUsersSpec:
        cell = self.cell
        if cell.step is not None:
            self._check_step("cell.step", cell.step)
        if cell.histogram is not None and self.histogram is None:
            refuse("missing_field", "the cell is a bar of it", field="histogram")
        if cell.bucket is not None:
            self._check_bucket(cell)
        check_key(cell.key, 0 if self.breakdown is None else len(self.breakdown.properties))
        return self

    def _check_bucket(self, cell: FunnelCell) -> None:
        if self.trend is None:
            refuse("missing_field", "the cell names one of its buckets", field="trend")
        last = self.last_step if self.trend.to_step is None else self.trend.to_step
        if cell.step not in (self.trend.from_step, last):
            message = f"the trend's own steps are {self.trend.from_step} and {last}"
            refuse("invalid_value", message, field="cell.step", given=cell.step)
