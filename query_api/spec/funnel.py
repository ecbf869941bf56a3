"""The spec of `funnel`: steps, the window they must fit in, and how they are split."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StrictBool, StrictInt, model_validator

from query_api.spec.breakdown import Breakdown, Part
from query_api.spec.query import Key, QuerySpec, UsersFields
from query_api.spec.selector import Selector
from query_api.spec.strict import Strict, refuse, refuse_not_implemented
from query_api.spec.trends import check_key

Attribution = Literal["first_touch", "last_touch", "step", "all_steps"]
WindowUnit = Literal["second", "minute", "hour", "day", "week"]

MAX_STEPS = 30
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
        return {"properties": given} if given else None
    return given


def _refuse_unbuilt(option: str) -> BeforeValidator:
    def check(given: Any) -> Any:
        if given not in (None, [], (), {}, False):
            refuse_not_implemented(option, given=given)
        return None

    return BeforeValidator(check)


class FunnelSpec(QuerySpec):
    """`{"steps": [selector, ...], "window": {"value": 14, "unit": "day"}, "order": "ordered"}`."""

    steps: tuple[Step, ...] = Field(min_length=1, max_length=MAX_STEPS)
    window: Window = Window(value=14, unit="day")
    order: Literal["ordered", "strict", "any"] = "ordered"
    complete_after_range: StrictBool = False
    breakdown: Annotated[FunnelBreakdown | None, BeforeValidator(_read_breakdown)] = None
    exclude: Annotated[Any, _refuse_unbuilt("exclude")] = None
    hold: Annotated[Any, _refuse_unbuilt("hold")] = None
    trend: Annotated[Any, _refuse_unbuilt("trend")] = None
    histogram: Annotated[Any, _refuse_unbuilt("histogram")] = None
    correlate: Annotated[Any, _refuse_unbuilt("correlate")] = None

    @model_validator(mode="after")
    def _check(self) -> FunnelSpec:
        self.check_leaves(*(step.where for step in self.steps))
        if self.order != "ordered":
            refuse_not_implemented(f"order: {self.order}", field="order", given=self.order)
        if self.breakdown is not None and self.breakdown.step >= len(self.steps):
            message = f"there are {len(self.steps)} steps"
            refuse("invalid_value", message, field="breakdown.step", given=self.breakdown.step)
        return self

    @property
    def window_ms(self) -> int:
        return self.window.duration // timedelta(milliseconds=1)


class FunnelCell(Strict):
    """A number of the answer: who reached a step, or reached the one before and not it."""

    step: StrictInt = Field(ge=0)
    outcome: Literal["converted", "dropped"] = "converted"
    key: Key = ()
    bucket: Annotated[Any, _refuse_unbuilt("trend")] = None


class FunnelUsersSpec(FunnelSpec, UsersFields):
    """Who is behind a cell."""

    cell: FunnelCell

    @model_validator(mode="after")
    def _check_cell(self) -> FunnelUsersSpec:
        if self.cell.step >= len(self.steps):
            refuse(
                "invalid_value", f"there are {len(self.steps)} steps", field="cell.step", given=self.cell.step
            )
        check_key(self.cell.key, 0 if self.breakdown is None else len(self.breakdown.properties))
        return self
