"""The event log's contract: what every implementation promises, and no more.

A log has partitions, each read in order by one reader at a time. An offset is the position of a record in its
partition: 0, 1, 2, ... without gaps, for ever (truncation removes records, never renumbers them).

Where a log does not route, a partition has one writer. One that `routes` places each record by its key: its
writers each write a lane (footfall/eventlog/lanes.py), several may write the same, and records of one key
lie in partitions of one number.

Laws, each a test in tests/test_log_laws.py that runs on every implementation:

1. Acknowledged is durable: when `append`'s future is done, the record survives `kill -9` and power loss.
2. A reader sees only durable records, in offset order, each once per pass, bytes equal to those appended.
3. What one writer appended in order has ascending offsets.
4. `commit` remembers the next offset to read; it survives a restart; it never moves backwards.
5. `truncate` removes only records before the committed offset; offsets of the rest stay the same.
6. A log at its byte limit refuses with LogFull, before anything of the batch is stored, and accepts again
   once records have been truncated.
7. `tallies` is what was appended, counted in the same transaction: it never differs from the records, also
   after a crash, and truncation leaves it alone.
8. A damaged record is reported with its partition and offset (DamagedRecord); the others stay readable.

By nature, a log on Kafka keeps some of them otherwise: what is durable (1) is what all in-sync replicas
have; the byte limit (6) is its brokers' disks, and LogFull means that too much waits in this process; its
records may end with their retention (5), and `truncate` leaves them to it unless it is told to; damage (8)
takes all records that were sent together; `scrub` deletes at once for readers, and from the brokers' disks
with whole segments.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

RECORD_OVERHEAD_BYTES = 64
"""What a record costs beside its payload, so that a byte limit also bounds many tiny records."""


class LogError(Exception):
    """Anything a log may raise.

    LogError
    ├── LogFull        the byte limit is reached: nothing was stored, try again later (503)
    ├── LogClosed      append after close
    ├── RecordRefused  the log will never take this record
    └── DamagedRecord  a stored record whose checksum does not fit
    """


class LogFull(LogError):  # noqa: N818 - reads as what it is
    """The byte limit is reached; nothing of the batch was stored."""


class LogClosed(LogError):  # noqa: N818
    """The writer was closed."""


class RecordRefused(LogError):  # noqa: N818
    """The log will never take this record: trying again is of no use."""


class DamagedRecord(LogError):  # noqa: N818
    """A stored record whose checksum does not fit its bytes."""

    def __init__(self, partition: int, offset: int) -> None:
        super().__init__(f"record {offset} of partition {partition} is damaged")
        self.partition = partition
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Tally:
    """How many events a record brings to the ledger: the collector's own count."""

    project: str
    door: str
    minute: int  # epoch minute of received_at
    count: int


@dataclass(frozen=True, slots=True)
class LogRecord:
    """A record as read."""

    partition: int
    offset: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Position:
    """Where a partition stands."""

    committed: int  # next offset to process
    end: int  # offset that the next durable record gets: all below can be read

    @property
    def lag(self) -> int:
        """Records that wait."""
        return self.end - self.committed


class LogWriter(Protocol):
    """Appends to one partition, or to one lane by `key`. Safe to call from several threads."""

    @property
    def routes(self) -> bool:
        """Whether it looks at the key: then what a record holds must be of one."""
        ...

    def append(self, payload: bytes, tally: Tally, key: bytes = b"") -> Future[int]:
        """The future is done with the record's offset when it is durable; it may raise LogFull, LogClosed.

        `key`: hash bytes of what the record is about; only a log that routes looks at it.
        """
        ...

    def append_async(self, payload: bytes, tally: Tally, key: bytes = b"") -> asyncio.Future[int]:
        """The same for a caller within a running event loop, woken once a group, not once a record."""
        ...

    def close(self) -> None:
        """Makes everything appended so far durable, then refuses the rest."""
        ...


class Owner(Protocol):
    """Who processes some numbers of a log that routes. Called from a thread of the log's."""

    def assign(self, numbers: Iterable[int]) -> None:
        """These, too, from now on."""
        ...

    def revoke(self, numbers: Iterable[int], seconds: float) -> None:
        """These no more; what is being processed of them may take so long to end."""
        ...


class Membership(Protocol):
    """What `join` gives."""

    def close(self) -> None:
        """Gives all numbers back to the others."""
        ...


class Log(Protocol):
    """A log as an engine sees it."""

    @property
    def routes(self) -> bool:
        """Whether it places records by their key."""
        ...

    def open_writer(self, partition: int) -> LogWriter:
        """The one writer of a partition, which is created if it does not exist; where the log routes, a
        writer of the lane of that number.
        """
        ...

    def join(self, owner: Owner, name: str = "") -> Membership:
        """Where the log routes: one more among those that process it, each of whom owns some numbers. A
        `name` of its own lets one that starts again keep its numbers. LogError where the log does not route.
        """
        ...

    def partitions(self) -> Sequence[int]:
        """Partitions that exist, ascending. New ones may appear while the engine runs."""
        ...

    def position(self, partition: int) -> Position: ...

    def positions(self) -> Mapping[int, Position]:
        """Of all partitions, read after the call: what was acknowledged before it lies below `end`."""
        ...

    def read(self, partition: int, first: int, limit_bytes: int) -> Sequence[LogRecord]:
        """Durable records from offset `first` on, or from the first that is kept where `first` was truncated.

        At least one if there is one, else as many as fit in `limit_bytes` of payload. Ends before a damaged
        record; raises DamagedRecord when that is the first one: a reader that notes the loss goes on at its
        offset + 1.
        """
        ...

    def commit(self, partition: int, next_offset: int) -> None:
        """Everything below `next_offset` is processed."""
        ...

    def truncate(self, partition: int, before: int) -> int:
        """Removes records below min(`before`, committed); returns how many."""
        ...

    def scrub(self, partition: int) -> bool:
        """Removes what was processed, so that no byte of it is left in the log's files.

        False if so much waits that rewriting would hold up the writer: come again later.
        """
        ...

    def tallies(self, partition: int) -> Iterator[Tally]:
        """The counts of all records ever appended to the partition, summed by project, door and minute."""
        ...

    def tallies_and_end(self, partition: int) -> tuple[list[Tally], int]:
        """`tallies` and the end offset, of one moment: the ledger's basis."""
        ...

    def close(self) -> None: ...
