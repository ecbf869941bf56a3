"""What queries may use follows from the settings and the machine."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from footfall.cli.answering import query_options_of
from footfall.cli.memory import LEAST_BYTES, MOST_BYTES, memory_share, total_memory
from footfall.settings import Settings
from query_api.options import QueryOptions

GIB = 1 << 30


def test_settings_become_options(tmp_path: Path) -> None:
    settings = Settings(
        home=tmp_path,
        query_seconds=7,
        query_memory_bytes=GIB,
        query_rows=8,
        query_disk_bytes=9,
        query_concurrency=10,
        query_project_concurrency=5,
        query_queue=12,
        query_project_queue=6,
    )
    assert query_options_of(settings) == QueryOptions(
        seconds=7,
        memory_bytes=GIB,
        rows=8,
        disk_bytes=9,
        concurrency=10,
        project_concurrency=5,
        queue=12,
        project_queue=6,
    )


def test_without_settings_the_defaults_hold_but_for_the_memory(tmp_path: Path) -> None:
    options = query_options_of(Settings(home=tmp_path))
    assert options == QueryOptions(memory_bytes=memory_share(4))


@pytest.mark.parametrize(
    ("total", "queries", "share"),
    [(64 * GIB, 4, MOST_BYTES), (8 * GIB, 4, GIB), (GIB, 16, LEAST_BYTES), (16 * GIB, 1, MOST_BYTES)],
)
def test_half_of_the_memory_is_shared_by_what_runs_at_once(
    total: int, queries: int, share: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("footfall.cli.memory.total_memory", lambda: total)
    assert memory_share(queries) == share


def test_a_containers_limit_counts_where_it_is_less_than_the_machine(tmp_path: Path) -> None:
    machine = total_memory(())
    for name, text in (("small", str(GIB // 2)), ("none", "max"), ("huge", str(1 << 62))):
        (tmp_path / name).write_text(text)
    assert total_memory((str(tmp_path / "small"),)) == GIB // 2
    for name in ("none", "huge", "missing"):
        assert total_memory((str(tmp_path / name),)) == machine


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator is told anything")
def test_what_was_freed_is_used_again_without_asking_the_kernel() -> None:
    program = """
import resource
from footfall.cli.memory import keep_freed_memory

def faults_of_large_blocks():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        bytearray(8 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

keep_freed_memory()
bytearray(8 << 20)
print(faults_of_large_blocks())
"""
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(told.stdout) < 50
