"""What `footfall doctor` asks a Footfall that runs: whether it is ready, keeps up, and what it turns away."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping
from ssl import SSLContext
from typing import Final
from urllib.error import HTTPError
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from footfall import __version__
from footfall.cli.finding import Finding
from footfall.cli.ready import base_of
from footfall.cli.tls import trusting_ourselves
from footfall.settings import Settings

_WATCHED_SECONDS: Final = 2.0
_PATIENCE_SECONDS: Final = 5.0
_LONG_LAG_SECONDS: Final = 30.0
_MANY_REJECTED: Final = 0.05
_ENOUGH_TO_TELL: Final = 100

Samples = Mapping[tuple[str, str], float]
"""(metric, its label that tells most) -> value, over all workers and partitions."""

_LABELS: Final = {"footfall_collector_records_total": "outcome", "footfall_processor_events_total": "outcome"}


def ask_running(settings: Settings) -> list[Finding]:
    """Takes some seconds: what grows shows only in a second look."""
    context = trusting_ourselves(settings.tls_cert)
    collector = base_of(settings, settings.collect_port)
    query_api = base_of(settings, settings.query_port)
    findings = [_check_ready("collector", collector, context), _check_ready("query API", query_api, context)]
    try:
        findings.append(_check_version(query_api, context))
        before = _read_samples(f"{query_api}/metrics", context)
        time.sleep(_WATCHED_SECONDS)
        findings += judge_processor(before, _read_samples(f"{query_api}/metrics", context))
        findings.append(judge_records(_read_samples(f"{collector}/metrics", context)))
    except (OSError, ValueError) as error:
        findings.append(_silent("metrics", f"{query_api}/metrics", error))
    return findings


def judge_processor(before: Samples, after: Samples) -> list[Finding]:
    """From two looks at the query API's metrics."""
    failing = after.get(("footfall_processor_failing_seconds", ""), 0.0)
    stuck = Finding(
        "processor",
        failing == 0,
        "works" if failing == 0 else f"has been unable to go on for {failing:.0f} s",
        "its log lines 'processor.cannot_go_on' say why (the disk? the store?); nothing is lost, and it goes "
        "on by itself once it can",
    )
    lag = ("footfall_processor_lag_records", "")
    oldest = after.get(("footfall_processor_oldest_unread_seconds", ""), 0.0)
    grows = oldest > _LONG_LAG_SECONDS and after.get(lag, 0.0) >= before.get(lag, 0.0)
    seen = f"{after.get(lag, 0.0):.0f} log records wait, the oldest for {oldest:.0f} s"
    keeps_up = Finding(
        "lag",
        not grows,
        f"{seen}, and they become no fewer" if grows else seen,
        "more comes than this machine processes, or something else takes its CPU or disk (footfall_processor_"
        "step_seconds_total on /metrics shows where the time goes)",
    )
    return [stuck, keeps_up]


def judge_records(collector: Samples) -> Finding:
    """From the collector's metrics: whether much of what comes is turned away."""
    outcomes = {outcome: count for (name, outcome), count in collector.items() if name in _LABELS and outcome}
    total = sum(outcomes.values())
    reasons = {outcome: count for outcome, count in outcomes.items() if outcome != "accepted" and count}
    rejected = sum(reasons.values())
    most = max(reasons, key=reasons.__getitem__, default="")
    seen = f"{rejected:.0f} of {total:.0f} records since the start" + (f", most {most}" if most else "")
    ok = total < _ENOUGH_TO_TELL or rejected <= _MANY_REJECTED * total
    remedy = f"see docs/limits.md on {most}, and the dead letters themselves: footfall dead-letters"
    return Finding("dead letters", ok, seen, remedy)


def read_samples(text: str) -> Samples:
    """Prometheus' text format, summed over the labels that do not matter here; ages are not summed."""
    found: Counter[tuple[str, str]] = Counter()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = sample.name, sample.labels.get(_LABELS.get(sample.name, ""), "")
            if sample.name.endswith("oldest_unread_seconds"):
                found[key] = max(found[key], sample.value)  # type: ignore[assignment]  # a Counter of floats
            else:
                found[key] += sample.value  # type: ignore[assignment]
    return found


def _read_samples(url: str, context: SSLContext | None) -> Samples:
    return read_samples(_fetch(url, context))


def _check_ready(what: str, base: str, context: SSLContext | None) -> Finding:
    url = f"{base}/readyz"
    try:
        answer = json.loads(_fetch(url, context))
    except HTTPError as error:
        with error:
            why = _reason(error.read())
        remedy = "do what it says; while it is not ready, clients keep their events"
        return Finding(what, False, f"running, but not ready: {why}", remedy)
    except (OSError, ValueError) as error:
        return _silent(what, url, error)
    return Finding(what, True, f"running, {url} answers {answer.get('status')}")


def _check_version(query_api: str, context: SSLContext | None) -> Finding:
    running = str(json.loads(_fetch(f"{query_api}/openapi.json", context))["info"]["version"])
    remedy = "stop the one that runs and start it from here: it is of another version"
    return Finding("version", running == __version__, f"{__version__} here, {running} runs", remedy)


def _silent(what: str, url: str, error: Exception) -> Finding:
    remedy = "look at the lines that `footfall up` writes; if the port is another one, set it here, too"
    return Finding(what, False, f"running, but {url}: {error}", remedy)


def _fetch(url: str, context: SSLContext | None) -> str:
    with urlopen(url, timeout=_PATIENCE_SECONDS, context=context) as answer:  # noqa: S310 - to ourselves
        text: str = answer.read().decode()
        return text


def _reason(body: bytes) -> str:
    """Of an answer 503: the collector's `reason`, the query API's `detail`."""
    try:
        answer = json.loads(body)
        return str(answer.get("reason") or answer.get("detail"))
    except (ValueError, AttributeError):
        return body[:200].decode(errors="replace")
