"""Session keys of encrypted envelopes: opened once, off the event loop, within a budget.

Opening one costs a millisecond or two of asymmetric arithmetic, and whoever has a write key can ask for any
number of them: so there is a rate, a bounded queue, and of both one project gets at most half.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from hashlib import blake2b
from time import monotonic
from typing import Final

from collector.answers import Overloaded
from collector.counts import Counts
from collector.key_use import KeyUses
from collector.options import CollectorOptions
from footfall.envelopes.opening import Asked, Sessions

_Name = tuple[str, bytes, bytes]  # project, mark of the key, hash of the ekey
_Opened = dict[_Name, bytes | None]
_MOST_PROJECTS: Final = 10_000


class SessionKeys:
    """For one event loop."""

    def __init__(
        self,
        options: CollectorOptions,
        counts: Counts,
        key_uses: KeyUses,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """`clock` gives seconds."""
        self._counts = counts
        self._key_uses = key_uses
        self._clock = clock
        self._most_waiting = options.session_keys_waiting
        self._rate = float(options.session_keys_per_second)
        self._all = _Bucket(self._rate, clock)
        self._of_project: dict[str, _Bucket] = {}
        self._waiting: Counter[str] = Counter()
        self._turn = asyncio.Lock()
        self._kept: OrderedDict[_Name, bytes | None] = OrderedDict()
        self._most_kept = options.session_keys_kept
        self._opening: dict[_Name, asyncio.Task[_Opened]] = {}

    async def open(self, project: str, asked: Sequence[Asked]) -> Sessions:
        """The session keys asked for. Raises Overloaded before anything is opened for them."""
        names = {(each.key.name, each.ekey): _name(project, each) for each in asked}
        new = [
            each
            for each, name in zip(asked, names.values(), strict=True)
            if name not in self._kept and name not in self._opening
        ]
        known = {name: self._recall(name) for name in names.values() if name in self._kept}
        tasks = {self._opening[name] for name in names.values() if name in self._opening}
        if new:
            tasks.add(self._begin(project, new))
        for task in tasks:
            known |= await asyncio.shield(task)
        return {asked_name: known[name] for asked_name, name in names.items()}

    def _recall(self, name: _Name) -> bytes | None:
        self._kept.move_to_end(name)
        return self._kept[name]

    def _begin(self, project: str, asked: Sequence[Asked]) -> asyncio.Task[_Opened]:
        self._admit(project, len(asked))
        self._waiting[project] += len(asked)
        task = asyncio.ensure_future(self._open(project, asked))
        for each in asked:
            self._opening[_name(project, each)] = task
        return task

    def _admit(self, project: str, count: int) -> None:
        """Raises Overloaded."""
        waiting = self._waiting.total() + count
        if waiting > self._most_waiting or self._waiting[project] + count > self._most_waiting / 2:
            self._refuse("too many session keys of encrypted envelopes wait to be opened")
        if len(self._of_project) >= _MOST_PROJECTS:
            self._of_project.clear()
        mine = self._of_project.setdefault(project, _Bucket(self._rate / 2, self._clock))
        if not (mine.has(count) and self._all.has(count)):
            self._refuse("too many new session keys of encrypted envelopes at once")
        mine.spend(count)
        self._all.spend(count)

    def _refuse(self, why: str) -> None:
        self._counts.session_key_refusals += 1
        raise Overloaded(why)

    async def _open(self, project: str, asked: Sequence[Asked]) -> _Opened:
        try:
            async with self._turn:  # one at a time, so that the event loop keeps its share of the processor
                opened = await asyncio.to_thread(_open_all, project, asked)
        finally:
            self._waiting[project] -= len(asked)
            if not self._waiting[project]:
                del self._waiting[project]
            for each in asked:
                self._opening.pop(_name(project, each), None)
        for each in asked:
            session = opened[_name(project, each)]
            self._counts.private_key_uses[project, each.key.name, "opened" if session else "refused"] += 1
            self._key_uses.private_key(project, each.key.name)
        self._keep(opened)
        return opened

    def _keep(self, opened: _Opened) -> None:
        self._kept.update(opened)
        while len(self._kept) > self._most_kept:
            self._kept.popitem(last=False)


def _name(project: str, asked: Asked) -> _Name:
    return project, asked.key.mark, blake2b(asked.ekey, digest_size=32).digest()


def _open_all(project: str, asked: Sequence[Asked]) -> _Opened:
    return {_name(project, each): each.key.open_session(each.ekey) for each in asked}


class _Bucket:
    """A second's worth, refilled as time goes by."""

    def __init__(self, rate: float, clock: Callable[[], float]) -> None:
        self._rate = self._left = rate
        self._clock = clock
        self._refilled = clock()

    def has(self, count: int) -> bool:
        now = self._clock()
        self._left = min(self._rate, self._left + (now - self._refilled) * self._rate)
        self._refilled = now
        return self._left >= count

    def spend(self, count: int) -> None:
        self._left -= count
