"""What was ever appended to each partition, also of records that retention has deleted.

The collector's counts travel in the records' headers. Offsets are cut into ranges of 8,192. Before a reader
commits past an offset, the sums of each range up to it are written to the compacted topic <topic>.tallies:
key `partition:from`, value `from`, `to` and the sums of the records between. While a range grows, its record
is written again, longer. The sums of a partition are those of its ranges, and of the headers behind their
end.

The sums of a range up to an offset follow from its records alone: a processor that does not know yet that it
lost the partition writes the truth, too, and the longer of two counts. One that is longer than what was
stored after it is stored once more, or compaction, which keeps the last, would lose it after some days.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import msgspec
import structlog

from footfall.eventlog.kafka_records import Message
from footfall.eventlog.log import Tally

RANGE = 8_192
_MAX_REMEMBERED = 200_000

_log = structlog.get_logger(__name__)

Sums = Counter[tuple[str, str, int]]


class Range(msgspec.Struct, frozen=True, rename={"first": "from", "behind": "to"}):
    """As it is stored."""

    partition: int
    first: int
    behind: int
    sums: list[tuple[str, str, int, int]]

    @property
    def key(self) -> bytes:
        return f"{self.partition}:{self.first}".encode()

    def counter(self) -> Sums:
        return Counter({(project, door, minute): count for project, door, minute, count in self.sums})


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Range).decode


@dataclass(slots=True)
class _Partition:
    ranges: dict[int, Range] = field(default_factory=dict)  # the longest of each, by its first offset
    shadowed: set[int] = field(default_factory=set)  # of those, which a shorter one was stored after
    sums: Sums = field(default_factory=Counter)  # of everything below
    counted: int = 0
    read: deque[tuple[int, Tally | None]] = field(default_factory=deque)  # offsets without gaps

    def end(self) -> int:
        """Behind the last range of those that join."""
        behind = 0
        while behind % RANGE == 0 and (found := self.ranges.get(behind)) is not None:
            behind = found.behind
        return behind


class TallyBook:
    """Of one log. `messages(partition, first, end)` reads them; `stored()` the ranges stored since it was
    last called; `store` makes a range durable. All may raise LogError. Safe to use from several threads.
    """

    def __init__(
        self,
        messages: Callable[[int, int, int], Iterable[Message]],
        stored: Callable[[], Iterable[bytes]],
        store: Callable[[bytes, bytes], None],
    ) -> None:
        self._messages = messages
        self._stored = stored
        self._store = store
        self._lock = threading.RLock()
        self._partitions: dict[int, _Partition] = {}

    def remember(self, partition: int, read: Iterable[Message]) -> None:
        """What a reader was given: it need not be read again when it is committed."""
        with self._lock:
            kept = self._of(partition).read
            for message in read:
                if kept and message.offset <= kept[-1][0]:
                    continue  # somebody looks back
                if kept and message.offset != kept[-1][0] + 1:
                    kept.clear()  # the reader jumped
                kept.append((message.offset, message.tally))
            if len(kept) > _MAX_REMEMBERED:
                kept.clear()

    def close_ranges(self, partition: int, behind: int) -> None:
        """Everything below `behind` will be committed: from now on it is counted without its records."""
        with self._lock:
            self._refresh()
            found = self._of(partition)
            for first in found.shadowed:
                self._store(found.ranges[first].key, _encode(found.ranges[first]))
            found.shadowed.clear()
            while (end := found.end()) < behind:
                first = end - end % RANGE
                known = found.ranges.get(first)
                sums = Counter() if known is None else known.counter()
                until = min(first + RANGE, behind)
                self._add(sums, partition, end, until)
                grown = Range(partition, first, until, [(*key, count) for key, count in sums.items()])
                self._store(grown.key, _encode(grown))
                found.ranges[first] = grown

    def sums(self, partition: int, end: int) -> list[Tally]:
        """Of everything below `end`."""
        with self._lock:
            self._refresh()
            found = self._of(partition)
            if (behind := found.end()) > found.counted:
                found.sums = Counter()
                for first in range(0, behind, RANGE):
                    found.sums.update(found.ranges[first].counter())
                found.counted = behind
            if found.counted < end:
                self._add(found.sums, partition, found.counted, end)
                found.counted = end
            return [Tally(*key, count) for key, count in sorted(found.sums.items())]

    def _add(self, sums: Sums, partition: int, first: int, end: int) -> None:
        """Adds the records from `first` to before `end`: as remembered, else as they are read."""
        kept = self._of(partition).read
        if kept and kept[0][0] <= first and kept[-1][0] + 1 >= end:
            tallies = [tally for offset, tally in kept if first <= offset < end]
            while kept and kept[0][0] < first:
                kept.popleft()
        else:
            found = [*self._messages(partition, first, end)]
            if not found or found[0].offset > first:
                lost_until = found[0].offset if found else end
                _log.warning("kafka.uncounted", partition=partition, first=first, behind=lost_until)
            tallies = [message.tally for message in found]
        for tally in tallies:
            if tally is not None:
                sums[tally.project, tally.door, tally.minute] += tally.count

    def _refresh(self) -> None:
        for raw in self._stored():
            try:
                found = _decode(raw)
            except msgspec.DecodeError:
                _log.warning("kafka.unknown_tally", message=raw[:200].decode(errors="replace"))
                continue
            partition = self._of(found.partition)
            known = partition.ranges.get(found.first)
            if known is None or known.behind <= found.behind:
                partition.ranges[found.first] = found
                partition.shadowed.discard(found.first)
            else:
                partition.shadowed.add(found.first)

    def _of(self, partition: int) -> _Partition:
        return self._partitions.setdefault(partition, _Partition())
