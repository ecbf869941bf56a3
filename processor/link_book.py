"""Links as they flow: whose the ids of a block are under the strategy `global`, and whose person changes.

As BindingBook follows its tables: this one follows `identity_links`, which only processors write.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from footfall.events.components import Place, Resolution, place_of, resolve_graph
from footfall.events.identity import Decision, ResolutionRules
from footfall.events.identity_graph import (
    ANY,
    NO_NODE_TIES,
    NodeTies,
    Reached,
    order_of,
    reach,
    tie_node,
)
from footfall.events.identity_keys import LOGIN
from footfall.events.keys import NOBODY
from footfall.events.limits import IDENTITY_NEIGHBOURS
from footfall.events.persons import Merges
from footfall.storage.links import StoredLinks
from footfall.storage.rows import DecisionRow, LinkRow
from footfall.storage.store import Query, Store
from processor.bindings import Member
from processor.blocks import Plan
from processor.key_filter import KeyFilter
from processor.recent import Recent


class Linked(NamedTuple):
    """What a block's ids come to in projects with declared keys."""

    persons: Mapping[int, int]  # id key -> person's key, where they differ
    words: Sequence[LinkRow]  # not known before
    decisions: Sequence[DecisionRow]
    moved: Mapping[int, tuple[int, int]]  # id key -> (person before this block, person now)
    projects: Mapping[int, str]  # of those that moved
    ties: Mapping[int, NodeTies]  # of the ids that the words name, with them
    components: Mapping[int, int]  # id key -> the id that stands for its component, where that may be new


NOTHING_LINKED = Linked({}, (), (), {}, {}, {}, {})


