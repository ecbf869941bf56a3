"""How the bytes of a dead letter rest: sealed, together with who sent them.

Events are enriched by their sender, so a record that is mended and sent in again needs to have the same one.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from footfall.sealing import CannotUnseal, Sealer


class Sender(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who sent a request, as far as the project's privacy rules let that rest."""

    ip: str = ""
    user_agent: str = ""
    country: str = ""  # ISO 3166
    trusted: bool = False  # came with a secret key


NOBODY_KNOWN: Final = Sender()


class OpenedLetter(NamedTuple):
    """What a dead letter holds."""

    raw: bytes  # as it came
    sender: Sender


_write = msgspec.json.Encoder().encode
_read = msgspec.json.Decoder(Sender).decode


def seal_letter(sealer: Sealer, place: tuple[int, int, int], raw: bytes, sender: Sender) -> bytes:
    """`place`: log partition, log offset and sequence number, the only place where it opens."""
    return sealer.seal(_write(sender) + b"\n" + raw, _place("dead_letter_from", place))


def open_letter(sealer: Sealer, place: tuple[int, int, int], sealed: bytes) -> OpenedLetter:
    """CannotUnseal. Letters from before senders were kept have none."""
    try:
        sender, _, raw = sealer.unseal(sealed, _place("dead_letter_from", place)).partition(b"\n")
    except CannotUnseal:
        return OpenedLetter(sealer.unseal(sealed, _place("dead_letter", place)), NOBODY_KNOWN)
    return OpenedLetter(raw, _read(sender))


def _place(kind: str, place: tuple[int, int, int]) -> str:
    """Says which form the bytes have: no client's bytes can be taken for the other."""
    return ":".join([kind, *map(str, place)])
