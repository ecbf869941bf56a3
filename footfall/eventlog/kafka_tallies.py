"""What was ever appended to each partition, also of records that retention has deleted.

The collector's counts travel in the records' headers. Before a reader commits past a range of offsets, the
range's sums are written to the compacted topic <topic>.tallies: key `partition:from`, value `from`, `to` and
the sums of all records between. The record of a range is written again, longer, until it holds many sums;
then the next range begins where it ended. So the sums of a partition are those of its chain of ranges from
offset 0 on, and of the headers behind the chain's end.

A range's sums follow from its records alone, so whoever writes one (also a processor that does not know yet
that it lost the partition) writes the truth; of two for one `from` the longer counts. If compaction kept a
shorter one of a zombie, the chain ends early and the records behind it, kept for days, are counted again."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import msgspec
import structlog

from footfall.eventlog.kafka_records import Message
from footfall.eventlog.log import Tally

_MAX_SUMS = 256
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


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Range).decode


@dataclass(slots=True)
class _Partition:
    ranges: dict[int, Range] = field(default_factory=dict)  # by their first offset
    sums: Sums = field(default_factory=Counter)  # of everything below
    counted: int = 0
    written: Range | None = None  # the range that grows with our commits
    read: deque[tuple[int, int, Tally | None]] = field(default_factory=deque)  # (offset, behind, tally)

    def chain(self) -> Iterator[Range]:
        behind = 0
        while (found := self.ranges.get(behind)) is not None:
            yield found
            behind = found.behind


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
                if kept and kept[-1][1] != message.offset:
                    kept.clear()  # the reader jumped
                kept.append((message.offset, message.offset + 1, message.tally))
            if len(kept) > _MAX_REMEMBERED:
                kept.clear()

    def close_range(self, partition: int, behind: int) -> None:
        """Everything below `behind` will be committed: from now on it is counted without its records."""
        with self._lock:
            found = self._of(partition)
            if found.written is None:
                self._refresh()
                chained = [*found.chain()]
                end = chained[-1].behind if chained else 0
                found.written = Range(partition, end, end, [])
            written = found.written
            if behind <= written.behind:
                return
            sums: Sums = Counter({(project, door, minute): n for project, door, minute, n in written.sums})
            self._add(sums, partition, written.behind, behind)
            grown = Range(partition, written.first, behind, [(*key, count) for key, count in sums.items()])
            self._store(grown.key, _encode(grown))
            full = len(sums) >= _MAX_SUMS
            found.written = Range(partition, behind, behind, []) if full else grown

    def sums(self, partition: int, end: int) -> list[Tally]:
        """Of everything below `end`."""
        with self._lock:
            self._refresh()
            found = self._of(partition)
            chained = [*found.chain()]
            if chained and chained[-1].behind > found.counted:
                found.sums = Counter()
                for each in chained:
                    for project, door, minute, count in each.sums:
                        found.sums[project, door, minute] += count
                found.counted = chained[-1].behind
            if found.counted < end:
                self._add(found.sums, partition, found.counted, end)
                found.counted = end
            return [Tally(*key, count) for key, count in sorted(found.sums.items())]

    def _add(self, sums: Sums, partition: int, first: int, end: int) -> None:
        """Adds the records from `first` to before `end`: as remembered, else as they are read."""
        kept = self._of(partition).read
        while kept and kept[0][0] < first:
            kept.popleft()
        expected = first
        if kept and kept[0][0] == first and kept[-1][1] >= end:
            tallies: Iterable[Tally | None] = [tally for offset, _, tally in kept if offset < end]
        else:
            found = [*self._messages(partition, first, end)]
            if found and found[0].offset > expected:
                _log.warning("kafka.uncounted", partition=partition, first=expected, behind=found[0].offset)
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
            ranges = self._of(found.partition).ranges
            known = ranges.get(found.first)
            if known is None or known.behind < found.behind:
                ranges[found.first] = found

    def _of(self, partition: int) -> _Partition:
        return self._partitions.setdefault(partition, _Partition())
