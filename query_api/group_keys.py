"""Groups by name: from the text that SQL makes of a breakdown's values to the key of an answer, and back.

A part is '' for a missing value, else '=' and the value's text; several parts are each preceded by their
length in bytes, as in `4:=iOS0:`. Equal values have equal texts.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from footfall.storage.columns import PropertyType
from query_api.answers import number_text, read_number
from query_api.catalogue import Catalogue, source_of
from query_api.property_values import read_value
from query_api.spec.breakdown import OTHER, Part
from query_api.spec.query import Key, KeyPart

REST = "$"
"""The text of the group of all the rest: no key begins so."""

NAMED_AS_REST = f"={OTHER}"
"""A value that is called as the rest is: where there is a rest, it counts with that: a key is one group."""


@dataclass(frozen=True, slots=True)
class GroupKeys:
    """The keys of one breakdown; `types` are those of its parts."""

    types: tuple[PropertyType | None, ...]

    @classmethod
    def of(cls, parts: Sequence[Part], catalogue: Catalogue) -> GroupKeys:
        return cls(tuple(_type_of(part, catalogue) for part in parts))

    def read(self, text: str) -> Key:
        """The key of an answer."""
        if text == REST:
            return (OTHER,)
        return tuple(
            (read_value(part[1:], type_) if part else None)
            for part, type_ in zip(split_key(text, len(self.types)), self.types, strict=True)
        )

    def write(self, key: Key) -> str:
        """The text of a key that a client gives in a cell."""
        return join_key([_write_part(part) for part in key])

    def order(self, text: str) -> tuple[tuple[int, Decimal, str], ...]:
        """Sorts keys: a missing value first, numbers by size, then texts."""
        return self._order(text, missing=0)

    def smallest(self, text: str) -> tuple[tuple[int, Decimal, str], ...]:
        """Sorts values where a tie takes the smallest: as `order`, but a missing value comes last."""
        return self._order(text, missing=3)

    def _order(self, text: str, missing: int) -> tuple[tuple[int, Decimal, str], ...]:
        parts = zip(split_key(text, len(self.types)), self.types, strict=True)
        return tuple(_order_of(part, type_) if part else (missing, Decimal(0), "") for part, type_ in parts)


def split_key(text: str, parts: int) -> list[str]:
    """The parts of a key's text; all missing of '', the text of a value that went while it was read."""
    if parts == 1 or not text:
        return [text] * parts
    found, rest = [], text.encode()
    for _ in range(parts):
        length, _, rest = rest.partition(b":")
        found.append(rest[: int(length)].decode(errors="replace"))
        rest = rest[int(length) :]
    return found


def join_key(parts: Sequence[str]) -> str:
    """The text of several parts."""
    if len(parts) == 1:
        return parts[0]
    return "".join(f"{len(part.encode())}:{part}" for part in parts)


def is_empty(text: str, parts: int) -> bool:
    """Whether all values are missing or ''."""
    return all(part in ("", "=") for part in split_key(text, parts))


def _type_of(part: Part, catalogue: Catalogue) -> PropertyType | None:
    if part.property in ("event", "distinct_id") and part.of == "event":
        return "string"
    return catalogue.type_of(source_of(part.of), part.property)


def _write_part(part: KeyPart) -> str:
    if part is None:
        return ""
    if isinstance(part, bool):
        return "=true" if part else "=false"
    if isinstance(part, int | Decimal):
        return f"={number_text(Decimal(part))}"
    if isinstance(part, list):
        return "=" + json.dumps(part, ensure_ascii=False, separators=(",", ":"))
    return f"={part}"


def _order_of(part: str, type_: PropertyType | None) -> tuple[int, Decimal, str]:
    number = read_number(part[1:]) if type_ in ("number", "decimal") else None
    return (1, Decimal(number), "") if number is not None else (2, Decimal(0), part[1:])
