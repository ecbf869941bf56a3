"""Every metric that a service of Footfall shows at /metrics, in one list: name, kind, labels, what it says.

Services make theirs from here, by name, so that none is shown that is not in the list; docs/metrics.md is
held to it by a test. A counter's name is without `_total`, which Prometheus adds.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

Kind = Literal["counter", "gauge", "histogram"]
Service = Literal["collect", "process", "query"]

REQUEST_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_BLOCK_BUCKETS: Final = (0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3, 6, 12, 30)
_QUERY_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metric(NamedTuple):
    """One metric. `services`: by which command it is shown; `footfall up` shows all, on two ports."""

    name: str
    kind: Kind
    about: str
    labels: tuple[str, ...]
    services: tuple[Service, ...]
    buckets: tuple[float, ...] = ()

    @property
    def shown_as(self) -> str:
        """Its name at /metrics."""
        return f"{self.name}_total" if self.kind == "counter" else self.name


def _collect(name: str, kind: Kind, about: str, *labels: str, buckets: tuple[float, ...] = ()) -> Metric:
    return Metric(f"footfall_collector_{name}", kind, about, (*labels, "worker"), ("collect",), buckets)


def _process(name: str, kind: Kind, about: str, *labels: str, buckets: tuple[float, ...] = ()) -> Metric:
    return Metric(f"footfall_processor_{name}", kind, about, labels, ("process",), buckets)


def _query(name: str, kind: Kind, about: str, *labels: str, buckets: tuple[float, ...] = ()) -> Metric:
    return Metric(f"footfall_query_{name}", kind, about, labels, ("query",), buckets)


_LIST: Final = (
    _collect("requests", "counter", "Requests answered.", "door", "status"),
    _collect(
        "records",
        "counter",
        "Records that are durable, dead letters, too; outcome is 'accepted' or the reason of refusal.",
        "door",
        "outcome",
    ),
    _collect("body_bytes", "counter", "Body bytes as they came.", "door"),
    _collect("ignored_fields", "counter", "Unknown fields that the Sensors door let pass."),
    _collect("crc", "counter", "Checksums of Sensors SDKs: match, mismatch or absent.", "result"),
    _collect("gzip_code", "counter", "The gzip parameter of Sensors SDKs.", "code"),
    _collect(
        "private_key_uses",
        "counter",
        "Session keys that a private key was asked to open: opened or refused.",
        "project",
        "key",
        "outcome",
    ),
    _collect(
        "session_key_refusals",
        "counter",
        "Requests answered 503 because too many session keys were to be opened.",
    ),
    _collect(
        "masked",
        "counter",
        "Values of personal data that privacy hid or dropped, by what was found or who asked for it.",
        "project",
        "kind",
        "action",
    ),
    _collect("clients_gone", "counter", "Requests whose client left before the end of its body."),
    _collect("log_refusals", "counter", "Requests answered 503 because the disk or the log took no more."),
    _collect("in_work", "gauge", "Requests in work."),
    _collect(
        "request_seconds",
        "histogram",
        "From the first byte of the head to the answer.",
        buckets=REQUEST_BUCKETS,
    ),
    _collect("spooled_records", "counter", "Log records that went to the spool, the log being away."),
    _collect("spool_waiting_bytes", "gauge", "What waits in the spool for the log to be back."),
    _collect(
        "spool_waiting_since_seconds",
        "gauge",
        "When the oldest record in the spool came (Unix time); 0: none waits.",
    ),
    _process("events", "counter", "Records by what became of them.", "outcome"),
    _process("block_seconds", "histogram", "From a block's plan to its outcome.", buckets=_BLOCK_BUCKETS),
    _process(
        "freshness_seconds",
        "histogram",
        "From the arrival of a block's oldest record to its outcome.",
        buckets=_BLOCK_BUCKETS,
    ),
    _process("step_seconds", "counter", "Time spent in each step of the pipeline.", "step"),
    _process("lag_records", "gauge", "Log records that wait.", "partition"),
    _process(
        "oldest_unread_seconds", "gauge", "How long the oldest record of a partition has waited.", "partition"
    ),
    _process(
        "failing_seconds",
        "gauge",
        "For how long the processor has been unable to go on (its log lines processor.cannot_go_on say why); "
        "0 while it works.",
    ),
    _process("retries", "counter", "Blocks tried again, by error.", "error"),
    _process(
        "overrides",
        "gauge",
        "Ids whose rows are corrected in queries, until the restamper has rewritten them.",
    ),
    _process("restamped_rows", "counter", "Rows that the restamper gave to another person."),
    _query("requests", "counter", "Requests answered; status 499: the client left.", "route", "status"),
    _query("seconds", "histogram", "Time from the request to its answer.", "route", buckets=_QUERY_BUCKETS),
    _query("cached", "counter", "Answers that came from the cache."),
    _query("shared", "counter", "Answers that an equal query was computing."),
    _query("rows_read", "counter", "Rows that queries read in the store."),
    _query("running", "gauge", "Queries that run now."),
    _query("waiting", "gauge", "Queries that wait for their turn."),
    _query(
        "behind_seconds",
        "gauge",
        "How long ago the moment is up to which everything accepted is in the answers.",
    ),
    Metric(
        "footfall_private_key_uses",
        "counter",
        "Session keys of replayed envelopes that a private key was asked to open: opened or refused.",
        ("project", "key", "outcome"),
        ("query",),
    ),
    Metric(
        "footfall_retrying_since_seconds",
        "gauge",
        "Since when something is tried again and again (Unix time); 0: it works. Log lines weather.bad say "
        "why.",
        ("what",),
        ("process", "query"),
    ),
    _collect(
        "retrying_since_seconds",
        "gauge",
        "Since when a worker tries something again and again (Unix time); 0: it works.",
        "what",
    ),
)

METRICS: Final[dict[str, Metric]] = {metric.name: metric for metric in _LIST}


def counter(name: str, registry: CollectorRegistry) -> Counter:
    """The counter of that name, in a registry. KeyError where the list has none."""
    metric = _of_kind(name, "counter")
    return Counter(name, metric.about, metric.labels, registry=registry)


def gauge(name: str, registry: CollectorRegistry) -> Gauge:
    """The gauge of that name, in a registry. KeyError where the list has none."""
    metric = _of_kind(name, "gauge")
    return Gauge(name, metric.about, metric.labels, registry=registry)


def histogram(name: str, registry: CollectorRegistry) -> Histogram:
    """The histogram of that name, in a registry. KeyError where the list has none."""
    metric = _of_kind(name, "histogram")
    return Histogram(name, metric.about, metric.labels, buckets=metric.buckets, registry=registry)


def _of_kind(name: str, kind: Kind) -> Metric:
    metric = METRICS[name]
    if metric.kind != kind:
        raise KeyError(f"{name} is a {metric.kind}, no {kind}")
    return metric
