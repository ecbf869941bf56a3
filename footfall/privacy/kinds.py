"""The words of privacy: what is looked for, and what is done about it."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, get_args

Kind = Literal["id_card", "phone", "bank_card", "email", "one_time_code", "never_collect"]
"""What is found by looking at text: everybody's documents and accounts, and what must never be collected."""

Action = Literal["keep", "drop", "mask", "hash", "tokenise"]
"""What is done to a value. `hash`: keyed, for ever unreadable; `tokenise`: readable again with a reason."""

Detected = Literal["id_card", "phone", "bank_card", "email"]

ACTIONS: Final[tuple[Action, ...]] = get_args(Action)
DETECTED: Final[tuple[Detected, ...]] = get_args(Detected)
"""The kinds whose action a project may choose; the others are always hidden."""


class Match(NamedTuple):
    """Something found in a text: text[start:end]. `plain`: without what was put between its characters."""

    kind: Kind
    start: int
    end: int
    plain: str
