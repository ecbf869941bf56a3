"""What queries may use. The command line fills this in from the settings."""

from __future__ import annotations

from dataclasses import dataclass

from footfall.storage.store import QueryLimits


@dataclass(frozen=True, slots=True)
class QueryOptions:
    """Limits of the query API, each with a default for one machine."""

    seconds: float = 60.0
    memory_bytes: int = 4 << 30
    threads: int = 0  # 0: as many as the machine has
    concurrency: int = 4  # queries at once
    queue: int = 64  # queries that may wait for their turn
    cached_answers: int = 500

    @property
    def limits(self) -> QueryLimits:
        return QueryLimits(self.seconds, self.memory_bytes, self.threads)
