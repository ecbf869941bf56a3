"""Bindings as they flow: what the records of a block claim, what is known of the ids, and whose person
changes.

A local memory follows the `bindings` table, whose only writer the processor is: a filter says at once which
ids were never bound, and what was looked up lately is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from footfall.events.identity import NO_TIES, Binding, ResolutionRules, Ties, person_of, tie
from footfall.events.keys import NOBODY, event_key
from footfall.events.record import Record, telling
from footfall.storage.rows import BindingRow
from footfall.storage.store import Parameter, Query, Store
from footfall.workspace.projects import MAX_SHARED_DEVICE_LIMIT
from processor.blocks import Plan
from processor.event_block import Request, Rows
from processor.id_keys import IdKeys
from processor.key_filter import KeyFilter
from processor.recent import Recent

ANONYMOUS_IDENTITIES = (
    "$identity_anonymous_id",
    "$identity_cookie_id",
    "$identity_android_uuid",
    "$identity_android_id",
    "$identity_ios_uuid",
    "$identity_idfv",
    "$identity_mp_id",
    "$identity_harmony_uuid",
)
"""Declared identities that stand for a device or browser: what `track_id_bind` binds to the login."""

_IDENTITY_TYPES = ("track_signup", "track_id_bind")
_LOOKUP = 10_000

_BINDINGS_OF_IDS = """
SELECT anonymous_key, login_key, trusted, toUnixTimestamp64Milli(received_at), seq, event_key
FROM bindings WHERE anonymous_key IN {keys:Array(UInt64)} AND NOT (
    log_partition = {own_partition:UInt16} AND log_offset BETWEEN {own_first:UInt64} AND {own_last:UInt64}
)"""

_LOGINS_AMONG_IDS = """
SELECT DISTINCT login_key, trusted
FROM bindings WHERE login_key IN {keys:Array(UInt64)} AND NOT (
    log_partition = {own_partition:UInt16} AND log_offset BETWEEN {own_first:UInt64} AND {own_last:UInt64}
)"""

_IDS_OF_LOGINS = """
SELECT login_key, anonymous_key, any(login_id)
FROM bindings WHERE login_key IN {keys:Array(UInt64)} AND NOT (
    log_partition = {own_partition:UInt16} AND log_offset BETWEEN {own_first:UInt64} AND {own_last:UInt64}
) GROUP BY login_key, anonymous_key"""


class People(NamedTuple):
    """What a block's ids come to."""

    persons: Mapping[int, int]  # id key -> person's key, where they differ
    bindings: Sequence[BindingRow]  # not known before
    moved: Mapping[int, tuple[int, int]]  # id key -> (person before this block, person now)
    ties: Mapping[int, Ties]  # of the ids that the new bindings name, with them
    projects: Mapping[int, str]  # by id key, of those

    @property
    def overrides(self) -> dict[int, int]:
        """Ids whose stored rows carry another stamp than their person now."""
        return {key: after for key, (_, after) in self.moved.items()}


def find_claims(requests: Sequence[Request], rows: Rows, id_keys: IdKeys) -> list[BindingRow]:
    """The bindings that the records make, each (anonymous, login, trusted) once, by the first of them."""
    first: dict[tuple[str, str, str, bool], int] = {}
    places = [(r.header.project, r.header.trusted, r.header.received_at) for r in requests]
    for row, record in enumerate(rows.records):
        if record.login_id or record.type in _IDENTITY_TYPES or "$is_login_id" in record.properties:
            project, trusted, received_at = places[rows.request_of[row]]
            for anonymous_id, login_id in _pairs(record):
                pair = (project, anonymous_id, login_id, trusted)
                known = first.setdefault(pair, row)
                if known != row and received_at <= places[rows.request_of[known]][2]:
                    first[pair] = min(known, row, key=lambda each: _order(requests, rows, each))
    claims: dict[tuple[int, int, bool], BindingRow] = {}
    for (project, anonymous_id, login_id, _), row in first.items():
        anonymous = (id_keys.key(project, anonymous_id), anonymous_id)
        claim = _claim(requests, rows, row, anonymous, (id_keys.key(project, login_id), login_id))
        if claim.login_key != NOBODY:
            known_claim = claims.setdefault((claim.anonymous_key, claim.login_key, claim.trusted), claim)
            if _as_binding(claim).order < _as_binding(known_claim).order:
                claims[claim.anonymous_key, claim.login_key, claim.trusted] = claim
    return list(claims.values())


