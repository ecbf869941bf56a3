"""The fastest way in, for batches in which nothing is new: properties under names that were seen before.

Decoding properties into a dict, and checking their names, is half the cost of reading a record. Where all
names are known to be good, properties go into a struct with a field for each instead, which the decoder fills
by position and which holds no names; a name that is not among them makes the decoder refuse, and the batch
takes the next way. Values are checked all the same: a door only needs to know that properties are good, not
what they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Generic, TypeVar

import msgspec

R = TypeVar("R")

_MOST_NAMES: Final = 200
_LONGEST_BATCH: Final = 256 * 1024
_FIRST_LESSON: Final = 8
_RAREST_LESSON: Final = 4_096
_WORST_SCORE: Final = -32
_BEST_SCORE: Final = 32
_REST: Final = 1_000


class UsualBatches(Generic[R]):
    """Decodes batches whose property names are known; learns names from those it could not decode.

    Where more than every third batch is beyond it, it rests for a thousand: trying must not cost much.
    """

    def __init__(self, record: type[R], value: Any) -> None:
        """`value` is the type of a property, `record` that of a record, with a field `properties`."""
        self._record = record
        self._value = value
        self._names: dict[str, None] = {}
        self._decoder: msgspec.json.Decoder[list[R]] | None = None
        self._score = 0
        self._rest = 0
        self._until_lesson = _FIRST_LESSON
        self._lesson_length = _FIRST_LESSON

    def decode(self, array: bytes) -> list[R] | None:
        """The records of an array, their properties in a form of no use to others; None if it cannot."""
        if self._decoder is None or len(array) > _LONGEST_BATCH:
            return None
        if self._rest:
            self._rest -= 1
            return None
        try:
            return self._decoder.decode(array)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self.missed()
            return None

    def hit(self) -> None:
        """What was decoded was of use."""
        if self._score < _BEST_SCORE:
            self._score += 1

    def missed(self) -> None:
        """It was not, or nothing was decoded."""
        self._score -= 2
        if self._score < _WORST_SCORE:
            self._score = 0
            self._rest = _REST

    def learn(self, records: Iterable[Any], good: set[str]) -> None:
        """From a batch that took the next way: at first from every eighth, later seldom, since it costs."""
        self._until_lesson -= 1
        if self._until_lesson:
            return
        names = {name: None for each in records if each for name in each.properties if name in good}
        known = len(self._names)
        for name in names:
            if len(self._names) < _MOST_NAMES:
                self._names.setdefault(name)
        if len(self._names) > known:
            self._decoder = self._build_decoder()
            self._rest = self._score = 0
        else:
            self._lesson_length = min(2 * self._lesson_length, _RAREST_LESSON)
        self._until_lesson = self._lesson_length

    def _build_decoder(self) -> msgspec.json.Decoder[list[R]]:
        fields = [
            (f"property_{number}", self._value, msgspec.field(default=None, name=name))
            for number, name in enumerate(self._names)
        ]
        properties = msgspec.defstruct("KnownProperties", fields, forbid_unknown_fields=True, gc=False)
        none_given = properties()  # one for all: a batch of {} must not become a heap of wide structs
        record = msgspec.defstruct(
            "UsualRecord",
            [("properties", properties, msgspec.field(default_factory=lambda: none_given))],
            bases=(self._record,),
            forbid_unknown_fields=True,
            gc=False,
        )
        return msgspec.json.Decoder(list[record])  # type: ignore[valid-type]
