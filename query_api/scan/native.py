"""The scanner in C, called through ctypes: no call holds the interpreter's lock.

setup.py builds the library from the C files beside this one, with a compiler that comes as a wheel.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from query_api.scan.funnel_plan import EARLIEST_MS, LATEST_MS, Block, FunnelPlan, FunnelScan

BUCKETS = 512
_NO_END = np.iinfo(np.int64).max
_ORDERS = {"ordered": 0, "strict": 1, "any": 2}
NO_MEMORY, BAD_TIME, BAD_CODE = 1, 2, 3
_EVENTS_A_THREAD = 200_000  # below, a second thread costs more than it saves

_u32, _u64, _i64 = ctypes.c_uint32, ctypes.c_uint64, ctypes.c_int64


class ScannerMissing(RuntimeError):  # noqa: N818
    """The native library was not built."""


class _Plan(ctypes.Structure):
    """`scan_plan` of scan.h."""

    _fields_ = (
        ("steps", _u32),
        ("order", _u32),
        ("window_ms", _i64),
        ("entry_until_ms", _i64),
        ("exclusions", _u32),
        ("bucket_count", _u32),
        ("exclude_from", ctypes.c_void_p),
        ("exclude_to", ctypes.c_void_p),
        ("bucket_starts_ms", ctypes.c_void_p),
        ("with_values", _u32),
        ("partitioned", _u32),
        ("value_step", ctypes.c_int32),
        ("mask_bits", _u32),
        ("memory_bytes", _u64),
    )


class _Found(ctypes.Structure):
    """`scan_found` of scan.h."""

    _fields_ = (
        ("rows", _u64),
        ("bucket_rows_count", _u64),
        ("operations", _u64),
        ("keys", ctypes.c_void_p),
        ("levels", ctypes.c_void_p),
        ("step_times", ctypes.c_void_p),
        ("partitions", ctypes.c_void_p),
        ("first_values", ctypes.c_void_p),
        ("last_values", ctypes.c_void_p),
        ("step_values", ctypes.c_void_p),
        ("bucket_rows", ctypes.c_void_p),
        ("bucket_indexes", ctypes.c_void_p),
        ("bucket_levels", ctypes.c_void_p),
        ("capacity", _u64),
        ("bucket_capacity", _u64),
    )


def scan_funnel(
    blocks: Iterable[Block], plan: FunnelPlan, *, memory_bytes: int = 4 << 30, threads: int = 1
) -> FunnelScan:
    """Reads all blocks once and answers for every actor.

    memory_bytes: what the waiting events may take: 16 bytes each, 24 with values, 48 partitioned
    threads: how many walk; reading the blocks is one thread's work

    Raises ValueError for a block of the wrong form, MemoryError when the events do not fit, ScannerMissing
    when the native library was not built.
    """
    if not plan.partitioned:
        with closing(_Scanner(plan, memory_bytes)) as scanner:
            for block in blocks:
                scanner.feed(block)
            return scanner.walk(threads)
    # The rows are expensive to stream and cheap to hold twice: 32 bytes here, 16 there.
    with (
        closing(_Scanner(plan, memory_bytes * 2 // 3)) as scanner,
        closing(_Scanner(replace(plan, partitioned=False), memory_bytes // 3)) as whole,
    ):
        for block in blocks:
            scanner.feed(block)
            whole.feed(block[:-1])
        return replace(scanner.walk(threads), whole=whole.walk(threads))


class _Scanner:
    """One `scanner` of scan.h and the arrays that it borrows."""

    def __init__(self, plan: FunnelPlan, memory_bytes: int) -> None:
        self._library = load_library()
        self._plan = plan
        self._memory_bytes = memory_bytes
        self.events = 0
        self._exclude_from = np.array([f for f, _ in plan.exclusions], np.uint32)
        self._exclude_to = np.array([t for _, t in plan.exclusions], np.uint32)
        self._bucket_starts = np.array(plan.bucket_starts_ms, np.int64)
        native_plan = _Plan(
            steps=plan.steps,
            order=_ORDERS[plan.order],
            window_ms=plan.window_ms,
            entry_until_ms=_NO_END if plan.entry_until_ms is None else plan.entry_until_ms,
            exclusions=len(plan.exclusions),
            bucket_count=len(plan.bucket_starts_ms),
            exclude_from=self._exclude_from.ctypes.data,
            exclude_to=self._exclude_to.ctypes.data,
            bucket_starts_ms=self._bucket_starts.ctypes.data,
            with_values=plan.with_values,
            partitioned=plan.partitioned,
            value_step=-1 if plan.value_step is None else plan.value_step,
            mask_bits=plan.mask_bits,
            memory_bytes=memory_bytes,
        )
        self._handle = ctypes.c_void_p()
        self._check(self._library.scan_create(ctypes.byref(native_plan), ctypes.byref(self._handle)))

    def feed(self, block: Block) -> None:
        if len(block) != self._plan.columns:
            raise ValueError(f"a block has {len(block)} columns, this plan reads {self._plan.columns}")
        if len({len(column) for column in block}) != 1:
            raise ValueError(f"a block's columns differ in length: {[len(column) for column in block]}")
        keys = contiguous(block[0], np.uint64, "keys")
        times = contiguous(block[1], np.int64, "times")
        masks = _mask_column(block[2])
        values = contiguous(block[3], np.uint32, "values") if self._plan.with_values else None
        partitions = contiguous(block[-1], np.uint32, "partitions") if self._plan.partitioned else None
        status = self._library.scan_feed(
            self._handle, address_of(keys), address_of(times), address_of(masks), masks.itemsize,
            address_of(values), address_of(partitions), len(keys),
        )  # fmt: skip
        if status == BAD_TIME:
            bad = times[(times < EARLIEST_MS) | (times > LATEST_MS)][0]
            raise ValueError(f"times: {bad} ms is outside the years 1900 to 2457")
        self._check(status)
        self.events += len(keys)

    def walk(self, threads: int) -> FunnelScan:
        """With at most so many threads."""
        if self.events <= _EVENTS_A_THREAD:
            threads = 1
        ranks = contiguous(self._plan.ranks(), np.uint32, "ranks") if self._plan.ranks else None
        edges = [BUCKETS * i // threads for i in range(threads + 1)]
        found = [_Found() for _ in range(threads)]

        def walk_range(i: int) -> int:
            status: int = self._library.scan_walk(
                self._handle, address_of(ranks), 0 if ranks is None else len(ranks), edges[i], edges[i + 1],
                ctypes.byref(found[i]),
            )  # fmt: skip
            return status

        statuses = walk_in_threads(walk_range, threads)
        parts = [self._take(part) for part in found]  # before any error, so that no column leaks
        for status in statuses:
            self._check(status)
        return parts[0] if len(parts) == 1 else _join(parts, self.events)

    def close(self) -> None:
        self._library.scan_destroy(self._handle)
        self._handle = ctypes.c_void_p()

    def _take(self, found: _Found) -> FunnelScan:
        """The found columns as arrays that own their memory."""
        plan, n, m = self._plan, found.rows, found.bucket_rows_count

        def take(address: int | None, count: int, dtype: type[np.generic]) -> NDArray[Any]:
            return own_memory(address, count, np.dtype(dtype), self._library.scan_release)

        return FunnelScan(
            keys=take(found.keys, n, np.uint64),
            levels=take(found.levels, n, np.uint8),
            step_times=take(found.step_times, n * plan.steps, np.int64).reshape(n, plan.steps),
            partitions=take(found.partitions, n, np.uint32) if plan.partitioned else None,
            first_values=take(found.first_values, n, np.uint32) if plan.with_values else None,
            last_values=take(found.last_values, n, np.uint32) if plan.with_values else None,
            step_values=take(found.step_values, n, np.uint32) if plan.value_step is not None else None,
            bucket_rows=take(found.bucket_rows, m, np.int64),
            bucket_indexes=take(found.bucket_indexes, m, np.uint32),
            bucket_levels=take(found.bucket_levels, m, np.uint8),
            events=self.events,
            operations=found.operations,
        )

    def _check(self, status: int) -> None:
        if status == NO_MEMORY:
            raise MemoryError(
                f"the funnel's events need more than {self._memory_bytes >> 20} MiB: choose a shorter range, "
                "narrower steps or a sample"
            )
        if status == BAD_CODE:
            raise ValueError("ranks: a value's code has no rank")
        if status:
            raise RuntimeError(f"the scanner failed with status {status}")


def _join(parts: list[FunnelScan], events: int) -> FunnelScan:
    def join(pick: Callable[[FunnelScan], NDArray[Any] | None]) -> Any:
        arrays = [pick(part) for part in parts]
        return None if arrays[0] is None else np.concatenate([a for a in arrays if a is not None])

    rows_before = np.cumsum([0, *(len(part.keys) for part in parts)])
    return FunnelScan(
        keys=join(lambda part: part.keys),
        levels=join(lambda part: part.levels),
        step_times=join(lambda part: part.step_times),
        partitions=join(lambda part: part.partitions),
        first_values=join(lambda part: part.first_values),
        last_values=join(lambda part: part.last_values),
        step_values=join(lambda part: part.step_values),
        bucket_rows=np.concatenate(
            [part.bucket_rows + before for part, before in zip(parts, rows_before, strict=False)]
        ),
        bucket_indexes=join(lambda part: part.bucket_indexes),
        bucket_levels=join(lambda part: part.bucket_levels),
        events=events,
        operations=sum(part.operations for part in parts),
    )


def walk_in_threads(walk: Callable[[int], int], threads: int) -> list[int]:
    """What `walk` says of the ranges 0 to `threads` - 1, each in a thread of its own."""
    if threads == 1:
        return [walk(0)]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(walk, range(threads)))


def own_memory(
    address: int | None, count: int, dtype: np.dtype[Any], release: Callable[[int], None]
) -> NDArray[Any]:
    """An array over C memory that frees it when nobody uses it any more."""
    if not address:
        return np.empty(0, dtype)
    buffer = (ctypes.c_char * (count * dtype.itemsize)).from_address(address)
    weakref.finalize(buffer, release, address).atexit = False
    owned: NDArray[Any] = np.frombuffer(memoryview(buffer), dtype)
    return owned


def contiguous(column: NDArray[Any], dtype: type[np.generic], name: str) -> NDArray[Any]:
    """The column as C reads it; ValueError where it is of another type."""
    if column.dtype != dtype:
        raise ValueError(f"{name}: {np.dtype(dtype)}, not {column.dtype}")
    return np.ascontiguousarray(column)


def _mask_column(column: NDArray[Any]) -> NDArray[Any]:
    if column.dtype.kind != "u":
        raise ValueError(f"masks: an unsigned integer type, not {column.dtype}")
    return np.ascontiguousarray(column)


def address_of(column: NDArray[Any] | None) -> int | None:
    """Where a column's memory begins; None for none."""
    return None if column is None else column.ctypes.data


