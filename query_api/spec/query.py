"""The fields that every query takes."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    StrictBool,
    StrictInt,
    Tag,
    model_validator,
)

from footfall.workspace.projects import timezones
from query_api.spec.conditions import MAX_TEXT, Condition, count_leaves
from query_api.spec.strict import Strict, refuse, refuse_not_implemented
from query_api.spec.time_range import LAST_WEEK, Comparison, Range

MAX_LEAVES = 500


def _check_timezone(given: str) -> str:
    if given not in timezones():
        refuse("unknown_value", f"{given!r} is no IANA time zone", given=given, allowed=sorted(timezones()))
    return given


class PropertyActor(Strict):
    """What is counted is the distinct values of an event property, such as `account_id`."""

    property: str = Field(min_length=1, max_length=MAX_TEXT)


class SessionActor(Strict):
    """What is counted is a user's sessions: those of an id that events carry, or by the gaps between them."""

    session: str | None = Field(min_length=1, max_length=MAX_TEXT)  # None: by gaps


def _read_actor(given: Any) -> Any:
    if given == "session":
        return SessionActor(session=None)
    if isinstance(given, str) and given != "user":
        allowed = ["user", "session"]
        refuse(
            "unknown_value", f'{given!r} is no actor; {{"property": ...}} is', given=given, allowed=allowed
        )
    if not isinstance(given, str | Mapping | PropertyActor | SessionActor):
        refuse("invalid_value", '"user", "session", {"session": ...} or {"property": ...}')
    if isinstance(given, Mapping) and "session" in given and not isinstance(given["session"], str):
        refuse("invalid_value", "the property that holds the session's id", field="session", given=given)
    return given


def _actor_form(given: Any) -> str:
    if isinstance(given, str):
        return "user:"
    is_session = isinstance(given, SessionActor) or (isinstance(given, Mapping) and "session" in given)
    return "session:" if is_session else "property:"


ACTOR_FORMS = frozenset({"user:", "property:", "session:"})
"""The tags of the forms: they appear in pydantic's error locations and never in a client's body."""

Actor = Annotated[
    Annotated[Literal["user"], Tag("user:")]
    | Annotated[PropertyActor, Tag("property:")]
    | Annotated[SessionActor, Tag("session:")],
    Discriminator(_actor_form),
    BeforeValidator(
        _read_actor, json_schema_input_type=Literal["user", "session"] | PropertyActor | SessionActor
    ),
]


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
            refuse_not_implemented("cohorts", field="cohorts", given=list(self.cohorts))
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
            refuse_not_implemented("save_as", field="save_as", given=self.save_as)
        if len(self.properties) > 100 or any(len(name) > MAX_TEXT for name in self.properties):
            refuse("invalid_value", "at most 100 properties", field="properties", given=list(self.properties))
        sample = getattr(self, "sample", None)
        if sample is not None and sample < 1:
            refuse("invalid_value", "a sampled query cannot list its users", field="sample", given=sample)
        return self
