"""Where the log places records by their key, a request becomes a log record a key; its answer is the same."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.answers import Overloaded
from collector.budgets import Shares
from footfall.eventlog.lanes import BACKFILL
from footfall.eventlog.memory_log import MemoryLog
from footfall.eventlog.partitions import REPLAYS, LateWriter
from footfall.events.keys import KeyedHash
from footfall.events.log_record import Header, MaskedCount, PlanViolation, Refusal
from footfall.events.record import Record
from footfall.events.routing import routing_keys, split
from tests.collector_worker import Stored, Worker, event

PEOPLE = [f"u{number}" for number in range(8)]


def mixed() -> list[Any]:
    """Records of several people, one of which is no record and one of which is bad."""
    good = [event(distinct_id=PEOPLE[number % 8], event=f"event_{number}") for number in range(20)]
    return [*good[:5], "no record", *good[5:10], event(event="1 bad name"), *good[10:]]


def parts(worker: Worker) -> list[Stored]:
    return [stored for partition in worker.log.partitions() for stored in worker.stored(partition)]


async def test_each_log_record_is_of_one_id_and_positions_are_the_clients() -> None:
    worker, plain = Worker(numbers=4), Worker()
    answers = [await each.track(mixed()) for each in (worker, plain)]
    assert answers[0].status_code == answers[1].status_code
    assert answers[0].json() == answers[1].json()
    [whole] = plain.stored()
    told: dict[int, tuple[str, Any]] = {}
    for stored in parts(worker):
        people = {record.distinct_id for record in stored.records() if record is not None}
        assert len(people) == 1
        assert stored.header.count == len(stored.elements) == len(stored.header.event_ids)
        for at, index in enumerate(stored.header.indexes):
            told[index] = (stored.header.event_ids[at], stored.plain[at])
    assert [told[index] for index in range(22)] == list(zip(whole.header.event_ids, whole.plain, strict=True))
    refused = {
        (stored.header.indexes[refusal.index], refusal.reason)
        for stored in parts(worker)
        for refusal in stored.header.refusals
    }
    assert refused == {(refusal.index, refusal.reason) for refusal in whole.header.refusals}
    assert sum(tally.count for p in worker.log.partitions() for tally in worker.log.tallies(p)) == 22
    assert await counted(worker) == await counted(plain)


async def counted(worker: Worker) -> list[str]:
    """What the metrics say of records."""
    shown = (await worker.get("/metrics")).text
    return sorted(line for line in shown.splitlines() if line.startswith("footfall_collector_records_total"))


async def test_one_persons_request_stays_one_log_record_and_repeats_go_to_the_same_place() -> None:
    worker = Worker(numbers=4)
    for _ in range(2):
        await worker.track([event(), event(event="other")])
        await worker.track([event(anonymous_id="device")])
    places = [p for p in worker.log.partitions() if worker.log.position(p).end]
    assert len(places) == 1
    assert [stored.header.indexes for stored in parts(worker)] == [[]] * 4


async def test_all_of_a_request_is_refused_where_part_of_it_finds_no_room() -> None:
    worker = Worker(numbers=2, log_bytes=6_000)
    big = {"text": "x" * 1_000}
    bodies = [
        event(distinct_id=PEOPLE[number % 8], event_id=f"e{number}", properties=big) for number in range(8)
    ]
    answers = [(await worker.track(bodies)).status_code for _ in range(3)]
    assert answers[-1] == 503
    for partition in worker.log.partitions():
        worker.log.commit(partition, worker.log.position(partition).end)
        worker.log.truncate(partition, worker.log.position(partition).end)
    assert (await worker.track(bodies[:3])).status_code == 200


def test_bytes_that_wait_for_the_log_are_checked_together() -> None:
    shares = Shares(100, "bytes")
    with pytest.raises(Overloaded):
        shares.check({"bank": 60, "other": 60})
    shares.take("bank", 90)


HASH = KeyedHash(b"k" * 32)
RECORDS = st.lists(st.sampled_from([*PEOPLE[:3], None]), min_size=1, max_size=8)


@given(RECORDS, st.booleans(), st.data())
def test_parts_put_together_are_the_request(people: list[str | None], split_before: bool, data: Any) -> None:
    records = [None if each is None else Record(distinct_id=each) for each in people]
    numbers = range(len(people))
    refused = [number for number in numbers if records[number] is None]
    violating = data.draw(st.lists(st.sampled_from(numbers), unique=True).map(sorted))
    header = Header(
        project="bank",
        door="native",
        received_at=1,
        count=len(people),
        event_ids=[f"{number:032x}" for number in numbers],
        refusals=[Refusal(number, "invalid_value", "", "") for number in refused],
        indexes=[2 * number for number in numbers] if split_before else [],
        came=[100 + number for number in numbers],
        violations=[PlanViolation("view", "", "unknown_event", "js", "1", violating)] if violating else [],
        masked=[MaskedCount("view", "phone", "phone", "mask", 3)],
    )
    events = b"[" + b",".join(b'{"n":%d}' % number for number in numbers) + b"]"
    found = split(header, events, routing_keys("bank", records, HASH))
    assert len(found) == max(1, len({each for each in people if each}))
    assert sum(part.header.count for part in found) == len(people)
    assert [each for part in found for each in part.header.masked] == header.masked
    own = {number: number if not split_before else 2 * number for number in numbers}
    told: dict[int, Any] = {}
    for part in found:
        bad = {refusal.index for refusal in part.header.refusals}
        noted = {index for violation in part.header.violations for index in violation.indexes}
        elements = part.events[1:-1].split(b",")
        for at, position in enumerate(part.header.indexes or list(numbers)):
            ids = (part.header.event_ids[at], part.header.came[at])
            told[position] = (elements[at], *ids, at in bad, at in noted)
    assert told == {
        own[number]: (
            b'{"n":%d}' % number,
            f"{number:032x}",
            100 + number,
            number in refused,
            number in violating,
        )
        for number in numbers
    }


def test_what_is_written_late_goes_to_the_backfill_lane_by_its_keys() -> None:
    log = MemoryLog(max_bytes=1 << 20, routes=True, numbers=2)
    writer = LateWriter(log, REPLAYS, lambda: 5)
    header = Header("bank", "replay", 0, 2, ["0" * 32, "1" * 32])
    keys = [number.to_bytes(8, "big") for number in (6, 7)]
    writer.append(header, b'[{"n":0},{"n":1}]', keys)
    found = {p: log.read(p, 0, 1 << 20)[0].payload.partition(b"\n")[2] for p in log.partitions()}
    assert found == {BACKFILL: b'[{"n":0}]', BACKFILL + 1: b'[{"n":1}]'}
