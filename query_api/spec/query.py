"""The fields that every query takes."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool, StrictInt, model_validator

from query_api.spec.conditions import MAX_TEXT, Condition, count_leaves
from query_api.spec.strict import Strict, refuse, refuse_not_implemented
from query_api.spec.time_range import LAST_WEEK, Comparison, Range

MAX_LEAVES = 500


@cache
def timezones() -> frozenset[str]:
    """All IANA zones that this machine knows."""
    return frozenset(available_timezones())


def _check_timezone(given: str) -> str:
    if given not in timezones():
        refuse("unknown_value", f"{given!r} is no IANA time zone", given=given, allowed=sorted(timezones()))
    return given


class PropertyActor(Strict):
    """What is counted is the distinct values of an event property, such as `account_id`."""

    property: str = Field(min_length=1, max_length=MAX_TEXT)


def _read_actor(given: Any) -> Any:
    if given == "session" or (isinstance(given, Mapping) and "session" in given):
        refuse_not_implemented("actor: session", given=given)
    if isinstance(given, str) and given != "user":
        allowed = ["user", "session"]
        refuse(
            "unknown_value", f'{given!r} is no actor; {{"property": ...}} is', given=given, allowed=allowed
        )
    return given


Actor = Annotated[Literal["user"] | PropertyActor, BeforeValidator(_read_actor)]


def _read_sample(given: Any) -> Any:
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int | float | Decimal) or not 0 < given <= 1:
        refuse("invalid_value", "a number above 0 and at most 1", given=given)
    return Decimal(str(given))


class QuerySpec(Strict):
    """What all analyses share; each adds its own fields."""

    project: str = Field(default="default", max_length=MAX_TEXT)
    range: Range = LAST_WEEK
    timezone: Annotated[str, AfterValidator(_check_timezone)] | None = None
    week_start: Literal["monday", "sunday"] | None = None
    where: tuple[Condition, ...] = ()
    cohorts: tuple[Any, ...] = ()
    actor: Actor = "user"
    breakdown_limit: StrictInt = Field(default=25, ge=1, le=1_000)
    sample: Annotated[Decimal | None, BeforeValidator(_read_sample, json_schema_input_type=float | None)] = (
        None
    )
    compare: Comparison | None = None
    refresh: StrictBool = False

    @model_validator(mode="after")
    def _check_common(self) -> QuerySpec:
        if self.cohorts:
            refuse_not_implemented("cohorts", field="cohorts")
        return self

    def check_leaves(self, *lists: tuple[Condition, ...]) -> None:
        """Refuses more conditions, all together, than SQL of a sensible size can hold."""
        leaves = sum(map(count_leaves, (self.where, *lists)))
        if leaves > MAX_LEAVES:
            refuse(
                "invalid_value", f"at most {MAX_LEAVES} conditions in a query", field="where", given=leaves
            )


KeyPart = str | bool | int | Decimal | list[str] | None
Key = tuple[KeyPart, ...]
"""A group's key: a value for each part of the breakdown, null where it is missing; or `["$other"]`."""


class UsersFields(Strict):
    """What `/users` takes beside the query: how much of whom to return."""

    properties: tuple[str, ...] = ()
    limit: StrictInt = Field(default=100, ge=1, le=1_000)
    cursor: str | None = Field(default=None, max_length=MAX_TEXT)
    save_as: Any = None

    @model_validator(mode="after")
    def _check_users(self) -> UsersFields:
        if self.save_as is not None:
            refuse_not_implemented("save_as", field="save_as")
        if len(self.properties) > 100 or any(len(name) > MAX_TEXT for name in self.properties):
            refuse("invalid_value", "at most 100 properties", field="properties")
        sample = getattr(self, "sample", None)
        if sample is not None and sample < 1:
            refuse("invalid_value", "a sampled query cannot list its users", field="sample", given=sample)
        return self
