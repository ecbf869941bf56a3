"""The scanner in front of detection never misses what detection finds, and both scanners say the same."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from footfall.privacy import native
from footfall.privacy.detection import find
from footfall.privacy.native import scanner_for
from footfall.privacy.never_collect import NAMES, PLAIN_NAMES
from footfall.privacy.oracle import may_hold
from tests.privacy_texts import PLAIN_TEXTS, TEXTS

scan = scanner_for(PLAIN_NAMES)


def forms(value: object) -> list[bytes]:
    """The value as clients write it."""
    return [json.dumps([value], ensure_ascii=each).encode("utf-8", "surrogatepass") for each in (True, False)]


@given(st.one_of(TEXTS, PLAIN_TEXTS))
@example("密码=abc")
@example("1 2 3 4 13800138000")
@example("%25253138%30013800%30")
def test_what_detection_finds_the_scanner_does_not_miss(text: str) -> None:
    found = bool(find(text))
    for form in forms({"x": text}):
        said = scan(form)
        assert said or not found, form
        assert said == may_hold(form, PLAIN_NAMES), form


_PIECES = st.sampled_from(
    [
        *(
            "1",
            "38",
            "0013",
            "8000",
            "13800138000",
            "6222021234567890128",
            "11010519491231002X",
            " ",
            "-",
            ".",
            "+",
        ),
        *(
            "e",
            "1e",
            "1E5",
            "1e+5",
            "0.",
            '"',
            "'",
            ":",
            "=",
            ",",
            "pwd",
            "pass word",
            "pass-word",
            "cvv2",
            "_",
            "$",
        ),
        *(
            "pin ",
            "\t",
            "密",
            "码",
            "基金",
            "，",
            "１",
            "\u200b",
            "\u00a0",
            "·",
            "%",
            "%4",
            "@",
            "a@b",
            "\\",
            "\\u0031",
        ),
    ]
)


@given(st.integers(0, 130), st.sampled_from("x ,5京"), st.lists(_PIECES, max_size=30).map("".join))
@example(64 - 5, "x", "13800138000")
@example(64 - 5, "x", "138 0013-8000 ")
@example(64 - 1, ",", "1e5")
@example(64 - 2, ",", "1e5")
@example(64 - 3, "x", 'pwd":1')
def test_wherever_in_a_long_text_it_stands_it_is_seen(before: int, filler: str, text: str) -> None:
    form = (filler * before + text + ' "x":' * 30).encode("utf-8")
    assert scan(form) == may_hold(form, PLAIN_NAMES), form


def test_names_of_one_character_and_of_none_are_names_too() -> None:
    short = scanner_for({"x", "", "ab"})
    assert short(b'{"x":1}')
    assert short(b'{"$_x" :1}')
    assert short(b'{"a_b":1}')
    assert not short(b'{"xx":1,"":2,"b":3}')


@given(st.one_of(st.integers(10**10, 10**19), st.floats(1e10, 1e19)))
def test_numbers_are_seen_too(number: float) -> None:
    for form in forms(number):
        assert scan(form) == may_hold(form, PLAIN_NAMES)


def test_numbers_with_an_exponent_are_looked_at_outside_strings_only() -> None:
    assert scan(b'{"a":1.38001380E10}')
    assert not scan(b'{"a":1.5e-07,"b":"1e10"}')


@pytest.mark.parametrize("name", sorted(name for name in NAMES if name.isascii()))
def test_names_that_are_never_collected_are_seen(name: str) -> None:
    for spelled in (name, name.upper(), f"${name}", name.replace("_", "-")):
        assert scan(json.dumps({spelled: 1}).encode())
        assert not scan(json.dumps({f"has{spelled}x": 1}).encode())


def test_an_ordinary_event_is_not_looked_at_closer() -> None:
    event = {
        "event": "purchase_fund",
        "distinct_id": "18c9f0e5b1a2f3-0d1e2f3a4b5c6d8-26001951-1296000-18c9f0e5b1b4c5",
        "time": 1_795_301_590_252,
        "_flush_time": 1_795_301_590_300,
        "_track_id": 590_252_113,
        "properties": {
            "$lib": "js",
            "amount": 12_500.5,
            "fund": "稳健一号",
            "$url": "https://bank.example/fund/110022?channel=app&x=%E5%9F%BA%E9%87%91",
            "ratio": 0.18123456789,
            "$screen_width": 1920,
        },
    }
    for form in forms(event):
        assert not scan(form)


def test_without_the_library_the_slow_scanner_stands_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "_libraries", lambda: (None, None))
    slow = scanner_for({"x"})
    assert slow(b'{"x":1}')
    assert not slow(b'{"y":1}')
