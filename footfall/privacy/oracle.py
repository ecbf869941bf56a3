"""Whether JSON text may hold anything for privacy to do: the rule of scan.c, written to be read.

The native scanner gives the same answers a hundred times faster; this one stands in where it was not built.
Both say yes too often rather than too seldom: what they say yes to is looked at again, exactly
(detection.py), and what they say no to is not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from footfall.privacy.normal import INVISIBLE
from footfall.privacy.numbers import is_bank_card, is_id_card, is_mobile

_ESCAPES: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_HEX: Final = frozenset("0123456789abcdefABCDEF")
_CODE_BEFORE: Final = frozenset("证态验密全")  # 验证码, 动态码, 校验码, 密码, 安全码
_GROUPS: Final = 8


def may_hold(text: bytes, names: frozenset[str]) -> bool:
    """`text` is JSON in UTF-8; `names` are in plain spelling (never_collect.plain_name)."""
    characters = list(_unescaped(text.decode("utf-8", "replace")))
    if _has_exponent(text) or _look_at(_seen(characters), names):
        return True
    return _has_percent(characters) and _look_at(_seen(list(_unquoted(characters))), names)


_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_EXPONENT: Final = re.compile(rb"[0-9][eE][+0-9]")


def _has_exponent(text: bytes) -> bool:
    """A number with an exponent that makes it larger, outside strings."""
    return _EXPONENT.search(_STRING.sub(b'"', text)) is not None


def _unescaped(text: str) -> Iterator[str]:
    """JSON's escapes undone, wherever they are; quotes stay, escaped or not."""
    at = 0
    while at < len(text):
        character = text[at]
        at += 1
        if character == "\\" and at < len(text):
            character = text[at]
            at += 1
            if character == "u" and len(text) >= at + 4 and _HEX.issuperset(text[at : at + 4]):
                character = chr(int(text[at : at + 4], 16))
                at += 4
            else:
                character = _ESCAPES.get(character, character)
        yield character


def _has_percent(characters: list[str]) -> bool:
    return re.search("%[0-9A-Fa-f]{2}", "".join(characters)) is not None


def _unquoted(characters: list[str]) -> Iterator[str]:
    """Percent signs undone, also of percent signs; UTF-8 put together."""
    text = "".join(characters)
    at = 0
    while at < len(text):
        if text[at] != "%":
            yield text[at]
            at += 1
            continue
        run = bytearray()
        while (match := _PERCENT.match(text, at)) is not None:
            run.append(int(match[1], 16))
            at = match.end()
        if run:
            yield from run.decode("utf-8", "replace")
        else:
            yield "%"
            at += 1


_PERCENT: Final = re.compile("%(?:25)*([0-9A-Fa-f]{2})")


def _seen(characters: list[str]) -> list[str]:
    """Without the invisible ones, full-width ones as ASCII."""
    return [_narrow(each) for each in characters if each not in INVISIBLE]


def _narrow(character: str) -> str:
    code = ord(character)
    if 0xFF01 <= code <= 0xFF5E:
        return chr(code - 0xFEE0)
    return " " if code in (0x3000, 0xA0) else character


def _look_at(characters: list[str], names: frozenset[str]) -> bool:
    return _has_name(characters, names) or _has_mark(characters) or _has_number("".join(characters))


def _has_name(characters: list[str], names: frozenset[str]) -> bool:
    """A word that is one of the names, and a quote, a colon or an equals sign behind it."""
    word = ""
    gap = False
    for character in characters:
        if _is_word(character):
            word = ("" if gap else word) + character.lower()
            gap = False
        elif character in "_-$":
            if gap:
                word, gap = "", False
        elif character in "\"'=:":
            if word in names:
                return True
            word, gap = "", False
        elif character in " \t\n\r":
            gap = True
        else:
            word, gap = "", False
    return False


def _has_mark(characters: list[str]) -> bool:
    """An @ between letters, or a code in Chinese."""
    for at in range(1, len(characters)):
        before, character = characters[at - 1], characters[at]
        behind = characters[at + 1] if at + 1 < len(characters) else ""
        if character == "@" and (_is_word(before) or before in "._%+-'") and _is_word(behind):
            return True
        if character == "码" and before in _CODE_BEFORE:
            return True
    return False


def _is_word(character: str) -> bool:
    return character.isascii() and character.isalnum()


_RUN: Final = re.compile(r"[0-9]+(?:[ -][0-9]+)*[Xx]?")
_GROUP: Final = re.compile("[0-9]+")
_FRACTION: Final = re.compile(r"[0-9]\.")


def _has_number(text: str) -> bool:
    """Digits in up to eight groups, whatever their sizes, that a check calls somebody's."""
    for run in _RUN.finditer(text):
        groups = _GROUP.findall(run[0])
        check = run[0][-1]
        is_fraction = _FRACTION.search(text, max(0, run.start() - 2), run.start()) is not None
        for last in range(len(groups)):
            digits = ""
            for first in range(last, max(-1, last - _GROUPS), -1):
                digits = groups[first] + digits
                if len(digits) > 19:
                    break
                tail = check if last == len(groups) - 1 else ""
                if not (is_fraction and first == 0) and _is_somebodys(digits, tail):
                    return True
    return False


def _is_somebodys(digits: str, check: str) -> bool:
    if len(digits) == 17 and check in ("x", "X") and is_id_card(digits + check):
        return True
    if len(digits) in (11, 13, 15) and is_mobile(digits):
        return True
    return is_bank_card(digits) or is_id_card(digits)
