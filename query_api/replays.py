"""Dead letters mended and sent in again.

A replay is a log record like any other (door "replay"), so it is durable, processed exactly once and in the
ledger. Its event ids are those that the door would have given, so what is stored already is a duplicate; and
what was replayed before is not sent again.

A letter that is an encrypted envelope which a key opens by now is sent as all that is inside, as the door
would have taken it: what is refused of that becomes a dead letter of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw, structs
from prometheus_client import Counter as Uses

from footfall.dead_letters import NOBODY_KNOWN, Sender
from footfall.envelopes.keys import RingOf
from footfall.eventlog.log import Log
from footfall.eventlog.partitions import REPLAYS, LateWriter
from footfall.events.event_ids import event_ids
from footfall.events.faults import FIELD_TYPES
from footfall.events.keys import KeyedHash, event_key
from footfall.events.log_record import Header, PlanViolation, Refusal
from footfall.events.names import KnownNames
from footfall.events.reasons import Reason
from footfall.events.record import Record, event_time, read_records, split_array
from footfall.events.routing import routing_keys
from footfall.events.verdicts import IMPORT, NATIVE, SENSORS, SENSORS_EXPORT, Door, Judge, keep_refused
from footfall.sealing import CannotUnseal
from footfall.storage.store import Parameter, Query, Store
from footfall.treatment import treatment
from footfall.treatment.policy import Policy, PolicyOf
from query_api.dead_letters import Letter, Letters, Place
from query_api.fixes import Fix, FixDoesNotFit
from query_api.letter_envelopes import LetterEnvelopes

DOOR = "replay"
_REQUESTS_AT_ONCE = 200
_BYTES_AT_ONCE = 16 << 20
_SHOWN = 100
_DOORS = {door.name: door for door in (NATIVE, SENSORS, IMPORT)} | {DOOR: SENSORS}
"""What a replay has refused was in an envelope."""

_STORED_KEYS = """
SELECT toUInt64(event_key) FROM events WHERE project = {project:String} AND event_key IN {low:Array(UInt32)}
    AND toUnixTimestamp64Milli(time) IN {times:Array(Int64)}
UNION ALL SELECT event_key FROM profile_operations
    WHERE project = {project:String} AND event_key IN {keys:Array(UInt64)}