class LinkBook:
    """Which ids are linked, and what stands for their components."""

    def __init__(
        self, store: Store, rules_of: Callable[[str], ResolutionRules], capacity: int = 200_000
    ) -> None:
        """`rules_of` a project that declares keys; `capacity` ids are kept in memory."""
        self._store = store
        self._rules_of = rules_of
        self._linked = KeyFilter()
        self._ties: Recent[int, NodeTies] = Recent(capacity)
        self._components: Recent[int, int] = Recent(capacity)

    def rebuild(self) -> None:
        """Reads which ids are linked from the store."""
        self._linked = KeyFilter()
        self._ties = Recent(self._ties.capacity)
        self._components = Recent(self._components.capacity)
        for one, other in self._store.stream(Query("SELECT one_key, other_key FROM identity_links")):
            self._linked.add(one.tolist())
            self._linked.add(other.tolist())

    def forget(self) -> None:
        """Reads again what it is asked. Ids that were linked stay in the filter: it may say so of any."""
        self._ties = Recent(self._ties.capacity)
        self._components = Recent(self._components.capacity)

    def hear(self, keys: Collection[int]) -> None:
        """Another processor stored links of these ids, or moved them."""
        self._linked.add(keys)
        self._ties.forget(keys)
        self._components.forget(keys)

    def settle(
        self,
        plan: Plan,
        ids: Mapping[str, Collection[int]],
        words: Sequence[LinkRow],
        merges: tuple[Merges, Merges],
        remerged: Mapping[int, str],
    ) -> Linked:
        """The persons of these ids (by project), once the words are taken in.

        `merges` before and after the block; `remerged`: the logins whose person they change, with their
        projects.
        """
        before = _Known(self, plan)
        known = before.node_ties({key for row in words for key in (row.one_key, row.other_key)} - {NOBODY})
        words = [word for row in words if (word := _of_use(row, known))]
        said: dict[int, list[LinkRow]] = {}
        changed: dict[str, set[int]] = {}
        for row in words:
            for key in {row.one_key, row.other_key} - {NOBODY}:
                said.setdefault(key, []).append(row)
                changed.setdefault(row.project, set()).add(key)
        for key, project in remerged.items():
            changed.setdefault(project, set()).add(key)
        ties = {key: tie_node(key, known.get(key, NO_NODE_TIES), rows) for key, rows in said.items()}
        after = _Known(self, plan, ties)
        persons: dict[int, int] = {}
        moved: dict[int, tuple[int, int]] = {}
        projects: dict[int, str] = {}
        components: dict[int, int] = {}
        decisions: list[DecisionRow] = []
        for project in ids.keys() | changed.keys():
            change = _compare(changed.get(project, set()), self._rules_of(project), (before, after))
            components |= change.after.persons
            for key, old in change.before.persons.items():
                was, now = merges[0].root(old), merges[1].root(change.after.persons[key])
                persons[key] = now
                if was != now:
                    moved[key], projects[key] = (was, now), project
            wanted = set(ids.get(project, ())) - change.after.persons.keys()
            for key, component in self.components(plan, wanted, self._rules_of(project)).items():
                persons[key] = merges[1].root(component)
            merged = wanted - persons.keys() & merges[1].parents.keys()
            persons |= {key: merges[1].root(key) for key in merged}
            own = [row for row in words if row.project == project]
            decisions += _decision_rows(plan.derived, project, own, change)
        persons = {key: person for key, person in persons.items() if key != person}
        return Linked(persons, words, decisions, moved, projects, ties, components)

    def components(self, plan: Plan, keys: Collection[int], rules: ResolutionRules) -> dict[int, int]:
        """What stands for the component of each of these ids that is linked, by what is stored."""
        found: dict[int, int] = {}
        unknown: set[int] = set()
        for key in self._linked.seen(keys):
            component = self._components.get(key)
            if component is None:
                unknown.add(key)
            else:
                found[key] = component
        if unknown:
            resolved = resolve_graph(reach(unknown, _Known(self, plan), rules), rules).persons
            for key, component in resolved.items():
                self._components[key] = component
            found.update({key: resolved[key] for key in unknown})
        return found

    def node_ties(self, plan: Plan, keys: Collection[int]) -> dict[int, NodeTies]:
        """The ties of those ids that have any, without what an earlier try of this block stored."""
        found: dict[int, NodeTies] = {}
        unknown = []
        for key in self._linked.seen(keys):
            ties = self._ties.get(key)
            if ties is None:
                unknown.append(key)
            else:
                found[key] = ties
        if unknown:
            looked_up = StoredLinks(self._store.rows, plan.own).node_ties(unknown)
            for key in unknown:
                self._ties[key] = found[key] = looked_up.get(key, NO_NODE_TIES)
        return found

    def members(
        self, plan: Plan, linked: Linked, persons: Mapping[int, str], merges: Merges
    ) -> dict[int, Member]:
        """The ids of these persons (key -> project)."""
        source = _Known(self, plan, linked.ties)
        found: dict[int, Member] = {}
        for project in set(persons.values()):
            mine = [key for key, each in persons.items() if each == project]
            rules = self._rules_of(project)
            reached = reach({login for key in mine for login in merges.logins_of(key)}, source, rules)
            resolved = resolve_graph(reached, rules).persons
            for key, component in resolved.items():
                person = merges.root(component)
                text = reached.ties.get(person, NO_NODE_TIES).id
                found[key] = Member(project, person, text or None)
        return found

    def remember(self, linked: Linked) -> None:
        """The block's words are stored now."""
        self._linked.add(linked.ties)
        for key, ties in linked.ties.items():
            self._ties[key] = ties
        for key, component in linked.components.items():
            self._components[key] = component


class _Known:
    """A LinksSource: the book's memory, with what a block adds."""

    def __init__(self, book: LinkBook, plan: Plan, ties: Mapping[int, NodeTies] | None = None) -> None:
        self._book = book
        self._plan = plan
        self._ties = ties or {}

    def node_ties(self, keys: Collection[int]) -> dict[int, NodeTies]:
        known = self._book.node_ties(self._plan, [key for key in keys if key not in self._ties])
        return known | {key: self._ties[key] for key in keys if key in self._ties}


class _Change(NamedTuple):
    """What a block changes among the ids of one project."""

    rules: ResolutionRules
    reached_before: Reached
    reached_after: Reached
    before: Resolution
    after: Resolution


def _compare(keys: set[int], rules: ResolutionRules, sources: tuple[_Known, _Known]) -> _Change:
    """All ids that links, old or new, connect with these; `sources` before and after."""
    while True:
        old, new = (reach(keys, source, rules) for source in sources)
        if old.keys == new.keys:
            return _Change(rules, old, new, resolve_graph(old, rules), resolve_graph(new, rules))
        keys = old.keys | new.keys


