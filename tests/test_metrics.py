"""One list of metrics: what each service shows, and what docs/metrics.md says, is what is in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.parser import text_string_to_metric_families

from collector.counts import Counts
from footfall.metrics import METRICS, Service, counter, gauge, histogram
from footfall.weather import WHAT, Weather
from processor.metrics import ProcessorMetrics, RestampMetrics
from query_api.meters import Meters

PAGE = (Path(__file__).parents[1] / "docs" / "metrics.md").read_text("utf-8")


def of(service: Service) -> set[str]:
    return {metric.name for metric in METRICS.values() if service in metric.services}


def shown(registry: CollectorRegistry) -> set[str]:
    return {family.name for family in registry.collect()}


def test_a_collector_shows_what_the_list_says() -> None:
    exposed = text_string_to_metric_families(Counts().exposition().decode())
    assert {family.name for family in exposed} == of("collect")


def test_a_processor_shows_what_the_list_says() -> None:
    registry = CollectorRegistry()
    ProcessorMetrics(registry)
    RestampMetrics(registry)
    Weather(registry)
    assert shown(registry) == of("process")


def test_the_query_api_shows_what_the_list_says() -> None:
    registry = CollectorRegistry()
    Weather(registry)
    Meters(registry, lambda: 0, lambda: 0.0)
    assert shown(registry) == of("query")


def test_what_is_made_is_of_the_kind_and_has_the_labels_of_the_list() -> None:
    forms = {"counter": (counter, Counter), "gauge": (gauge, Gauge), "histogram": (histogram, Histogram)}
    for metric in METRICS.values():
        make, form = forms[metric.kind]
        made = make(metric.name, CollectorRegistry())
        assert isinstance(made, form)
        assert made._labelnames == metric.labels
    with pytest.raises(KeyError, match="is a counter, no gauge"):
        gauge("footfall_query_requests", CollectorRegistry())


def test_the_page_has_every_metric_with_its_kind_labels_and_words() -> None:
    rows = re.findall(r"^\| `(footfall_\w+)` \| (\w+) \| (.*?) \| (.*?) \|$", PAGE, re.MULTILINE)
    assert rows == [
        (
            metric.shown_as,
            metric.kind,
            ", ".join(f"`{label}`" for label in metric.labels),
            metric.about,
        )
        for metric in sorted(METRICS.values(), key=lambda each: each.services)
    ]


def test_the_page_says_what_may_be_retried() -> None:
    assert [what for what in WHAT if f"`{what}`" not in PAGE] == []


def test_bad_weather_has_a_metric_and_few_lines(caplog: pytest.LogCaptureFixture) -> None:
    now = [1_000.0]
    registry = CollectorRegistry()
    weather = Weather(registry, lambda: now[0])

    def value() -> float | None:
        return registry.get_sample_value("footfall_retrying_since_seconds", {"what": "block"})

    lines: list[str] = []
    weather._log = lambda event, **_: lines.append(event)  # type: ignore[method-assign]
    for _ in range(70):
        weather.bad("block", OSError("the store is away"))
        now[0] += 1
    assert value() == 1_000
    assert weather.since == {"block": 1_000}
    weather.fine("block")
    weather.fine("block")
    assert value() == 0
    assert weather.since == {}
    assert lines == ["weather.bad", "weather.bad", "weather.bad", "weather.fine"]
