"""Clients of the Python SDK in a hurry, what they tracked and where it waits."""

from __future__ import annotations

import itertools
import sqlite3
import time
from pathlib import Path
from typing import Any

from footfall_sdk import Client

FAST = {"send_seconds": 0.01, "first_backoff_seconds": 0.02, "longest_backoff_seconds": 0.1}


def open_client(url: str, queue: Path, **options: Any) -> Client:
    return Client(url, "ff_wk_test", queue_directory=queue, **{**FAST, **options})


def track_many(client: Client, count: int) -> None:
    for number in range(count):
        client.track("view_fund", {"number": number}, distinct_id=f"cust-{number}")


def numbers(records: list[dict[str, Any]]) -> list[int]:
    return [record["properties"]["number"] for record in records if record["event"] == "view_fund"]


def written(client: Client) -> int:
    """How many records the client's own queue holds."""
    return client._delivery.queue.count


def stored_rows(queue: Path) -> int:
    """How many records all files hold; whoever writes them must have made them."""
    count = 0
    for path in queue.glob("queue-*.db"):
        connection = sqlite3.connect(path)
        count += connection.execute("SELECT count(*) FROM records").fetchone()[0]
        connection.close()
    return count


def wait_for(condition: Any, seconds: float = 60) -> None:
    for _ in itertools.takewhile(lambda _: not condition(), range(int(seconds / 0.01))):
        time.sleep(0.01)
    assert condition()
