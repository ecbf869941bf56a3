"""What the collector counts, and how Prometheus sees it.

Counting is a dict increment. Several workers share a port, so each leaves its counts in a file every second,
and whichever worker is asked shows its own, fresh, beside the others', a second old at most.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from footfall.metrics import METRICS, REQUEST_BUCKETS, Metric

_OURS: Final = [metric for metric in METRICS.values() if "collect" in metric.services]
_PREFIX: Final = "footfall_collector_"
_BESIDE: Final = frozenset(
    {"spooled_records", "spool_waiting_bytes", "spool_waiting_since_seconds", "retrying_since_seconds"}
)
"""What the worker's writer counts, where it has a spool."""

COUNTERS: Final = tuple(
    name
    for metric in _OURS
    if metric.kind == "counter" and (name := metric.name.removeprefix(_PREFIX)) not in _BESIDE
)
"""What is counted here, each shown as footfall_collector_<name>_total."""

Shot = dict[str, Any]


class Judged(NamedTuple):
    """What became of the records of a request."""

    outcomes: Mapping[str, int]  # 'accepted', or the reason of refusal
    ignored_fields: int


class Counts:
    """One worker's counts."""

    def __init__(
        self, worker: int = 0, directory: Path | None = None, beside: Callable[[], Shot] = dict
    ) -> None:
        """`beside` gives what the writer counts: name -> [[labels..., value], ...]."""
        self._worker = worker
        self._beside = beside
        self._directory = directory
        self.requests: Counter[tuple[str, int]] = Counter()
        self.records: Counter[tuple[str, str]] = Counter()
        self.body_bytes: Counter[str] = Counter()
        self.ignored_fields = 0
        self.crc: Counter[str] = Counter()
        self.gzip_code: Counter[str] = Counter()
        self.private_key_uses: Counter[tuple[str, str, str]] = Counter()
        self.session_key_refusals = 0
        self.masked: Counter[tuple[str, str, str]] = Counter()
        self.clients_gone = 0
        self.log_refusals = 0
        self.in_work = 0
        self.held = 0
        self._seconds_buckets = [0] * (len(REQUEST_BUCKETS) + 1)
        self._seconds_sum = 0.0

    def answered(self, door: str, status: int, seconds: float) -> None:
        self.requests[door, status] += 1
        self._seconds_buckets[bisect_left(REQUEST_BUCKETS, seconds)] += 1
        self._seconds_sum += seconds

    def stored(self, door: str, judged: Judged) -> None:
        """Counts records that are durable now, the accepted ones and the dead letters."""
        for outcome, count in judged.outcomes.items():
            self.records[door, outcome] += count
        self.ignored_fields += judged.ignored_fields

    def snapshot(self) -> Shot:
        """Everything as plain JSON values: name -> [[labels..., value], ...]."""
        shot: Shot = {}
        for name in COUNTERS:
            value = getattr(self, name)
            if isinstance(value, int):
                shot[name] = [[value]]
            else:
                shot[name] = [
                    [*map(str, key if isinstance(key, tuple) else (key,)), n] for key, n in value.items()
                ]
        return shot | {
            **self._beside(),
            "in_work": [[self.in_work]],
            "seconds_buckets": self._seconds_buckets,
            "seconds_sum": self._seconds_sum,
        }

    def leave_for_others(self) -> None:
        """Writes the snapshot where the other workers look for it. OSError if that cannot be written."""
        if self._directory is None:
            return
        self._directory.mkdir(parents=True, exist_ok=True)
        path = self._directory / f"collector-{self._worker}.json"
        draft = path.with_suffix(".draft")
        draft.write_bytes(orjson.dumps(self.snapshot()))
        draft.replace(path)

    def exposition(self) -> bytes:
        """The counts of all workers in Prometheus' text format."""
        shots = {self._worker: self.snapshot(), **self._read_others()}
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Shots(shots))
        return generate_latest(registry)

    def _read_others(self) -> dict[int, Shot]:
        shots: dict[int, Shot] = {}
        for path in self._directory.glob("collector-*.json") if self._directory else ():
            number = path.stem.partition("-")[2]
            if number.isdigit() and int(number) != self._worker:
                try:
                    shots[int(number)] = orjson.loads(path.read_bytes())
                except (OSError, orjson.JSONDecodeError):
                    continue  # gone or half-written: shown at the next scrape
        return shots


class _Shots(Collector):
    """Snapshots, by worker, as metric families."""

    def __init__(self, shots: dict[int, Shot]) -> None:
        self._shots = shots

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily]:
        for metric in _OURS:
            name = metric.name.removeprefix(_PREFIX)
            if metric.kind == "histogram":
                yield self._histogram(metric)
                continue
            form = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            family = form(metric.name, metric.about, labels=metric.labels)
            for worker, shot in self._shots.items():
                for *values, count in shot.get(name, []):
                    family.add_metric([*values, str(worker)], count)
            yield family

    def _histogram(self, metric: Metric) -> HistogramMetricFamily:
        seconds = HistogramMetricFamily(metric.name, metric.about, labels=metric.labels)
        for worker, shot in self._shots.items():
            seconds.add_metric([str(worker)], _cumulative(shot["seconds_buckets"]), shot["seconds_sum"])
        return seconds


def _cumulative(counts: list[int]) -> list[tuple[str, float]]:
    total = 0
    buckets: list[tuple[str, float]] = []
    for bound, count in zip([*map(str, REQUEST_BUCKETS), "+Inf"], counts, strict=True):
        total += count
        buckets.append((bound, total))
    return buckets
