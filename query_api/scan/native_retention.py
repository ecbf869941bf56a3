"""Retention's calls of the scanner in C; the library, its memory and its errors are as in `native`."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from contextlib import closing
from typing import Any

import numpy as np
from numpy.typing import NDArray

from query_api.scan.funnel_plan import EARLIEST_MS, LATEST_MS, Block
from query_api.scan.native import (
    BAD_CODE,
    BAD_TIME,
    BUCKETS,
    NO_MEMORY,
    address_of,
    contiguous,
    load_library,
    own_memory,
    walk_in_threads,
)
from query_api.scan.retention_plan import RetentionPlan, RetentionScan

_ENTRIES = {"recurring": 0, "first_in_range": 1, "first_matching": 2, "first_ever": 2}
_EVENTS_A_THREAD = 1_000_000  # below, a second thread costs more than it saves

_u32, _u64, _pointer = ctypes.c_uint32, ctypes.c_uint64, ctypes.c_void_p


class _Plan(ctypes.Structure):
    """`retention_plan` of retention.h."""

    _fields_ = (
        ("rows", _u32),
        ("periods", _u32),
        ("entry", _u32),
        ("or_after", _u32),
        ("rolling", _u32),
        ("min_occurrences", _u32),
        ("with_values", _u32),
        ("edge_count", _u32),
        ("edges_ms", _pointer),
        ("memory_bytes", _u64),
        ("places_per_ms", ctypes.c_double),
    )


class _Entries(ctypes.Structure):
    """`retention_entries` of retention.h."""

    _fields_ = (
        ("count", _u64),
        ("capacity", _u64),
        ("keys", _pointer),
        ("rows", _pointer),
        ("values", _pointer),
        ("retained", _pointer),
    )


def scan_retention(
    blocks: Iterable[Block], plan: RetentionPlan, *, memory_bytes: int = 4 << 30, threads: int = 1
) -> RetentionScan:
    """Reads all blocks once and says who entered and who came back.

    memory_bytes: what the waiting records may take: 16 bytes each, 24 with values; mostly far
        fewer than events
    threads: how many walk; reading the blocks is one thread's work

    Raises ValueError for a block of the wrong form, MemoryError when the records do not fit, ScannerMissing
    when the native library was not built.
    """
    with closing(_Scanner(plan, memory_bytes)) as scanner:
        for block in blocks:
            scanner.feed(block)
        return scanner.walk(threads)


def tally(
    plan: RetentionPlan, scan: RetentionScan, groups: NDArray[np.uint32], count: int
) -> NDArray[np.int64]:
    """The cells of each group, (count, rows, periods + 1); `groups` has the group of each entry."""
    cells = np.zeros((count, plan.rows, plan.periods + 1), np.int64)
    if len(groups) != len(scan.keys) or (len(groups) and int(groups.max()) >= count):
        raise ValueError("groups: one of each entry, below count")
    load_library().retention_tally(
        address_of(contiguous(scan.rows, np.uint32, "rows")),
        address_of(contiguous(scan.retained, np.uint64, "retained")),
        address_of(contiguous(groups, np.uint32, "groups")),
        len(groups),
        plan.rows,
        plan.periods,
        address_of(cells),
    )
    return cells


class _Scanner:
    """One `retention_scanner` of retention.h and the array that it borrows."""

    def __init__(self, plan: RetentionPlan, memory_bytes: int) -> None:
        self._library = load_library()
        self._plan = plan
        self._memory_bytes = memory_bytes
        self._events = 0
        self._edges = np.array(plan.edges_ms, np.int64)
        native_plan = _Plan(
            rows=plan.rows,
            periods=plan.periods,
            entry=_ENTRIES[plan.entry],
            or_after=plan.mode == "on_or_after",
            rolling=plan.rolling,
            min_occurrences=plan.min_occurrences,
            with_values=plan.with_values,
            edge_count=len(self._edges),
            edges_ms=self._edges.ctypes.data,
            memory_bytes=memory_bytes,
        )
        self._handle = _pointer()
        self._check(self._library.retention_create(ctypes.byref(native_plan), ctypes.byref(self._handle)))

    def feed(self, block: Block) -> None:
        if len(block) != self._plan.columns or len({len(column) for column in block}) != 1:
            raise ValueError(f"a block has {self._plan.columns} columns of equal length")
        keys = contiguous(block[0], np.uint64, "keys")
        times = contiguous(block[1], np.int64, "times")
        masks = contiguous(block[2], np.uint8, "masks")
        values = contiguous(block[3], np.uint32, "values") if self._plan.with_values else None
        status = self._library.retention_feed(
            self._handle,
            address_of(keys),
            address_of(times),
            address_of(masks),
            address_of(values),
            len(keys),
        )
        if status == BAD_TIME:
            bad = times[(times < EARLIEST_MS) | (times > LATEST_MS)][0]
            raise ValueError(f"times: {bad} ms is outside the years 1900 to 2457")
        self._check(status)
        self._events += len(keys)

    def walk(self, threads: int) -> RetentionScan:
        """With at most so many threads."""
        threads = threads if self._events > _EVENTS_A_THREAD else 1
        ranks = contiguous(self._plan.ranks(), np.uint32, "ranks") if self._plan.ranks else None
        edges = [BUCKETS * i // threads for i in range(threads + 1)]
        shape = (0 if self._plan.listed else threads, self._plan.rows, self._plan.periods + 1)
        cells = np.zeros(shape, np.int64)
        found = [_Entries() for _ in range(threads)]

        def walk_range(i: int) -> int:
            status: int = self._library.retention_walk(
                self._handle, address_of(ranks), 0 if ranks is None else len(ranks), edges[i], edges[i + 1],
                None if self._plan.listed else address_of(cells[i]), ctypes.byref(found[i]),
            )  # fmt: skip
            return status

        statuses = walk_in_threads(walk_range, threads)
        entries = [self._take(part) for part in found]  # before any error, so that no column leaks
        for status in statuses:
            self._check(status)
        keys, rows, values, retained = (np.concatenate(parts) for parts in zip(*entries, strict=True))
        return RetentionScan(
            cells=None if self._plan.listed else cells.sum(axis=0),
            keys=keys,
            rows=rows,
            values=values,
            retained=retained,
            events=self._events,
        )

    def close(self) -> None:
        self._library.retention_destroy(self._handle)
        self._handle = _pointer()

    def _take(self, found: _Entries) -> tuple[NDArray[Any], ...]:
        """The found columns as arrays that own their memory."""
        words = self._plan.periods // 64 + 1

        def take(address: int | None, count: int, dtype: type[np.generic]) -> NDArray[Any]:
            return own_memory(address, count, np.dtype(dtype), self._library.scan_release)

        return (
            take(found.keys, found.count, np.uint64),
            take(found.rows, found.count, np.uint32),
            take(found.values, found.count, np.uint32),
            take(found.retained, found.count * words, np.uint64).reshape(-1, words),
        )

    def _check(self, status: int) -> None:
        if status == NO_MEMORY:
            raise MemoryError(
                f"the actors' intervals need more than {self._memory_bytes >> 20} MiB: choose a shorter "
                "range, fewer periods, narrower events or a sample"
            )
        if status == BAD_CODE:
            raise ValueError("ranks: a value's code has no rank")
        if status:
            raise RuntimeError(f"the scanner failed with status {status}")
