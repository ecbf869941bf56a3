"""Who is behind an id: a pure function of the bindings and the rulings, whatever the order in which they came
(docs/identity.md).

A *binding* is a record's claim that an anonymous id belongs to a login. A *ruling* is what a server with a
secret key or an administrator said on purpose: that an id belongs to a login, that it does not, that two
logins are one person, that they are not.

many_to_one: an anonymous id belongs to the login of its best binding; a login may own many anonymous ids.
one_to_one:  also, a login owns only the best of them (footfall.events.persons does the pairing).
global:      persons are components of a graph (footfall.events.identity_graph).
A login belongs to nobody but itself, unless an administrator merged it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

from footfall.events.identity_keys import IdentityKeys
from footfall.events.keys import NOBODY

ANY_LOGIN = NOBODY
"""As the login of an `unbind`: whatever login the id was bound to."""

ADMINISTRATOR = "administrator"
"""The door of what administrators say through the query API."""

MERGED_LOGIN = "$identity_merged_login_id"
"""By this declared identity, beside `$identity_login_id`, an administrator's record names the login that is
merged into the other; from other doors it means nothing.
"""

Order = tuple[int, int, int]
Kind = Literal["bind", "unbind", "merge", "unmerge"]
Decision = Literal[
    "accepted",
    "untrusted",
    "login_conflict",
    "shared_device",
    "one_to_one",
    "identifies_nobody",
    "taken_back",
    "nothing_to_take_back",
    "merged_already",
    "circle",
    "second_value",
    "too_many_values",
    "pushed_out",
    "too_many_links",
]

REASONS: Mapping[str, str] = MappingProxyType(
    {
        "accepted": "it counts",
        "untrusted": "it came without a secret key, where only the word of the project's own servers counts",
        "login_conflict": "the anonymous id belongs to another login, or is a login itself",
        "shared_device": "more logins than the project's limit used the anonymous id",
        "one_to_one": "the login owns another anonymous id, and the project gives each login only one",
        "identifies_nobody": "one of the two ids identifies nobody",
        "taken_back": "it was taken back",
        "nothing_to_take_back": "there was nothing of the kind before it",
        "merged_already": "the login was merged into another one before",
        "circle": "the other login was merged into this one",
        "second_value": "the person has another value of a key that takes only one",
        "too_many_values": "the person has as many values of the key as it takes",
        "pushed_out": "a later value of the key took its place",
        "too_many_links": "one of the two was bound to more ids than any person has",
    }
)
"""Why a claim counts or not, for people."""


class ResolutionRules(NamedTuple):
    """What a project decides about bindings."""

    only_trusted: bool = False  # only bindings that came with a secret key count
    shared_device_limit: int = 3  # an anonymous id with more logins than this belongs to none of them
    one_to_one: bool = False  # a login owns only one anonymous id
    keys: IdentityKeys | None = None  # declared identity keys: `global` (footfall.events.identity_graph)


class Binding(NamedTuple):
    """A record's claim that an anonymous id belongs to a login. Equal keys only say: this id is a login.

    NOBODY for an id that identifies nobody: such a claim is kept, and never counts.
    """

    anonymous_key: int
    login_key: int
    trusted: bool
    received_at: int  # epoch ms
    seq: int
    event_key: int

    @property
    def order(self) -> Order:
        """The first of several bindings wins by this; the client's clock has no say, since it can be
        forged.
        """
        return (self.received_at, self.seq, self.event_key)

    @property
    def names_nobody(self) -> bool:
        return NOBODY in (self.anonymous_key, self.login_key)


class Ruling(NamedTuple):
    """What somebody with a secret key said on purpose about an id and a login.

    bind, unbind: the anonymous id `subject_key` and the login (ANY_LOGIN in an unbind: all of them).
    merge, unmerge: the login `subject_key`, which is or is not the same person as `login_key`.
    """

    kind: Kind
    subject_key: int
    login_key: int
    received_at: int
    seq: int
    event_key: int

    @property
    def order(self) -> Order:
        """Of several rulings on the same pair the last counts."""
        return (self.received_at, self.seq, self.event_key)


_EMPTY: Mapping[int, Order] = MappingProxyType({})


class Ties(NamedTuple):
    """All that bindings and rulings say about one id."""

    logins: Mapping[tuple[int, bool], Binding] = MappingProxyType({})
    """Where the id is the anonymous one: each pair of (login, trusted) once, by its first binding."""
    is_login: bool = False  # of any binding
    is_trusted_login: bool = False  # of a trusted binding
    stated: Mapping[int, Order] = _EMPTY  # the last ruling for each login
    taken_back: Mapping[int, Order] = _EMPTY  # the last ruling against each login, or against ANY_LOGIN
    claims_nobody: bool = False  # a record linked it with an id that identifies nobody

    def counts_as_login(self, rules: ResolutionRules) -> bool:
        return self.is_trusted_login if rules.only_trusted else self.is_login

    def is_taken_back(self, login: int) -> bool:
        """Whether a ruling against the pair came after its first binding, and none for it came after that.

        A client's word does not bring back what was taken back: its SDK repeats it with every event.
        """
        orders = [known.order for trusted in (True, False) if (known := self.logins.get((login, trusted)))]
        against = [self.taken_back[key] for key in (login, ANY_LOGIN) if key in self.taken_back]
        counted = [order for order in against if order > min(orders, default=order)]
        return bool(counted) and max(counted) > self.stated.get(login, (-1, -1, -1))


NO_TIES = Ties()


def tie(key: int, ties: Ties, bindings: Iterable[Binding], rulings: Iterable[Ruling] = ()) -> Ties:
    """The ties of an id with more bindings and rulings; what does not name the id changes nothing."""
    logins = dict(ties.logins)
    is_login, is_trusted_login, nobody = ties.is_login, ties.is_trusted_login, ties.claims_nobody
    for binding in bindings:
        if key not in (binding.anonymous_key, binding.login_key):
            continue
        if binding.names_nobody:
            nobody = True
        elif binding.login_key == key:
            is_login = True
            is_trusted_login |= binding.trusted
        else:
            known = logins.get((binding.login_key, binding.trusted))
            if known is None or binding.order < known.order:
                logins[binding.login_key, binding.trusted] = binding
    stated, taken_back = _rule(key, ties, rulings)
    return Ties(logins, is_login, is_trusted_login, stated, taken_back, nobody)


def _rule(key: int, ties: Ties, rulings: Iterable[Ruling]) -> tuple[Mapping[int, Order], Mapping[int, Order]]:
    own = [ruling for ruling in rulings if ruling.subject_key == key and ruling.kind in ("bind", "unbind")]
    if not own:
        return ties.stated, ties.taken_back
    stated, taken_back = dict(ties.stated), dict(ties.taken_back)
    for ruling in own:
        last = stated if ruling.kind == "bind" else taken_back
        last[ruling.login_key] = max(ruling.order, last.get(ruling.login_key, ruling.order))
    return stated, taken_back


def candidates(ties: Ties, rules: ResolutionRules) -> list[Binding]:
    """The bindings that may make the id somebody's; none for a login and for a shared device."""
    if not ties.logins or ties.counts_as_login(rules):
        return []
    admitted = [
        binding
        for (login, trusted), binding in ties.logins.items()
        if (trusted or not rules.only_trusted) and not (ties.taken_back and ties.is_taken_back(login))
    ]
    return [] if len({binding.login_key for binding in admitted}) > rules.shared_device_limit else admitted


