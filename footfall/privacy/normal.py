"""A text as a reader sees it: full-width characters as ASCII, invisible ones left out, percent signs undone.

Whoever types a card number on a Chinese keyboard, or puts it into a URL, has written it down all the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

INVISIBLE: Final = "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
"""Soft hyphen, zero-width characters, direction marks, byte order mark."""

_WIDE: Final = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20, 0xA0: 0x20}
_UNUSUAL: Final = re.compile(f"[{INVISIBLE}\uff01-\uff5e\u3000\u00a0]")
_PERCENT: Final = re.compile(r"%(?:25)*([0-9A-Fa-f]{2})")
_PERCENT_BYTES: Final = re.compile(r"(?:%(?:25)*[0-9A-Fa-f]{2})+")


class Normal(NamedTuple):
    """`text` to look at; character i of it is original[starts[i]:ends[i]]."""

    text: str
    starts: Sequence[int]
    ends: Sequence[int]


def normal(text: str) -> Normal:
    """Without undoing percent signs.

    >>> normal("１３８\\u200b0").text
    '1380'
    """
    if text.isascii() or _UNUSUAL.search(text) is None:
        return Normal(text, range(len(text)), range(1, len(text) + 1))
    kept = [index for index, character in enumerate(text) if character not in INVISIBLE]
    seen = "".join([text[index] for index in kept]).translate(_WIDE)
    return Normal(seen, kept, [index + 1 for index in kept])


def has_percents(text: str) -> bool:
    """Whether undoing percent signs would change the text."""
    return "%" in text and _PERCENT.search(text) is not None


def unquoted(text: str) -> Normal:
    """With percent signs undone, however often they were done.

    >>> unquoted("a%2540b").text
    'a@b'
    """
    seen = _Seen()
    at = 0
    for run in _PERCENT_BYTES.finditer(text):
        seen.add_plain(text, at, run.start())
        _add_bytes(seen, text, run)
        at = run.end()
    seen.add_plain(text, at, len(text))
    return Normal("".join(seen.characters).translate(_WIDE), seen.starts, seen.ends)


class _Seen:
    """Characters and their places."""

    def __init__(self) -> None:
        self.characters: list[str] = []
        self.starts: list[int] = []
        self.ends: list[int] = []

    def add_plain(self, text: str, start: int, end: int) -> None:
        """Characters that stand for themselves."""
        part = text[start:end]
        if part.isascii():
            self.characters += part
            self.starts += range(start, end)
            self.ends += range(start + 1, end + 1)
        else:
            for index in range(start, end):
                self.add(text[index], index, index + 1)

    def add(self, character: str, start: int, end: int) -> None:
        if character not in INVISIBLE:
            self.characters.append(character)
            self.starts.append(start)
            self.ends.append(end)


def _add_bytes(seen: _Seen, text: str, run: re.Match[str]) -> None:
    """The characters that a run of percent signs stands for; bytes that are no UTF-8 become U+FFFD."""
    found = _PERCENT.finditer(text, run.start(), run.end())
    bytes_ = [(int(each[1], 16), each.start(), each.end()) for each in found]
    at = 0
    while at < len(bytes_):
        part = bytes_[at : at + _utf8_size(bytes_[at][0])]
        try:
            character = bytes(each[0] for each in part).decode()
        except UnicodeDecodeError:
            character, part = "\ufffd", part[:1]
        seen.add(character, part[0][1], part[-1][2])
        at += len(part)


def _utf8_size(first: int) -> int:
    return 1 if first < 0xC0 else 2 if first < 0xE0 else 3 if first < 0xF0 else 4
