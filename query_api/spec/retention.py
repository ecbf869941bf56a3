"""The spec of `retention`: who starts, who returns, and what an interval is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StrictInt, model_validator

from query_api.scan.retention_plan import MAX_OCCURRENCES, MAX_PERIODS, Entry, Mode
from query_api.spec.breakdown import Breakdown
from query_api.spec.query import Key, QuerySpec, UsersFields
from query_api.spec.selector import Selector
from query_api.spec.strict import Strict, refuse, refuse_not_implemented
from query_api.spec.trends import check_key

Interval = Literal["hour", "day", "week", "month"]
DayMode = Literal["calendar", "rolling_24h"]


def _read_interval(given: Any) -> Any:
    if isinstance(given, Mapping):
        refuse_not_implemented("an uploaded calendar of days", given=given)
    return given


def _refuse_value(given: Any) -> None:
    if given is not None:
        refuse_not_implemented("value", given=given)


class RetentionSpec(QuerySpec):
    """`{"start": selector, "return": selector, "interval": "day", "periods": 7, "entry": "recurring"}`."""

    start: Selector
    return_: Selector = Field(alias="return")
    interval: Annotated[Interval, BeforeValidator(_read_interval, json_schema_input_type=Interval)] = "day"
    periods: StrictInt = Field(default=7, ge=0, le=MAX_PERIODS)
    entry: Entry = "recurring"
    mode: Mode = "on"
    min_occurrences: StrictInt = Field(default=1, ge=1, le=MAX_OCCURRENCES)
    day_mode: DayMode = "calendar"
    value: Annotated[Any, BeforeValidator(_refuse_value)] = None
    breakdown: Breakdown = ()

    @model_validator(mode="after")
    def _check(self) -> RetentionSpec:
        self.check_leaves(self.start.where, self.return_.where)
        if self.start.occurrence != "any":
            message = f'"entry": "{self.start.occurrence}" says this'
            refuse("invalid_value", message, field="start.occurrence", given=self.start.occurrence)
        if self.is_rolling and self.interval != "day":
            refuse("invalid_value", 'goes with "interval": "day"', field="day_mode", given=self.day_mode)
        if self.actor != "user" and any(part.is_of_user for part in self.breakdown):
            refuse_not_implemented("a breakdown of users where the actor is no user", field="breakdown")
        return self

    @property
    def is_rolling(self) -> bool:
        """Whether days are 24 hours from the entering event on."""
        return self.day_mode == "rolling_24h"


class RetentionCell(Strict):
    """A number of the answer: of a row's actors those who came back in a period, or those who did not."""

    bucket: str = Field(max_length=100)
    period: StrictInt = Field(default=0, ge=0)
    outcome: Literal["retained", "lost"] = "retained"
    key: Key = ()


class RetentionUsersSpec(RetentionSpec, UsersFields):
    """Who is behind a cell."""

    cell: RetentionCell

    @model_validator(mode="after")
    def _check_cell(self) -> RetentionUsersSpec:
        if self.cell.period > self.periods:
            message = f"periods are 0 to {self.periods}"
            refuse("invalid_value", message, field="cell.period", given=self.cell.period)
        check_key(self.cell.key, len(self.breakdown))
        return self
