"""Which names events and properties may have."""

from __future__ import annotations

import pytest

from footfall.events.names import HOISTED, KnownNames, explain_name, name_fault
from footfall.events.reasons import Reason


@pytest.mark.parametrize("name", ["a", "$pageview", "_x", "purchase_fund", "A1$_", "times", "ids", "a" * 255])
def test_takes_names_of_letters_digits_underscore_and_dollar(name):
    assert name_fault(name) is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        "1a",
        "a-b",
        "a b",
        "a.b",
        "基金",
        "é",
        "a\n",
        "a\x00",
        "\u212a",  # the last is the Kelvin sign
        "distinct_id",
        "Time",
        "USER_ID",
        "datetime",
        "user_tag_x",
        "User_Group1",
        "user_tag",
        "event",
        "ID",
    ],
)
def test_refuses_reserved_names_whatever_their_case_and_other_characters(name):
    assert name_fault(name) is Reason.INVALID_NAME
    assert len(explain_name(name)) < 200


def test_refuses_names_beyond_the_limit():
    assert name_fault("a" * 256) is Reason.NAME_TOO_LONG
    assert "256" in explain_name("a" * 256)


def test_remembers_good_names_up_to_its_capacity():
    known = KnownNames(capacity=2)
    assert [known.fault(name) for name in ("a", "b", "c", "1")] == [None, None, None, Reason.INVALID_NAME]
    assert known.names == {"a", "b"}
    assert known.fault("c") is None


def test_never_remembers_names_that_are_hoisted():
    known = KnownNames()
    assert all(known.fault(name) is None for name in HOISTED)
    assert not known.names
