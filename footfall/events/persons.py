"""From ties to persons: which login owns which anonymous id, and which logins are one person.

`owners` pairs ids with logins by a project's strategy, `Merges` holds what administrators merged. Both are
pure functions of their inputs. An id's person is `merges.root(owner of the id)`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple, Protocol

from footfall.events.identity import (
    NO_TIES,
    Binding,
    Decision,
    Order,
    ResolutionRules,
    Ruling,
    Ties,
    candidates,
    owner_of,
    rank,
    tie,
)


class TiesSource(Protocol):
    """Where ties are looked up."""

    def ties_of(self, keys: Collection[int]) -> Mapping[int, Ties]:
        """The ties of those ids that have any."""
        ...

    def devices_of(self, logins: Collection[int]) -> Mapping[int, set[int]]:
        """The anonymous ids that bindings name with these logins, whether they count or not."""
        ...


def owners(ties: Mapping[int, Ties], rules: ResolutionRules) -> dict[int, int]:
    """Anonymous key -> login key for every id of `ties` that a login owns.

    With one_to_one, `ties` must be closed: see `neighbourhood`. The best of all bindings makes the first
    pair, then the best of those whose id and login are both free, and so on.
    """
    if not rules.one_to_one:
        found = {key: owner_of(key, each, rules) for key, each in ties.items()}
        return {key: owner for key, owner in found.items() if owner != key}
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    every = [binding for each in ties.values() for binding in candidates(each, rules)]
    for binding in sorted(every, key=rank):
        if binding.anonymous_key not in pairs and binding.login_key not in taken:
            pairs[binding.anonymous_key] = binding.login_key
            taken.add(binding.login_key)
    return pairs


def neighbourhood(keys: Collection[int], source: TiesSource, rules: ResolutionRules) -> dict[int, Ties]:
    """The ties of these ids, and with one_to_one of all ids and logins that bindings which may count connect
    them with, at any remove: what `owners` needs to know.
    """
    found: dict[int, Ties] = {}
    fresh = set(keys)
    while fresh:
        looked_up = source.ties_of(fresh)
        found.update({key: looked_up.get(key, NO_TIES) for key in fresh})
        if not rules.one_to_one:
            break
        logins = {key for key in fresh if found[key].is_login}
        named = {device for devices in source.devices_of(logins).values() for device in devices}
        named |= {binding.login_key for key in fresh for binding in candidates(found[key], rules)}
        fresh = named - found.keys()
    return found


def resolve(
    bindings: Iterable[Binding], rules: ResolutionRules, rulings: Iterable[Ruling] = ()
) -> dict[int, int]:
    """Id key -> person's key for every id that is not its own person, from everything that was ever said."""
    rulings = list(rulings)
    by_key: dict[int, list[Binding]] = {}
    for binding in bindings:
        for key in {binding.anonymous_key, binding.login_key}:
            by_key.setdefault(key, []).append(binding)
    merges = NO_MERGES.with_rulings(rulings)
    ties = {key: tie(key, NO_TIES, named, rulings) for key, named in by_key.items()}
    owned = owners(ties, rules)
    persons = {key: merges.root(owned.get(key, key)) for key in (*ties, *merges.parents)}
    return {key: person for key, person in persons.items() if key != person}


class _Merge(NamedTuple):
    """All that was said about merging one login into another."""

    first: Order | None = None
    last: Order | None = None
    undone: Order | None = None

    def heard(self, ruling: Ruling) -> _Merge:
        order = ruling.order
        if ruling.kind == "unmerge":
            return self._replace(undone=max(self.undone or order, order))
        return self._replace(first=min(self.first or order, order), last=max(self.last or order, order))

    @property
    def stands(self) -> bool:
        return self.last is not None and (self.undone is None or self.undone < self.last)


class Merges:
    """The logins that administrators merged. A value: `with_rulings` gives a new one."""

    def __init__(self, said: Mapping[tuple[int, int], _Merge]) -> None:
        self._said = said
        self.parents = _grow_forest(said)
        self._children: dict[int, list[int]] = {}
        for child, parent in self.parents.items():
            self._children.setdefault(parent, []).append(child)
        self._connected: dict[int, set[int]] = {}
        for pair in said:
            for one, other in (pair, pair[::-1]):
                self._connected.setdefault(one, set()).add(other)

    def with_rulings(self, rulings: Iterable[Ruling]) -> Merges:
        """With more rulings taken in; those that are no `merge` or `unmerge` change nothing."""
        own = [ruling for ruling in rulings if ruling.kind in ("merge", "unmerge")]
        if not own:
            return self
        said = dict(self._said)
        for ruling in own:
            pair = (ruling.subject_key, ruling.login_key)
            said[pair] = said.get(pair, _Merge()).heard(ruling)
        return Merges(said)

    def root(self, key: int) -> int:
        """The login that stands for the person."""
        while key in self.parents:
            key = self.parents[key]
        return key

    def logins_of(self, person: int) -> set[int]:
        """The person's key and the logins that were merged into it."""
        found, todo = {person}, [person]
        while todo:
            children = self._children.get(todo.pop(), ())
            found.update(children)
            todo.extend(children)
        return found

    def ever_one_with(self, key: int) -> set[int]:
        """All logins that merges, standing or not, have connected this one with, and itself."""
        found, todo = {key}, [key]
        while todo:
            more = self._connected.get(todo.pop(), set()) - found
            found |= more
            todo.extend(more)
        return found

    def differences(self, later: Merges) -> set[int]:
        """Logins whose person is another one in `later`."""
        keys = self.parents.keys() | later.parents.keys()
        return {key for key in keys if self.root(key) != later.root(key)}

    def first_rulings(self) -> list[Ruling]:
        """The first `merge` of each pair."""
        return [
            Ruling("merge", child, parent, *merge.first)
            for (child, parent), merge in self._said.items()
            if merge.first is not None
        ]

    def decide(self, ruling: Ruling) -> Decision:
        """What became of a `merge` or `unmerge`."""
        said = self._said.get((ruling.subject_key, ruling.login_key), _Merge())
        if ruling.kind == "unmerge":
            is_late = said.first is not None and said.first < ruling.order
            return "accepted" if is_late else "nothing_to_take_back"
        if not said.stands:
            return "taken_back"
        parent = self.parents.get(ruling.subject_key)
        if parent == ruling.login_key:
            return "accepted"
        return "circle" if parent is None else "merged_already"


def _grow_forest(said: Mapping[tuple[int, int], _Merge]) -> dict[int, int]:
    """Login -> the login it was merged into: the first merges first, none that closes a circle."""
    standing = sorted(
        (merge.first, child, parent)
        for (child, parent), merge in said.items()
        if merge.stands and merge.first is not None
    )
    parents: dict[int, int] = {}
    for _, child, parent in standing:
        root = parent
        while root in parents:
            root = parents[root]
        if child not in parents and root != child:
            parents[child] = parent
    return parents


NO_MERGES = Merges({})