def _order(requests: Sequence[Request], rows: Rows, row: int) -> tuple[int, int, int]:
    """As Binding.order."""
    received_at = requests[rows.request_of[row]].header.received_at
    return (received_at, rows.seq[row], event_key(rows.event_ids[row]))


def _claim(
    requests: Sequence[Request], rows: Rows, row: int, anonymous: tuple[int, str], login: tuple[int, str]
) -> BindingRow:
    """An id that identifies nobody never binds: then the record only says that its login is one."""
    header, partition, offset = requests[rows.request_of[row]]
    if anonymous[0] == NOBODY:
        anonymous = login
    return BindingRow(
        project=header.project,
        anonymous_key=anonymous[0],
        login_key=login[0],
        anonymous_id=anonymous[1],
        login_id=login[1],
        received_at=header.received_at,
        seq=rows.seq[row],
        event_key=event_key(rows.event_ids[row]),
        trusted=header.trusted,
        log_partition=partition,
        log_offset=offset,
    )


def _pairs(record: Record) -> Iterable[tuple[str, str]]:
    """(anonymous id, login id) for each link that a record makes; equal ids only say: this is a login."""
    login = telling(record.login_id)
    if record.type == "track_signup":
        yield record.original_id or "", telling(record.distinct_id) or login
    if login:
        yield record.anonymous_id or login, login
    if record.properties.get("$is_login_id") is True:
        own = telling(record.distinct_id) or login
        yield own, own
    if record.type == "track_id_bind":
        identities = record.identities or {}
        bound = next(_told_ids(identities.get("$identity_login_id")), login)
        for name in ANONYMOUS_IDENTITIES:
            for device in _told_ids(identities.get(name)):
                if bound:
                    yield device, bound


def _told_ids(identity: Any) -> Iterator[str]:
    """The ids that a declared identity, one or a list of them, tells somebody by."""
    for each in identity if isinstance(identity, list) else [identity]:
        if isinstance(each, str) and telling(each):
            yield each


