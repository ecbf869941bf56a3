"""Sends a simulated bank through HTTP: some customers by our Python SDK, the others in Sensors' format."""

from __future__ import annotations

import base64
import gzip
import http.client
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlencode

import orjson
from footfall_sdk import Client, Who

from footfall.cli.demo_system import RunningSystem, SystemFailed
from footfall.simulator import Bank, Event, Request, plan_requests
from footfall.simulator.delivery import sensors_record

_THREADS = 6
_SDK_EVERY = 4  # customers: one in four is sent by our SDK
_TRIES = 5
_FLUSH_SECONDS = 60.0
_MOST_WAITING = 20_000

Progress = Callable[[int], None]


@dataclass(slots=True)
class Traffic:
    """What was sent, and what the ledger must say of it."""

    by_sdk: int = 0
    by_sensors: int = 0
    repeated: int = 0  # of those: sent before, and not to be refused
    refused: int = 0  # of those: to be refused
    requests: int = 0
    seconds: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def sent(self) -> int:
        return self.by_sdk + self.by_sensors

    @property
    def to_be_stored(self) -> int:
        return self.sent - self.repeated - self.refused

    def count(self, events: Sequence[Event], *, repeat: bool, sdk: bool) -> None:
        refused = sum(bool(event.refused) for event in events)
        with self._lock:
            self.by_sdk += len(events) if sdk else 0
            self.by_sensors += 0 if sdk else len(events)
            self.requests += not sdk
            self.refused += refused
            self.repeated += len(events) - refused if repeat else 0


def send_bank(bank: Bank, system: RunningSystem, queue_directory: Path, progress: Progress) -> Traffic:
    """Returns when everything has been accepted. SystemFailed if it cannot be delivered."""
    sdk_devices = _devices_of_sdk(bank)
    requests = plan_requests(bank)
    by_sdk = [request for request in requests if request.device.anonymous_id in sdk_devices]
    by_sensors = [request for request in requests if request.device.anonymous_id not in sdk_devices]
    traffic = Traffic()
    began = time.monotonic()
    senders = [_SensorsSender(system, traffic, progress) for _ in range(_THREADS)]
    waiting: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
    for request in [*by_sensors, *([None] * _THREADS)]:
        waiting.put(request)
    for sender in senders:
        sender.start(waiting)
    try:
        _send_by_sdk(by_sdk, system, queue_directory, traffic, progress)
    finally:
        for sender in senders:
            sender.thread.join()
    for sender in senders:
        if sender.failure is not None:
            raise SystemFailed(f"sending failed: {sender.failure}. {system.log_tail()}")
    traffic.seconds = time.monotonic() - began
    return traffic


def _devices_of_sdk(bank: Bank) -> set[str]:
    """Devices with right clocks: our SDK is for programs on servers."""
    return {
        device.anonymous_id
        for history in bank.histories[::_SDK_EVERY]
        for device in history.customer.devices
        if not any(device.skew_ms for device in history.customer.devices)
    }


# --- our SDK ----------------------------------------------------------------------------------------------


def _send_by_sdk(
    requests: Sequence[Request],
    system: RunningSystem,
    queue_directory: Path,
    traffic: Traffic,
    progress: Progress,
) -> None:
    with Client(
        system.collect_url, system.write_key, queue_directory=queue_directory, send_seconds=0.1
    ) as client:
        for request in requests:
            events = [e for e in request.events if not (request.repeat and e.type.startswith("profile_"))]
            for event in events:
                _call_sdk(client, event)
            traffic.count(events, repeat=request.repeat, sdk=True)
            progress(len(events))
            while client.counters().waiting > _MOST_WAITING:
                time.sleep(0.01)
        flushed = client.flush(_FLUSH_SECONDS)
        counters = client.counters()
    dropped = {reason: count for reason, count in counters.dropped.items() if reason != "rejected"}
    if not flushed or dropped:
        raise SystemFailed(f"the SDK could not deliver everything: {counters}. {system.log_tail()}")


def _call_sdk(client: Client, event: Event) -> None:
    ids = Who(anonymous_id=event.device)
    if event.login_id is not None:
        ids["login_id"] = event.login_id
    if event.type == "track_signup" and event.login_id is not None:
        client.login(
            event.login_id, anonymous_id=event.original_id, time=event.time_ms, event_id=event.event_id
        )
    elif event.type == "profile_set":
        client.profile_set(event.properties, **ids)
    elif event.type == "profile_set_once":
        client.profile_set_once(event.properties, **ids)
    elif event.event is not None:
        client.track(
            event.event,
            event.properties,
            time=event.time_ms,
            time_free=event.time_free,
            event_id=event.event_id,
            **ids,
        )


# --- Sensors-format requests ------------------------------------------------------------------------------


class _SensorsSender:
    """One thread with one connection, as an app's SDK posts: base64 of gzip in a form field."""

    def __init__(self, system: RunningSystem, traffic: Traffic, progress: Progress) -> None:
        self._system = system
        self._traffic = traffic
        self._progress = progress
        self._path = f"/sa?{urlencode({'project': 'default', 'token': system.write_key})}"
        self._connection = http.client.HTTPConnection(system.host, system.collect_port, timeout=30)
        self.failure: Exception | None = None

    def start(self, waiting: queue.SimpleQueue[Request | None]) -> None:
        self.thread = threading.Thread(target=self._send_all, args=(waiting,), name="sensors", daemon=True)
        self.thread.start()

    def _send_all(self, waiting: queue.SimpleQueue[Request | None]) -> None:
        try:
            while (request := waiting.get()) is not None:
                self._send(request)
                self._traffic.count(request.events, repeat=request.repeat, sdk=False)
                self._progress(len(request.events))
        except Exception as failure:  # noqa: BLE001 - told to the thread that waits for this one
            self.failure = failure
        finally:
            self._connection.close()

    def _send(self, request: Request) -> None:
        """Tries again as a device would: the same records with a new `_flush_time`."""
        for attempt in range(_TRIES):
            try:
                status = self._post(request)
            except (OSError, http.client.HTTPException):
                self._connection.close()
                if attempt == _TRIES - 1:
                    raise
            else:
                if status == http.client.OK:
                    return
            time.sleep(0.2 * 2**attempt)
        raise SystemFailed(f"the collector answered HTTP {status} {_TRIES} times")

    def _post(self, request: Request) -> int:
        now = int(time.time() * 1000)
        records = [sensors_record(event, request.device, now) for event in request.events]
        packed = base64.b64encode(gzip.compress(orjson.dumps(records), 5, mtime=0))
        body = f"data_list={quote(packed, safe='')}&gzip=1"
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        self._connection.request("POST", self._path, body, headers)
        response = self._connection.getresponse()
        response.read()
        return response.status