@cache
def load_library() -> ctypes.CDLL:
    """The built library; raises ScannerMissing, which says how to build it."""
    path = Path(__file__).with_name("_scan.so")
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise ScannerMissing(
            f"{path} cannot be loaded ({error}). Build it: pip install -e . (in the checkout), "
            "or pip install --no-binary footfall footfall"
        ) from error
    pointer = ctypes.c_void_p
    library.scan_create.argtypes = (pointer, pointer)
    library.scan_feed.argtypes = (pointer, pointer, pointer, pointer, _u32, pointer, pointer, _u64)
    library.scan_walk.argtypes = (pointer, pointer, _u64, _u32, _u32, pointer)
    library.scan_destroy.argtypes = (pointer,)
    library.scan_destroy.restype = None
    library.scan_release.argtypes = (pointer,)
    library.scan_release.restype = None
    library.retention_create.argtypes = (pointer, pointer)
    library.retention_feed.argtypes = (pointer, pointer, pointer, pointer, pointer, _u64)
    library.retention_walk.argtypes = (pointer, pointer, _u64, _u32, _u32, pointer, pointer)
    library.retention_tally.argtypes = (pointer, pointer, pointer, _u64, _u32, _u32, pointer)
    library.retention_tally.restype = None
    library.retention_destroy.argtypes = (pointer,)
    library.retention_destroy.restype = None
    library.paths_create.argtypes = (pointer, pointer)
    library.paths_feed.argtypes = (*[pointer] * 7, _u64)
    library.paths_names.argtypes = (pointer, pointer)
    library.paths_names.restype = pointer
    library.paths_walk.argtypes = (pointer, pointer, pointer, _u32, _u32, _u32, pointer)
    library.paths_destroy.argtypes = (pointer,)
    library.paths_destroy.restype = None
    return library
