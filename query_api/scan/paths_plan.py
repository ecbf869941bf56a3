"""Which paths to look for (`PathsPlan`) and what was found (`PathsScan`): the path scanner in and out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Outcome = Literal["reached", "continued", "exited"]
PathBlock = tuple[NDArray[Any], ...]
"""Events as columns of equal length; rows and actors may come in any order, also over blocks.

keys        uint64, the actor; rows of NOBODY (0) are left out by the scanner
times       int64, ms since 1970
seqs        uint32, orders the events of one instant,
event_keys  uint32, and those of one seq
names       uint64, the hash of the node's name; never 0
sessions    uint64, only `by_session`: the session's hash; 0: in no session, and left out
"""

MAX_NAMES = 1_000_000
"""So many different names can be told apart."""


class TooManyNames(Exception):  # noqa: N818
    """The events have more than MAX_NAMES different names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PathsPlan:
    """Paths as the scanner sees them; spec/query.md, "paths", has the meaning.

    gap_ms: a session ends where the next event comes so late; not looked at `by_session`
    by_session: an actor's events with one session value are a session
    collapse: a run of equal nodes is one node, with the time of the last
    with_start, with_end: whether a path begins at a start, and ends at an end

    Raises ValueError when a field is out of its bounds: our bug, specs are checked before.
    """

    gap_ms: int
    max_steps: int
    by_session: bool = False
    collapse: bool = True
    with_start: bool = False
    with_end: bool = False

    def __post_init__(self) -> None:
        if self.gap_ms < 1:
            raise ValueError(f"gap_ms: 1 or more, not {self.gap_ms}")
        if not 1 <= self.max_steps <= 1_000:
            raise ValueError(f"max_steps: 1 to 1000, not {self.max_steps}")

    @property
    def columns(self) -> int:
        """How many columns a block has."""
        return 5 + self.by_session


@dataclass(frozen=True, slots=True)
class Labels:
    """What the names mean: several can have one label, and only labels are nodes.

    of_names  uint32: by a name's code, the code of its label
    starts    bool: by a label's code, whether a path may begin there
    ends      bool: likewise
    middle    the code of the label that stands for nodes left out between start and end
    """

    of_names: NDArray[np.uint32]
    starts: NDArray[np.bool_]
    ends: NDArray[np.bool_]
    middle: int


ReadLabels = Callable[[NDArray[np.uint64]], Labels]
"""Called once, after the last block, with the names' hashes by code."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A number of the answer: the actors with this node, or this link, at this step (from 1)."""

    step: int
    source: int
    target: int | None = None
    outcome: Outcome = "reached"


@dataclass(frozen=True, slots=True)
class Nodes:
    """A row a node and step: `count` sessions of `users` actors have it there, `exits` of them end there."""

    step: NDArray[np.int64]
    label: NDArray[np.int64]
    count: NDArray[np.int64]
    users: NDArray[np.int64]
    exits: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Links:
    """A row a link and step of its source: `took` ms from node to node, summed over the sessions."""

    step: NDArray[np.int64]
    source: NDArray[np.int64]
    target: NDArray[np.int64]
    count: NDArray[np.int64]
    users: NDArray[np.int64]
    took: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PathsScan:
    """The figures of all paths, rows in no particular order; steps count from 1, labels are codes."""

    sessions: int
    nodes: Nodes
    links: Links
    events: int
