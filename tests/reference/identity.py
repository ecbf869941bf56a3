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


class Word(NamedTuple):
    """What somebody with a secret key said on purpose: bind, unbind, merge, unmerge.

    A `bind` is also a trusted claim, which the list of claims must hold.
    """

    kind: str
    subject: str
    login: str  # "" in an unbind: every login
    received_at: int
    seq: int
    event_id: int


def persons(
    claims: Iterable[Claim],
    ids: Iterable[str],
    *,
    only_trusted: bool,
    limit: int,
    strategy: str = "many_to_one",
    words: Iterable[Word] = (),
) -> dict[str, str]:
    """For each id the id that stands for its person."""
    claims, words = list(claims), list(words)
    counted = [claim for claim in claims if claim.trusted or not only_trusted]
    logins = {claim.login for claim in counted}
    standing = [claim for claim in counted if not is_taken_back(claim, claims, words)]
    free = []
    for claim in standing:
        used_by = {each.login for each in standing if each.anonymous == claim.anonymous != each.login}
        if claim.anonymous not in logins and len(used_by) <= limit:
            free.append(claim)
    free.sort(key=lambda c: (not c.trusted, c.received_at, c.seq, c.event_id))
    owner: dict[str, str] = {}
    for claim in free:
        if claim.anonymous in owner:
            continue
        if strategy == "one_to_one" and claim.login in owner.values():
            continue
        owner[claim.anonymous] = claim.login
    into = merged(words)
    return {id_: follow(owner.get(id_, id_), into) for id_ in ids}


def is_taken_back(claim: Claim, claims: list[Claim], words: list[Word]) -> bool:
    """Of everything said on purpose about the pair, after its first claim, the last word is against it."""
    pair = (claim.anonymous, claim.login)
    first = min(when(each) for each in claims if (each.anonymous, each.login) == pair)
    said = []
    for word in words:
        if word.subject != claim.anonymous:
            continue
        if word.kind == "bind" and word.login == claim.login:
            said.append((when(word), True))
        if word.kind == "unbind" and word.login in (claim.login, "") and when(word) > first:
            said.append((when(word), False))
    return bool(said) and not max(said)[1]


def merged(words: list[Word]) -> dict[str, str]:
    """Login -> login, for the merges that stand: in their order, none twice, none in a circle."""
    pairs: dict[tuple[str, str], list[Word]] = {}
    for word in words:
        if word.kind in ("merge", "unmerge"):
            pairs.setdefault((word.subject, word.login), []).append(word)
    standing = []
    for pair, said in pairs.items():
        if max(said, key=when).kind == "merge":
            standing.append((min(when(word) for word in said if word.kind == "merge"), pair))
    into: dict[str, str] = {}
    for _, (subject, login) in sorted(standing):
        if subject not in into and follow(login, into) != subject:
            into[subject] = login
    return into


def follow(id_: str, into: dict[str, str]) -> str:
    while id_ in into:
        id_ = into[id_]
    return id_


def when(said: Claim | Word) -> tuple[int, int, int]:
    """The order in which what was said counts."""
    return (said.received_at, said.seq, said.event_id)
