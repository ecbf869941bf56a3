"""Descriptors: the work leaves none behind, and a process may hold as many as the system allows.

chDB keeps three files open for each of its threads, some hundred of them: those are not counted here.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from footfall.storage.store import Store
from tests.system import System, open_system

on_linux = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's /proc")
_LAST_DAYS = {"range": {"last": {"value": 2, "unit": "day"}}}


def held() -> Counter[str]:
    """The files that this process has open, but for libraries and the files of threads."""
    found: Counter[str] = Counter()
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            name = str(descriptor.readlink())
        except FileNotFoundError:  # the one by which the directory is read
            continue
        if "/task/" not in name and ".so" not in name and not name.endswith(".debug"):
            found[name.partition(":")[0]] += 1
    return found


async def work(system: System, number: int) -> None:
    """A block that writes to many tables, and answers from them."""
    record = {"type": "track", "event": "view", "distinct_id": f"device {number}"}
    bound = {"type": "track", "event": "view", "distinct_id": f"lin {number}"}
    bound |= {"login_id": f"lin {number}", "anonymous_id": f"device {number}"}
    profile = {"type": "profile_set", "distinct_id": f"lin {number}", "properties": {"level": number}}
    await system.send(record, bound, profile, {"event": "not a name!"})
    await system.settle()
    await system.ask("funnel", {"steps": [{"event": "view"}, {"event": "view"}]} | _LAST_DAYS)
    await system.ask("trends", {"series": [{"event": "view", "measure": "users"}]} | _LAST_DAYS)


@on_linux
async def test_blocks_and_queries_leave_no_descriptor_behind(system: System) -> None:
    for number in range(3):
        await work(system, number)
    before = held()
    for number in range(3, 15):
        await work(system, number)
    assert (held() - before).total() <= 2, held() - before


@on_linux
async def test_what_was_opened_is_closed_in_the_end(store: Store, store_url: str, tmp_path: Path) -> None:
    counts = []
    for number in range(4):
        directory = tmp_path / str(number)
        directory.mkdir()
        url = f"{store_url}?database=descriptors_{number}"
        async with open_system(url, directory, log_url=f"sqlite:///{directory}/log") as system:
            await work(system, number)
        counts.append(held())
    assert (counts[-1] - counts[0]).total() <= 2, counts[-1] - counts[0]


def test_a_process_of_ours_may_hold_many_where_the_system_begins_with_few() -> None:
    script = """
from footfall.cli.descriptors import allow_descriptors
import resource
allow_descriptors()
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    said = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, most)),
    )
    assert said.stdout.split() == [str(min(most, 65_536)), str(most)]
