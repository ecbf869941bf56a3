"""Our log records as Kafka's messages: the payload is the value, the tally travels in a header.

Kafka's checksum is of a batch of messages: damage takes the whole batch with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
from kafka.errors import KafkaError
from kafka.record import MemoryRecords

from footfall.eventlog.log import LogRecord, Tally

_TALLY = "tally"
_OFFSET_AND_LENGTH = 12
_LAST_OFFSET_DELTA = 23
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(tuple[str, str, int, int]).decode


class Message(NamedTuple):
    """A message of a partition's topic."""

    offset: int
    key: bytes
    value: bytes
    tally: Tally | None
    """None where somebody else wrote the message."""

    def record(self, partition: int) -> LogRecord:
        return LogRecord(partition, self.offset, self.value)


class Damage(NamedTuple):
    """No message from this offset on can be read here."""

    offset: int


def write_headers(tally: Tally) -> list[tuple[str, bytes]]:
    return [(_TALLY, _encode((tally.project, tally.door, tally.minute, tally.count)))]


def read_messages(raw: bytes, first: int) -> Iterator[Message | Damage]:
    """The messages from offset `first` on, in order; Damage is the last. What is cut off is left out."""
    expected = first
    records = MemoryRecords(raw)
    while True:
        try:
            batch: Any = records.next_batch()
            if batch is None:
                return
            if not batch.validate_crc():
                yield Damage(max(expected, batch.base_offset))
                return
            if batch.is_control_batch:  # of somebody's transaction
                continue
            for each in batch:
                if each.offset >= expected:
                    expected = each.offset + 1
                    yield Message(each.offset, each.key or b"", each.value or b"", _tally(each.headers))
        except (KafkaError, ValueError, IndexError, AssertionError):  # bytes that are no batch
            yield Damage(expected)
            return


def next_offset(raw: bytes) -> int | None:
    """The offset behind the last whole batch, by the batches' own heads; None where there is no whole one."""
    at = 0
    found = None
    while at + _OFFSET_AND_LENGTH <= len(raw):
        base = int.from_bytes(raw[at : at + 8], "big")
        length = int.from_bytes(raw[at + 8 : at + _OFFSET_AND_LENGTH], "big")
        if length <= 0 or at + _OFFSET_AND_LENGTH + length > len(raw):
            break
        delta_at = at + _LAST_OFFSET_DELTA
        found = base + int.from_bytes(raw[delta_at : delta_at + 4], "big") + 1
        at += _OFFSET_AND_LENGTH + length
    return found


def _tally(headers: list[tuple[str, bytes]]) -> Tally | None:
    for name, value in headers:
        if name == _TALLY and value is not None:
            try:
                return Tally(*_decode(value))
            except msgspec.DecodeError:
                return None
    return None
