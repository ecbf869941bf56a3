"""What stops an import before it starts; what is wrong with single rows is data, not an error."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class ImportRefused(Exception):  # noqa: N818 - reads as what it is
    """The file, or the mapping, cannot be what was meant. Nothing was imported; the text says what to do."""


def did_you_mean(given: str, allowed: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or nothing where nothing is near."""
    by_lower = {name.lower(): name for name in allowed}
    near = get_close_matches(given.lower()[:200], by_lower, n=1)
    return f"; did you mean {by_lower[near[0]]!r}?" if near else ""
