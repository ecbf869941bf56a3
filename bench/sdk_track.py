"""How long the Python SDK's `track` keeps its caller: python bench/sdk_track.py [calls]

Target: p99 below 1 ms. Against a collector in another process that accepts everything, at full speed and at
1,000 calls a second. Needs PYTHONPATH=sdk/python:tests where the packages are not installed.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import tempfile
import time

from footfall_sdk import Client

PROPERTIES = {"channel": "app_store", "$app_version": "8.2.0", "fund_id": "F100", "amount": 1500.5}


def serve(port_sent: multiprocessing.connection.Connection) -> None:  # type: ignore[name-defined]
    from sdk_server import FakeCollector

    collector = FakeCollector()
    port_sent.send(collector.port)
    time.sleep(3600)


def measure(client: Client, calls: int, pause_seconds: float) -> list[int]:
    """Nanoseconds of each call, sorted."""
    took = []
    for number in range(calls):
        began = time.perf_counter_ns()
        client.track("purchase_fund", PROPERTIES, distinct_id=f"cust-{number % 1000}")
        took.append(time.perf_counter_ns() - began)
        if pause_seconds:
            time.sleep(pause_seconds)
    return sorted(took)


def main(calls: int) -> None:
    receive, send = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(send,), daemon=True)
    server.start()
    url = f"http://127.0.0.1:{receive.recv()}"
    for name, count, pause in (("full speed", calls, 0.0), ("1,000 a second", calls // 20, 0.001)):
        with (
            tempfile.TemporaryDirectory() as directory,
            Client(url, "k", queue_directory=directory) as client,
        ):
            began = time.perf_counter()
            took = measure(client, count, pause)
            elapsed = time.perf_counter() - began
            delivered = client.flush(60)
            result = {
                "case": name,
                "calls": count,
                "calls_per_second": round(count / elapsed),
                **{f"p{q}_us": round(took[int(count * q / 100)] / 1000, 1) for q in (50, 99, 99.9)},
                "max_us": round(took[-1] / 1000, 1),
                "delivered": delivered,
                "dropped": client.counters().dropped,
            }
            print(json.dumps(result))
    server.terminate()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
