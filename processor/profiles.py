"""The profile that operations give: a pure function of the set of them, whatever the order of arrival.

Each id's operations are folded by themselves, by event time, then event id; then the ids of a person are
merged.

set         the value from then on
set_once    the value, if the property has none; of several the earliest stays
increment   adds to the number, or to nothing
append      puts texts behind the list, or begins one; a text that is in it already is not added again
unset       the property is gone
delete      all of the id's earlier operations are void; a login's delete voids those of its whole person

Merged ids: where the login set or unset a property, its word counts; else the latest set of the other ids,
unless the login has a set_once; of several set_once the earliest. Increments and appended texts of all ids
add up. An increment of a text, or an append to a number, does nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal
from typing import Any, Literal, NamedTuple

import msgspec
import orjson

from processor.values import text_of

_read = msgspec.json.Decoder(float_hook=Decimal).decode
_exact = Context(prec=1000)  # the sum of any doubles has fewer digits

Order = tuple[int, int, int, int, int]


class Operation(NamedTuple):
    """One property of one profile record."""

    id_key: int
    operation: str  # set, set_once, increment, append, unset, delete
    name: str  # of the property; "" for delete
    value: str  # JSON; "" for unset and delete
    time: int
    event_key: int
    log_partition: int
    log_offset: int
    seq: int

    @property
    def order(self) -> Order:
        """By event time, then event id; the rest only makes it total."""
        return (self.time, self.event_key, self.log_partition, self.log_offset, self.seq)


def json_of(value: Any) -> str:
    """A property's value as JSON, every digit kept."""
    if isinstance(value, str | list):
        return orjson.dumps(value).decode()
    return text_of(value)


def fold_profile(person: int, operations: Iterable[Operation]) -> dict[str, str]:
    """The person's properties, as texts; empty if there is no profile (any more)."""
    by_property: dict[str, dict[int, list[Operation]]] = {}
    for operation in _drop_deleted(person, sorted(operations, key=lambda each: each.order)):
        by_property.setdefault(operation.name, {}).setdefault(operation.id_key, []).append(operation)
    profile = {}
    for name, by_id in sorted(by_property.items()):
        words = {id_key: _fold_id(of_id) for id_key, of_id in by_id.items()}
        value = _merge(person, words)
        if value is not None:
            profile[name] = text_of(value)
    return profile


def _drop_deleted(person: int, ordered: Sequence[Operation]) -> list[Operation]:
    deleted: dict[int, int] = {}
    for place, operation in enumerate(ordered):
        if operation.operation == "delete":
            deleted[operation.id_key] = place
    of_person = deleted.get(person, -1)
    return [
        operation
        for place, operation in enumerate(ordered)
        if operation.operation != "delete" and place > max(of_person, deleted.get(operation.id_key, -1))
    ]


@dataclass(slots=True)
class _Said:
    """What one id says of one property: a word, and what was added to it since."""

    word: Literal["", "set", "once", "unset"] = ""
    value: Any = None
    order: Order = (0, 0, 0, 0, 0)
    total: Decimal | int | None = None
    texts: list[tuple[Order, list[str]]] = field(default_factory=list)

    @property
    def is_absent(self) -> bool:
        return self.value is None and self.total is None and not self.texts


def _fold_id(operations: Iterable[Operation]) -> _Said:
    said = _Said()
    for operation in operations:
        match operation.operation:
            case "set":
                said = _Said("set", _read(operation.value), operation.order)
            case "unset":
                said = _Said("unset", None, operation.order)
            case "set_once" if said.is_absent:
                said = _Said("once", _read(operation.value), operation.order)
            case "increment":
                _increment(said, _read(operation.value))
            case "append":
                _append(said, operation.order, _read(operation.value))
    return said


def _increment(said: _Said, value: Any) -> None:
    if _is_number(value) and not said.texts and (said.value is None or _is_number(said.value)):
        said.total = value if said.total is None else _add(said.total, value)


def _append(said: _Said, order: Order, value: Any) -> None:
    if (
        isinstance(value, list)
        and said.total is None
        and (said.value is None or isinstance(said.value, list))
    ):
        said.texts.append((order, value))


def _merge(person: int, by_id: dict[int, _Said]) -> Any:
    """The person's value from what its ids say; None is none."""
    word = _deciding_word(person, by_id)
    value = None if word is None else word.value
    totals = [said.total for said in by_id.values() if said.total is not None]
    texts = sorted(entry for said in by_id.values() for entry in said.texts)
    if _is_number(value) or (value is None and totals):
        for total in totals:
            value = total if value is None else _add(value, total)
        return _plain(value) if totals else value
    if isinstance(value, list) or (value is None and texts):
        appended = [text for _, added in texts for text in added]
        return list(dict.fromkeys([*(value or []), *appended])) if appended else value
    return value


def _deciding_word(person: int, by_id: dict[int, _Said]) -> _Said | None:
    own = by_id.get(person, _Said())
    if own.word in ("set", "unset"):
        return own
    others = [said for id_key, said in by_id.items() if id_key != person]
    sets = [said for said in others if said.word == "set"]
    if sets and own.word != "once":
        return max(sets, key=lambda said: said.order)
    onces = [said for said in by_id.values() if said.word == "once"]
    return min(onces, key=lambda said: said.order, default=None)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def _add(left: Decimal | int, right: Decimal | int) -> Decimal | int:
    if isinstance(left, int) and isinstance(right, int):
        return left + right
    return _exact.add(Decimal(left), Decimal(right))


def _plain(number: Any) -> Any:
    """A sum without needless zeros or exponent: 3, not 3.00 or 3E+0."""
    if not isinstance(number, Decimal):
        return number
    exponent = number.as_tuple().exponent
    if number == number.to_integral_value(context=_exact) and isinstance(exponent, int) and exponent < 30:
        return int(number)
    return number.normalize(_exact)
