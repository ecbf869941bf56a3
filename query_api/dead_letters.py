"""Dead letters, records that were turned away: listed, counted and opened. replays.py sends them in again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from footfall.dead_letters import OpenedLetter, open_letter
from footfall.sealing import CannotUnseal, Sealer
from footfall.storage.store import Parameter, Query, Store
from query_api.answers import instant

_LETTERS = """
SELECT log_partition, log_offset, seq, toUnixTimestamp64Milli(received_at), door, reason, field, message,
    {sealed}
FROM dead_letters WHERE project = {{project:String}} AND {condition}
ORDER BY log_partition, log_offset, seq {limit}"""

_COUNTS = """
SELECT reason, count(), toUnixTimestamp64Milli(min(received_at)), toUnixTimestamp64Milli(max(received_at)),
    countIf((log_partition, log_offset, seq) IN (
        SELECT letter_partition, letter_offset, letter_seq FROM replays
        WHERE outcome IN ('stored', 'duplicate')
    ))
FROM dead_letters WHERE project = {project:String} GROUP BY reason ORDER BY count() DESC, reason"""

_SIZES = """
SELECT log_partition, log_offset, sum(length(sealed)) FROM dead_letters
WHERE project = {project:String}
    AND (log_partition, log_offset) IN (SELECT arrayJoin(arrayZip({ps:Array(UInt16)}, {os:Array(UInt64)})))
GROUP BY log_partition, log_offset ORDER BY log_partition, log_offset"""

_WAITING = """
SELECT log_partition, log_offset, groupArray(seq) FROM dead_letters
WHERE project = {project:String} AND reason = {reason:String}
    AND received_at < fromUnixTimestamp64Milli({until:Int64})
    AND NOT arrayExists(
        (p, o) -> log_partition = p AND log_offset <= o, {ps:Array(UInt16)}, {os:Array(UInt64)}
    )
    AND (log_partition, log_offset, seq) NOT IN (
        SELECT letter_partition, letter_offset, letter_seq FROM replays WHERE project = {project:String}
    )
GROUP BY log_partition, log_offset ORDER BY log_partition, log_offset LIMIT {limit:UInt32}"""

_REPLAYS = """
SELECT letter_partition, letter_offset, letter_seq, outcome, toUnixTimestamp64Milli(replayed_at),
    lower(hex(event_id))
FROM replays WHERE project = {project:String} AND letter_partition IN {partitions:Array(UInt16)}
    AND letter_offset IN {offsets:Array(UInt64)} ORDER BY replayed_at"""


class Place(NamedTuple):
    """Where a letter's record came in."""

    partition: int
    offset: int
    seq: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}:{self.seq}"


class Letter(NamedTuple):
    """A dead letter; `sealed` is b"" where it was not asked for."""

    place: Place
    received_at: int
    door: str
    reason: str
    field: str
    message: str
    sealed: bytes

    def as_json(self) -> dict[str, Any]:
        return {
            "id": str(self.place),
            "received_at": instant(self.received_at),
            "door": self.door,
            "reason": self.reason,
            "field": self.field,
            "message": self.message,
        }


def read_place(text: str) -> Place | None:
    """`partition:offset:seq`; None if it is none."""
    parts = text.split(":")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() and len(part) < 16 for part in parts):
        return None
    place = Place(*map(int, parts))
    return place if place.partition < 1 << 16 and place.seq < 1 << 32 else None


