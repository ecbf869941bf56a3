"""Texts that are no record's, such as log lines: whatever is found in them is masked."""

from __future__ import annotations

from typing import Final

from footfall.privacy.detection import find
from footfall.privacy.masks import mask_match

_ROUNDS: Final = 8


def hidden(text: str) -> str:
    """The text with what detection finds in it masked.

    >>> hidden("ValueError: invalid literal for int(): '13800138000'")
    "ValueError: invalid literal for int(): '138****8000'"
    """
    for _ in range(_ROUNDS):
        matches = find(text)
        if not matches:
            break
        parts: list[str] = []
        at = 0
        for match in matches:
            parts += [text[at : match.start], mask_match(match, text)]
            at = match.end
        text = "".join([*parts, text[at:]])
    return text
