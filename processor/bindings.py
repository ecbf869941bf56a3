"""Bindings as they flow: what is known of the ids that a block names, and whose person changes.

A local memory follows the tables `bindings` and `rulings`, which only processors write: a filter says at once
which ids were never bound, and what was looked up lately is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from footfall.events.identity import NO_TIES, Binding, ResolutionRules, Ruling, Ties, tie
from footfall.events.keys import NOBODY
from footfall.events.persons import Merges, TiesSource, neighbourhood, owners
from footfall.storage.rows import BindingRow, DecisionRow, RulingRow
from footfall.storage.store import Query, Store
from footfall.storage.ties import StoredTies
from footfall.workspace.projects import MAX_SHARED_DEVICE_LIMIT
from processor.blocks import Plan
from processor.claims import Claims, as_binding, as_ruling
from processor.decisions import Change, decision_rows
from processor.key_filter import KeyFilter
from processor.recent import Recent


class People(NamedTuple):
    """What a block's ids come to."""

    persons: Mapping[int, int]  # id key -> person's key, where they differ
    bindings: Sequence[BindingRow]  # not known before
    rulings: Sequence[RulingRow]
    decisions: Sequence[DecisionRow]  # made or changed by the block
    moved: Mapping[int, tuple[int, int]]  # id key -> (person before this block, person now)
    ties: Mapping[int, Ties]  # of the ids that the new bindings and the rulings name, with them
    projects: Mapping[int, str]  # by id key, of those and of those that moved
    merges: Merges

    @property
    def overrides(self) -> dict[int, int]:
        """Ids whose stored rows carry another stamp than their person now."""
        return {key: after for key, (_, after) in self.moved.items()}


class Member(NamedTuple):
    """An id and whose it is."""

    project: str
    person: int
    person_id: str | None  # the login behind the person, if a binding told it


class _Said(NamedTuple):
    """What the block says, by the keys of the ids that it names."""

    bindings: Mapping[int, Sequence[Binding]]
    rulings: Mapping[int, Sequence[Ruling]]
    projects: Mapping[int, str]

    def of_project(self, project: str) -> set[int]:
        return {key for key, each in self.projects.items() if each == project}


