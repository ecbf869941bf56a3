"""The unchanged SensorsAnalyticsSDK==1.11.0 against a real Footfall: each record once, each customer once."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from footfall.cli.demo_system import RunningSystem

sensorsanalytics = pytest.importorskip("sensorsanalytics")

pytestmark = [
    pytest.mark.network_sdk,
    # That package leaves sockets to the garbage collector and calls Event.isSet.
    pytest.mark.filterwarnings("ignore:isSet:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

CONSUMERS: dict[str, Callable[[str], Any]] = {
    "default": sensorsanalytics.DefaultConsumer,
    "batch": lambda url: sensorsanalytics.BatchConsumer(url, max_size=10),
    "async": lambda url: sensorsanalytics.AsyncBatchConsumer(url, flush_max_time=1, flush_size=10),
    "debug": lambda url: sensorsanalytics.DebugConsumer(url, write_data=True),
}
DEVICES = 100
SIGNED_UP = 50
RANGE = {"last": {"value": 2, "unit": "day"}}


@pytest.fixture(scope="module")
def sent(footfall: RunningSystem) -> int:
    """100 devices register, by all four consumers; half of them sign up and buy. Records sent."""
    url = f"{footfall.collect_url}/sa?project=default&token={footfall.write_key}"
    count = 0
    for offset, open_consumer in enumerate(CONSUMERS.values()):
        sa = sensorsanalytics.SensorsAnalytics(open_consumer(url))
        for number in range(offset, DEVICES, len(CONSUMERS)):
            sa.track(f"device-{number}", "register", {"channel": "app_store", "number": number})
            count += 1
            if number < SIGNED_UP:
                sa.track_signup(f"cust-{number}", f"device-{number}", {"from": "app"})
                sa.track(f"cust-{number}", "purchase_fund", {"amount": 10.25}, is_login_id=True)
                sa.profile_set(f"cust-{number}", {"level": "gold"}, is_login_id=True)
                count += 3
        sa.close()
    _settle(footfall, count)
    return count


def test_every_record_is_stored_once(footfall: RunningSystem, sent: int) -> None:
    assert footfall.ledger() == {
        "received": sent,
        "stored": sent,
        "duplicate": 0,
        "rejected": {},
        "queued": 0,
    }


def test_events_count_as_often_as_they_were_sent(footfall: RunningSystem, sent: int) -> None:
    assert _trend(footfall, "register", "events") == DEVICES
    assert _trend(footfall, "purchase_fund", "events") == SIGNED_UP
    assert _trend(footfall, "$SignUp", "events") == SIGNED_UP
    assert _trend(footfall, "purchase_fund", {"sum": "amount"}) == pytest.approx(10.25 * SIGNED_UP)


def test_earlier_events_count_to_the_login(footfall: RunningSystem, sent: int) -> None:
    steps = footfall.ask(
        "funnel",
        {
            "range": RANGE,
            "steps": [{"event": "register"}, {"event": "purchase_fund"}],
            "window": {"value": 1, "unit": "day"},
        },
    )["steps"]
    assert [step["users"] for step in steps] == [DEVICES, SIGNED_UP]


def test_device_and_login_are_one_person(footfall: RunningSystem, sent: int) -> None:
    assert _trend(footfall, None, "users") == DEVICES


def _trend(footfall: RunningSystem, event: str | None, measure: Any) -> Any:
    query = {"range": RANGE, "series": [{"event": event, "measure": measure}], "interval": "total"}
    return footfall.ask("trends", query)["series"][0]["total"]


def _settle(footfall: RunningSystem, received: int) -> None:
    for _ in range(600):
        total = footfall.ledger()
        if total["received"] >= received and total["queued"] == 0:
            return
        time.sleep(0.05)
    raise AssertionError(f"not settled: {footfall.ledger()}\n{footfall.log_tail()}")
