"""What a project may declare as its identity keys, and what is wrong with a list that breaks the rules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import NamedTuple

from footfall.events.identity import MERGED_LOGIN
from footfall.events.identity_keys import ANONYMOUS, LOGIN, IdentityKey
from footfall.events.limits import IDENTITY_KEY_LENGTH, IDENTITY_KEYS, IDENTITY_VALUES
from footfall.events.names import explain_name, name_fault


class KeyFault(NamedTuple):
    """`field` is a path below the list: "[2].parent", "" for the list as a whole."""

    field: str
    message: str
    allowed: Sequence[str] = ()
    nearest: str | None = None


def key_faults(keys: Sequence[IdentityKey]) -> Iterator[KeyFault]:
    """All that is wrong with a project's declared keys."""
    names = [key.name for key in keys]
    if len(keys) > IDENTITY_KEYS:
        yield KeyFault("", f"use at most {IDENTITY_KEYS} keys, not {len(keys)}")
        return
    if names[:1] != [LOGIN]:
        yield KeyFault("", f"begin with {LOGIN}: what carries a login id is the login's")
    if ANONYMOUS not in names:
        yield KeyFault("", f"declare {ANONYMOUS}, too: the plain ids of events without a login are of it")
    for place, key in enumerate(keys):
        yield from _faults_of(key, f"[{place}]", names[:place], keys)


def _faults_of(
    key: IdentityKey, path: str, before: Sequence[str], keys: Sequence[IdentityKey]
) -> Iterator[KeyFault]:
    if name_fault(key.name) is not None:
        yield KeyFault(f"{path}.name", explain_name(key.name))
    elif len(key.name) > IDENTITY_KEY_LENGTH:
        yield KeyFault(f"{path}.name", f"use at most {IDENTITY_KEY_LENGTH} characters, not {len(key.name)}")
    elif key.name == MERGED_LOGIN:
        yield KeyFault(f"{path}.name", f"{MERGED_LOGIN} is how administrators merge logins: use another name")
    elif key.name in before:
        yield KeyFault(f"{path}.name", f"{key.name!r} is declared twice")
    if key.name == LOGIN and (key.values != "one" or key.overflow != "refuse"):
        field = "values" if key.values != "one" else "overflow"
        yield KeyFault(f"{path}.{field}", "a person has one login: only an administrator merges two")
    if key.name == ANONYMOUS and key.values != "many":
        yield KeyFault(f"{path}.values", "a person has many anonymous ids: one for each device and browser")
    if key.most is not None and key.values == "one":
        yield KeyFault(f"{path}.most", "leave it out: a key with one value takes one")
    elif key.most is not None and not 1 <= key.most <= IDENTITY_VALUES:
        yield KeyFault(f"{path}.most", f"use 1 to {IDENTITY_VALUES} values, or leave it out")
    if key.overflow == "replace" and key.limit is None:
        yield KeyFault(f"{path}.overflow", "say with `most` how many values there may be, or leave it out")
    yield from _faults_of_parent(key, path, keys)


def _faults_of_parent(key: IdentityKey, path: str, keys: Sequence[IdentityKey]) -> Iterator[KeyFault]:
    if key.parent is None:
        return
    field, names = f"{path}.parent", [each.name for each in keys]
    if key.parent not in names:
        near = get_close_matches(key.parent[:IDENTITY_KEY_LENGTH], names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        yield KeyFault(field, f"{key.parent[:100]!r} is not declared{hint}", names, near[0] if near else None)
    elif key.parent in (key.name, LOGIN, ANONYMOUS) or key.name in (LOGIN, ANONYMOUS):
        yield KeyFault(field, f"neither plain ids nor the key itself: not {key.parent!r} of {key.name!r}")
    elif key.values != "many":
        yield KeyFault(field, "a key with a parent takes many values")
    elif next(each for each in keys if each.name == key.parent).parent is not None:
        yield KeyFault(field, f"{key.parent!r} has a parent itself: one level is all there is")
