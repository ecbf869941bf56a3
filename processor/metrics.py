"""What the processor counts, for /metrics: see footfall/metrics.py."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from footfall.metrics import counter, gauge, histogram


class ProcessorMetrics:
    """One set a registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.events = counter("footfall_processor_events", registry)
        self.block_seconds = histogram("footfall_processor_block_seconds", registry)
        self.fresh_seconds = histogram("footfall_processor_freshness_seconds", registry)
        self.step_seconds = counter("footfall_processor_step_seconds", registry)
        self.lag_records = gauge("footfall_processor_lag_records", registry)
        self.oldest_seconds = gauge("footfall_processor_oldest_unread_seconds", registry)
        self.failing_seconds = gauge("footfall_processor_failing_seconds", registry)
        self.retries = counter("footfall_processor_retries", registry)


class RestampMetrics:
    """What the rewriting of stamps counts; one set a registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.overrides = gauge("footfall_processor_overrides", registry)
        self.rows = counter("footfall_processor_restamped_rows", registry)
