"""What is wrong with a plan that somebody wrote, and where."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, Final

Path = tuple[str, ...]
"""The names that lead to a place in a plan: ("events", "transfer", "properties", "amount", "type")."""

_SHOWN: Final = 10
_LONGEST_GIVEN: Final = 200


@dataclass(frozen=True, slots=True)
class PlanFault:
    """One thing that is wrong; `code` is unknown_field, unknown_value, missing_field or invalid_value."""

    path: Path  # () for the plan as a whole
    code: str
    message: str
    given: Any = None
    allowed: Sequence[str] = ()
    nearest: str | None = None
    line: int | None = None  # of a file, from 1

    @property
    def field(self) -> str:
        """The place as text: `events.transfer.properties.amount.type`."""
        return ".".join(self.path)

    def at_line(self, line: int) -> PlanFault:
        """The fault in a file."""
        return replace(self, line=line)

    def __str__(self) -> str:
        parts = [f"line {self.line}"] if self.line is not None else []
        parts += [self.field] if self.path else []
        hint = f"; did you mean {self.nearest!r}?" if self.nearest is not None else ""
        return ": ".join([*parts, self.message]) + hint


class InvalidPlan(ValueError):  # noqa: N818 - reads as what it is
    """A plan that cannot be; every fault that was found, in the order of the text."""

    def __init__(self, faults: Sequence[PlanFault]) -> None:
        more = f" (and {len(faults) - _SHOWN} more)" if len(faults) > _SHOWN else ""
        super().__init__("; ".join(map(str, faults[:_SHOWN])) + more)
        self.faults = tuple(faults)


def nearest(given: object, allowed: Iterable[str]) -> str | None:
    """The allowed word that was probably meant.

    >>> nearest("String", ["string", "number"]), nearest("int", ["string", "number"])
    ('string', 'number')
    """
    words = {word.lower(): word for word in allowed}
    plain = str(given)[:_LONGEST_GIVEN].lower().replace("-", "_").replace(" ", "_")
    meant = _SAID_ELSEWHERE.get(plain)
    if meant in words.values():
        return meant
    found = get_close_matches(plain, words, n=1)
    return words[found[0]] if found else None


_SAID_ELSEWHERE: Final = {
    "int": "number",
    "integer": "number",
    "float": "number",
    "double": "number",
    "numeric": "number",
    "long": "number",
    "money": "decimal",
    "bool": "boolean",
    "date": "datetime",
    "time": "datetime",
    "timestamp": "datetime",
    "text": "string",
    "str": "string",
    "enum": "string",
    "array": "list",
    "strings": "list",
    "enum_values": "allowed",
    "values": "allowed",
    "choices": "allowed",
    "allowed_values": "allowed",
    "optional": "required",
    "mandatory": "required",
    "level": "grade",
    "classification": "grade",
    "team": "owner",
    "desc": "description",
    "1": "C1",
    "2": "C2",
    "3": "C3",
    "warn": "report",
    "strict": "enforce",
    "block": "enforce",
    "reject": "refuse",
    "ignore": "allow",
    "super_properties": "common_properties",
    "shared_properties": "common_properties",
    "global_properties": "common_properties",
    "profile_properties": "user_properties",
    "params": "properties",
}
"""What other tools call the same."""
