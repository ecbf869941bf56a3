"""What a processor has of the log: the partitions of its numbers, how far each is done, what waits there."""

from __future__ import annotations

import structlog

from footfall.eventlog.log import Log
from footfall.storage.store import Store
from processor.blocks import Plan, find_unfinished
from processor.commits import Commits
from processor.duplicates import SeenEvents
from processor.peers import Peers
from processor.waiting import Waiting

_log = structlog.get_logger(__name__)


class Holdings:
    """Follows what the peers say is ours."""

    def __init__(
        self,
        log: Log,
        store: Store,
        peers: Peers,
        commits: Commits,
        seen: SeenEvents,
        *,
        max_events: int,
        kept_bytes: int,
    ) -> None:
        """`max_events` of a block; `kept_bytes` stay behind in the log."""
        self._log = log
        self._store = store
        self._peers = peers
        self._commits = commits
        self._seen = seen
        self._max_events = max_events
        self._kept_bytes = kept_bytes
        self._numbers: frozenset[int] = frozenset()
        self.waiting: dict[int, Waiting] = {}
        self.unfinished: list[Plan] = []
        """Blocks that were begun by somebody who did not end them: they come first."""
        self.done: dict[int, int] = {}
        """Next offsets, by partition."""
        self.version = 0
        """The newest that a block of ours, or before ours, has."""

    def follow(self) -> None:
        """Takes over what became ours, lets go of what is not any more. StoreError, LogError,
        LogReplacedError.
        """
        wanted = self._peers.numbers()
        for number in sorted(self._numbers - wanted):
            self.drop(number)
        for number in sorted(wanted - self._numbers):
            self._take(number)
        for partition in self._log.partitions():
            if partition not in self.waiting and self.has(partition):
                self._adopt(partition)

    def has(self, partition: int) -> bool:
        return self._peers.number_of(partition) in self._numbers

    def drop(self, number: int) -> None:
        """It is not ours, or somebody else went on with it: then it is taken again as it is now."""
        self._numbers -= {number}
        of_it = [partition for partition in self.done if self._peers.number_of(partition) == number]
        for partition in of_it:
            self.waiting.pop(partition, None)
            del self.done[partition]
        self.unfinished = [plan for plan in self.unfinished if plan.partition not in of_it]
        self._commits.drop(of_it)
        self._seen.drop(number)
        if of_it:
            _log.info("processor.let_go", number=number)

    def _take(self, number: int) -> None:
        """What its owner before us did not end comes first."""
        while True:
            version = self._peers.follow(number)
            for partition in self._log.partitions():
                if self._peers.number_of(partition) == number:
                    self._adopt(partition)
            self._seen.rebuild(number)
            if self._peers.follow(number) == version:
                break
            self.drop(number)  # a block was done meanwhile
        self.version = max(self.version, version)
        self._numbers |= {number}

    def _adopt(self, partition: int) -> None:
        """Begins with a partition where its last block ended; a block left unfinished comes first."""
        position = self._log.position(partition)
        unfinished = find_unfinished(self._store, partition, position.committed, position.end)
        next_offset = unfinished.next_offset
        if next_offset > position.committed:
            self._commits.add(partition, next_offset, moved_persons=True)  # perhaps it did
        if unfinished.plan is not None:
            self.unfinished.append(unfinished.plan)
            self.version = max(self.version, unfinished.plan.version)
            next_offset = unfinished.plan.last + 1
        self.done[partition] = unfinished.next_offset
        self.waiting[partition] = Waiting(
            self._log, partition, next_offset, max_events=self._max_events, kept_bytes=self._kept_bytes
        )
