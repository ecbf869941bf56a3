"""What stands for a value: a pseudonym of an id, a keyed hash, a token that can be read again.

All are deterministic: the same value of a project always has the same one. They are spelled in the letters a
to p (two a byte), so that no detection ever takes one for a number; given one of its own, each returns it as
it is.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from footfall.privacy.suites import CannotOpen, Suite, SuiteName, suite_of

_TO_LETTERS: Final = str.maketrans("0123456789abcdef", "abcdefghijklmnop")
_FROM_LETTERS: Final = str.maketrans("abcdefghijklmnop", "0123456789abcdef")
_PSEUDONYM: Final = re.compile(r"pid_[a-p]{32}\Z")
_HASH: Final = re.compile(r"hash_[a-p]{32}\Z")
TOKEN: Final = re.compile(r"tok_([ig])_((?:[a-p]{2}){16,})")
_SUITE_LETTERS: Final[dict[str, SuiteName]] = {"i": "intl", "g": "gm"}


class NoToken(ValueError):  # noqa: N818 - reads as what it is
    """A text that is no token of this project."""


class StandIns:
    """Of one project. Safe to use from several threads."""

    def __init__(self, installation_key: bytes, project: str, suite: SuiteName) -> None:
        self._installation_key = installation_key
        self._project = project
        self._suite = suite_of(suite)
        self._id_key = self._derive(self._suite, "ids", 32)
        self._hash_key = self._derive(self._suite, "hashes", 32)
        self._token_key = self._derive(self._suite, "tokens", 64)
        self.pseudonym = lru_cache(maxsize=4_096)(self._pseudonym)

    def _derive(self, suite: Suite, purpose: str, length: int) -> bytes:
        return suite.derive(self._installation_key, f"footfall.privacy.{purpose}/{self._project}", length)

    def _pseudonym(self, id_: str) -> str:
        """Of an id: people keep apart, and nobody is known by it."""
        if _PSEUDONYM.match(id_):
            return id_
        return "pid_" + _letters(self._suite.hash(self._id_key, id_.encode())[:16])

    def hash(self, text: str) -> str:
        """That can never be read again, nor be found by trying out, without the key."""
        if _HASH.match(text):
            return text
        return "hash_" + _letters(self._suite.hash(self._hash_key, text.encode())[:16])

    def token(self, text: str) -> str:
        """That `reveal` reads."""
        if TOKEN.fullmatch(text):
            try:
                self.reveal(text)
            except NoToken:
                pass
            else:
                return text
        sealed = self._suite.encrypt(self._token_key, text.encode())
        return f"tok_{self._suite.name[0]}_{_letters(sealed)}"

    def reveal(self, token: str) -> str:
        """What a token stands for, whichever suite made it. NoToken."""
        match = TOKEN.fullmatch(token)
        if match is None:
            raise NoToken("a token begins with tok_i_ or tok_g_, and the rest is letters from a to p")
        suite = suite_of(_SUITE_LETTERS[match[1]])
        key = self._token_key if suite is self._suite else self._derive(suite, "tokens", 64)
        try:
            return suite.decrypt(key, bytes.fromhex(match[2].translate(_FROM_LETTERS))).decode()
        except CannotOpen:
            raise NoToken("this token is not of this project, or was altered") from None


def _letters(text: bytes) -> str:
    return text.hex().translate(_TO_LETTERS)
