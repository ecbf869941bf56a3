"""What the sender of an unknown word probably meant, cheaply: it is asked about each of thousands of records.

Not by comparing with every word we know: a word with one letter too many, too few, wrong or swapped becomes
the same as ours when each drops the right letter, so that some twenty look-ups find it, however many words
there are.

>>> fields = Spellings(("event", "distinct_id"), {"user": "distinct_id"})
>>> fields.nearest("evnet"), fields.nearest("DistinctId"), fields.nearest("user"), fields.nearest("colour")
('event', 'distinct_id', 'distinct_id', None)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

_LONGEST: Final = 32


class Spellings:
    """Words, and other words that mean them."""

    def __init__(self, words: Iterable[str], said_elsewhere: Mapping[str, str]) -> None:
        self._meant: dict[str, str] = {_plain(other): word for other, word in said_elsewhere.items()}
        self._near: dict[str, str] = {}
        for word in words:
            self._meant[_plain(word)] = word
            for shorter in _shorter(_plain(word)):
                self._near.setdefault(shorter, word)

    def nearest(self, given: str) -> str | None:
        """The word that `given` says, in whatever case, with one letter wrong or by another name."""
        if len(given) > _LONGEST:
            return None
        plain = _plain(given)
        if (word := self._meant.get(plain)) is not None:
            return word
        for shorter in _shorter(plain):
            if (word := self._meant.get(shorter) or self._near.get(shorter)) is not None:
                return word
        return None


def _plain(word: str) -> str:
    return word.lower().replace("_", "").replace("$", "").replace("-", "").replace(" ", "")


def _shorter(word: str) -> Iterator[str]:
    """The word, and the word without each of its letters; no longer a word if it is short."""
    yield word
    if len(word) > 3:
        for at in range(len(word)):
            yield word[:at] + word[at + 1 :]
