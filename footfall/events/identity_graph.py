"""Who is behind an id under the strategy `global`: components of the graph of bindings, a pure function of
what was said, whatever the order in which it came (docs/identity.md).

Every record that carries several ids says a `link` between its main id and each other one (`bind`: on
purpose). Links are taken up in order, those with a secret key first, then the earliest; one that would give a
person a second value of a key that takes one is refused. What was unbound, and ids that too many persons use,
link nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol

from footfall.events.identity import Decision, Order, ResolutionRules
from footfall.events.identity_keys import ANONYMOUS, LOGIN, IdentityKeys
from footfall.events.keys import NOBODY
from footfall.events.limits import IDENTITY_NEIGHBOURS

ANY = NOBODY
"""As the other id of an `unbind`: whatever the id was bound to."""

Rank = tuple[bool, Order, int, str, str]


class Word(Protocol):
    """What a record says of ids: `link` and `bind` of two; `unbind` of `other` from `one` (ANY: from all);
    `told`: of `one` alone, that it is there, under this key; `nobody`: that it came with an id that
    identifies nobody.
    """

    @property
    def kind(self) -> str: ...
    @property
    def one_key(self) -> int: ...
    @property
    def other_key(self) -> int: ...
    @property
    def one_name(self) -> str: ...
    @property
    def other_name(self) -> str: ...
    @property
    def one_id(self) -> str: ...
    @property
    def other_id(self) -> str: ...
    @property
    def received_at(self) -> int: ...
    @property
    def seq(self) -> int: ...
    @property
    def event_key(self) -> int: ...
    @property
    def trusted(self) -> bool: ...


def order_of(word: Word) -> Order:
    """As footfall.events.identity.Binding.order: the client's clock has no say."""
    return (word.received_at, word.seq, word.event_key)


def rank_of(word: Word, keys: IdentityKeys) -> Rank:
    """The least link is taken up first; of one record's those of the key with the highest priority."""
    return (not word.trusted, order_of(word), keys.priority(word.other_name), word.other_id, word.one_id)


_Side = tuple[int, bool]  # (the other id's key, trusted)


class NodeTies(NamedTuple):
    """All that was said of one id."""

    name: str = ""  # of its key; a plain id that was a login once is one for ever, see `name_of`
    id: str = ""
    links: Mapping[_Side, Word] = MappingProxyType({})  # the first of each
    binds: Mapping[_Side, Order] = MappingProxyType({})  # the last time it was said on purpose
    unbinds: Mapping[_Side, Word] = MappingProxyType({})  # the last of each
    is_login: bool = False
    is_trusted_login: bool = False
    nobody: frozenset[str] = frozenset()  # keys under which it was bound to what identifies nobody

    def name_in(self, rules: ResolutionRules) -> str:
        """The key that the id is of."""
        if self.is_trusted_login or (self.is_login and not rules.only_trusted):
            return LOGIN
        return ANONYMOUS if self.name == LOGIN else self.name

    def neighbours(self, rules: ResolutionRules) -> set[int]:
        """The ids that what counts links it with, taken back or not."""
        return {key for key, trusted in self.links if trusted or not rules.only_trusted}

    def first(self, neighbour: int) -> Order:
        """When the two were first linked, by anybody."""
        sides = ((neighbour, True), (neighbour, False))
        return min(order_of(self.links[side]) for side in sides if side in self.links)

    def last_unbind(self, other: int, *, trusted: bool) -> Order | None:
        word = self.unbinds.get((other, trusted))
        return None if word is None else order_of(word)


NO_NODE_TIES = NodeTies()


def tie_node(key: int, ties: NodeTies, words: Iterable[Word]) -> NodeTies:
    """The ties of an id with more words; what does not name the id changes nothing."""
    name, text, is_login, is_trusted = ties.name, ties.id, ties.is_login, ties.is_trusted_login
    links, binds, unbinds = dict(ties.links), dict(ties.binds), dict(ties.unbinds)
    nobody = ties.nobody
    for word in words:
        if key not in (word.one_key, word.other_key):
            continue
        own = (word.one_name, word.one_id) if key == word.one_key else (word.other_name, word.other_id)
        other = word.other_key if key == word.one_key else word.one_key
        side = (other, word.trusted)
        if word.kind == "unbind":
            known = unbinds.get(side)
            if known is None or order_of(known) < order_of(word):
                unbinds[side] = word
            name, text = name or own[0], text or own[1]
            continue
        name, text = min(name or own[0], own[0]), own[1]  # two names: of a plain id, ANONYMOUS is the less
        if own[0] == LOGIN:
            is_login, is_trusted = True, is_trusted or word.trusted
        if word.kind == "nobody":
            nobody |= {word.other_name}
        if word.kind in ("told", "nobody"):
            continue
        known = links.get(side)
        if known is None or order_of(word) < order_of(known):
            links[side] = word
        if word.kind == "bind":
            binds[side] = max(order_of(word), binds.get(side, order_of(word)))
    return NodeTies(name, text, links, binds, unbinds, is_login, is_trusted, nobody)


class LinksSource(Protocol):
    """Where ties are looked up."""

    def node_ties(self, keys: Collection[int]) -> Mapping[int, NodeTies]:
        """The ties of those ids that have any."""
        ...