def _as_binding(row: BindingRow) -> Binding:
    return Binding(row.anonymous_key, row.login_key, row.trusted, row.received_at, row.seq, row.event_key)


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

    def rebuild(self) -> None:
        """Reads which ids are bound from the store."""
        self._bound = KeyFilter()
        self._recent = Recent(self._recent.capacity)
        for anonymous, login in self._store.stream(Query("SELECT anonymous_key, login_key FROM bindings")):
            self._bound.add(anonymous.tolist())
            self._bound.add(login.tolist())

    def settle(self, plan: Plan, ids: Mapping[str, Collection[int]], claims: Sequence[BindingRow]) -> People:
        """The persons of these ids (by project), once the claims are taken in."""
        asked = {key for keys in ids.values() for key in keys}
        asked.update(key for claim in claims for key in (claim.anonymous_key, claim.login_key))
        known = self.ties_of(plan, asked)
        claims = [_of_use(claim, known) for claim in claims]
        new = [claim for claim in claims if not _is_known(_as_binding(claim), known)]
        rules_of = cache(self._rules_of)
        rules: dict[int, ResolutionRules] = {}
        for project, keys in ids.items():
            rules.update(dict.fromkeys(keys, rules_of(project)))
        named: dict[int, list[Binding]] = {}
        projects: dict[int, str] = {}
        for row in new:
            for key in {row.anonymous_key, row.login_key}:
                named.setdefault(key, []).append(_as_binding(row))
                projects[key] = row.project
                rules[key] = rules_of(row.project)
        ties = {key: tie(key, known.get(key, NO_TIES), bindings) for key, bindings in named.items()}
        persons: dict[int, int] = {}
        moved: dict[int, tuple[int, int]] = {}
        for key in asked & rules.keys():
            before = person_of(key, known.get(key, NO_TIES), rules[key]) if key in known else key
            after = person_of(key, ties[key], rules[key]) if key in ties else before
            if after != key:
                persons[key] = after
            if after != before:
                moved[key] = (before, after)
        return People(persons, new, moved, ties, projects)

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
        for start in range(0, len(unknown), _LOOKUP):
            asked = unknown[start : start + _LOOKUP]
            looked_up = self._look_up(plan, asked)
            for key in asked:
                self._recent[key] = found[key] = looked_up.get(key, NO_TIES)
        return found

    def _look_up(self, plan: Plan, keys: Sequence[int]) -> dict[int, Ties]:
        named: dict[int, list[Binding]] = {}
        for values in self._store.rows(Query(_BINDINGS_OF_IDS, {"keys": keys, **plan.own})).rows:
            binding = Binding(*values)
            named.setdefault(binding.anonymous_key, []).append(binding)
        for login_key, trusted in self._store.rows(Query(_LOGINS_AMONG_IDS, {"keys": keys, **plan.own})).rows:
            named.setdefault(login_key, []).append(Binding(login_key, login_key, trusted, 0, 0, 0))
        return {key: tie(key, NO_TIES, bindings) for key, bindings in named.items()}

    def members(self, plan: Plan, people: People, persons: Mapping[int, str]) -> dict[int, Member]:
        """The ids of these persons (key -> project), as far as bindings name them, and the persons
        themselves.
        """
        names: dict[int, str] = {}
        candidates = dict(persons)
        for row in self._named_by(plan, list(persons)):
            login_key, anonymous_key, login_id = row
            names[login_key] = login_id
            candidates[anonymous_key] = persons[login_key]
        for claim in people.bindings:
            if claim.login_key in persons:
                names[claim.login_key] = claim.login_id
                candidates[claim.anonymous_key] = claim.project
        rules_of = cache(self._rules_of)
        known = {**self.ties_of(plan, candidates.keys() - people.ties.keys()), **people.ties}
        return {
            key: Member(
                project,
                person := person_of(key, known.get(key, NO_TIES), rules_of(project)),
                names.get(person),
            )
            for key, project in candidates.items()
        }

    def _named_by(self, plan: Plan, logins: Sequence[int]) -> Iterable[tuple[int, int, str]]:
        for start in range(0, len(logins), _LOOKUP):
            asked: dict[str, Parameter] = {"keys": logins[start : start + _LOOKUP], **plan.own}
            yield from self._store.rows(Query(_IDS_OF_LOGINS, asked)).rows

    def remember(self, people: People) -> None:
        """The block's bindings are stored now."""
        self._bound.add(people.ties)
        for key, ties in people.ties.items():
            self._recent[key] = ties


class Member(NamedTuple):
    """An id and whose it is."""

    project: str
    person: int
    person_id: str | None  # the login behind the person, if a binding told it


def _of_use(claim: BindingRow, known: Mapping[int, Ties]) -> BindingRow:
    """The claim; of an id with more logins than any limit allows only that its login is one.

    One more login would change nothing, and an app that sends the same device id everywhere would bind it to
    every customer.
    """
    logins = known.get(claim.anonymous_key, NO_TIES).logins
    if len(logins) <= MAX_SHARED_DEVICE_LIMIT or (claim.login_key, claim.trusted) in logins:
        return claim
    if sum(trusted == claim.trusted for _, trusted in logins) <= MAX_SHARED_DEVICE_LIMIT:
        return claim
    return claim._replace(anonymous_key=claim.login_key, anonymous_id=claim.login_id)


def _is_known(claim: Binding, known: Mapping[int, Ties]) -> bool:
    """Whether the claim says nothing new."""
    if claim.anonymous_key == claim.login_key:
        ties = known.get(claim.login_key, NO_TIES)
        return ties.is_trusted_login if claim.trusted else ties.is_login
    earlier = known.get(claim.anonymous_key, NO_TIES).logins.get((claim.login_key, claim.trusted))
    return earlier is not None and earlier.order <= claim.order
