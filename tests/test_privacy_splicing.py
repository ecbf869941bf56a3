"""The quick way to a record as it may rest leads where the slow one does, count for count."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from footfall.events.record import split_array
from footfall.privacy import native
from footfall.privacy.native import scanners_for
from footfall.privacy.never_collect import PLAIN_NAMES
from footfall.privacy.privacy import Privacy
from footfall.privacy.settings import PrivacySettings, Rule
from footfall.privacy.values import Masked
from tests.privacy_texts import HIDDEN, PHONES, PLAIN_TEXTS, SECRETS, TEXTS

KEY = b"an installation key of 32 bytes!"
RULES = (
    Rule("kept*", "keep"),
    Rule("gone", "drop"),
    Rule("tok", "tokenise", ("pay",)),
    Rule("h*h", "hash", (), "user"),
    Rule("masked", "mask"),
    Rule("lib.$app_version", "drop"),
    Rule("identities.card", "hash"),
)
SETTINGS = (
    PrivacySettings(),
    PrivacySettings(rules=RULES, ip="truncate"),
    PrivacySettings(rules=RULES[2:], ids="all", ip="keep", detect={"phone": "tokenise", "email": "drop"}),
    PrivacySettings(ids="keep", suite="gm", rules=RULES[:2]),
)
GRADES = {"event": {"c3": "C3", "c2": "C2", "c1": "C1"}}
BOTH = [Privacy("p", each, KEY, grades=GRADES, id_keys=("card",)) for each in SETTINGS]
NAMES = st.sampled_from(
    [
        "a",
        "kept_it",
        "gone",
        "tok",
        "hxh",
        "masked",
        "c3",
        "c2",
        "c1",
        "cvv",
        "amount",
        "$ip",
        "$country",
        "note_中文",
        "of_13800138000",
        "pay_password",
        "验证码",
    ]
)
VALUES = st.one_of(
    TEXTS,
    PLAIN_TEXTS,
    HIDDEN,
    st.integers(),
    st.booleans(),
    st.none(),
    PHONES.map(int),
    st.sampled_from([1.38e10]),
    st.lists(st.one_of(TEXTS, HIDDEN), max_size=2),
    st.sampled_from(["203.0.113.7", "8.8.8.8"]),
)
DEEP = st.one_of(VALUES, st.dictionaries(NAMES, VALUES, max_size=2), st.just([{"a": {"otp": "x"}}]))
RECORDS = st.fixed_dictionaries(
    {"event": st.one_of(st.sampled_from(["pay", "e_13800138000"]), TEXTS)},
    optional={
        "type": st.sampled_from(["track", "profile_set", "profile_increment", "item_set", "track_signup"]),
        "distinct_id": st.one_of(TEXTS, SECRETS, st.just("$identity_x+13800138000"), st.just("guest")),
        "login_id": st.one_of(TEXTS, SECRETS),
        "time": st.integers(10**12, 10**13),
        "_track_id": st.one_of(st.integers(0, 1 << 31), PHONES.map(int), PHONES),
        "lib": st.one_of(
            st.none(), st.dictionaries(st.sampled_from(["$lib", "$app_version", "pin"]), VALUES, max_size=3)
        ),
        "identities": st.dictionaries(
            st.sampled_from(["card", "$identity_x", "otp"]), st.one_of(SECRETS, st.lists(SECRETS)), max_size=3
        ),
        "properties": st.one_of(st.none(), st.dictionaries(NAMES, VALUES, max_size=6)),
        "extractor": DEEP,
        "otp": VALUES,
        "x_13800138000": VALUES,
    },
)


def forms(record: dict[str, Any]) -> list[bytes]:
    """As clients write it: with and without escapes and spaces."""
    dense = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return [dense, json.dumps(record, indent=1).encode()]


@given(RECORDS)
@settings(max_examples=150)
@example({"event": "pay", "properties": {"gone": 1, "tok": 2, "c3": 3}})
@example({"event": "pay", "properties": {"a": 1, "gone": 2, "c3": 3}})
@example({"event": "pay", "properties": {"$ip": "13800138000"}})
@example({"event": "pay", "type": "profile_increment", "properties": {"a": 13800138000, "b": 1}})
def test_both_ways_lead_to_the_same(record: dict[str, Any]) -> None:
    for privacy in BOTH:
        for element in forms(record):
            quick, slow = Masked(), Masked()
            rests = privacy._splicer.rewritten(element, quick)
            assert json.loads(rests) == json.loads(privacy._records.rewritten(element, slow))
            assert quick == slow
            [same] = split_array(b"[" + rests + b"]")  # it is JSON, too, to who reads records
            assert bytes(same) == rests


@given(TEXTS)
def test_what_is_there_twice_is_read(text: str) -> None:
    value = json.dumps(text).encode()
    element = b'{"event":"pay","properties":{"a":%s,"a":1},"properties":{"b":%s}}' % (value, value)
    assert scanners_for(PLAIN_NAMES).entries_of(element) is None


@pytest.mark.parametrize(
    ("element", "count"),
    [
        (b"{}", 0),
        (b' {"a" : 1 } ', 1),
        (b'{"a":{"b":"}"},"c":[[],{}]}', 2),
        (b'{"lib":{"a":1},"b":2}', 3),
        (b'{"properties":{}}', 1),
        (b'{"properties":[{"a":1}]}', 1),
        (b'{"\\u0061":1}', None),
        (b'{"a":1', None),
        (b'{"a":"\\"', None),
        (b"[]", None),
        (b'{"a":1}x', None),
        (b'{"a" 1}', None),
        (b"", None),
        (b'{"a":', None),
    ],
)
def test_entries_are_found_and_what_is_unusual_is_left(element: bytes, count: int | None) -> None:
    words = scanners_for(()).entries_of(element)
    found = None if words is None else (len(words) - native.HEAD_WORDS) // native.ENTRY_WORDS
    assert found == count


def test_a_record_of_more_entries_than_are_looked_for_is_read() -> None:
    element = json.dumps({"event": "e", "properties": {f"p{n}": "13800138000" for n in range(600)}}).encode()
    assert scanners_for(()).entries_of(element) is None
    assert b"13800138000" not in BOTH[0]._splicer.rewritten(element, Masked())


def test_more_names_than_are_remembered_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("footfall.privacy.splicing._MOST_REMEMBERED", 3)
    for number in range(20):
        element = b'{"event":"e%d","properties":{"a%d":"13800138000","cvv":"1"}}' % (number, number)
        assert json.loads(BOTH[0]._splicer.rewritten(element, Masked()))["properties"] == {
            f"a{number}": "138****8000"
        }
