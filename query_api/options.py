"""What queries may use. The command line fills this in from the settings."""

from __future__ import annotations

from dataclasses import dataclass

from footfall.storage.store import QueryLimits


@dataclass(frozen=True, slots=True)
class QueryOptions:
    """Limits of the query API, each with a default for one machine."""

    seconds: float = 60.0
    memory_bytes: int = 4 << 30
    rows: int = 2_000_000_000  # that a query may read; 0: any number
    disk_bytes: int = 16 << 30  # that it may put aside on disk; 0: any number
    threads: int = 0  # 0: as many as the machine has
    concurrency: int = 4  # queries at once
    project_concurrency: int = 3  # of one project: the rest is for others
    queue: int = 64  # queries that may wait for their turn
    project_queue: int = 32  # of one project
    cached_answers: int = 500
    cached_bytes: int = 64 << 20  # of their JSON
    sweep_seconds: float = 5.0  # between looks for envelopes whose key has come; 0: never
    retired_seconds: float = 5.0  # how old what is known of dropped events may be

    @property
    def limits(self) -> QueryLimits:
        return QueryLimits(
            self.seconds, self.memory_bytes, self.threads, rows=self.rows, disk_bytes=self.disk_bytes
        )
