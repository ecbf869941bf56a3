"""What the Python SDK makes of property values: JSON that the server takes, whatever they are."""

from __future__ import annotations

import uuid
from collections import OrderedDict
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import orjson
import pytest
from footfall_sdk.records import plain_properties, time_ms, with_sent_at, write_record
from hypothesis import given, settings
from hypothesis import strategies as st


class Channel(Enum):
    STORE = "app_store"


class Text(str):
    __slots__ = ()


class Hostile:
    def __str__(self) -> str:
        raise RuntimeError("no text for you")


def sent(value: Any) -> Any:
    """The JSON text of a property's value as it goes over the wire; None if it is left out."""
    properties = plain_properties({"p": value})
    return orjson.dumps(properties["p"]).decode() if "p" in properties else None


@pytest.mark.parametrize(
    ("value", "json"),
    [
        ("基金", '"基金"'),
        ("half \ud800 pair", '"half ? pair"'),
        (True, "true"),
        (7, "7"),
        (2**63, str(2**63)),
        (2**64, f'"{2**64}"'),
        (-(2**63) - 1, f'"{-(2**63) - 1}"'),
        (0.1, "0.1"),
        (float("nan"), None),
        (float("-inf"), None),
        (Decimal("1500.50"), "1500.50"),
        (Decimal("12345678901234567890123456789.123456"), "12345678901234567890123456789.123456"),
        (Decimal("1E+3"), "1000"),
        (Decimal("-0.000001"), "-0.000001"),
        (Decimal("NaN"), None),
        (Decimal("1E+999999"), '"1E+999999"'),
        (datetime(2026, 10, 1, 8, 30, 0, 6000, tzinfo=UTC), '"2026-10-01 08:30:00.006"'),
        (date(2026, 10, 1), '"2026-10-01"'),
        (time(8, 30), '"08:30:00"'),
        (uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (Channel.STORE, '"app_store"'),
        (PurePosixPath("/fund"), '"/fund"'),
        (b"bytes", '"bytes"'),
        (b"\xff", '"\ufffd"'),
        (["a", "b"], '["a","b"]'),
        (("a", 1, None, Decimal("1.50")), '["a","1","1.50"]'),
        ({"b", "a"}, '["a","b"]'),
        ({"nested": {"deep": 1}}, '"{\\"nested\\":{\\"deep\\":1}}"'),
        (OrderedDict(a=Decimal("1.5")), '"{\\"a\\":\\"1.5\\"}"'),
        (None, None),
        (Text("sub"), '"sub"'),
        (np.float64(1.5), "1.5"),
        (np.int32(4), "4"),
        (np.bool_(True), '"True"'),
        (Hostile(), None),
        ([Hostile(), "b"], '["b"]'),
    ],
)
def test_a_value_is_sent_as_documented(value: Any, json: str | None) -> None:
    assert sent(value) == json


def test_an_integer_that_python_does_not_write_is_left_out() -> None:
    assert sent(10**5000) is None


def test_a_value_that_holds_itself_is_sent_as_text() -> None:
    circle: dict[str, Any] = {}
    circle["self"] = circle
    assert sent(circle) is not None
    chain: list[Any] = []
    chain.append(chain)
    assert sent(chain) is None or sent(chain).startswith("[")


def test_long_values_are_cut_to_the_servers_limits() -> None:
    assert plain_properties({"p": "x" * 20_000}) == {"p": "x" * 16_384}
    assert plain_properties({"p": ["x"] * 2_000}) == {"p": ["x"] * 1_000}


def test_names_that_are_no_text_become_text() -> None:
    assert plain_properties({7: "x"}) == {"7": "x"}  # type: ignore[dict-item]


def test_properties_are_copied_when_tracked() -> None:
    tags = ["a"]
    properties = {"tags": tags}
    plain = plain_properties(properties)
    tags.append("b")
    assert plain == {"tags": ["a"]}


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.text(),
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats()
            | st.decimals()
            | st.text()
            | st.binary()
            | st.datetimes(),
            lambda children: st.lists(children) | st.dictionaries(st.text(), children),
            max_leaves=6,
        ),
    )
)
def test_whatever_the_values_are_the_record_is_json(properties: dict[str, Any]) -> None:
    record = write_record({"properties": plain_properties(properties)})
    assert set(orjson.loads(record)) == {"properties"}


def test_a_datetime_with_a_zone_is_an_instant() -> None:
    shanghai = timezone(timedelta(hours=8))
    assert time_ms(datetime(2026, 1, 1, 8, tzinfo=shanghai)) == time_ms(datetime(2026, 1, 1, tzinfo=UTC))
    assert time_ms(1_767_225_600_123) == 1_767_225_600_123


def test_the_time_of_sending_joins_the_stored_record() -> None:
    record = write_record({"event": "register", "properties": {"a": "}"}})
    assert orjson.loads(with_sent_at(record, 5)) == {
        "event": "register",
        "properties": {"a": "}"},
        "sent_at": 5,
    }
