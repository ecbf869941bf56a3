"""Paths' calls of the scanner in C; the library, its memory and its errors are as in `native`."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import Any

import numpy as np
from numpy.typing import NDArray

from query_api.scan.funnel_plan import EARLIEST_MS, LATEST_MS
from query_api.scan.native import (
    BAD_TIME,
    BUCKETS,
    NO_MEMORY,
    address_of,
    contiguous,
    load_library,
    own_memory,
    walk_in_threads,
)
from query_api.scan.paths_plan import (
    MAX_NAMES,
    Cell,
    Labels,
    Links,
    Nodes,
    PathBlock,
    PathsPlan,
    PathsScan,
    ReadLabels,
    TooManyNames,
)

_TOO_MANY_NAMES = 4
_EVENTS_A_THREAD = 200_000  # below, a second thread costs more than it saves
_NAME_BITS = 20
_NO_TARGET = (1 << _NAME_BITS) - 1
_OUTCOMES = {"reached": 0, "continued": 1, "exited": 2}
_IS_START, _IS_END = 1, 2

_u32, _u64, _i64, _pointer = ctypes.c_uint32, ctypes.c_uint64, ctypes.c_int64, ctypes.c_void_p


class _Plan(ctypes.Structure):
    """`paths_plan` of paths.h."""

    _fields_ = (
        ("gap_ms", _i64),
        ("max_steps", _u32),
        ("collapse", _u32),
        ("by_session", _u32),
        ("with_start", _u32),
        ("with_end", _u32),
        ("memory_bytes", _u64),
    )


class _Labels(ctypes.Structure):
    """`paths_labels` of paths.h."""

    _fields_ = (
        ("labels", _pointer),
        ("roles", _pointer),
        ("names", _u64),
        ("labels_count", _u64),
        ("middle", _u32),
    )


class _Cell(ctypes.Structure):
    """`paths_cell` of paths.h."""

    _fields_ = (("step", _u32), ("source", _u32), ("target", _u32), ("outcome", _u32))


class _Found(ctypes.Structure):
    """`paths_found` of paths.h."""

    _fields_ = (
        ("sessions", _u64),
        ("rows", _u64),
        ("ids", _pointer),
        ("counts", _pointer),
        ("users", _pointer),
        ("amounts", _pointer),
        ("people", _u64),
        ("keys", _pointer),
    )


def scan_paths(
    blocks: Iterable[PathBlock],
    plan: PathsPlan,
    read_labels: ReadLabels,
    *,
    memory_bytes: int = 4 << 30,
    threads: int = 1,
) -> PathsScan:
    """Reads all blocks once and counts every node and link of every path.

    memory_bytes: what the events may take, 24 bytes each or 32 by session, and the counts as much again
    threads: how many walk; reading the blocks is one thread's work

    Raises ValueError for a block of the wrong form, MemoryError when the events or the different links do not
    fit, TooManyNames, ScannerMissing when the native library was not built.
    """
    with closing(_Scanner(plan, memory_bytes)) as scanner:
        for block in blocks:
            scanner.feed(block)
        found = scanner.walk(read_labels(scanner.names()), None, threads)
        return _counted([part for part, _ in found], scanner.events)


def find_actors(
    blocks: Iterable[PathBlock],
    plan: PathsPlan,
    read_cell: Callable[[NDArray[np.uint64]], tuple[Labels, Cell | None]],
    *,
    memory_bytes: int = 4 << 30,
    threads: int = 1,
) -> NDArray[np.uint64]:
    """The keys of the actors behind a number, ascending: each once; of None nobody. Else as `scan_paths`."""
    with closing(_Scanner(plan, memory_bytes)) as scanner:
        for block in blocks:
            scanner.feed(block)
        labels, cell = read_cell(scanner.names())
        if cell is None:
            return np.zeros(0, np.uint64)
        found = scanner.walk(labels, cell, threads)
        return np.sort(np.concatenate([keys for _, keys in found]))


_Counts = tuple[int, list[NDArray[Any]]]
"""Sessions, and the columns ids, counts, users, amounts."""


class _Scanner:
    """One `paths_scanner` of paths.c."""

    def __init__(self, plan: PathsPlan, memory_bytes: int) -> None:
        self._library = load_library()
        self._plan = plan
        self._memory_bytes = memory_bytes
        self.events = 0
        native_plan = _Plan(
            gap_ms=plan.gap_ms,
            max_steps=plan.max_steps,
            collapse=plan.collapse,
            by_session=plan.by_session,
            with_start=plan.with_start,
            with_end=plan.with_end,
            memory_bytes=memory_bytes,
        )
        self._handle = _pointer()
        self._check(self._library.paths_create(ctypes.byref(native_plan), ctypes.byref(self._handle)))

    def feed(self, block: PathBlock) -> None:
        if len(block) != self._plan.columns:
            raise ValueError(f"a block has {len(block)} columns, this plan reads {self._plan.columns}")
        if len({len(column) for column in block}) != 1:
            raise ValueError(f"a block's columns differ in length: {[len(column) for column in block]}")
        columns: list[NDArray[Any] | None] = [
            contiguous(column, dtype, name)
            for column, (name, dtype) in zip(block, _COLUMNS.items(), strict=False)
        ]
        if not self._plan.by_session:
            columns.append(None)
        status = self._library.paths_feed(self._handle, *map(address_of, columns), len(block[0]))
        if status == BAD_TIME:
            bad = block[1][(block[1] < EARLIEST_MS) | (block[1] > LATEST_MS)][0]
            raise ValueError(f"times: {bad} ms is outside the years 1900 to 2457")
        self._check(status)
        self.events += len(block[0])

    def names(self) -> NDArray[np.uint64]:
        """The names' hashes by code."""
        count = _u64()
        address = self._library.paths_names(self._handle, ctypes.byref(count))
        names = np.empty(count.value, np.uint64)
        if len(names):
            ctypes.memmove(names.ctypes.data, address, names.nbytes)
        return names

    def walk(
        self, labels: Labels, cell: Cell | None, threads: int
    ) -> list[tuple[_Counts, NDArray[np.uint64]]]:
        """What each thread found: the counts or, with a cell, the actors behind it."""
        threads = 1 if self.events <= _EVENTS_A_THREAD else threads
        of_names = contiguous(labels.of_names, np.uint32, "of_names")
        roles = labels.starts.astype(np.uint8) * _IS_START + labels.ends.astype(np.uint8) * _IS_END
        meaning = _Labels(
            labels=address_of(of_names),
            roles=address_of(roles),
            names=len(of_names),
            labels_count=len(roles),
            middle=labels.middle,
        )
        wanted = None if cell is None else ctypes.byref(_native_cell(cell))
        edges = [BUCKETS * i // threads for i in range(threads + 1)]
        found = [_Found() for _ in range(threads)]

        def walk_range(i: int) -> int:
            status: int = self._library.paths_walk(
                self._handle, ctypes.byref(meaning), wanted, edges[i], edges[i + 1], threads,
                ctypes.byref(found[i]),
            )  # fmt: skip
            return status

        statuses = walk_in_threads(walk_range, threads)
        parts = [self._take(part) for part in found]  # before any error, so that no column leaks
        for status in statuses:
            self._check(status)
        return parts

    def close(self) -> None:
        self._library.paths_destroy(self._handle)
        self._handle = _pointer()

    def _take(self, found: _Found) -> tuple[_Counts, NDArray[np.uint64]]:
        def take(address: int | None, count: int) -> NDArray[np.uint64]:
            return own_memory(address, count, np.dtype(np.uint64), self._library.scan_release)

        columns = [take(getattr(found, name), found.rows) for name in ("ids", "counts", "users", "amounts")]
        return (found.sessions, columns), take(found.keys, found.people)

    def _check(self, status: int) -> None:
        if status == _TOO_MANY_NAMES:
            raise TooManyNames(f"the nodes have more than {MAX_NAMES} different names")
        if status == NO_MEMORY:
            raise MemoryError(
                f"the paths' events and links need more than {self._memory_bytes >> 20} MiB: choose a "
                "shorter range, fewer events, groups of nodes or a sample"
            )
        if status:
            raise RuntimeError(f"the path scanner failed with status {status}")


_COLUMNS: dict[str, type[np.generic]] = {
    "keys": np.uint64,
    "times": np.int64,
    "seqs": np.uint32,
    "event_keys": np.uint32,
    "names": np.uint64,
    "sessions": np.uint64,
}


def _native_cell(cell: Cell) -> _Cell:
    target = _NO_TARGET if cell.target is None else cell.target
    return _Cell(step=cell.step, source=cell.source, target=target, outcome=_OUTCOMES[cell.outcome])


def _counted(parts: list[_Counts], events: int) -> PathsScan:
    """Threads have different actors: their counts add up."""
    sessions = sum(sessions for sessions, _ in parts)
    all_ids, *columns = (np.concatenate(column) for column in zip(*(part for _, part in parts), strict=True))
    ids, places = np.unique(all_ids, return_inverse=True)
    counts, users, amounts = (np.zeros(len(ids), np.int64) for _ in columns)
    for added, column in zip((counts, users, amounts), columns, strict=True):
        np.add.at(added, places, column.astype(np.int64))
    ids = ids.astype(np.int64)
    step, source, target = ids >> (2 * _NAME_BITS), ids >> _NAME_BITS & _NO_TARGET, ids & _NO_TARGET
    of_node = target == _NO_TARGET
    of_link = ~of_node
    return PathsScan(
        sessions,
        Nodes(step[of_node], source[of_node], counts[of_node], users[of_node], amounts[of_node]),
        Links(
            step[of_link], source[of_link], target[of_link], counts[of_link], users[of_link], amounts[of_link]
        ),
        events,
    )
