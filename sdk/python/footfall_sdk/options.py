"""What a client can be told, and the limits that it keeps."""

from __future__ import annotations

import hashlib
import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from footfall_sdk.transport import Rejection

QUEUE_DIRECTORY_VARIABLE = "FOOTFALL_SDK_QUEUE"

RejectionCallback = Callable[[Rejection, dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Options:
    """Durations are in seconds, sizes in bytes of JSON before gzip."""

    url: str
    write_key: str = field(repr=False)
    queue_directory: Path | None  # None: the queue is in memory
    max_queue_bytes: int = 64 * 1024 * 1024
    max_buffer_records: int = 50_000
    max_buffer_bytes: int = 32 * 1024 * 1024
    max_record_bytes: int = 256 * 1024
    batch_records: int = 500
    batch_bytes: int = 512 * 1024
    group_seconds: float = 0.05
    send_seconds: float = 1.0
    timeout_seconds: float = 10.0
    first_backoff_seconds: float = 1.0
    longest_backoff_seconds: float = 60.0
    longest_retry_after_seconds: float = 3600.0
    report_seconds: float = 60.0
    on_rejection: RejectionCallback | None = None
    ssl_context: ssl.SSLContext | None = field(default=None, repr=False)


def default_queue_directory(url: str, write_key: str) -> Path:
    """A directory a destination: under $FOOTFALL_SDK_QUEUE if that is set, else under the home directory."""
    destination = hashlib.sha256(f"{url}\n{write_key}".encode()).hexdigest()[:16]
    parent = os.environ.get(QUEUE_DIRECTORY_VARIABLE)
    return (Path(parent) if parent else Path.home() / ".footfall-sdk") / destination
