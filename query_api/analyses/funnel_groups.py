"""Splits a funnel's actors into the groups of its breakdown: the largest, and one of all the rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from query_api.analyses.value_groups import CodedValues, Rows, join_texts, largest, pair_codes
from query_api.group_keys import NAMED_AS_REST, REST, GroupKeys
from query_api.scan import NO_VALUE, FunnelScan
from query_api.spec.funnel import FunnelBreakdown
from query_api.value_codes import Codes


@dataclass(frozen=True, slots=True)
class Group:
    """A group: its key's text and its rows of the scan; `rows` has one an actor, `members` all."""

    key: str
    rows: Rows
    members: Rows


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
    places, pairs = pair_codes(of_event, of_user, rows)
    sizes = np.bincount(places)

    def text(place: int) -> str:
        event_code, user_code = pairs(place)
        return join_texts(breakdown.parts, of_event.split(event_code), of_user.split(user_code))

    shown = largest(sizes, text, keys, limit)
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


def best_of_each_actor(scan: FunnelScan, rows: Rows) -> Rows:
    """One row an actor: the deepest; of equally deep ones the first to get there; then the latest entry."""
    depths = scan.levels[rows].astype(np.int64)
    last = scan.step_times[rows, depths - 1]
    start = scan.step_times[rows, 0]
    ordered = rows[np.lexsort((-start, last, -depths, scan.keys[rows]))]
    actors = scan.keys[ordered]
    return ordered[np.append(True, actors[1:] != actors[:-1])] if len(ordered) else ordered