UNION ALL SELECT event_key FROM item_operations
    WHERE project = {project:String} AND event_key IN {keys:Array(UInt64)}"""


class Replay(NamedTuple):
    """What to send again: these letters, or all of a reason (None: of any), and how they are mended first."""

    places: Sequence[Place] | None
    reason: str | None
    fix: Fix
    time_free: bool = False
    dry_run: bool = False


class _Mended(NamedTuple):
    """A record on its way: its letter, JSON, event id and time; or why it cannot go."""

    letter: Letter
    element: bytes = b""
    event_id: str = ""
    time: int = 0
    violations: Sequence[PlanViolation] = ()  # of the project's tracking plan
    refusal: Refusal | None = None
    sender: Sender = NOBODY_KNOWN
    key: bytes = b""  # by which a log may place it
    opened: bool = False  # from an envelope that was opened: a refused one goes, too, as a dead letter

    @property
    def stays(self) -> bool:
        return self.refusal is not None and not self.opened


class _Work(NamedTuple):
    """One replay."""

    replay: Replay
    policy: Policy
    envelopes: LetterEnvelopes


class Replays:
    """Sends letters in again. Safe to use from several threads."""

    def __init__(
        self,
        letters: Letters,
        store: Store,
        log: Log,
        keyed_hash: KeyedHash,
        *,
        policy_of: PolicyOf,
        ring_of: RingOf,
        key_uses: Uses,
        clock: Callable[[], int],
    ) -> None:
        """`clock` gives epoch ms; `key_uses` counts uses of private keys."""
        self._policy_of = policy_of
        self._ring_of = ring_of
        self._key_uses = key_uses
        self._letters = letters
        self._store = store
        self._hash = keyed_hash
        self._writer = LateWriter(log, REPLAYS, clock)
        self._names = KnownNames()

    def replay(self, project: str, replay: Replay) -> dict[str, Any]:
        """Sends letters through the pipeline again; durable on return.

        `{"replayed", "stored_before", "replayed_before", "refused": {reason: n}, "letters": [the first 100 of
        those]}`. StoreError, LogError.
        """
        counts: Counter[str] = Counter()
        refused: Counter[str] = Counter()
        shown: list[dict[str, Any]] = []
        work = _Work(
            replay, self._policy_of(project), LetterEnvelopes(project, self._ring_of, self._key_uses)
        )
        for letters, wanted in self._chosen(project, replay):
            for outcome, mended in self._send(work, letters, wanted):
                counts[outcome] += 1
                if outcome == "refused" and mended.refusal is not None:
                    reason, message = mended.refusal.reason, mended.refusal.message
                    refused[reason] += 1
                    if len(shown) < _SHOWN:
                        shown.append({"id": str(mended.letter.place), "problem": f"{reason}: {message}"})
        return {
            "dry_run": replay.dry_run,
            "replayed": counts["replayed"],
            "stored_before": counts["stored_before"],
            "replayed_before": counts["replayed_before"],
            "refused": dict(sorted(refused.items())),
            "letters": shown,
        }

    def close(self) -> None:
        self._writer.close()

    def _chosen(self, project: str, replay: Replay) -> Iterator[tuple[list[Letter], set[Place]]]:
        """The letters of some requests at once, whole requests, and which of them are wanted."""
        if replay.places is not None:
            wanted = set(replay.places)
            for letters in self._portions(project, wanted):
                yield letters, wanted
            return
        behind: Place | None = None
        while found := self._letters.behind(project, replay.reason, behind, _REQUESTS_AT_ONCE):
            behind = found[-1].place
            wanted = {letter.place for letter in found}
            for letters in self._portions(project, wanted):
                yield letters, wanted

    def _portions(self, project: str, wanted: set[Place]) -> Iterator[list[Letter]]:
        """All letters of the requests of those wanted, so many at once as memory holds."""
        portion: list[tuple[int, int]] = []
        left = _BYTES_AT_ONCE
        for request, size in self._letters.sizes(project, sorted({place[:2] for place in wanted})):
            if portion and (size > left or len(portion) == _REQUESTS_AT_ONCE):
                yield self._letters.of_requests(project, portion)
                portion, left = [], _BYTES_AT_ONCE
            portion.append(request)
            left -= size
        if portion:
            yield self._letters.of_requests(project, portion)

    def _send(
        self, work: _Work, letters: Sequence[Letter], wanted: set[Place]
    ) -> Iterator[tuple[str, _Mended]]:
        project = work.policy.project
        outcomes = {
            place: {each["outcome"] for each in replays}
            for place, replays in self._letters.replays_of(project, letters).items()
        }
        mended = [each for each in self._mend(work, letters) if each.letter.place in wanted]
        stored = self._stored(project, [each for each in mended if each.refusal is None])
        going: list[_Mended] = []
        for each in mended:
            before = outcomes.get(each.letter.place, set())
            # What was in an envelope went all at once, whatever became of it.
            if before & {"stored", "duplicate"} or (each.opened and before):
                yield "replayed_before", each
            elif each.stays:
                yield "refused", each
            elif each.refusal is None and each.event_id in stored:
                yield "stored_before", each
            else:
                going.append(each)
        if not work.replay.dry_run:
            for sender, sent in _by_sender(going).items():
                self._append(work.policy, sender, sent)
        for each in going:
            yield "replayed" if each.refusal is None else "refused", each

    def _append(self, policy: Policy, sender: Sender, going: Sequence[_Mended]) -> None:
        header = Header(
            project=policy.project,
            door=DOOR,
            received_at=0,
            count=len(going),
            event_ids=[each.event_id for each in going],
            refusals=[
                Refusal(index, each.refusal.reason, each.refusal.field, each.refusal.message)
                for index, each in enumerate(going)
                if each.refusal is not None
            ],
            ip=sender.ip,
            user_agent=sender.user_agent,
            country=sender.country,
            trusted=sender.trusted,
            replayed=[each.letter.place[:3] for each in going],
            came=[each.letter.received_at for each in going],
            plan=0 if policy.plan is None else policy.plan.version,
            violations=[
                structs.replace(violation, indexes=[index])
                for index, each in enumerate(going)
                for violation in each.violations
            ],
        )
        events = b"[" + b",".join([each.element for each in going]) + b"]"
        self._writer.append(*treatment.treat(header, events, policy), [each.key for each in going])

    def _mend(self, work: _Work, letters: Sequence[Letter]) -> Iterator[_Mended]:
        """Request by request: equal records of one are told apart by their order, as at the door."""
        by_request: dict[tuple[int, int], list[Letter]] = {}
        for letter in letters:
            by_request.setdefault(letter.place[:2], []).append(letter)
        for request in by_request.values():
            yield from self._mend_request(work, request)

    def _mend_request(self, work: _Work, letters: Sequence[Letter]) -> list[_Mended]:
        found = [each for letter in letters for each in self._open(work, letter)]
        elements = [each.element or b"{}" for each in found]
        records: list[Record | None] = [
            None if each.refusal else read_records(b"[" + each.element + b"]")[0] for each in found
        ]
        project = work.policy.project
        ids = event_ids(project, records, lambda: [Raw(element) for element in elements], self._hash)
        keys = routing_keys(project, records, self._hash)
        mended = []
        for each, record, event_id, key in zip(found, records, ids, keys, strict=True):
            if record is None:
                mended.append(each._replace(key=key))
                continue
            element, time = _at_its_time(each.letter, each.element, record)
            mended.append(each._replace(element=element, event_id=event_id, time=time, key=key))
        return mended

    def _open(self, work: _Work, letter: Letter) -> Iterator[_Mended]:
        """What a letter holds: a record, or if it is an envelope that can be opened, all that is inside."""
        try:
            came, sender = self._letters.open(letter)
        except CannotUnseal as error:
            yield _Mended(letter, refusal=Refusal(0, "fix", "", str(error)))
            return
        inner = work.envelopes.open(came) if _may_be_envelope(letter) else None
        if inner is None:
            yield self._judge(work, letter, came)._replace(sender=sender)
            return
        opened = any(each.fault is None for each in inner)
        for element, fault, _ in inner:
            if fault is None:
                yield _as_opened(self._judge(work, letter, element), element)._replace(sender=sender)
            else:
                refusal = Refusal(0, fault.reason.value, fault.field, fault.message)
                kept = keep_refused(element)
                yield _Mended(letter, kept, refusal=refusal, sender=sender, opened=opened)

    def _judge(self, work: _Work, letter: Letter, came: bytes) -> _Mended:
        """The mended record, as the door takes it: at the time when it came."""
        try:
            raw = work.replay.fix.apply(came)
        except FixDoesNotFit as error:
            return _Mended(letter, refusal=Refusal(0, "fix", "", str(error)))
        door = _door_of(letter, came)  # Sensors' projects are not ours
        judge = Judge(door, self._names)
        judged = judge.judge_elements([_time_free(raw) if work.replay.time_free else raw], letter.received_at)
        judgement = treatment.judge(judged, work.policy)
        if refusals := judged.refusals or judgement.refusals:
            return _Mended(letter, refusal=refusals[0])
        claim = judged.claims.get(0)
        named = None if claim is None else claim.project
        if door is not SENSORS_EXPORT and named not in (None, work.policy.project):
            message = f"it names {named!r}"
            return _Mended(letter, refusal=Refusal(0, Reason.WRONG_PROJECT.value, "project", message))
        return _Mended(letter, bytes(split_array(judged.events)[0]), violations=judgement.violations)

    def _stored(self, project: str, mended: Sequence[_Mended]) -> set[str]:
        """Event ids of those that the store has, however long ago they came."""
        if not mended:
            return set()
        keys = {each.event_id: event_key(bytes.fromhex(each.event_id)) for each in mended}
        asked: dict[str, Parameter] = {
            "project": project,
            "keys": list(keys.values()),
            "low": [key & 0xFFFFFFFF for key in keys.values()],
            "times": [each.time for each in mended],
        }
        found = {int(key) for (key,) in self._store.rows(Query(_STORED_KEYS, asked)).rows}
        return {id_ for id_, key in keys.items() if key in found or key & 0xFFFFFFFF in found}


_read_object = msgspec.json.Decoder(dict[str, Raw]).decode
_read_properties = msgspec.json.Decoder(dict[str, Raw] | None).decode
_write = msgspec.json.Encoder().encode


def _door_of(letter: Letter, came: bytes) -> Door:
    """The door that judges as the one that turned it away. An import's letter does not say which form its
    file had; in ours, a record with a field that records do not have is refused for that.
    """
    if letter.door == IMPORT.name and letter.reason != Reason.UNKNOWN_FIELD:
        with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            if _read_object(came).keys() - FIELD_TYPES.keys():
                return SENSORS_EXPORT
    return _DOORS.get(letter.door, NATIVE)


def _by_sender(going: Sequence[_Mended]) -> dict[Sender, list[_Mended]]:
    """All of a letter together: what a log record says of its sender holds for the whole of it."""
    by_sender: dict[Sender, list[_Mended]] = {}
    for each in going:
        by_sender.setdefault(each.sender, []).append(each)
    return by_sender


def _may_be_envelope(letter: Letter) -> bool:
    return letter.door in (SENSORS.name, DOOR)


def _as_opened(mended: _Mended, element: bytes) -> _Mended:
    """A record from an envelope. A refused one keeps its bytes, with its time on our clock if it tells it."""
    if mended.refusal is None:
        return mended._replace(opened=True)
    try:
        record = read_records(b"[" + element + b"]")[0]
        if record is not None:
            element = _at_its_time(mended.letter, element, record)[0]
    except (msgspec.MsgspecError, ValueError, RecursionError):  # what is wrong with it, or its time
        pass
    return mended._replace(element=keep_refused(element), opened=True)


def _time_free(raw: bytes) -> bytes:
    """The record without limits of its time; what is no object stays as it is."""
    try:
        fields = _read_object(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return raw
    return _write({**fields, "time_free": Raw(b"true")})


def _at_its_time(letter: Letter, element: bytes, record: Record) -> tuple[bytes, int]:
    """The record with its time on our clock, as the door that it came through would have had it, and that
    time: what it says of its sending means nothing at the moment of a replay.
    """
    moment = event_time(record, letter.received_at, network=letter.door != "import")
    fields = _read_object(element)
    fields.pop("_flush_time", None)
    fields.pop("sent_at", None)
    fields["time"] = Raw(b"%d" % moment.time)
    properties = _read_properties(fields["properties"]) if "properties" in fields else None
    if properties is not None and "$time" in properties:
        properties.pop("$time")
        fields["properties"] = Raw(_write(properties))
    if moment.time != moment.original:
        properties = {**(properties or {}), "$original_time": Raw(b"%d" % moment.original)}
        fields["properties"] = Raw(_write(properties))
    return _write(fields), moment.time