class Reached(NamedTuple):
    """The ids whose persons can be told, and all that must be known for it."""

    keys: set[int]
    ties: Mapping[int, NodeTies]


def reach(keys: Collection[int], source: LinksSource, rules: ResolutionRules) -> Reached:
    """These ids and all that links which may count connect them with, at any remove.

    It ends at ids that are nobody's own (`standing_alone`): a branch's tablet must not make one crowd of all
    who used it.
    """
    ties: dict[int, NodeTies] = {}
    reached: set[int] = set()
    fresh = set(keys)
    while fresh:
        _look_up(fresh, source, ties)
        near = {key: ties[key].neighbours(rules) for key in fresh}
        crowds = {key for key in fresh if len(near[key]) > IDENTITY_NEIGHBOURS}
        _look_up({each for key in fresh - crowds for each in near[key]}, source, ties)
        reached |= fresh
        joined = (near[key] for key in fresh - crowds if standing_alone(key, ties, rules) is None)
        fresh = {each for found in joined for each in found} - reached
    return Reached(reached, ties)


def _look_up(keys: Collection[int], source: LinksSource, ties: dict[int, NodeTies]) -> None:
    unknown = [key for key in keys if key not in ties]
    if unknown:
        found = source.node_ties(unknown)
        ties.update({key: found.get(key, NO_NODE_TIES) for key in unknown})


def standing_alone(key: int, ties: Mapping[int, NodeTies], rules: ResolutionRules) -> Decision | None:
    """Why nothing that links this id counts; None if it may.

    Of an id whose key takes many values: more persons than the limit used it, which values of a key that
    takes one tell.
    """
    own, keys = ties[key], keys_of(rules)
    near = own.neighbours(rules)
    if len(near) > IDENTITY_NEIGHBOURS:
        return "too_many_links"
    if len(near) <= rules.shared_device_limit or keys.limit(own.name_in(rules)) == 1:
        return None
    persons: dict[str, int] = {}
    for each in near:
        name = ties[each].name_in(rules)
        if keys.limit(name) == 1 and _stands(key, each, ties, rules):
            persons[name] = persons.get(name, 0) + 1
    return "shared_device" if max(persons.values(), default=0) > rules.shared_device_limit else None


def _stands(one: int, other: int, ties: Mapping[int, NodeTies], rules: ResolutionRules) -> bool:
    """Whether anybody's word for the pair was not taken back."""
    words = (ties[one].links.get((other, trusted)) for trusted in (True, False))
    counted = [word for word in words if word is not None and (word.trusted or not rules.only_trusted)]
    return any(not is_taken_back(word, ties, rules) for word in counted)


def is_taken_back(link: Word, ties: Mapping[int, NodeTies], rules: ResolutionRules) -> bool:
    """Whether an unbinding came after the pair was first linked, and nothing that outweighs it after that.

    What a server unbound only a server binds again; a client's unbinding counts against clients' words, and
    until either binds again on purpose.
    """
    one, other = link.one_key, link.other_key
    if not any(_may_be_unbound(key, ties, rules) for key in (one, other)):
        return False
    first = ties[one].first(other)
    binds = ties[one].binds
    for trusted in (True,) if link.trusted or rules.only_trusted else (True, False):
        unbound = _last_unbind(one, other, first, ties, rules, trusted=trusted)
        said = [binds[other, each] for each in {True, trusted} if (other, each) in binds]
        if unbound is not None and unbound > max(said, default=first):
            return True
    return False


def _may_be_unbound(key: int, ties: Mapping[int, NodeTies], rules: ResolutionRules) -> bool:
    """Whether there was any word against the id, or its key has a parent: against that."""
    own = ties[key]
    return bool(own.unbinds) or keys_of(rules).parent(own.name_in(rules)) is not None


def _last_unbind(
    one: int, other: int, first: Order, ties: Mapping[int, NodeTies], rules: ResolutionRules, *, trusted: bool
) -> Order | None:
    """The last word against the pair, if it came after the pair's first link."""
    found = [ties[one].last_unbind(other, trusted=trusted), ties[other].last_unbind(one, trusted=trusted)]
    keys = keys_of(rules)
    names = {key: ties[key].name_in(rules) for key in (one, other)}
    for key, partner in ((one, other), (other, one)):
        if keys.parent(names[partner]) != names[key]:  # an unbound parent keeps its children
            found.append(ties[key].last_unbind(ANY, trusted=trusted))
        for parent in _parents(key, names[key], ties, rules):
            unbound = ties[parent].last_unbind(ANY, trusted=trusted)
            if parent != partner and unbound is not None and unbound > ties[key].first(parent):
                found.append(unbound)
    return max((order for order in found if order is not None and order > first), default=None)


def _parents(key: int, name: str, ties: Mapping[int, NodeTies], rules: ResolutionRules) -> Iterable[int]:
    """The ids of the parent key that came in one record with this id."""
    parent = keys_of(rules).parent(name)
    if parent is None:
        return ()
    near = ties[key].neighbours(rules)
    return [each for each in near if each in ties and ties[each].name_in(rules) == parent]


def keys_of(rules: ResolutionRules) -> IdentityKeys:
    """The keys that the project declares."""
    assert rules.keys is not None, "only the strategy `global` has a graph"
    return rules.keys
