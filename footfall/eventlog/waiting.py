"""What lies in the log and waits to be processed, by the headers of its records."""

from __future__ import annotations

from collections.abc import Iterator

from footfall.eventlog.log import DamagedRecord, Log
from footfall.events.log_record import Header, MalformedLogRecord, read_header

_READ_BYTES = 8 << 20


class Truncated(Exception):  # noqa: N818 - reads as what it is
    """Records that waited are gone from the log."""


def waiting_headers(log: Log, partition: int, first: int, end: int, *, may_miss: bool) -> Iterator[Header]:
    """Headers of the log records from offset `first` to before `end`.

    Raises Truncated where one of them is gone, unless they may be missed.
    A record that cannot be read is left out: it was counted as received and waits for a repair, which shows
    as a ledger that is open.
    """
    offset = first
    while offset < end:
        try:
            records = log.read(partition, offset, _READ_BYTES)
        except DamagedRecord as damage:
            offset = damage.offset + 1
            continue
        if not may_miss and (not records or records[0].offset > offset):
            raise Truncated
        if not records:
            return
        for record in records:
            if record.offset >= end:
                return
            try:
                yield read_header(record.payload)
            except MalformedLogRecord:
                continue
        offset = records[-1].offset + 1
