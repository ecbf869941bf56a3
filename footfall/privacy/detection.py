"""Where a text holds an identity card, a phone, a bank card, an e-mail address or a secret.

A number counts where no further digit touches it; letters and Chinese characters may. What is part of a
fraction (0.13800138000), of a long hexadecimal id or of a UUID is none. Phones and cards may be written in
groups, with one space or hyphen between them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from footfall.privacy.kinds import Kind, Match
from footfall.privacy.never_collect import codes_in, secrets_in
from footfall.privacy.normal import Normal, has_percents, normal, unquoted
from footfall.privacy.numbers import is_bank_card, is_id_card, is_mobile

_RUN: Final = re.compile(r"[0-9]+(?:[ -][0-9]+)*[Xx]?")
_GROUP: Final = re.compile(r"[0-9]+")
_HEX_ID: Final = re.compile(r"(?<![0-9A-Za-z])(?=(?:[0-9]*[A-Fa-f]){3})[0-9A-Fa-f]{14,}(?![0-9A-Za-z])")
_UUID: Final = re.compile(
    r"(?<![0-9A-Za-z-])(?=[0-9-]*[A-Fa-f])[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}(?![0-9A-Za-z-])"
)
_FRACTION_BEHIND: Final = re.compile(r"\.(?!0+(?![0-9]))[0-9]")
_EMAIL: Final = re.compile(
    r"(?<![A-Za-z0-9._%+'-])[A-Za-z0-9._%+'-]{1,64}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,62}[A-Za-z0-9])?\.)+([A-Za-z]{2,24})"
    r"(?![A-Za-z0-9-])"
)
_NO_DOMAINS: Final = frozenset(
    "png jpg jpeg gif webp svg bmp ico js mjs jsx ts tsx css html htm vue so".split()  # noqa: SIM905
)
"""Endings of files: icon@2x.png is no address."""
_LONGEST_RUN: Final = 8  # groups that one number is written in, at most

SUSPICIOUS: Final = re.compile(r"\d[ -]?\d{2,}|[^\x00-\x7f]|@|%|=|[\"']\s*:")
"""Texts without a match of it hold nothing (or a number of fewer than three digits)."""


def find(text: str) -> list[Match]:
    """All that is in a text, by their place, none within another."""
    if text.isdecimal() and text.isascii():
        return [Match(kind, start, end, text[start:end]) for kind, start, end in _alone(text)]
    if SUSPICIOUS.search(text) is None:
        return []
    found = list(_look_at(normal(text)))
    if has_percents(text):
        found += _look_at(unquoted(text))
    if len(found) < 2:
        return found
    found.sort(key=lambda match: (match.start, -match.end))
    kept: list[Match] = []
    for match in found:
        if not kept or match.start >= kept[-1].end:
            kept.append(match)
    return kept


def _alone(text: str) -> Iterator[tuple[Kind, int, int]]:
    """Of digits and nothing else."""
    if 11 <= len(text) <= 19:
        yield from numbers_in(text, 0, len(text))


def _look_at(seen: Normal) -> Iterator[Match]:
    text = seen.text
    if "=" in text or ":" in text:  # behind the name of a secret
        for start, end in secrets_in(text):
            yield _match("never_collect", seen, start, end)
    if "码" in text:
        for start, end in codes_in(text):
            yield _match("one_time_code", seen, start, end)
    if "@" in text:
        for match in _EMAIL.finditer(text):
            if match[1].lower() not in _NO_DOMAINS:
                yield _match("email", seen, match.start(), match.end())
    ids: list[tuple[int, int]] | None = None
    for run in _RUN.finditer(text):
        if run.end() - run.start() < 11:
            continue
        if ids is None:
            ids = [match.span() for each in (_HEX_ID, _UUID) for match in each.finditer(text)]
        for kind, start, end in numbers_in(text, run.start(), run.end()):
            if not any(first <= start and end <= last for first, last in ids):
                yield _match(kind, seen, start, end)


def _match(kind: Kind, seen: Normal, start: int, end: int) -> Match:
    return Match(kind, seen.starts[start], seen.ends[end - 1], seen.text[start:end])


def numbers_in(text: str, start: int, end: int) -> Iterator[tuple[Kind, int, int]]:
    """Of a run of digit groups: the first group, or groups together, that are a number, and on behind it."""
    groups = [match.span() for match in _GROUP.finditer(text, start, end)]
    at = 0
    while at < len(groups):
        for last in range(at, min(at + _LONGEST_RUN, len(groups))):
            found = _number(text, groups[at : last + 1])
            if found is not None:
                yield found
                at = last
                break
        at += 1


def _number(text: str, groups: list[tuple[int, int]]) -> tuple[Kind, int, int] | None:
    """What these groups of digits are, all of them together."""
    start, end = groups[0][0], groups[-1][1]
    sizes = tuple(last - first for first, last in groups)
    if sum(sizes) < 11 or sum(sizes) > 19 or _is_fraction(text, start, end):
        return None
    digits = "".join([text[first:last] for first, last in groups])
    check = text[end : end + 1]
    if sizes in _ID_CARD_GROUPS:
        if len(digits) == 17 and check in ("x", "X") and is_id_card(digits + check):
            return "id_card", start, end + 1
        if is_id_card(digits):
            return "id_card", start, end
    if sizes in _PHONE_GROUPS and is_mobile(digits):
        return "phone", start, end
    if (len(sizes) == 1 or _are_card_groups(sizes)) and is_bank_card(digits):
        return "bank_card", start, end
    return None


_PHONE_GROUPS: Final = frozenset(
    {(11,), (13,), (15,), (3, 4, 4), (2, 11), (4, 11), (2, 3, 4, 4), (4, 3, 4, 4), (5, 4, 4)}
)
_ID_CARD_GROUPS: Final = frozenset({(17,), (18,), (6, 8, 3), (6, 8, 4)})


def _are_card_groups(sizes: tuple[int, ...]) -> bool:
    """4 4 4 4, 4 4 4 4 3, 4 6 5, 6 13 and their like."""
    if len(sizes) == 2:
        return sizes[0] == 6 and sizes[1] >= 7
    if sizes[:2] == (4, 6):
        return len(sizes) == 3 and 4 <= sizes[2] <= 5
    return 3 <= len(sizes) <= 5 and set(sizes[:-1]) == {4} and sizes[-1] <= 7


def _is_fraction(text: str, start: int, end: int) -> bool:
    """Whether the digits stand behind the point of a number, or before a point with digits other than 0."""
    if start >= 2 and text[start - 1] == "." and text[start - 2] in "0123456789":
        return True
    return _FRACTION_BEHIND.match(text, end) is not None
