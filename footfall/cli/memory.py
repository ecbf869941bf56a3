"""How much memory there is for queries, and what a process does with memory that it has freed."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

MOST_BYTES, LEAST_BYTES = 4 << 30, 256 << 20
_CONTAINER_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's mallopt
_KEPT_FREE, _LARGEST_KEPT = 32 << 20, 16 << 20


def memory_share(queries: int) -> int:
    """Bytes for each of so many queries: half of all memory among them, 256 MiB to 4 GiB."""
    return min(MOST_BYTES, max(LEAST_BYTES, total_memory() // 2 // queries))


def total_memory(limits: tuple[str, ...] = _CONTAINER_LIMITS) -> int:
    """Bytes of the machine, or of the container where that has less."""
    found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for limit in limits:
        try:
            found.append(int(Path(limit).read_text()))  # "max" where there is none
        except (OSError, ValueError):
            continue
    return min(found)


def keep_freed_memory() -> None:
    """Up to 32 MiB of freed memory stay with each of the process's heaps, for what comes next.

    By itself glibc asks the kernel for the pages of every large block and gives them back, and a page comes
    at 1 to 5 us: a body of 2 MB, of which ten copies are made while it is judged and stored, costs as much
    in pages as in work. Nothing happens where there is no glibc.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT)
    mallopt(_M_TRIM_THRESHOLD, _KEPT_FREE)
