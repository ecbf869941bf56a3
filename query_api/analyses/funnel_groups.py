"""Splits a funnel's actors into the groups of its breakdown: the largest, and one of all the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from query_api.group_keys import NAMED_AS_REST, REST, GroupKeys, join_key, split_key
from query_api.scan import NO_VALUE, FunnelScan
from query_api.spec.breakdown import Part
from query_api.spec.funnel import FunnelBreakdown
from query_api.value_codes import Codes

Rows = NDArray[np.int64]

_TABLE_SIZE = 1 << 20
"""So many pairs of values are counted in a table; more are sorted."""


@dataclass(frozen=True, slots=True)
class Group:
    """A group: its key's text and its rows of the scan; `rows` has one an actor, `members` all."""

    key: str
    rows: Rows
    members: Rows


@dataclass(frozen=True, slots=True)
class CodedValues:
    """A value for each row of the scan: a code, NO_VALUE where it is missing, and the texts of the codes."""

    parts: Sequence[Part]
    codes: Codes
    texts: Sequence[str]

    def split(self, code: int) -> list[str]:
        """The texts of the single properties."""
        if code == NO_VALUE:
            return [""] * len(self.parts)
        return split_key(self.texts[code], len(self.parts))


def event_codes(breakdown: FunnelBreakdown, scan: FunnelScan) -> Codes:
    """The event properties' value of each row, as the attribution says."""
    found = {
        "first_touch": scan.first_values,
        "last_touch": scan.last_values,
        "step": scan.step_values,
        "all_steps": scan.partitions,
    }[breakdown.attribution]
    return np.full(len(scan.keys), NO_VALUE, np.uint32) if found is None else found


def build_groups(
    breakdown: FunnelBreakdown,
    scan: FunnelScan,
    of_event: CodedValues,
    of_user: CodedValues,
    *,
    keys: GroupKeys,
    limit: int,
) -> list[Group]:
    """By size (actors at step 0), ties by key; beyond `limit` groups the rest are one, the last."""
    rows = np.arange(len(scan.keys), dtype=np.int64)
    if breakdown.attribution == "step":
        rows = rows[scan.levels > breakdown.step]
    places, pairs = _pair(of_event, of_user, rows)
    sizes = np.bincount(places)

    def text(place: int) -> str:
        event_code, user_code = pairs(place)
        return _joined(breakdown.parts, of_event.split(event_code), of_user.split(user_code))

    shown = _largest(sizes, text, keys, limit)
    has_rest = len(shown) < np.count_nonzero(sizes)
    if has_rest:
        shown = [place for place in shown if text(place) != NAMED_AS_REST]
    by_group = rows[np.argsort(places, kind="stable")]
    ends = np.cumsum(sizes)
    groups = []
    for place in shown:
        members = by_group[ends[place] - sizes[place] : ends[place]]
        groups.append(Group(text(place), members, members))
    if has_rest:
        members = rows[~np.isin(places, shown)]
        groups.append(Group(REST, best_of_each_actor(scan, members), members))
    return groups


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Which codes each place of a table of all pairs stands for, or of a list of those that occur."""

    width: int
    listed: NDArray[np.uint64] | None = None

    def __call__(self, place: int) -> tuple[int, int]:
        """The codes of the event's and of the user's value."""
        pair = place if self.listed is None else int(self.listed[place])
        event_code, user_code = divmod(pair, self.width)
        return (event_code - 1) & NO_VALUE, (user_code - 1) & NO_VALUE


def _pair(of_event: CodedValues, of_user: CodedValues, rows: Rows) -> tuple[NDArray[Any], _Pairs]:
    """A small number for each row's pair of codes; a missing value's code counts as the one before 0."""
    width, height = len(of_user.texts) + 1, len(of_event.texts) + 1
    pairs = (of_event.codes[rows] + np.uint32(1)).astype(np.uint64) * np.uint64(width)
    pairs += (of_user.codes[rows] + np.uint32(1)).astype(np.uint64)
    if width * height <= _TABLE_SIZE:
        return pairs.astype(np.uint16 if width * height <= 1 << 16 else np.int64), _Pairs(width)
    listed, places = np.unique(pairs, return_inverse=True)
    return places, _Pairs(width, listed)


def best_of_each_actor(scan: FunnelScan, rows: Rows) -> Rows:
    """One row an actor: the deepest; of equally deep ones the first to get there; then the latest entry."""
    depths = scan.levels[rows].astype(np.int64)
    last = scan.step_times[rows, depths - 1]
    start = scan.step_times[rows, 0]
    ordered = rows[np.lexsort((-start, last, -depths, scan.keys[rows]))]
    actors = scan.keys[ordered]
    return ordered[np.append(True, actors[1:] != actors[:-1])] if len(ordered) else ordered


def _largest(sizes: NDArray[Any], text: Callable[[int], str], keys: GroupKeys, limit: int) -> list[int]:
    """The places of the groups that are shown, in their order. Texts are made only for those that may be."""
    threshold = np.partition(sizes, -limit)[-limit] if len(sizes) > limit else 0
    candidates = np.flatnonzero((sizes >= threshold) & (sizes > 0))
    ranked = sorted(candidates.tolist(), key=lambda index: (-int(sizes[index]), keys.order(text(index))))
    return ranked[:limit]


def _joined(parts: Sequence[Part], of_event: Sequence[str], of_user: Sequence[str]) -> str:
    """The key's text, its parts in the order of the breakdown."""
    event_texts, user_texts = iter(of_event), iter(of_user)
    return join_key([next(user_texts) if part.is_of_user else next(event_texts) for part in parts])
