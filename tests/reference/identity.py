"""The slow, obvious model of identity: everything at once, from the rules of docs/identity.md as they are
written.

Shares no code with the processor.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Claim(NamedTuple):
    """A binding as the model sees it."""

    anonymous: str
    login: str
    received_at: int
    seq: int
    event_id: int
    trusted: bool


def persons(claims: Iterable[Claim], ids: Iterable[str], *, only_trusted: bool, limit: int) -> dict[str, str]:
    """For each id the id that stands for its person."""
    counted = [claim for claim in claims if claim.trusted or not only_trusted]
    logins = {claim.login for claim in counted}
    answer = {}
    for id_ in ids:
        mine = [claim for claim in counted if claim.anonymous == id_ and claim.login != id_]
        if id_ in logins or not mine or len({claim.login for claim in mine}) > limit:
            answer[id_] = id_
            continue
        trusted = [claim for claim in mine if claim.trusted]
        first = sorted(trusted or mine, key=lambda claim: (claim.received_at, claim.seq, claim.event_id))[0]
        answer[id_] = first.login
    return answer
