"""Reads what bindings and rulings say about ids: the TiesSource that is the store itself."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from footfall.events.identity import NO_TIES, Binding, Ruling, Ties, tie
from footfall.events.persons import NO_MERGES, Merges
from footfall.storage.store import Parameter, Query, Rows

_LOOKUP = 10_000
_OTHERS = """ AND NOT (
    log_partition = {own_partition:UInt16} AND log_offset BETWEEN {own_first:UInt64} AND {own_last:UInt64}
)"""

_BINDINGS_OF_IDS = """
SELECT anonymous_key, login_key, trusted, toUnixTimestamp64Milli(received_at), seq, event_key
FROM bindings WHERE anonymous_key IN {keys:Array(UInt64)}"""

_LOGINS_AMONG_IDS = """
SELECT DISTINCT login_key, trusted, anonymous_key = 0
FROM bindings WHERE login_key IN {keys:Array(UInt64)}"""

_RULINGS_OF_IDS = """
SELECT kind, subject_key, login_key, toUnixTimestamp64Milli(received_at), seq, event_key
FROM rulings WHERE kind IN ('bind', 'unbind') AND subject_key IN {keys:Array(UInt64)}"""

_DEVICES_OF_LOGINS = """
SELECT DISTINCT login_key, anonymous_key
FROM bindings WHERE login_key IN {keys:Array(UInt64)} AND anonymous_key NOT IN (login_key, 0)"""

_NAMES_OF_LOGINS = """
SELECT DISTINCT login_key, login_id
FROM bindings WHERE login_key IN {keys:Array(UInt64)} AND login_id != ''"""

_MERGES = """
SELECT kind, subject_key, login_key, toUnixTimestamp64Milli(received_at), seq, event_key
FROM rulings WHERE kind IN ('merge', 'unmerge')"""

_PROJECTS_OF_MERGES = """
SELECT DISTINCT subject_key, login_key, project
FROM rulings WHERE kind IN ('merge', 'unmerge')"""

NOTHING_LEFT_OUT: Mapping[str, int] = {"own_partition": 0, "own_first": 1, "own_last": 0}


class StoredTies:
    """See footfall.events.persons.TiesSource."""

    def __init__(self, rows: Callable[[Query], Rows], left_out: Mapping[str, int] = NOTHING_LEFT_OUT) -> None:
        """`left_out` are the log offsets (own_partition, own_first, own_last) that do not count: a block that
        is being processed leaves out what an earlier try of it stored.
        """
        self._rows = rows
        self._left_out = left_out

    def ties_of(self, keys: Collection[int]) -> dict[int, Ties]:
        bindings: dict[int, list[Binding]] = {}
        rulings: dict[int, list[Ruling]] = {}
        for values in self._look_up(_BINDINGS_OF_IDS, keys):
            binding = Binding(*values)
            bindings.setdefault(binding.anonymous_key, []).append(binding)
        for login_key, trusted, claims_nobody in self._look_up(_LOGINS_AMONG_IDS, keys):
            other = 0 if claims_nobody else login_key
            bindings.setdefault(login_key, []).append(Binding(other, login_key, trusted, 0, 0, 0))
        for values in self._look_up(_RULINGS_OF_IDS, keys):
            ruling = Ruling(*values)
            rulings.setdefault(ruling.subject_key, []).append(ruling)
        named = bindings.keys() | rulings.keys()
        return {key: tie(key, NO_TIES, bindings.get(key, ()), rulings.get(key, ())) for key in named}

    def devices_of(self, logins: Collection[int]) -> dict[int, set[int]]:
        found: dict[int, set[int]] = {}
        for login_key, anonymous_key in self._look_up(_DEVICES_OF_LOGINS, logins):
            found.setdefault(login_key, set()).add(anonymous_key)
        return found

    def names_of(self, logins: Collection[int]) -> dict[int, str]:
        """The ids themselves, of logins that bindings name."""
        return {key: login_id for key, login_id in self._look_up(_NAMES_OF_LOGINS, logins)}  # noqa: C416

    def merges(self, project: str | None = None) -> Merges:
        """What administrators merged, in one project or in all."""
        query, parameters = _MERGES + _OTHERS, dict[str, Parameter](self._left_out)
        if project is not None:
            query, parameters = query + " AND project = {project:String}", parameters | {"project": project}
        return NO_MERGES.with_rulings(Ruling(*values) for values in self._rows(Query(query, parameters)).rows)

    def projects_of_merges(self) -> dict[int, str]:
        """Whose the logins of all merges are."""
        rows = self._rows(Query(_PROJECTS_OF_MERGES + _OTHERS, dict(self._left_out))).rows
        return {key: project for *keys, project in rows for key in keys}

    def _look_up(self, sql: str, keys: Collection[int]) -> Iterator[Sequence[Any]]:
        every = sorted(key for key in keys if key)
        for start in range(0, len(every), _LOOKUP):
            wanted: dict[str, Parameter] = {"keys": every[start : start + _LOOKUP], **self._left_out}
            yield from self._rows(Query(sql + _OTHERS, wanted)).rows
