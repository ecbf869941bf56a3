"""The log of decisions: a line for each claim when it is decided, and one each time the decision changes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from footfall.events.identity import (
    NO_TIES,
    Binding,
    Decision,
    ResolutionRules,
    Ruling,
    Ties,
    decide,
    decide_unbind,
)
from footfall.events.persons import Merges
from footfall.storage.rows import BindingRow, DecisionRow, RulingRow
from footfall.storage.store import Parameter, Query, Store
from processor.claims import Claims, as_binding, as_ruling, decision_of_binding, decision_of_ruling

_LOOKUP = 10_000

_BINDING_ROWS = """
SELECT project, anonymous_key, login_key, anonymous_id, login_id, toUnixTimestamp64Milli(received_at), seq,
    event_key, trusted, log_partition, log_offset
FROM bindings WHERE anonymous_key IN {keys:Array(UInt64)}"""

_RULING_ROWS = """
SELECT project, kind, subject_key, login_key, subject_id, login_id, toUnixTimestamp64Milli(received_at), seq,
    event_key, door, log_partition, log_offset
FROM rulings WHERE subject_key IN {keys:Array(UInt64)} AND kind IN {kinds:Array(String)}"""


class Change(NamedTuple):
    """What a block changes among the ids of one project."""

    project: str
    rules: ResolutionRules
    moving: Collection[int]  # the ids that may have another owner now
    ties_before: Mapping[int, Ties]
    ties_after: Mapping[int, Ties]
    owners_before: Mapping[int, int]
    owners_after: Mapping[int, int]

    def bindings(self, new: Collection[Binding]) -> Iterator[tuple[Binding, Decision]]:
        """New bindings, and those whose decision changed."""
        for key in self.moving:
            old_ties = self.ties_before.get(key, NO_TIES)
            new_ties = self.ties_after.get(key, NO_TIES)
            for place, binding in new_ties.logins.items():
                decision = decide(binding, new_ties, self.owners_after.get(key, key), self.rules)
                known = old_ties.logins.get(place)
                if binding not in new and known is not None:
                    owner = self.owners_before.get(key, key)
                    if decide(known, old_ties, owner, self.rules) == decision:
                        continue
                yield binding, decision

    def unbinds(self, new: Collection[Ruling]) -> Iterator[tuple[Ruling, Decision]]:
        """New unbinds, and the last ones of ids where there is something to take back only now."""
        for key in self.moving:
            old_ties = self.ties_before.get(key, NO_TIES)
            new_ties = self.ties_after.get(key, NO_TIES)
            last = {Ruling("unbind", key, *each) for each in _flat(new_ties.taken_back)}
            for ruling in last | {each for each in new if each.kind == "unbind" and each.subject_key == key}:
                decision = decide_unbind(ruling, new_ties)
                if ruling in new or decide_unbind(ruling, old_ties) != decision:
                    yield ruling, decision


def decision_rows(
    store: Store,
    decided_at: int,
    claims: Claims,
    changes: Sequence[Change],
    merges: tuple[Merges, Merges],
) -> list[DecisionRow]:
    """Every line that a block adds to the log, given what is new in its claims; `merges` before and after."""
    own = {as_binding(row): row for row in claims.bindings}
    ruled = {as_ruling(row): row for row in claims.rulings}
    bound = [found for change in changes for found in change.bindings(own)]
    bound += [(binding, "identifies_nobody") for binding in own if binding.names_nobody]
    rulings = [found for change in changes for found in change.unbinds(ruled)]
    rulings += _merge_decisions(ruled, merges)
    binding_row = own | _stored_bindings(store, {each for each, _ in bound if each not in own})
    ruling_row = ruled | _stored_rulings(store, {each for each, _ in rulings if each not in ruled})
    rows = [decision_of_binding(binding_row[each], decision, decided_at) for each, decision in bound]
    rows += [decision_of_ruling(ruling_row[each], decision, decided_at) for each, decision in rulings]
    rows += [
        decision_of_ruling(row, decision, decided_at, trusted=decision != "untrusted")
        for row, decision in claims.refused
    ]
    return sorted(
        rows, key=lambda row: (row.received_at, row.seq, row.event_key, row.subject_id, row.login_id)
    )


def _merge_decisions(
    new: Collection[Ruling], merges: tuple[Merges, Merges]
) -> Iterator[tuple[Ruling, Decision]]:
    before, after = merges
    if before is after:
        return
    for ruling in {*after.first_rulings(), *(each for each in new if each.kind in ("merge", "unmerge"))}:
        decision = after.decide(ruling)
        if ruling in new or before.decide(ruling) != decision:
            yield ruling, decision


def _flat(taken_back: Mapping[int, tuple[int, int, int]]) -> Iterator[tuple[int, int, int, int]]:
    for login, (received_at, seq, event_key) in taken_back.items():
        yield login, received_at, seq, event_key


def _stored_bindings(store: Store, wanted: Collection[Binding]) -> dict[Binding, BindingRow]:
    found = {}
    keys = sorted({binding.anonymous_key for binding in wanted})
    for start in range(0, len(keys), _LOOKUP):
        asked: dict[str, Parameter] = {"keys": keys[start : start + _LOOKUP]}
        for values in store.rows(Query(_BINDING_ROWS, asked)).rows:
            row = BindingRow(*values)
            found[as_binding(row)] = row
    return found


def _stored_rulings(store: Store, wanted: Collection[Ruling]) -> dict[Ruling, RulingRow]:
    found = {}
    keys = sorted({ruling.subject_key for ruling in wanted})
    kinds = sorted({str(ruling.kind) for ruling in wanted})
    for start in range(0, len(keys), _LOOKUP):
        asked: dict[str, Parameter] = {"keys": keys[start : start + _LOOKUP], "kinds": kinds}
        for values in store.rows(Query(_RULING_ROWS, asked)).rows:
            row = RulingRow(*values)
            found[as_ruling(row)] = row
    return found
