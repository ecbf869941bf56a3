"""How much memory this machine, or the container on it, has for queries."""

from __future__ import annotations

import os
from pathlib import Path

MOST_BYTES, LEAST_BYTES = 4 << 30, 256 << 20
_CONTAINER_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


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