def rank(binding: Binding) -> tuple[bool, Order, int, int]:
    """The least of several bindings is the best: trusted ones first, then the earliest."""
    return (not binding.trusted, binding.order, binding.anonymous_key, binding.login_key)


def owner_of(key: int, ties: Ties, rules: ResolutionRules) -> int:
    """The login that an id belongs to by many_to_one, or the id's own key."""
    found = candidates(ties, rules)
    return min(found, key=rank).login_key if found else key


def decide(binding: Binding, ties: Ties, owner: int, rules: ResolutionRules) -> Decision:
    """What became of a binding, given all ties of its anonymous id and the login that owns that id now (or
    its own key): that it counts, or why not.
    """
    if binding.names_nobody:
        return "identifies_nobody"
    if rules.only_trusted and not binding.trusted:
        return "untrusted"
    if ties.is_taken_back(binding.login_key):
        return "taken_back"
    if owner == binding.login_key:
        return "accepted"
    if ties.counts_as_login(rules) or owner != binding.anonymous_key:
        return "login_conflict"
    return "one_to_one" if candidates(ties, rules) else "shared_device"


def decide_unbind(ruling: Ruling, ties: Ties) -> Decision:
    """Whether there was something to take back when the ruling came, given all ties of its anonymous id."""
    before = [
        binding
        for (login, _), binding in ties.logins.items()
        if ruling.login_key in (login, ANY_LOGIN) and binding.order < ruling.order
    ]
    return "accepted" if before else "nothing_to_take_back"
