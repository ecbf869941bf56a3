"""Who is behind an id: a pure function of the bindings, whatever the order in which they came
(docs/identity.md).

Strategy many_to_one: an anonymous id belongs to the login of its best binding; a login may own many anonymous
ids; a login belongs to nobody but itself. So a person's key is the login's where there is one, else the id's
own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple


class ResolutionRules(NamedTuple):
    """What a project decides about bindings."""

    only_trusted: bool = False  # only bindings that came with a secret key count
    shared_device_limit: int = 3  # an anonymous id with more logins than this belongs to none of them


class Binding(NamedTuple):
    """A record's claim that an anonymous id belongs to a login. Equal keys only say: this id is a login."""

    anonymous_key: int
    login_key: int
    trusted: bool
    received_at: int  # epoch ms
    seq: int
    event_key: int

    @property
    def order(self) -> tuple[int, int, int]:
        """The first of several bindings wins by this; the client's clock has no say, since it can be
        forged.
        """
        return (self.received_at, self.seq, self.event_key)


class Ties(NamedTuple):
    """All that bindings say about one id, each pair of (login, trusted) once, by its first binding."""

    logins: Mapping[tuple[int, bool], Binding] = MappingProxyType({})  # where the id is the anonymous one
    is_login: bool = False  # of any binding
    is_trusted_login: bool = False  # of a trusted binding

    def counts_as_login(self, rules: ResolutionRules) -> bool:
        return self.is_trusted_login if rules.only_trusted else self.is_login


NO_TIES = Ties()

Decision = Literal["accepted", "untrusted", "login_conflict", "shared_device", "bound_before"]


def tie(key: int, ties: Ties, bindings: Iterable[Binding]) -> Ties:
    """The ties of an id with more bindings taken in; those that do not name the id change nothing."""
    logins = dict(ties.logins)
    is_login, is_trusted_login = ties.is_login, ties.is_trusted_login
    for binding in bindings:
        if binding.login_key == key:
            is_login = True
            is_trusted_login |= binding.trusted
        elif binding.anonymous_key == key:
            known = logins.get((binding.login_key, binding.trusted))
            if known is None or binding.order < known.order:
                logins[binding.login_key, binding.trusted] = binding
    return Ties(logins, is_login, is_trusted_login)


def person_of(key: int, ties: Ties, rules: ResolutionRules) -> int:
    """The key of the person behind an id: its own, or that of the login that owns it."""
    if ties.counts_as_login(rules):
        return key
    admitted = [binding for binding in ties.logins.values() if binding.trusted or not rules.only_trusted]
    owners = {binding.login_key for binding in admitted}
    if not owners or len(owners) > rules.shared_device_limit:
        return key
    return min(admitted, key=_rank).login_key


def decide(binding: Binding, ties: Ties, rules: ResolutionRules) -> Decision:
    """What became of a binding, given all ties of its anonymous id: that it counts, or why not."""
    if rules.only_trusted and not binding.trusted:
        return "untrusted"
    person = person_of(binding.anonymous_key, ties, rules)
    if person == binding.login_key:
        return "accepted"
    if person != binding.anonymous_key:
        return "bound_before"
    return "login_conflict" if ties.counts_as_login(rules) else "shared_device"


def resolve(bindings: Iterable[Binding], rules: ResolutionRules) -> dict[int, int]:
    """Anonymous key -> login key for every id that belongs to a login, from all bindings at once."""
    by_key: dict[int, list[Binding]] = {}
    for binding in bindings:
        by_key.setdefault(binding.anonymous_key, []).append(binding)
        if binding.login_key != binding.anonymous_key:
            by_key.setdefault(binding.login_key, []).append(binding)
    persons = {key: person_of(key, tie(key, NO_TIES, named), rules) for key, named in by_key.items()}
    return {key: person for key, person in persons.items() if key != person}


def _rank(binding: Binding) -> tuple[bool, tuple[int, int, int], int]:
    return (not binding.trusted, binding.order, binding.login_key)
