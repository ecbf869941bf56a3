"""Whose the ids of a block are, whatever its projects' strategies: bindings of anonymous ids and logins, or
links of declared identities.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from footfall.events.identity import ResolutionRules
from footfall.storage.rows import BindingRow, DecisionRow, LinkRow, PastPersonRow, RulingRow
from footfall.storage.store import Store
from processor.bindings import BindingBook, Member
from processor.bindings import People as BoundPeople
from processor.blocks import Plan
from processor.claims import Claims
from processor.link_book import NOTHING_LINKED, LinkBook, Linked


class People(NamedTuple):
    """What a block's ids come to."""

    persons: Mapping[int, int]  # id key -> person's key, where they differ
    moved: Mapping[int, tuple[int, int]]  # id key -> (person before this block, person now)
    projects: Mapping[int, str]  # by id key, of those that moved
    decisions: Sequence[DecisionRow]  # made or changed by the block
    bound: BoundPeople
    linked: Linked

    @property
    def overrides(self) -> dict[int, int]:
        """Ids whose stored rows carry another stamp than their person now."""
        return {key: after for key, (_, after) in self.moved.items()}

    @property
    def bindings(self) -> Sequence[BindingRow]:
        return self.bound.bindings

    @property
    def rulings(self) -> Sequence[RulingRow]:
        return self.bound.rulings

    @property
    def links(self) -> Sequence[LinkRow]:
        return self.linked.words

    def past_persons(self, version: int) -> list[PastPersonRow]:
        """Stamps that rows of linked ids may carry from now on, though they are somebody else's."""
        return [
            PastPersonRow(self.linked.projects[key], key, before, version)
            for key, (before, _) in sorted(self.linked.moved.items())
        ]


class PersonBook:
    """Who is whom. What costs of declared keys only projects that declare some pay."""

    def __init__(
        self, store: Store, rules_of: Callable[[str], ResolutionRules], capacity: int = 200_000
    ) -> None:
        """`rules_of` says how a project's ids become persons; `capacity` ids are kept in memory."""
        self._rules_of = rules_of
        self._declared: dict[str, bool] = {}  # a project's strategy stays
        self._bindings = BindingBook(store, rules_of, capacity)
        self._links = LinkBook(store, rules_of, capacity)

    def rebuild(self) -> None:
        """Reads which ids are bound from the store."""
        self._bindings.rebuild()
        self._links.rebuild()

    def forget(self) -> None:
        """What the store says was changed: it is read again."""
        self._bindings.forget()
        self._links.forget()

    def hear(self, bound: Collection[int], linked: Collection[int], *, merges: bool) -> None:
        """Another processor stored something of these ids."""
        self._bindings.hear(bound, merges=merges)
        self._links.hear(linked)

    def settle(
        self,
        plan: Plan,
        ids: Mapping[str, Collection[int]],
        claims: Claims,
        links: Sequence[LinkRow] = (),
    ) -> People:
        """The persons of these ids (by project), once claims and links are taken in."""
        declared = {project for project in ids if self._declares(project)}
        merges = self._bindings.merges(plan)
        bound = self._bindings.settle(
            plan, {project: keys for project, keys in ids.items() if project not in declared}, claims
        )
        remerged = {}
        if bound.merges is not merges:
            remerged = {
                key: project for key, project in bound.projects.items()
                if key in bound.moved and self._declares(project)
            }  # fmt: skip
        if not declared and not links and not remerged:
            return People(bound.persons, bound.moved, bound.projects, bound.decisions, bound, NOTHING_LINKED)
        linked = self._links.settle(
            plan,
            {project: ids[project] for project in declared},
            links,
            (merges, bound.merges),
            remerged,
        )
        return People(
            persons={**bound.persons, **linked.persons},
            moved={**bound.moved, **linked.moved},
            projects={**bound.projects, **linked.projects},
            decisions=[*bound.decisions, *linked.decisions],
            bound=bound,
            linked=linked,
        )

    def members(self, plan: Plan, people: People, persons: Mapping[int, str]) -> dict[int, Member]:
        """The ids of these persons (key -> project), as far as anything links them, and the persons
        themselves.
        """
        declared = {key: project for key, project in persons.items() if self._declares(project)}
        bound = {key: project for key, project in persons.items() if key not in declared}
        found = self._bindings.members(plan, people.bound, bound) if bound else {}
        if declared:
            found |= self._links.members(plan, people.linked, declared, people.bound.merges)
        return found

    def remember(self, people: People) -> None:
        """The block's words are stored now."""
        self._bindings.remember(people.bound)
        self._links.remember(people.linked)

    def _declares(self, project: str) -> bool:
        known = self._declared.get(project)
        if known is None:
            known = self._declared[project] = self._rules_of(project).keys is not None
        return known