class Letters:
    """The dead letters of an installation. Safe to use from several threads."""

    def __init__(self, store: Store, sealer: Sealer) -> None:
        self._store = store
        self._sealer = sealer

    def counts(self, project: str) -> list[dict[str, Any]]:
        """How many by reason, since when, and how many of them were replayed and are stored."""
        rows = self._store.rows(Query(_COUNTS, {"project": project})).rows
        return [
            {
                "reason": reason,
                "count": int(count),
                "first": instant(first),
                "last": instant(last),
                "replayed": int(replayed),
            }
            for reason, count, first, last, replayed in rows
        ]

    def page(
        self, project: str, reason: str | None, limit: int, behind: Place | None
    ) -> tuple[list[dict[str, Any]], str | None]:
        """Letters by log position, without their bytes; and the place that the next page is behind."""
        letters = self.behind(project, reason, behind, limit + 1)
        replays = self.replays_of(project, letters)
        shown = letters[:limit]
        lines = [letter.as_json() | {"replays": replays.get(letter.place, [])} for letter in shown]
        return lines, str(shown[-1].place) if len(letters) > limit else None

    def show(self, project: str, place: Place) -> dict[str, Any] | None:
        """A letter with its bytes, as text where they are UTF-8, else as hexadecimal; None: none such."""
        for letter in self.of_requests(project, [(place.partition, place.offset)]):
            if letter.place == place:
                replays = self.replays_of(project, [letter]).get(place, [])
                return letter.as_json() | self._opened(letter) | {"replays": replays}
        return None

    def behind(self, project: str, reason: str | None, behind: Place | None, limit: int) -> list[Letter]:
        """The next letters by log position, without their bytes."""
        conditions, own = ["1"], dict[str, Parameter](project=project)
        if reason is not None:
            conditions.append("reason = {reason:String}")
            own["reason"] = reason
        if behind is not None:
            conditions.append("(log_partition, log_offset, seq) > ({p:UInt16}, {o:UInt64}, {s:UInt32})")
            own |= {"p": behind.partition, "o": behind.offset, "s": behind.seq}
        return self._letters(" AND ".join(conditions), own, f"LIMIT {limit}", sealed=False)

    def waiting(
        self, project: str, reason: str, behind: Mapping[int, int], *, until: int, limit: int
    ) -> list[Place]:
        """The letters of a reason that were never replayed, of the first `limit` requests: those of each log
        partition behind an offset, that came before `until` (epoch ms).
        """
        own: dict[str, Parameter] = {
            "project": project,
            "reason": reason,
            "until": until,
            "ps": list(behind),
            "os": list(behind.values()),
            "limit": limit,
        }
        rows = self._store.rows(Query(_WAITING, own)).rows
        return [
            Place(int(partition), int(offset), int(seq)) for partition, offset, seqs in rows for seq in seqs
        ]

    def sizes(self, project: str, requests: Sequence[tuple[int, int]]) -> list[tuple[tuple[int, int], int]]:
        """How many bytes the letters of these requests (partition, offset) have, in their order."""
        own: dict[str, Parameter] = {
            "project": project,
            "ps": [partition for partition, _ in requests],
            "os": [offset for _, offset in requests],
        }
        rows = self._store.rows(Query(_SIZES, own)).rows
        return [((int(partition), int(offset)), int(size)) for partition, offset, size in rows]

    def of_requests(self, project: str, requests: Sequence[tuple[int, int]]) -> list[Letter]:
        """All letters of these requests (partition, offset), with their bytes."""
        own: dict[str, Parameter] = {
            "project": project,
            "ps": [partition for partition, _ in requests],
            "os": [offset for _, offset in requests],
        }
        pairs = "SELECT arrayJoin(arrayZip({ps:Array(UInt16)}, {os:Array(UInt64)}))"
        condition = f"(log_partition, log_offset) IN ({pairs})"
        return self._letters(condition, own, "", sealed=True)

    def _letters(
        self, condition: str, own: Mapping[str, Parameter], limit: str, *, sealed: bool
    ) -> list[Letter]:
        column = "hex(sealed)" if sealed else "''"
        text_of_query = _LETTERS.format(condition=condition, limit=limit, sealed=column)
        rows = self._store.rows(Query(text_of_query, own)).rows
        return [
            Letter(
                Place(partition, offset, seq), received_at, door, reason, field, message, bytes.fromhex(text)
            )
            for partition, offset, seq, received_at, door, reason, field, message, text in rows
        ]

    def replays_of(self, project: str, letters: Sequence[Letter]) -> dict[Place, list[dict[str, Any]]]:
        """What became of each replay of these letters, oldest first."""
        if not letters:
            return {}
        own: dict[str, Parameter] = {
            "project": project,
            "partitions": sorted({letter.place.partition for letter in letters}),
            "offsets": sorted({letter.place.offset for letter in letters}),
        }
        found: dict[Place, list[dict[str, Any]]] = {}
        for partition, offset, seq, outcome, at, event_id in self._store.rows(Query(_REPLAYS, own)).rows:
            line = {"outcome": outcome, "replayed_at": instant(at), "event_id": event_id}
            found.setdefault(Place(partition, int(offset), int(seq)), []).append(line)
        return found

    def open(self, letter: Letter) -> OpenedLetter:
        """Its bytes as they came, and who sent them. CannotUnseal."""
        return open_letter(self._sealer, letter.place, letter.sealed)

    def _opened(self, letter: Letter) -> dict[str, Any]:
        try:
            raw = self.open(letter).raw
        except CannotUnseal as error:
            return {"raw": None, "encoding": None, "problem": str(error)}
        try:
            return {"raw": raw.decode(), "encoding": "text"}
        except UnicodeDecodeError:
            return {"raw": raw.hex(), "encoding": "hex"}