class BindingBook:
    """Who is bound to whom."""

    def __init__(
        self, store: Store, rules_of: Callable[[str], ResolutionRules], capacity: int = 200_000
    ) -> None:
        """`rules_of` says how a project resolves bindings; `capacity` ids are kept in memory."""
        self._store = store
        self._rules_of = rules_of
        self._bound = KeyFilter()
        self._recent: Recent[int, Ties] = Recent(capacity)
        self._merges: Merges | None = None
        self._merge_projects: dict[int, str] = {}

    def rebuild(self) -> None:
        """Reads which ids are bound from the store."""
        self._bound = KeyFilter()
        self._recent = Recent(self._recent.capacity)
        self._merges = None  # read with the first block, which may have to leave out itself
        for anonymous, login in self._store.stream(Query("SELECT anonymous_key, login_key FROM bindings")):
            self._bound.add(anonymous.tolist())
            self._bound.add(login.tolist())
        for (subject,) in self._store.stream(Query("SELECT subject_key FROM rulings")):
            self._bound.add(subject.tolist())

    def forget(self) -> None:
        """Reads again what it is asked. Ids that were bound stay in the filter: it may say so of any."""
        self._recent = Recent(self._recent.capacity)
        self._merges = None

    def hear(self, keys: Collection[int], *, merges: bool) -> None:
        """Another processor stored words about these ids; `merges`: perhaps of logins that are one."""
        self._bound.add(keys)
        self._recent.forget(keys)
        if merges:
            self._merges = None

    def settle(self, plan: Plan, ids: Mapping[str, Collection[int]], claims: Claims) -> People:
        """The persons of these ids (by project), once the claims are taken in."""
        known = self.ties_of(plan, _named(ids, claims))
        bindings = [_of_use(claim, known) for claim in claims.bindings]
        bindings = [claim for claim in bindings if not _is_known(as_binding(claim), known)]
        claims = claims._replace(bindings=bindings)
        said = _by_key(claims)
        ties = {
            key: tie(key, known.get(key, NO_TIES), said.bindings.get(key, ()), said.rulings.get(key, ()))
            for key in said.projects
        }
        merges = self.merges(plan)
        later = merges.with_rulings(map(as_ruling, claims.rulings))
        sources = _Known(self, plan), _Known(self, plan, ties, bindings)
        remerged = self._remerged(merges, later, claims.rulings, sources[1])
        persons: dict[int, int] = {}
        moved: dict[int, tuple[int, int]] = {}
        changes: list[Change] = []
        projects = dict(said.projects)
        for project in ids.keys() | set(said.projects.values()) | set(remerged.values()):
            moving = said.of_project(project) | {key for key, each in remerged.items() if each == project}
            wanted = {key for key in ids.get(project, ()) if key in known or key in later.parents}
            change = _compare(project, self._rules_of(project), (wanted, moving), sources)
            for key in {*wanted, *change.moving}:
                old = merges.root(change.owners_before.get(key, key))
                new = later.root(change.owners_after.get(key, key))
                if new != key:
                    persons[key] = new
                if new != old:
                    moved[key], projects[key] = (old, new), project
            changes.append(change)
        decisions = decision_rows(self._store, plan.derived, claims, changes, (merges, later))
        return People(persons, bindings, claims.rulings, decisions, moved, ties, projects, later)

    def ties_of(self, plan: Plan, keys: Collection[int]) -> dict[int, Ties]:
        """The ties of those ids that have any, without what an earlier try of this block stored."""
        found: dict[int, Ties] = {}
        unknown = []
        for key in self._bound.seen(keys):
            ties = self._recent.get(key)
            if ties is None:
                unknown.append(key)
            else:
                found[key] = ties
        if unknown:
            looked_up = self.stored(plan).ties_of(unknown)
            for key in unknown:
                self._recent[key] = found[key] = looked_up.get(key, NO_TIES)
        return found

    def stored(self, plan: Plan) -> StoredTies:
        """What the store knows without this block."""
        return StoredTies(self._store.rows, plan.own)

    def merges(self, plan: Plan) -> Merges:
        """What administrators merged, in all projects, before this block."""
        if self._merges is None:
            stored = self.stored(plan)
            self._merges = stored.merges()
            self._merge_projects = stored.projects_of_merges()
        return self._merges

    def members(self, plan: Plan, people: People, persons: Mapping[int, str]) -> dict[int, Member]:
        """The ids of these persons (key -> project), as far as bindings name them, and the persons
        themselves.
        """
        after = _Known(self, plan, people.ties, people.bindings)
        logins = {login: person for person in persons for login in people.merges.logins_of(person)}
        names = self.stored(plan).names_of(persons.keys())
        for row in people.bindings:
            if row.login_key in persons:
                names[row.login_key] = row.login_id
        by_project: dict[str, set[int]] = {}
        for login, person in logins.items():
            by_project.setdefault(persons[person], set()).add(login)
        for login, devices in after.devices_of(logins.keys()).items():
            by_project[persons[logins[login]]] |= devices
        found: dict[int, Member] = {}
        for project, keys in by_project.items():
            rules = self._rules_of(project)
            owned = owners(neighbourhood(keys, after, rules), rules)
            for key in keys:
                person = people.merges.root(owned.get(key, key))
                found[key] = Member(project, person, names.get(person))
        return found

    def remember(self, people: People) -> None:
        """The block's bindings and rulings are stored now."""
        self._bound.add(people.ties)
        for key, ties in people.ties.items():
            self._recent[key] = ties
        self._merges = people.merges
        self._note_merge_projects(people.rulings)

    def _note_merge_projects(self, rulings: Iterable[RulingRow]) -> None:
        for row in rulings:
            if row.kind in ("merge", "unmerge"):
                self._merge_projects.update({row.subject_key: row.project, row.login_key: row.project})

    def _remerged(
        self, merges: Merges, later: Merges, rulings: Sequence[RulingRow], after: TiesSource
    ) -> dict[int, str]:
        """Logins whose person changes by merges, and the ids that bindings name with them: key -> project."""
        logins = merges.differences(later) if later is not merges else set()
        if not logins:
            return {}
        projects = dict(self._merge_projects)
        for row in rulings:
            projects.update({row.subject_key: row.project, row.login_key: row.project})
        found = {login: projects[login] for login in logins}
        for login, devices in after.devices_of(logins).items():
            found.update(dict.fromkeys(devices, projects[login]))
        return found


