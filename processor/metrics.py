"""What the processor counts, for /metrics."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3, 6, 12, 30)


class ProcessorMetrics:
    """One set a registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.events = Counter(
            "footfall_processor_events", "Records by what became of them", ["outcome"], registry=registry
        )
        self.block_seconds = Histogram(
            "footfall_processor_block_seconds",
            "From a block's plan to its outcome",
            buckets=_SECONDS,
            registry=registry,
        )
        self.fresh_seconds = Histogram(
            "footfall_processor_freshness_seconds",
            "From the arrival of a block's oldest record to its outcome",
            buckets=_SECONDS,
            registry=registry,
        )
        self.step_seconds = Counter(
            "footfall_processor_step_seconds",
            "Time spent in each step of the pipeline",
            ["step"],
            registry=registry,
        )
        self.lag_records = Gauge(
            "footfall_processor_lag_records", "Log records that wait", ["partition"], registry=registry
        )
        self.oldest_seconds = Gauge(
            "footfall_processor_oldest_unread_seconds",
            "How long the oldest record of a partition has waited",
            ["partition"],
            registry=registry,
        )
        self.failing_seconds = Gauge(
            "footfall_processor_failing_seconds",
            "For how long the processor has been unable to go on; 0 while it works",
            registry=registry,
        )
        self.retries = Counter(
            "footfall_processor_retries", "Blocks tried again, by error", ["error"], registry=registry
        )


class RestampMetrics:
    """What the rewriting of stamps counts; one set a registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.overrides = Gauge(
            "footfall_processor_overrides", "Ids whose rows are corrected in queries", registry=registry
        )
        self.rows = Counter(
            "footfall_processor_restamped_rows", "Rows that were given to another person", registry=registry
        )
