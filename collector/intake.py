"""From verdicts to the log: event ids, log records, and the wait until they are durable."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace

from collector.answers import Overloaded
from collector.aside import Run, at_once
from collector.budgets import Shares
from collector.counts import Counts, Judged
from collector.keys import Keys
from footfall.eventlog.log import LogClosed, LogError, LogFull, LogWriter, Tally
from footfall.events.event_ids import event_ids
from footfall.events.keys import KeyedHash
from footfall.events.log_record import Header, Refusal, write_log_record
from footfall.events.record import split_array
from footfall.events.routing import Part, routing_keys, split
from footfall.events.verdicts import Verdicts, wrap_raw
from footfall.tracking_plan.batches import Judgement
from footfall.treatment.policy import Policy
from footfall.treatment.treatment import judge, treat

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


class Admitted(NamedTuple):
    """Records of one place after the last word on them: what becomes one log record."""

    verdicts: Verdicts
    place: Place
    policy: Policy
    judgement: Judgement  # in the positions of `verdicts`
    indexes: list[int] | None = None  # client's positions; None: all the records of the request


class Intake:
    """The worker's one way into its log partition."""

    def __init__(
        self,
        writer: LogWriter,
        keyed_hash: KeyedHash,
        keys: Keys,
        clock: Clock,
        counts: Counts,
        *,
        log_bytes: int,
    ) -> None:
        """`log_bytes` may wait for the disk at once."""
        self._writer = writer
        self._keys = keys
        self._keyed_hash = keyed_hash
        self._clock = clock
        self._counts = counts
        self._last = 0
        self._waiting = Shares(log_bytes, "bytes of this project that wait for the log")

    def now(self) -> int:
        """The clock, but never backwards: `received_at` is monotone in a partition."""
        self._last = max(self._last, self._clock())
        return self._last

    async def admit(
        self,
        verdicts: Verdicts,
        places: Place | Sequence[Place],
        run: Run = at_once,
        *,
        tell: bool = False,
    ) -> list[Admitted]:
        """The last word on records: their projects may refuse some, which changes `verdicts` in place.

        `places`: one for all, or one each. `tell`: judgements are in words, too, for `violations`. Overloaded
        while a project's rules cannot be known. `run`: where the work is done.
        """
        if isinstance(places, Place):
            policy = await self._keys.policy(places.project)
            if run is at_once:
                judgement = judge(verdicts, policy, tell=tell)
            else:
                judgement = await run(judge, verdicts, policy, tell=tell)
            refuse(verdicts, judgement.refusals)
            return [Admitted(verdicts, places, policy, judgement)]
        by_place: dict[Place, list[int]] = {}
        for index, place in enumerate(places):
            by_place.setdefault(place, []).append(index)
        elements = await run(split_array, verdicts.events)
        admitted = []
        for place, indexes in by_place.items():
            policy = await self._keys.policy(place.project)
            part = await run(_part, verdicts, elements, indexes)
            judgement = await run(judge, part, policy, tell=tell)
            refuse(part, judgement.refusals)
            refuse(verdicts, [_at(indexes[refusal.index], refusal) for refusal in judgement.refusals])
            admitted.append(Admitted(part, place, policy, judgement, indexes))
        return admitted

    async def append(
        self, admitted: Sequence[Admitted], origin: Origin, received_at: int, run: Run = at_once
    ) -> Appended:
        """Hands records to the log; `wait` for what comes back."""
        received_at = max(received_at, self._last)
        if self._writer.routes:
            parts = [part for each in admitted for part in await run(self._parts, each, origin, received_at)]
            return self._append_all(parts, max(received_at, self._last))
        if run is at_once and len(admitted) == 1:  # as nearly all are: no hop that is none
            return self._append(*self._treated(admitted[0], origin, received_at), received_at)
        treated = [await run(self._treated, each, origin, received_at) for each in admitted]
        # From here on at once: nothing that came later is in the log before, with an earlier moment.
        received_at = max(received_at, self._last)
        if len(treated) == 1:
            return self._append(*treated[0], received_at)
        return asyncio.gather(*[self._append(*each, received_at) for each in treated])

    async def quarantine(
        self,
        raw: bytes,
        refusal: Refusal,
        place: Place,
        origin: Origin,
        run: Run = at_once,
    ) -> Appended:
        """Hands a body to the log that no record can be found in: it becomes one dead letter.

        `refusal` is that of the first of its records, which is all of it.
        """
        verdicts = Verdicts(b"[" + wrap_raw(raw) + b"]", [None], [refusal], {}, 0)
        return await self.append(await self.admit(verdicts, place), origin, self.now(), run)

    def _treated(self, admitted: Admitted, origin: Origin, received_at: int) -> tuple[Header, bytes]:
        """What goes into the log. In any thread."""
        verdicts, (project, trusted), policy, judgement, indexes = admitted
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
            plan=judgement.version,
            violations=list(judgement.violations),
        )
        return treat(header, events, policy)

    def _parts(self, admitted: Admitted, origin: Origin, received_at: int) -> list[Part]:
        """What goes into a log that routes: one log record for each key. In any thread."""
        header, events = self._treated(admitted, origin, received_at)
        return split(
            header, events, routing_keys(header.project, admitted.verdicts.records, self._keyed_hash)
        )

    def _append_all(self, parts: Sequence[Part], received_at: int) -> Appended:
        """All parts of a request, or none, as far as there is room for them here; what the log takes of them
        if it does not take all is found again when the client repeats its request.
        """
        if len(parts) == 1:
            return self._append(parts[0].header, parts[0].events, received_at, parts[0].key)
        sizes = Counter[str]()
        for part in parts:
            sizes[part.header.project] += len(part.events)
        self._waiting.check(sizes)
        return asyncio.gather(
            *[self._append(part.header, part.events, received_at, part.key) for part in parts]
        )

    def _append(self, header: Header, events: bytes, received_at: int, key: bytes = b"") -> Appended:
        project = header.project
        if header.received_at != received_at:
            header = replace(header, received_at=received_at)
        tally = Tally(project, header.door, received_at // 60_000, header.count)
        for each in header.masked:
            self._counts.masked[project, each.kind, each.action] += each.count
        record = write_log_record(header, events)
        size = len(record)
        self._waiting.take(project, size)
        appended = self._writer.append_async(record, tally, key)
        appended.add_done_callback(lambda _: self._waiting.give_back(project, size))
        return appended

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
            _at(position[refusal.index], refusal)
            for refusal in verdicts.refusals
            if refusal.index in position
        ],
        claims={},
        ignored_fields=0,
    )


def _at(index: int, refusal: Refusal) -> Refusal:
    return Refusal(index, refusal.reason, refusal.field, refusal.message)


def violations(admitted: Sequence[Admitted]) -> list[Refusal]:
    """Everything in which records do not keep to their projects' plans, whether they are refused for it or
    not; in the client's positions.
    """
    told = [
        _at(each.indexes[violation.index] if each.indexes else violation.index, violation)
        for each in admitted
        for violation in each.judgement.told
    ]
    return sorted(told, key=lambda violation: violation.index)


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
