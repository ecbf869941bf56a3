"""What the query API counts for Prometheus. Every name has a line in docs/query-api.md."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


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
        self.requests = Counter(
            "footfall_query_requests",
            "Requests answered.",
            ("route", "status"),
            registry=self._registry,
        )
        self.seconds = Histogram(
            "footfall_query_seconds",
            "Time from the request to its answer.",
            ("route",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.cached = Counter(
            "footfall_query_cached", "Answers that came from the cache.", registry=self._registry
        )
        self.rows_read = Counter(
            "footfall_query_rows_read", "Rows that queries read in the store.", registry=self._registry
        )
        self.private_key_uses = Counter(
            "footfall_private_key_uses",
            "Session keys of replayed envelopes that a private key was asked to open: opened or refused.",
            ("project", "key", "outcome"),
            registry=self._registry,
        )
        self.shared = Counter(
            "footfall_query_shared", "Answers that an equal query was computing.", registry=self._registry
        )
        Gauge("footfall_query_running", "Queries that run now.", registry=self._registry).set_function(
            running
        )
        Gauge(
            "footfall_query_waiting", "Queries that wait for their turn.", registry=self._registry
        ).set_function(waiting)
        Gauge(
            "footfall_query_behind_seconds",
            "How long ago the moment is up to which everything accepted is in the answers.",
            registry=self._registry,
        ).set_function(behind_seconds)

    def exposition(self) -> bytes:
        """The text that Prometheus reads."""
        return generate_latest(self._registry)
