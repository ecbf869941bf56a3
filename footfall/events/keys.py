"""The keyed hashes that stand for ids: of a person, of an event.

Write keys are public, so an unkeyed hash would let anyone craft collisions. Every collector and processor
of an installation shares one installation key (32 bytes).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from struct import Struct

NOBODY = 0
"""The user key of events whose id identifies nobody: they count as events and belong to no actor."""

_SEPARATOR = b"\x1f"
_LENGTH = Struct("<I").pack
_MOST_REMEMBERED = 1_000


class KeyedHash:
    """BLAKE2b under the installation's key."""

    def __init__(self, installation_key: bytes) -> None:
        if len(installation_key) != 32:
            raise ValueError(f"an installation key has 32 bytes, this one has {len(installation_key)}")
        self._key = installation_key
        # Hashing starts from a copy of this: the keyed state costs more than the hash of one event.
        self._event_start = blake2b(key=installation_key, digest_size=16, person=b"footfall.event")
        self._behind: dict[tuple[bytes, ...], Callable[[bytes], str]] = {}

    def id_key(self, project: str, distinct_id: str) -> int:
        """The 64-bit key of an id within a project; never NOBODY (0)."""
        text = project.encode() + _SEPARATOR + distinct_id.encode()
        digest = blake2b(text, key=self._key, digest_size=8, person=b"footfall.id").digest()
        return int.from_bytes(digest, "little") or 1

    def event_id(self, *parts: bytes) -> bytes:
        """The 16 bytes that stand for an event: from the client's own id or from fields of the record.

        `parts` are length-prefixed, so that no two different lists of parts give the same text.
        """
        return self._after(parts).digest()

    def event_ids_behind(self, *parts: bytes) -> Callable[[bytes], str]:
        """`event_id(*parts, last)` as 32 hex digits for each `last`, for a third of the time.

        The functions of few `parts`, as projects are, are made once. Safe to use from several threads.
        """
        known = self._behind.get(parts)
        if known is not None:
            return known
        start = self._after(parts).copy

        def event_id_behind(last: bytes) -> str:
            state = start()
            state.update(_LENGTH(len(last)) + last)
            return state.hexdigest()

        if len(self._behind) >= _MOST_REMEMBERED:
            self._behind.clear()
        self._behind[parts] = event_id_behind
        return event_id_behind

    def _after(self, parts: Sequence[bytes]) -> blake2b:
        state = self._event_start.copy()
        state.update(b"".join([_LENGTH(len(part)) + part for part in parts]))
        return state


def event_key(event_id: bytes) -> int:
    """The 64 bits of an event id that stay in the events table (order of ties, proof): its first 8 bytes."""
    return int.from_bytes(event_id[:8], "little")
