"""The gate before the store: so many queries at once, so many that wait, the rest are told to come again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from query_api.problems import Busy

Answer = TypeVar("Answer")


class Gate:
    """Runs blocking work in its own threads, never on the event loop."""

    def __init__(self, concurrency: int, queue: int) -> None:
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="query")
        self._places = concurrency + queue
        self.inside = 0

    async def run(self, work: Callable[[], Answer]) -> Answer:
        """What `work` returns; Busy at once if too many wait already."""
        if self.inside >= self._places:
            raise Busy("too many queries at once: try again in a moment")
        self.inside += 1
        future = asyncio.get_running_loop().run_in_executor(self._threads, work)
        # A query whose client went away keeps its place until it ends.
        future.add_done_callback(lambda _: self._leave())
        return await asyncio.shield(future)

    def close(self) -> None:
        """Waits for what runs, drops what waits."""
        self._threads.shutdown(cancel_futures=True)

    def _leave(self) -> None:
        self.inside -= 1
