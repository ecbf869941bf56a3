"""Random histories for the path scanner: few instants and few names, so that ties and runs are common."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from query_api.scan import Cell, Labels, PathBlock, PathsPlan, PathsScan

NAMES = np.array([11, 7, 1 << 63, 5, 2**64 - 1, 3], np.uint64)
"""The hashes of six names; two of them can share a label."""


@dataclass(frozen=True)
class Case:
    """A plan, events, and what the names mean."""

    plan: PathsPlan
    blocks: tuple[PathBlock, ...]
    label_of: dict[int, int]  # by hash
    starts: NDArray[np.bool_]
    ends: NDArray[np.bool_]

    def labels(self, names: NDArray[np.uint64]) -> Labels:
        """As the scanner asks for them; the label behind the names' own is the middle."""
        of_names = np.array([self.label_of[name] for name in names.tolist()], np.uint32)
        return Labels(of_names, self.starts, self.ends, middle=len(self.starts) - 1)


def random_case(rng: random.Random, actors: int = 40) -> Case:
    """Any plan over histories of 1 to 14 events."""
    plan = PathsPlan(
        gap_ms=rng.choice((1, 2, 5, 20, 100)),
        max_steps=rng.choice((1, 2, 3, 4, 5, 10)),
        by_session=rng.random() < 0.3,
        collapse=rng.random() < 0.6,
        with_start=rng.random() < 0.5,
        with_end=rng.random() < 0.5,
    )
    labels = rng.randint(1, len(NAMES))
    label_of = {name: rng.randrange(labels) for name in NAMES.tolist()}
    starts, ends = (np.array([rng.random() < 0.4 for _ in range(labels + 1)]) for _ in range(2))
    rows = [row for _ in range(actors) for row in _random_history(rng)]
    rng.shuffle(rows)
    blocks = tuple(block_of(rows[i::3], plan) for i in range(3))
    return Case(plan, blocks, label_of, starts, ends)


def _random_history(rng: random.Random) -> list[tuple[int, ...]]:
    """(actor, time, seq, event key, name, session) of one actor; now and then of nobody."""
    actor = rng.getrandbits(64) if rng.random() < 0.95 else 0
    last = rng.choice((3, 12, 60))
    return [
        (
            actor,
            rng.randint(0, last),
            rng.choice((0, 1, 4095, 4096, 2**32 - 1)),
            rng.choice((0, 1, 2**32 - 1, rng.getrandbits(32))),
            rng.choice(NAMES.tolist()),
            rng.choice((0, 1, 2, 2**64 - 1)),
        )
        for _ in range(rng.randint(1, 14))
    ]


def block_of(rows: list[tuple[int, ...]], plan: PathsPlan) -> PathBlock:
    """Rows of (actor, time, seq, event key, name[, session]) as the scanner reads them."""
    types = (np.uint64, np.int64, np.uint32, np.uint32, np.uint64, np.uint64)[: plan.columns]
    return tuple(np.array([row[place] for row in rows], dtype) for place, dtype in enumerate(types))


def figures_of(scan: PathsScan) -> dict[str, Any]:
    """A scan as plain values: two compare equal whatever the order of their rows."""
    nodes, links = scan.nodes, scan.links
    of_nodes = (nodes.step, nodes.label, nodes.count, nodes.users, nodes.exits)
    of_links = (links.step, links.source, links.target, links.count, links.users, links.took)
    return {
        "sessions": scan.sessions,
        "events": scan.events,
        "nodes": sorted(zip(*(column.tolist() for column in of_nodes), strict=True)),
        "links": sorted(zip(*(column.tolist() for column in of_links), strict=True)),
    }


def cells_of(scan: PathsScan, rng: random.Random) -> list[Cell]:
    """Some numbers of a scan, with one that counts nobody."""
    nodes, links = scan.nodes, scan.links
    cells = [Cell(step=3, source=0, target=0)]
    for row in rng.sample(range(len(nodes.step)), min(3, len(nodes.step))):
        outcome = rng.choice(("reached", "continued", "exited"))
        cells.append(Cell(int(nodes.step[row]), int(nodes.label[row]), outcome=outcome))
    for row in rng.sample(range(len(links.step)), min(3, len(links.step))):
        cells += [Cell(int(links.step[row]), int(links.source[row]), int(links.target[row]))]
    return cells