def _of_use(row: LinkRow, known: Mapping[int, NodeTies]) -> LinkRow | None:
    """The word, if it says anything new.

    Of an id that is bound to more ids than any person has only that its other end is a login: one link more
    would change nothing.
    """
    one, other = known.get(row.one_key, NO_NODE_TIES), known.get(row.other_key, NO_NODE_TIES)
    if row.kind in ("link", "bind"):
        said = sum(trusted == row.trusted for _, trusted in one.links)
        more = sum(trusted == row.trusted for _, trusted in other.links)
        if max(said, more) > IDENTITY_NEIGHBOURS and (row.other_key, row.trusted) not in one.links:
            row = row._replace(kind="told", other_key=NOBODY, other_name="", other_id="")
    if row.kind == "unbind":
        return row
    if row.kind == "nobody":
        return None if row.other_name in one.nobody else row
    if row.kind == "told":
        is_known = _knows_login(one, row) if row.one_name == LOGIN else bool(one.id)
        return None if is_known else row
    return row if _is_new_link(row, one, other) else None


def _knows_login(ties: NodeTies, row: LinkRow) -> bool:
    return ties.is_trusted_login if row.trusted else ties.is_login


def _is_new_link(row: LinkRow, one: NodeTies, other: NodeTies) -> bool:
    """Whether it is new, or earlier, or said again on purpose, or tells that an id is a login."""
    side = (row.other_key, row.trusted)
    earlier = one.links.get(side)
    if earlier is None or order_of(row) < order_of(earlier):
        return True
    if row.kind == "bind" and order_of(row) > one.binds.get(side, _EVER):
        return True
    ends = ((row.one_name, one), (row.other_name, other))
    return any(name == LOGIN and not _knows_login(ties, row) for name, ties in ends)


_EVER = (-1, -1, -1)


def _decision_rows(
    decided_at: int, project: str, own: Sequence[LinkRow], change: _Change
) -> Iterator[DecisionRow]:
    """The lines that a block adds to the log: new words, and links and unbindings whose decision changed."""
    new = set(own)
    rows = [
        (row, decision)
        for row, decision in _link_decisions(change)
        if row in new or change.before.decisions.get(place_of(row)) != decision
    ]
    rows += [(row, "identifies_nobody") for row in own if row.kind == "nobody"]
    rows += _unbind_decisions(new, change)
    rows.sort(key=lambda each: (*order_of(each[0]), each[0].other_id, each[0].one_id, each[0].trusted))
    for row, decision in rows:
        yield _decision_row(decided_at, project, row, decision)


def _link_decisions(change: _Change) -> Iterator[tuple[LinkRow, Decision]]:
    reached = change.reached_after
    done: set[Place] = set()
    for key in reached.keys:
        for word in reached.ties[key].links.values():
            place = place_of(word)
            if place not in done and isinstance(word, LinkRow):
                done.add(place)
                yield word, change.after.decisions[place]


def _unbind_decisions(new: set[LinkRow], change: _Change) -> Iterator[tuple[LinkRow, Decision]]:
    """New ones, and the last ones of ids where there is something to take back only now."""
    own_of: dict[int, set[LinkRow]] = {}
    for row in new:
        if row.kind == "unbind":
            own_of.setdefault(row.other_key, set()).add(row)
    for key in change.reached_after.keys:
        ties = change.reached_after.ties[key]
        if not ties.unbinds:
            continue
        last = {word for word in ties.unbinds.values() if isinstance(word, LinkRow) and word.other_key == key}
        own = own_of.get(key, set())
        for row in last | own:
            decision = _decide_unbind(row, ties, change.rules)
            earlier = change.reached_before.ties.get(key, NO_NODE_TIES)
            if row in own or _decide_unbind(row, earlier, change.rules) != decision:
                yield row, decision


def _decide_unbind(row: LinkRow, ties: NodeTies, rules: ResolutionRules) -> Decision:
    """Whether there was something that the word may take back when it came."""
    if rules.only_trusted and not row.trusted:
        return "untrusted"
    found = [
        word
        for (other, _), word in ties.links.items()
        if row.one_key in (other, ANY) and ties.first(other) < order_of(row)
    ]
    if not found:
        return "nothing_to_take_back"
    return "accepted" if row.trusted or not all(word.trusted for word in found) else "untrusted"


def _decision_row(decided_at: int, project: str, row: LinkRow, decision: Decision) -> DecisionRow:
    kind = "unbind" if row.kind == "unbind" else "bind"
    outcome, reason = ("accepted", "") if decision == "accepted" else ("refused", decision)
    return DecisionRow(
        project, decided_at, kind, row.other_key, row.one_key, row.other_id, row.one_id, row.trusted,
        outcome, reason, row.received_at, row.seq, row.event_key, row.log_partition, row.log_offset,
    )  # fmt: skip
