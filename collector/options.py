"""What can be set about a collector worker. The command line fills it from Settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from collector.proxies import LOOPBACK, Network
from footfall.events.limits import BodyLimits


@dataclass(frozen=True, slots=True)
class CollectorOptions:
    """Frozen. Times are seconds."""

    limits: BodyLimits = field(default_factory=BodyLimits)
    worker: int = 0
    """This worker's number: its log partition, and its label in the metrics."""

    metrics_dir: Path | None = None
    """Where workers leave their counts for one another, so that whichever is asked shows all."""

    trusted_proxies: tuple[Network, ...] = LOOPBACK
    """Networks of proxies whose X-Forwarded-For is believed."""

    strict_sensors: bool = False
    """For tests of clients: the Sensors door answers 400 to what it cannot read, instead of 200."""

    requests_at_once: int = 2_000
    """Requests in work; beyond it 503."""

    key_records_per_second: float = 0
    """Records of one key, after a burst of ten times as many; beyond it 503. 0: any number. Of this worker,
    as the next three.
    """

    key_bytes_per_second: float = 0
    address_records_per_second: float = 0
    address_bytes_per_second: float = 0

    log_bytes_at_once: int = 48 * 1024 * 1024
    """Bytes of log records that wait for the disk; beyond it 503. Of this and of `requests_at_once` a project
    gets its share where others need theirs.
    """

    heavy_at_once: int = 32
    """Requests that are too heavy for the event loop's thread (aside.py), waiting and in work; beyond it 503.
    A project gets its share where others need theirs.
    """

    bytes_at_once: int = 256 * 1024 * 1024
    """Body bytes held at once; beyond it 503."""

    hold_seconds: float = 2.0
    """How long a request of a Sensors SDK waits for room on the disk before it is answered 503 (docs/adr)."""

    held_at_once: int = 500
    """Requests that wait so; beyond it 503 at once."""

    connections: int = 10_000
    head_seconds: float = 10.0
    body_seconds: float = 30.0
    keep_alive_seconds: int = 30
    drain_seconds: int = 20
    head_bytes: int = 64 * 1024 - 1
    """Request line and headers together; a URL cannot be longer either."""

    key_seconds: float = 5.0
    """How long a key is believed to be good, so also how long a withdrawn one still works."""

    project_seconds: float = 1.0
    unknown_seconds: float = 0.5
    """How long a key is believed to be unknown."""

    lookups_per_second: int = 100
    """Questions to the workspace about keys and projects nobody knows; beyond it 503."""

    session_keys_per_second: int = 200
    """Session keys of encrypted envelopes that are opened, which costs a millisecond or two each; one project
    gets at most half of it. Beyond it 503.
    """

    session_keys_waiting: int = 200
    """Session keys that may wait to be opened, of one project at most half. Beyond it 503."""

    session_keys_kept: int = 10_000
    """Session keys that are remembered, so that each is opened once."""

    quarantine_bytes_per_second: int = 1024 * 1024
    """Bodies that no project accepts are kept at this rate at most (after a burst of 32 times as much)."""
