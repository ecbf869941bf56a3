"""What the query API counts, for /metrics: see footfall/metrics.py."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, generate_latest

from footfall.metrics import counter, gauge, histogram


class Meters:
    """The query API's metrics, and whatever else its process keeps in the same registry."""

    def __init__(
        self,
        registry: CollectorRegistry,
        running: Callable[[], int],
        behind_seconds: Callable[[], float],
        waiting: Callable[[], int] = lambda: 0,
    ) -> None:
        self._registry = registry
        self.requests = counter("footfall_query_requests", registry)
        self.seconds = histogram("footfall_query_seconds", registry)
        self.cached = counter("footfall_query_cached", registry)
        self.rows_read = counter("footfall_query_rows_read", registry)
        self.private_key_uses = counter("footfall_private_key_uses", registry)
        self.shared = counter("footfall_query_shared", registry)
        gauge("footfall_query_running", registry).set_function(running)
        gauge("footfall_query_waiting", registry).set_function(waiting)
        gauge("footfall_query_behind_seconds", registry).set_function(behind_seconds)

    def exposition(self) -> bytes:
        """The text that Prometheus reads."""
        return generate_latest(self._registry)