class _Known:
    """A TiesSource: the book's memory, with what a block adds."""

    def __init__(
        self,
        book: BindingBook,
        plan: Plan,
        ties: Mapping[int, Ties] | None = None,
        bindings: Sequence[BindingRow] = (),
    ) -> None:
        self._book = book
        self._plan = plan
        self._ties = ties or {}
        self._bindings = bindings

    def ties_of(self, keys: Collection[int]) -> Mapping[int, Ties]:
        known = self._book.ties_of(self._plan, [key for key in keys if key not in self._ties])
        return known | {key: self._ties[key] for key in keys if key in self._ties}

    def devices_of(self, logins: Collection[int]) -> Mapping[int, set[int]]:
        found = self._book.stored(self._plan).devices_of(logins) if logins else {}
        for row in self._bindings:
            if row.login_key in logins and row.anonymous_key not in (row.login_key, NOBODY):
                found.setdefault(row.login_key, set()).add(row.anonymous_key)
        return found


def _compare(
    project: str,
    rules: ResolutionRules,
    keys: tuple[set[int], set[int]],
    sources: tuple[TiesSource, TiesSource],
) -> Change:
    """`keys`: of wanted ids, and of those whose owner may have changed, from which more may follow.

    `sources`: before and after.
    """
    (wanted, moving), (before, after) = keys, sources
    reach = moving
    while rules.one_to_one and moving:
        old, new = (neighbourhood(reach, source, rules).keys() for source in (before, after))
        if old | new <= reach:
            break
        reach = reach | old | new
    ties_before = neighbourhood(reach, before, rules) if reach else {}
    ties_after = neighbourhood(reach | wanted, after, rules) if reach or wanted else {}
    owners_after = owners(ties_after, rules)
    owners_before = owners_after | {key: key for key in reach} | owners(ties_before, rules)
    return Change(project, rules, reach, ties_before, ties_after, owners_before, owners_after)


def _named(ids: Mapping[str, Collection[int]], claims: Claims) -> set[int]:
    named = {key for keys in ids.values() for key in keys}
    named.update(key for row in claims.bindings for key in (row.anonymous_key, row.login_key))
    named.update(row.subject_key for row in claims.rulings)
    return named


def _by_key(claims: Claims) -> _Said:
    bound: dict[int, list[Binding]] = {}
    ruled: dict[int, list[Ruling]] = {}
    projects: dict[int, str] = {}
    for row in claims.bindings:
        for key in {row.anonymous_key, row.login_key} - {NOBODY}:
            bound.setdefault(key, []).append(as_binding(row))
            projects[key] = row.project
    for ruling in claims.rulings:
        if ruling.kind in ("bind", "unbind"):
            ruled.setdefault(ruling.subject_key, []).append(as_ruling(ruling))
            projects[ruling.subject_key] = ruling.project
    return _Said(bound, ruled, projects)


def _of_use(claim: BindingRow, known: Mapping[int, Ties]) -> BindingRow:
    """The claim; of an id with more logins than any limit allows only that its login is one.

    One more login would change nothing, and an app that sends the same device id everywhere would bind it to
    every customer.
    """
    if as_binding(claim).names_nobody:
        return claim
    logins = known.get(claim.anonymous_key, NO_TIES).logins
    if len(logins) <= MAX_SHARED_DEVICE_LIMIT or (claim.login_key, claim.trusted) in logins:
        return claim
    if sum(trusted == claim.trusted for _, trusted in logins) <= MAX_SHARED_DEVICE_LIMIT:
        return claim
    return claim._replace(anonymous_key=claim.login_key, anonymous_id=claim.login_id)


def _is_known(claim: Binding, known: Mapping[int, Ties]) -> bool:
    """Whether the claim says nothing new."""
    if claim.names_nobody:
        return known.get(claim.anonymous_key or claim.login_key, NO_TIES).claims_nobody
    if claim.anonymous_key == claim.login_key:
        ties = known.get(claim.login_key, NO_TIES)
        return ties.is_trusted_login if claim.trusted else ties.is_login
    earlier = known.get(claim.anonymous_key, NO_TIES).logins.get((claim.login_key, claim.trusted))
    return earlier is not None and earlier.order <= claim.order
