"""What the collector counts, and how Prometheus sees it.

Counting is a dict increment. Several workers share a port, so each leaves its counts in a file every second,
and whichever worker is asked shows its own, fresh, beside the others', a second old at most.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

COUNTERS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "requests": ("Requests answered.", ("door", "status")),
    "records": (
        "Records that are durable, dead letters, too; outcome is 'accepted' or the reason of refusal.",
        ("door", "outcome"),
    ),
    "body_bytes": ("Body bytes as they came.", ("door",)),
    "ignored_fields": ("Unknown fields that the Sensors door let pass.", ()),
    "crc": ("Checksums of Sensors SDKs: match, mismatch or absent.", ("result",)),
    "gzip_code": ("The gzip parameter of Sensors SDKs.", ("code",)),
    "private_key_uses": (
        "Session keys that a private key was asked to open: opened or refused.",
        ("project", "key", "outcome"),
    ),
    "session_key_refusals": (
        "Requests answered 503 because too many session keys were to be opened.",
        (),
    ),
    "masked": (
        "Values of personal data that privacy hid or dropped, by what was found or who asked for it.",
        ("project", "kind", "action"),
    ),
    "clients_gone": ("Requests whose client left before the end of its body.", ()),
    "log_refusals": ("Requests answered 503 because the disk or the log took no more.", ()),
}
"""Each shown as footfall_collector_<name>_total, with its labels and the worker's number."""


class Judged(NamedTuple):
    """What became of the records of a request."""

    outcomes: Mapping[str, int]  # 'accepted', or the reason of refusal
    ignored_fields: int


class Counts:
    """One worker's counts."""

    def __init__(self, worker: int = 0, directory: Path | None = None) -> None:
        self._worker = worker
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
        self._seconds_buckets = [0] * (len(_BUCKETS) + 1)
        self._seconds_sum = 0.0

    def answered(self, door: str, status: int, seconds: float) -> None:
        self.requests[door, status] += 1
        self._seconds_buckets[bisect_left(_BUCKETS, seconds)] += 1
        self._seconds_sum += seconds

    def stored(self, door: str, judged: Judged) -> None:
        """Counts records that are durable now, the accepted ones and the dead letters."""
        for outcome, count in judged.outcomes.items():
            self.records[door, outcome] += count
        self.ignored_fields += judged.ignored_fields

    def snapshot(self) -> dict[str, Any]:
        """Everything as plain JSON values: name -> [[labels..., value], ...]."""
        shot: dict[str, Any] = {}
        for name in COUNTERS:
            value = getattr(self, name)
            if isinstance(value, int):
                shot[name] = [[value]]
            else:
                shot[name] = [
                    [*map(str, key if isinstance(key, tuple) else (key,)), n] for key, n in value.items()
                ]
        return shot | {
            "in_work": self.in_work,
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

    def _read_others(self) -> dict[int, dict[str, Any]]:
        shots: dict[int, dict[str, Any]] = {}
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

    def __init__(self, shots: dict[int, dict[str, Any]]) -> None:
        self._shots = shots

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily]:
        for name, (about, labels) in COUNTERS.items():
            family = CounterMetricFamily(f"footfall_collector_{name}", about, labels=[*labels, "worker"])
            for worker, shot in self._shots.items():
                for *values, count in shot.get(name, []):
                    family.add_metric([*values, str(worker)], count)
            yield family
        in_work = GaugeMetricFamily("footfall_collector_in_work", "Requests in work.", labels=["worker"])
        seconds = HistogramMetricFamily(
            "footfall_collector_request_seconds",
            "From the first byte of the head to the answer.",
            labels=["worker"],
        )
        for worker, shot in self._shots.items():
            in_work.add_metric([str(worker)], shot["in_work"])
            seconds.add_metric([str(worker)], _cumulative(shot["seconds_buckets"]), shot["seconds_sum"])
        yield in_work
        yield seconds


def _cumulative(counts: list[int]) -> list[tuple[str, float]]:
    total = 0
    buckets: list[tuple[str, float]] = []
    for bound, count in zip([*map(str, _BUCKETS), "+Inf"], counts, strict=True):
        total += count
        buckets.append((bound, total))
    return buckets
