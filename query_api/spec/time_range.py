"""When: the range of a query, and how a comparison moves it."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StrictInt, model_validator

from query_api.spec.strict import Strict, refuse

Unit = Literal["minute", "hour", "day", "week", "month", "quarter", "year"]
Moment = date | datetime

EARLIEST_YEAR, LATEST_YEAR = 1900, 2299

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME_OF_DAY = r"[0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]{1,9})?)?"
_OFFSET = r"(Z|[+-][0-9]{2}(:?[0-9]{2})?)?"
_INSTANT = re.compile(f"{_DATE.pattern}[T ]{_TIME_OF_DAY}{_OFFSET}")


def read_date(text: str) -> date:
    """A civil day, written 2026-10-01 and in no other way. Raises ValueError."""
    if not _DATE.fullmatch(text):
        raise ValueError(f"{text!r} is no date like 2026-10-01")
    return date.fromisoformat(text)


def read_instant(text: str) -> datetime:
    """A date and a time of day, perhaps with an offset. Raises ValueError."""
    if not _INSTANT.fullmatch(text):
        raise ValueError(f"{text!r} is no instant like 2026-10-01T08:00:00+08:00")
    return datetime.fromisoformat(text)


def read_moment(given: object) -> Moment:
    """A bare date (a whole local day) or an instant with an offset."""
    if not isinstance(given, str):
        refuse("invalid_value", "a date or an instant is text", given=given)
    try:
        moment: Moment = read_date(given) if len(given) == 10 else read_instant(given)
    except ValueError:
        refuse(
            "invalid_value",
            "neither a date like 2026-10-01 nor an instant like 2026-10-01T08:00:00+08:00",
            given=given,
        )
    if isinstance(moment, datetime) and moment.utcoffset() is None:
        refuse("invalid_value", "an instant needs its offset: append Z or +08:00", given=given)
    if not EARLIEST_YEAR < moment.year < LATEST_YEAR:
        refuse("invalid_value", f"years {EARLIEST_YEAR + 1} to {LATEST_YEAR - 1} can be asked", given=given)
    return moment


class Span(Strict):
    """A number of units: `{"value": 7, "unit": "day"}`."""

    value: StrictInt = Field(ge=1, le=100_000)
    unit: Unit


class Range(Strict):
    """`{"from", "to"}`, or `{"last": {"value": 7, "unit": "day"}}`: the local days that end with today."""

    from_: Annotated[Moment | None, BeforeValidator(read_moment, json_schema_input_type=str)] = Field(
        default=None, alias="from"
    )
    to: Annotated[Moment | None, BeforeValidator(read_moment, json_schema_input_type=str)] = None
    last: Span | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Range:
        if self.last is not None and (self.from_ is not None or self.to is not None):
            refuse("invalid_value", "give either from and to, or last", field="last")
        if self.last is None and self.from_ is None:
            refuse("missing_field", "give from and to, or last", field="from")
        if self.last is None and self.to is None:
            refuse("missing_field", "a range that has from needs to", field="to")
        return self


LAST_WEEK = Range.model_validate({"last": {"value": 7, "unit": "day"}})
"""The range of a query that names none."""


class Comparison(Strict):
    """The same query again, over an earlier or another range."""

    shift: Span | None = None
    range: Range | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Comparison:
        if (self.shift is None) == (self.range is None):
            refuse("invalid_value", "give either shift or range", field="shift")
        return self
