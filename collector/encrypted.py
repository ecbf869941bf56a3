"""Encrypted batches: envelopes opened, what is inside judged like any batch of the Sensors door.

A payload that holds no record, or an envelope that no key opens, takes a place of its own among the records
and becomes a dead letter there; its neighbours are stored.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Final, NamedTuple

from collector.aside import LIGHT_BYTES, LIGHT_COMMAS, LIGHT_RECORDS, Pace
from collector.intake import NO_PROJECT
from collector.keys import Keys
from collector.session_keys import SessionKeys
from footfall.envelopes.forms import EnvelopeFault
from footfall.envelopes.keys import KeyRing
from footfall.envelopes.opening import (
    CANNOT_OPEN,
    Element,
    Inner,
    Room,
    Sessions,
    read_element,
    unwrap,
    wanted,
)
from footfall.events.batch import TakesLong, TooManyRecords, split_batch
from footfall.events.limits import BATCH_RECORDS, SESSION_KEYS
from footfall.events.log_record import Refusal
from footfall.events.reasons import Reason
from footfall.events.record import Record, split_array
from footfall.events.surrogates import join_surrogates
from footfall.events.verdicts import Judge, Verdicts, keep_refused


class TooManySessionKeys(ValueError):  # noqa: N818 - reads as what it is
    """More different session keys than a request may need."""

    def __init__(self, count: int) -> None:
        super().__init__(f"{count} session keys in one request, at most {SESSION_KEYS} are allowed")


ENCRYPTED_CODES: Final = frozenset({"9", "13"})
"""Of the `gzip` field: envelopes, of single events or of the whole batch."""


class OpenedBatch(NamedTuple):
    """A batch whose envelopes were opened."""

    verdicts: Verdicts
    sealed: Set[int] = frozenset()  # indexes of what came in an envelope
    secret: Set[int] = frozenset()  # of those that were found wrong with the help of a private key

    def told(self) -> list[Refusal]:
        """The refusals as whoever sent the batch may hear of them. Someone else may have written it: nothing
        of what is inside may show, nor why an envelope does not open.
        """
        return [self._told(refusal) for refusal in self.verdicts.refusals]

    def _told(self, refusal: Refusal) -> Refusal:
        if refusal.index in self.secret:
            return Refusal(refusal.index, Reason.ENCRYPTED.value, "", CANNOT_OPEN)
        if refusal.index in self.sealed and refusal.reason not in _OF_ENVELOPES:
            message = f"the record inside is refused: {_ABOUT[refusal.reason]}; its dead letter says more"
            return Refusal(refusal.index, refusal.reason, "", message)
        return refusal


_ABOUT: Final = {reason.value: reason.about for reason in Reason}
_OF_ENVELOPES: Final = frozenset(
    {Reason.ENCRYPTED, Reason.UNDECRYPTABLE, Reason.MALFORMED_ENVELOPE, Reason.UNSUPPORTED_ENCRYPTION}
)


class Envelopes:
    """Opens the envelopes of one worker's Sensors door."""

    def __init__(self, keys: Keys, sessions: SessionKeys, decompressed_bytes: int) -> None:
        self._keys = keys
        self._sessions = sessions
        self._limit = decompressed_bytes

    async def open(self, body: bytes, project: str, received_at: int, pace: Pace) -> OpenedBatch:
        """The verdicts on all records in a batch; `project`: whose keys open it, NO_PROJECT for a stranger's.

        Raises Unreadable, TooManyRecords, TooManySessionKeys, and Overloaded before anything was stored, as
        TakesLong if there is too much of it for the event loop's thread.
        """
        if not pace.patient and body.count(b",") > LIGHT_COMMAS:
            raise TakesLong
        elements = await pace.run(_read_all, body)
        if project == NO_PROJECT:
            inner = [_of_stranger(element) for element in elements]
        else:
            inner = await self._unwrap(elements, project, pace)
        if len(inner) > BATCH_RECORDS:
            raise TooManyRecords(len(inner))
        if not pace.patient and len(inner) > LIGHT_RECORDS:
            raise TakesLong
        return await pace.run(judge_inner, inner, pace.judge, received_at)

    async def _unwrap(self, elements: Sequence[Element], project: str, pace: Pace) -> list[Inner]:
        ring = await self._keys.ring(project)
        asked = wanted(elements, ring)
        if len(asked) > SESSION_KEYS:
            raise TooManySessionKeys(len(asked))
        sessions = await self._sessions.open(project, asked) if asked else {}
        room = Room(self._limit if pace.patient else min(self._limit, LIGHT_BYTES))
        inner = await pace.run(_unwrap_all, elements, ring, sessions, room)
        if not pace.patient and not room.left:
            raise TakesLong
        return inner


def _read_all(body: bytes) -> list[Element]:
    return [read_element(element) for element in split_batch(body)]


def _unwrap_all(elements: Sequence[Element], ring: KeyRing, sessions: Sessions, room: Room) -> list[Inner]:
    inner: list[Inner] = []
    for element in elements:
        inner += unwrap(element, ring, sessions, room)
        if len(inner) > BATCH_RECORDS:
            raise TooManyRecords(len(inner))
    return inner


def _of_stranger(element: Element) -> Inner:
    """Whoever may not write has no private key used for him."""
    if element.sealed is None:
        return Inner(element.raw, element.fault)
    message = "an envelope that came without a key or token that opens a project"
    return Inner(element.raw, EnvelopeFault(Reason.UNKNOWN_KEY, "token", message), sealed=True)


def judge_inner(inner: Sequence[Inner], judge: Judge, received_at: int) -> OpenedBatch:
    """One batch of the records inside and of what holds none."""
    good = [index for index, each in enumerate(inner) if each.fault is None]
    judged = _judge_good([join_surrogates(inner[index].element) for index in good], judge, received_at)
    faults = [(index, each.fault) for index, each in enumerate(inner) if each.fault is not None]
    sealed = {index for index, each in enumerate(inner) if each.sealed}
    if not faults:
        return OpenedBatch(judged, sealed, set())
    records: list[Record | None] = [None] * len(inner)
    elements = [b"" if each.fault is None else keep_refused(each.element) for each in inner]
    for index, record, element in zip(good, judged.records, split_array(judged.events), strict=True):
        records[index], elements[index] = record, element
    refusals = [Refusal(good[each.index], each.reason, each.field, each.message) for each in judged.refusals]
    refusals += [Refusal(index, fault.reason.value, fault.field, fault.message) for index, fault in faults]
    verdicts = Verdicts(
        b"[" + b",".join(elements) + b"]",
        records,
        sorted(refusals, key=lambda refusal: refusal.index),
        {good[index]: claim for index, claim in judged.claims.items()},
        judged.ignored_fields,
    )
    return OpenedBatch(verdicts, sealed, {index for index, fault in faults if fault.secret})


def _judge_good(elements: Sequence[bytes], judge: Judge, received_at: int) -> Verdicts:
    verdicts = judge.judge_array(b"[" + b",".join(elements) + b"]", received_at)
    if verdicts is None or len(verdicts.records) != len(elements):
        return judge.judge_elements(elements, received_at)
    return verdicts
