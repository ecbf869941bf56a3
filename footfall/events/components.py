"""Persons under the strategy `global`: the links that count, taken up one by one, and what they join."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from footfall.events.identity import Decision, ResolutionRules
from footfall.events.identity_graph import (
    NodeTies,
    Rank,
    Reached,
    Word,
    is_taken_back,
    keys_of,
    rank_of,
    standing_alone,
)
from footfall.events.identity_keys import LOGIN

Place = tuple[int, int, bool]
"""Which link: the two ids' keys, the lesser first, and whether it came with a secret key."""


class Resolution(NamedTuple):
    """Who is who among the ids that were reached."""

    persons: Mapping[int, int]  # id's key -> key of the id that stands for its component
    decisions: Mapping[Place, Decision]  # on each link of theirs


def place_of(word: Word) -> Place:
    """See Place."""
    return (min(word.one_key, word.other_key), max(word.one_key, word.other_key), word.trusted)


def resolve_graph(reached: Reached, rules: ResolutionRules) -> Resolution:
    """The component of every id that was reached, and what became of every link."""
    ties = reached.ties
    alone = {key: reason for key in reached.keys if (reason := standing_alone(key, ties, rules)) is not None}
    decisions: dict[Place, Decision] = {}
    counting: list[Word] = []
    for word in _links(reached):
        reason = alone.get(word.one_key) or alone.get(word.other_key)
        if rules.only_trusted and not word.trusted:
            decisions[place_of(word)] = "untrusted"
        elif reason is not None:
            decisions[place_of(word)] = reason
        elif is_taken_back(word, ties, rules):
            decisions[place_of(word)] = "taken_back"
        else:
            counting.append(word)
    components = _Components(ties, rules)
    for word in sorted(counting, key=components.rank):
        components.take_up(word)
    persons = {key: components.person(key) for key in reached.keys}
    return Resolution(persons, decisions | components.decisions)


def _links(reached: Reached) -> Iterable[Word]:
    """Each link of the reached ids once."""
    found = {place_of(word): word for key in reached.keys for word in reached.ties[key].links.values()}
    return found.values()


class _Component:
    """Ids that are one person's, and the links that made them so."""

    __slots__ = ("limited", "links", "nodes", "person")

    def __init__(self, node: int, name: str, *, is_limited: bool) -> None:
        self.nodes = [node]
        self.links: list[Word] = []
        self.limited: dict[str, list[int]] = {name: [node]} if is_limited else {}
        self.person: int | None = None

    def take_in(self, other: _Component) -> None:
        self.nodes += other.nodes
        self.links += other.links
        for name, nodes in other.limited.items():
            self.limited.setdefault(name, []).extend(nodes)


class _Components:
    """All components so far."""

    def __init__(self, ties: Mapping[int, NodeTies], rules: ResolutionRules) -> None:
        self._ties = ties
        self._rules = rules
        self._keys = keys_of(rules)
        self._of: dict[int, _Component] = {}
        self.decisions: dict[Place, Decision] = {}

    def take_up(self, word: Word) -> None:
        """Joins what the link joins, unless that would be too many values of a key."""
        one, other = self._component(word.one_key), self._component(word.other_key)
        pushed_out: list[int] = []
        if one is not other:
            for name in self._overflowing(one, other):
                found = self._to_push_out(name, one, other, word)
                if found is None:
                    self.decisions[place_of(word)] = self._refusal(name)
                    return
                pushed_out += found
            if len(one.nodes) < len(other.nodes):
                one, other = other, one
            one.take_in(other)
            self._of.update(dict.fromkeys(other.nodes, one))
        one.links.append(word)
        self.decisions[place_of(word)] = "accepted"
        if pushed_out:
            self._split(one, set(pushed_out))

    def person(self, key: int) -> int:
        """The id that stands for its component: of the key with the highest priority, the first linked."""
        component = self._component(key)
        if len(component.nodes) == 1:
            return key
        if component.person is None:
            joined = self._first_ranks(component.links)

            def place(node: int) -> tuple[int, Rank, str]:
                own = self._ties[node]
                priority = self._keys.priority(own.name_in(self._rules))
                return (priority, joined.get(node, _NEVER), own.id)

            component.person = min(component.nodes, key=place)
        return component.person

    def rank(self, word: Word) -> Rank:
        """See rank_of."""
        return rank_of(word, self._keys)

    def _name(self, node: int) -> str:
        return self._ties[node].name_in(self._rules)

    def _component(self, node: int) -> _Component:
        found = self._of.get(node)
        if found is None:
            name = self._name(node)
            is_limited = self._keys.limit(name) is not None
            found = self._of[node] = _Component(node, name, is_limited=is_limited)
        return found

    def _overflowing(self, one: _Component, other: _Component) -> Iterator[str]:
        """The keys of which the two together have too many values, the highest priority first."""
        for name in sorted(one.limited.keys() & other.limited.keys(), key=self._keys.priority):
            limit = self._keys.limit(name)
            if limit is not None and len(one.limited[name]) + len(other.limited[name]) > limit:
                yield name

    def _refusal(self, name: str) -> Decision:
        if name == LOGIN:
            return "login_conflict"
        return "second_value" if self._keys.limit(name) == 1 else "too_many_values"

    def _to_push_out(self, name: str, one: _Component, other: _Component, word: Word) -> Sequence[int] | None:
        """The oldest values of the key, which make room; None if it does not do that, or they may not be
        touched: what a server bound a client does not push out.
        """
        key = self._keys[name]
        values = one.limited[name] + other.limited[name]
        if key.overflow == "refuse":
            return None
        joined = self._first_ranks([*one.links, *other.links, word])
        oldest = sorted(values, key=lambda node: (joined.get(node, _NEVER)[1:], self._ties[node].id))
        if not word.trusted:
            oldest = [node for node in oldest if joined.get(node, _NEVER)[0]]
        excess = len(values) - (key.limit or 0)
        return oldest[:excess] if len(oldest) >= excess else None

    def _split(self, component: _Component, pushed_out: set[int]) -> None:
        """What is left of a component without the links of these ids."""
        for node in component.nodes:
            del self._of[node]
        for word in component.links:
            if pushed_out.isdisjoint((word.one_key, word.other_key)):
                one, other = self._component(word.one_key), self._component(word.other_key)
                if one is not other:
                    one.take_in(other)
                    self._of.update(dict.fromkeys(other.nodes, one))
                one.links.append(word)
            else:
                self.decisions[place_of(word)] = "pushed_out"

    def _first_ranks(self, links: Iterable[Word]) -> dict[int, Rank]:
        """By id: the best rank of its links; untrusted only where all of them are."""
        found: dict[int, Rank] = {}
        for word in links:
            for node in (word.one_key, word.other_key):
                found[node] = min(self.rank(word), found.get(node, _NEVER))
        return found


_NEVER: Rank = (True, (1 << 64, 0, 0), 0, "", "")
