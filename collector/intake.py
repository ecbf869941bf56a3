"""From verdicts to the log: event ids, log records, and the wait until they are durable."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from collector.answers import Overloaded
from collector.counts import Counts, Judged
from footfall.eventlog.log import LogClosed, LogError, LogFull, LogWriter, Tally
from footfall.events.event_ids import event_ids
from footfall.events.keys import KeyedHash
from footfall.events.log_record import Header, Refusal, write_log_record
from footfall.events.reasons import Reason
from footfall.events.record import split_array
from footfall.events.verdicts import Verdicts, wrap_raw

Clock = Callable[[], int]
"""Now, in epoch milliseconds."""

Appended = asyncio.Future[Any]
"""On its way to the disk."""

NO_PROJECT = ""

STRANGERS_BYTES = 256 * 1024
"""How much of an unreadable body is kept as a dead letter if it belongs to no project."""


class Place(NamedTuple):
    """Where records belong, and whether they came with a secret key."""

    project: str
    trusted: bool


class Origin(NamedTuple):
    """What a request says about all its records."""

    door: str
    ip: str
    user_agent: str


class Intake:
    """The worker's one way into its log partition."""

    def __init__(self, writer: LogWriter, keyed_hash: KeyedHash, clock: Clock, counts: Counts) -> None:
        self._writer = writer
        self._keyed_hash = keyed_hash
        self._clock = clock
        self._counts = counts
        self._last = 0

    def now(self) -> int:
        """The clock, but never backwards: `received_at` is monotone in a partition."""
        self._last = max(self._last, self._clock())
        return self._last

    def append(
        self,
        verdicts: Verdicts,
        places: Place | Sequence[Place],
        origin: Origin,
        received_at: int,
    ) -> Appended:
        """Hands records to the log; `wait` for what comes back. `places`: one for all, or one each."""
        received_at = max(received_at, self._last)
        if isinstance(places, Place):
            return self._append(verdicts, places, origin, received_at)
        by_place: dict[Place, list[int]] = {}
        for index, place in enumerate(places):
            by_place.setdefault(place, []).append(index)
        elements = split_array(verdicts.events)
        appended = [
            self._append(_part(verdicts, elements, indexes), place, origin, received_at, indexes)
            for place, indexes in by_place.items()
        ]
        return asyncio.gather(*appended)

    def quarantine(self, raw: bytes, reason: Reason, message: str, place: Place, origin: Origin) -> Appended:
        """Hands a body to the log that no record can be found in: it becomes one dead letter."""
        verdicts = Verdicts(
            b"[" + wrap_raw(raw) + b"]", [None], [Refusal(0, reason.value, "", message)], {}, 0
        )
        return self.append(verdicts, place, origin, self.now())

    def _append(
        self,
        verdicts: Verdicts,
        place: Place,
        origin: Origin,
        received_at: int,
        indexes: list[int] | None = None,
    ) -> Appended:
        project, trusted = place
        events = verdicts.events
        header = Header(
            project=project,
            door=origin.door,
            received_at=received_at,
            count=len(verdicts.records),
            event_ids=event_ids(project, verdicts.records, lambda: split_array(events), self._keyed_hash),
            refusals=verdicts.refusals,
            ip=origin.ip,
            user_agent=origin.user_agent,
            trusted=trusted,
            indexes=indexes or [],
        )
        tally = Tally(project, origin.door, received_at // 60_000, header.count)
        return self._writer.append_async(write_log_record(header, events), tally)

    async def wait(self, appended: Appended) -> None:
        """Returns when it is durable. Raises Overloaded when the log takes no more."""
        try:
            await appended
        except LogFull as error:
            self._counts.log_refusals += 1
            raise Overloaded(f"the event log takes no more: {error}") from None
        except LogClosed:
            raise Overloaded("this worker is stopping") from None
        except LogError as error:
            self._counts.log_refusals += 1
            raise Overloaded(f"the event log cannot be written: {error}") from error


def _part(verdicts: Verdicts, elements: Sequence[bytes], indexes: list[int]) -> Verdicts:
    """The verdicts on some of the records, renumbered from 0."""
    position = {index: at for at, index in enumerate(indexes)}
    return Verdicts(
        events=b"[" + b",".join([elements[index] for index in indexes]) + b"]",
        records=[verdicts.records[index] for index in indexes],
        refusals=[
            Refusal(position[refusal.index], refusal.reason, refusal.field, refusal.message)
            for refusal in verdicts.refusals
            if refusal.index in position
        ],
        claims={},
        ignored_fields=0,
    )


def judged(verdicts: Verdicts) -> Judged:
    """For the metrics."""
    accepted = len(verdicts.records) - len(verdicts.refusals)
    if not verdicts.refusals:
        return Judged({"accepted": accepted}, verdicts.ignored_fields)
    reasons = Counter(refusal.reason for refusal in verdicts.refusals)
    return Judged({"accepted": accepted, **reasons}, verdicts.ignored_fields)


def refuse(verdicts: Verdicts, refused: Sequence[Refusal]) -> None:
    """Turns away records that were accepted before, in place."""
    if not refused:
        return
    for refusal in refused:
        verdicts.records[refusal.index] = None
    verdicts.refusals.extend(refused)
    verdicts.refusals.sort(key=lambda refusal: refusal.index)
