"""From a scan of paths to its answer: which links are kept, which nodes they touch, and their figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from query_api.scan import PathsScan
from query_api.scope import Scope
from query_api.spec.paths import PathsSpec
from query_api.store_reader import StoreReader

MAX_ALONE = 1_000
"""So many nodes of one-node sessions are shown that no link touches: the largest."""

Rows = NDArray[np.intp]
"""Rows of a scan's nodes or links."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What the answer shows, in its order; `other`: sessions on the links that it does not."""

    nodes: Rows
    links: Rows
    other: int

    def labels(self, scan: PathsScan) -> list[int]:
        """The codes of all labels that are shown."""
        return sorted(set(scan.nodes.label[self.nodes].tolist()))


def keep_heaviest(scan: PathsScan, spec: PathsSpec, scope: Scope, reader: StoreReader) -> Kept:
    """The `limit` heaviest links that can be reached, and the nodes that they touch."""
    links = scan.links
    counts = _scaled(links.count, scope)
    heavy = np.flatnonzero(counts >= spec.min_count)
    # A link is called by its source's id and then its target's, as texts: "10_a" comes before "1_a".
    order = np.lexsort(
        (links.target[heavy], links.source[heavy], _order_of_steps(links.step[heavy]), -counts[heavy])
    )
    kept = _reachable(scan, heavy[order][: spec.limit])
    other = int(counts.sum()) - int(counts[kept].sum())
    return Kept(_touched(scan, kept, reader), kept, other)


def _order_of_steps(steps: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place of each step among all in the order of the ids that begin with them."""
    known = np.unique(steps)
    places = np.empty(len(known), np.int64)
    places[sorted(range(len(known)), key=lambda i: f"{known[i]}_")] = np.arange(len(known))
    return places[np.searchsorted(known, steps)]


def _reachable(scan: PathsScan, rows: Rows) -> Rows:
    """Those of the links to which links of theirs lead from the first step."""
    links = scan.links
    reached: set[tuple[int, int]] = set()
    found: set[int] = set()
    for row in sorted(rows.tolist(), key=lambda row: int(links.step[row])):
        step, source = int(links.step[row]), int(links.source[row])
        if step == 1 or (step, source) in reached:
            reached.add((step + 1, int(links.target[row])))
            found.add(row)
    return np.array([row for row in rows.tolist() if row in found], np.intp)


def _touched(scan: PathsScan, links: Rows, reader: StoreReader) -> Rows:
    """The nodes at either end of the links, and those of sessions that have no other node."""
    nodes, kept = scan.nodes, scan.links
    ends = {*zip(kept.step[links].tolist(), kept.source[links].tolist(), strict=True)}
    ends |= {*zip((kept.step[links] + 1).tolist(), kept.target[links].tolist(), strict=True)}
    alone = np.flatnonzero((nodes.step == 1) & (nodes.exits > 0))
    if len(alone) > MAX_ALONE:
        reader.warn(f"of the nodes that are a whole session only the {MAX_ALONE} largest are shown")
        alone = alone[np.lexsort((nodes.label[alone], -nodes.exits[alone]))][:MAX_ALONE]
    ids = np.array([step << 32 | label for step, label in ends], np.int64)
    rows = np.union1d(np.flatnonzero(np.isin(nodes.step << 32 | nodes.label, ids)), alone)
    order = np.lexsort((nodes.label[rows], -nodes.count[rows], nodes.step[rows]))
    return rows[order].astype(np.intp)


def _scaled(counts: NDArray[np.int64], scope: Scope) -> NDArray[np.int64]:
    if scope.sample is None:
        return counts
    known, places = np.unique(counts, return_inverse=True)
    return np.array([scope.scaled(int(count)) for count in known], np.int64)[places]


def result_of(scan: PathsScan, kept: Kept, scope: Scope, texts: Mapping[int, str]) -> dict[str, Any]:
    """`{"nodes", "links", "sessions", "other"}`, with the labels' texts by code."""
    return {
        "nodes": [_node(scan, row, scope, texts) for row in kept.nodes.tolist()],
        "links": [_link(scan, row, scope, texts) for row in kept.links.tolist()],
        "sessions": scope.scaled(scan.sessions),
        "other": kept.other,
    }


def _node(scan: PathsScan, row: int, scope: Scope, texts: Mapping[int, str]) -> dict[str, Any]:
    nodes = scan.nodes
    step, name, exits = int(nodes.step[row]), texts[int(nodes.label[row])], int(nodes.exits[row])
    continuing, ended = scope.scaled(int(nodes.count[row]) - exits), scope.scaled(exits)
    return {
        "id": f"{step}_{name}",
        "name": name,
        "step": step,
        "users": scope.scaled(int(nodes.users[row])),
        "sessions": continuing + ended,
        "continuing": continuing,
        "exits": ended,
    }


def _link(scan: PathsScan, row: int, scope: Scope, texts: Mapping[int, str]) -> dict[str, Any]:
    links = scan.links
    step, count = int(links.step[row]), int(links.count[row])
    return {
        "source": f"{step}_{texts[int(links.source[row])]}",
        "target": f"{step + 1}_{texts[int(links.target[row])]}",
        "count": scope.scaled(count),
        "users": scope.scaled(int(links.users[row])),
        "average_seconds": int(links.took[row]) / count / 1000,
    }
