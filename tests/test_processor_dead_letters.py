"""What is turned away: refusals of the door, records that cannot be processed, and a processor that fails
on most.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import zstandard
from structlog.testing import capture_logs

from footfall.dead_letters import NOBODY_KNOWN, OpenedLetter, Sender, open_letter, seal_letter
from footfall.eventlog.log import DamagedRecord, LogRecord, Tally
from footfall.eventlog.memory_log import MemoryLog
from footfall.events.log_record import Refusal
from footfall.sealing import CannotUnseal, Sealer, SealingSuite
from footfall.storage.store import Store
from footfall.workspace.errors import WorkspaceUnavailable
from processor import pipeline, prepare
from processor.event_block import EventBlock
from processor.loop import ProcessorOptions
from processor.prepare import NearlyAllUnprocessable
from tests.processor_world import HASH, KEY, World, track


@pytest.fixture
def world(store: Store, new_name: Callable[[str], str]) -> World:
    return World(store, new_name("dead_letters"))


def dead_letters(world: World, project: str | None = None) -> list[tuple[Any, ...]]:
    return world.rows(
        "SELECT seq, reason, field, message, hex(sealed), log_offset FROM dead_letters "
        "WHERE log_partition = {p:UInt16} AND project = {name:String} AND {project:String} != '' "
        "ORDER BY log_offset, seq",
        p=world.partition,
        name=world.project if project is None else project,
    )


def unseal(world: World, letter: Sequence[Any]) -> bytes:
    place = (world.partition, letter[5], letter[0])
    return open_letter(Sealer(KEY), place, bytes.fromhex(letter[4])).raw


def test_what_the_door_refused_is_a_dead_letter_with_its_bytes_sealed(world: World) -> None:
    refusals = [Refusal(1, "invalid_name", "properties.time", "reserved")]
    world.append(track("view", "a"), {"event": "bad"}, track("view", "b"), refusals=refusals)
    world.process()
    [letter] = dead_letters(world)
    assert letter[:4] == (1, "invalid_name", "properties.time", "reserved")
    assert unseal(world, letter) == b'{"event": "bad"}'
    assert b"bad" not in bytes.fromhex(letter[4])
    assert [row[0] for row in world.events("seq")] == [0, 2]
    assert world.ledger() == {"received": 3, "stored": 2, "rejected invalid_name": 1}


def test_an_unreadable_body_is_a_dead_letter_of_the_bytes_that_came(world: World) -> None:
    world.append("//79", refusals=[Refusal(0, "unreadable", "", "not JSON")])  # base64 of ff fe fd
    world.process()
    [letter] = dead_letters(world)
    assert unseal(world, letter) == b"\xff\xfe\xfd"


def test_sealed_bytes_open_only_at_their_place_and_with_their_key() -> None:
    sealed = Sealer(KEY).seal(b"secret", "place")
    assert Sealer(KEY).unseal(sealed, "place") == b"secret"
    for sealer, place in ((Sealer(KEY), "elsewhere"), (Sealer(b"x" * 32), "place")):
        with pytest.raises(CannotUnseal):
            sealer.unseal(sealed, place)
    with pytest.raises(CannotUnseal, match="version"):
        Sealer(KEY).unseal(b"", "place")


@pytest.mark.parametrize("suite", ["intl", "gm"])
def test_what_is_long_is_sealed_small_and_opens_as_it_was(suite: SealingSuite) -> None:
    sealer = Sealer(KEY, suite)
    noise = random.Random(1).randbytes(5_000)
    for plain in (
        b"a" * 1_023,
        b"a" * 1_024,
        b"a" * 2_000_000,
        noise,
        zstandard.compress(bytes(5_000)) + noise,
    ):
        sealed = sealer.seal(plain, "place")
        assert len(sealed) <= len(plain) + 29
        assert sealed == sealer.seal(plain, "place")
        assert Sealer(KEY).unseal(sealed, "place") == plain
    assert len(sealer.seal(b"a" * 2_000_000, "place")) < 1_000


def test_nobody_can_have_sealed_bytes_unpacked_that_were_not_packed() -> None:
    sealed = Sealer(KEY).seal(zstandard.compress(random.Random(1).randbytes(5_000)), "place")
    assert sealed[:1] == b"\x01"
    with pytest.raises(CannotUnseal):
        Sealer(KEY).unseal(b"\x03" + sealed[1:], "place")


def test_what_was_sealed_before_anything_was_packed_still_opens() -> None:
    for before in (
        "01ad388ecc58f84987f3fc28c7097ef42afe00d749cc616e186a9e21879fe1a2",
        "0204bf6e45023608df5ffae4af71e6bd00813ec498eeeaa1ddaa0046d1009140",
    ):
        assert Sealer(b"k" * 32).unseal(bytes.fromhex(before), "place") == b"old"


@pytest.mark.parametrize("raw", [b"", b"{}", b"\xff\n\x00", b'{"ip":"6.6.6.6"}\n{}'])
def test_a_letter_opens_to_what_came_and_who_sent_it(raw: bytes) -> None:
    sealer, place = Sealer(KEY), (1, 2, 3)
    sender = Sender("8.8.8.8", "line\nbreak", "US", trusted=True)
    assert open_letter(sealer, place, seal_letter(sealer, place, raw, sender)) == OpenedLetter(raw, sender)
    sealed_before = sealer.seal(raw, "dead_letter:1:2:3")  # when senders were not kept
    assert open_letter(sealer, place, sealed_before) == OpenedLetter(raw, NOBODY_KNOWN)
    with pytest.raises(CannotUnseal):
        open_letter(sealer, (1, 2, 4), seal_letter(sealer, place, raw, sender))


def test_positions_in_the_clients_request_are_kept_when_it_was_split(world: World) -> None:
    world.append(track("a", "x"), "bad", indexes=[3, 7], refusals=[Refusal(1, "not_an_object", "", "")])
    world.process()
    assert world.events("seq") == [(3,)]
    assert [letter[0] for letter in dead_letters(world)] == [7]


def test_a_log_record_that_is_none_costs_only_itself(world: World) -> None:
    world.writer.append(b"no header at all", Tally("", "", 0, 1)).result()
    world.writer.append(b'{"project": 7}\n[]', Tally("", "", 0, 1)).result()
    world.append(track("view", "a"))
    world.append(track("view", "b"), track("view", "c"), event_ids=["00" * 16])  # an id is missing
    world.process()
    assert world.events("distinct_id") == [("a",)]
    assert [letter[1] for letter in dead_letters(world, "")] == ["unprocessable"] * 2
    assert unseal(world, dead_letters(world, "")[0]) == b"no header at all"
    assert [letter[1] for letter in dead_letters(world)] == ["unprocessable"] * 2
    assert world.ledger() == {"received": 3, "stored": 1, "rejected unprocessable": 2}


def test_a_record_that_no_door_should_have_accepted_costs_only_itself(world: World) -> None:
    world.append(track("view", "a"), {"type": 7, "properties": {}}, track("view", "b"))
    world.append(track("view", "c"), event_ids=["no hex digits, but thirty-two ok"])
    world.process()
    assert world.events("distinct_id, seq") == [("a", 0), ("b", 2)]
    assert [letter[:2] for letter in dead_letters(world)] == [(1, "unprocessable"), (0, "unprocessable")]
    assert unseal(world, dead_letters(world)[0]) == b'{"type": 7, "properties": {}}'
    assert world.ledger() == {"received": 4, "stored": 2, "rejected unprocessable": 2}


class DamagedLog(MemoryLog):
    """Offset 1 cannot be read."""

    def read(self, partition: int, first: int, limit_bytes: int) -> Sequence[LogRecord]:
        if first == 1:
            raise DamagedRecord(partition, 1)
        return [
            record for record in super().read(partition, first, limit_bytes) if first > 1 or record.offset < 1
        ]


def test_a_damaged_log_record_costs_only_itself(store: Store, new_name: Callable[[str], str]) -> None:
    world = World(store, new_name("blocks"), log=DamagedLog(max_bytes=1 << 20))
    for name in ("a", "b", "c"):
        world.append(track("view", name))
    world.process()
    assert world.events("distinct_id") == [("a",), ("c",)]
    [letter] = dead_letters(world, "")
    assert letter[1] == "unprocessable"
    assert "cannot read" in letter[3]


def test_an_event_that_a_step_fails_on_costs_only_itself(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_on_poison(block: EventBlock) -> EventBlock:
        if "poison" in block.names:
            raise ValueError(f"this step cannot do {block.names}")
        return block

    monkeypatch.setattr(prepare, "EVENT_STEPS", (fail_on_poison, *pipeline.EVENT_STEPS))
    world.append(*(track("poison" if n == 7 else "view", f"id {n}") for n in range(20)))
    world.append(track("view", "another"))
    with capture_logs() as lines:
        world.process()
    assert len(world.events()) == 20
    [letter] = dead_letters(world)
    assert letter[:2] == (7, "unprocessable")
    assert re.fullmatch(r"ValueError in \w+\.py, line \d+ \(fail_on_poison\)", letter[3])
    [failed] = [line for line in lines if line["event"] == "processor.block_failed"]
    assert failed["error"] == letter[3]
    assert "poison" not in str(lines).replace("fail_on_poison", ""), "a record's content is in no log line"
    assert b'"id 7"' in unseal(world, letter)
    assert world.ledger() == {"received": 21, "stored": 20, "rejected unprocessable": 1}


def test_a_bug_that_hits_everything_stops_the_processor_instead(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(block: EventBlock) -> EventBlock:
        raise RuntimeError("a bug")

    monkeypatch.setattr(prepare, "EVENT_STEPS", (fail,))
    world.append(*(track("view", f"id {n}") for n in range(30)))
    with pytest.raises(NearlyAllUnprocessable, match="all stay in the log"):
        world.process()
    monkeypatch.setattr(prepare, "EVENT_STEPS", pipeline.EVENT_STEPS)
    world.process()
    assert len(world.events()) == 30
    assert dead_letters(world) == []


def test_a_time_that_says_nothing_costs_only_its_record(world: World) -> None:
    world.append(track("view", "a", 7), track("view", "b"))  # no door lets this through
    world.process()
    assert world.events("distinct_id") == [("b",)]
    assert "InvalidTime" in dead_letters(world)[0][3]


def test_an_id_hash_is_the_projects_own() -> None:
    assert HASH.id_key("one", "a") != HASH.id_key("two", "a")


def test_many_odd_records_in_many_small_blocks_stop_the_processor_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(block: EventBlock) -> EventBlock:
        raise RuntimeError("a bug")

    monkeypatch.setattr(prepare, "EVENT_STEPS", (fail,))
    world.options = ProcessorOptions(max_events=1)
    world.start()
    for _ in range(30):
        world.append(track("view", "a"))
    with pytest.raises(NearlyAllUnprocessable):
        world.process()
    with pytest.raises(NearlyAllUnprocessable):
        world.process()
    assert len(dead_letters(world)) == 19


def test_a_workspace_that_is_away_makes_no_dead_letters(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: str) -> None:
        raise WorkspaceUnavailable("the workspace postgresql://host/footfall cannot be asked: refused")

    world.append(track("view", "a"), track("view", "b"))
    with monkeypatch.context() as patch:
        patch.setattr(world.processor, "_project_of", away)
        with pytest.raises(WorkspaceUnavailable):
            world.process()
    assert world.events("seq") == []
    world.process()
    assert [row[0] for row in world.events("seq")] == [0, 1]
    assert dead_letters(world) == []
