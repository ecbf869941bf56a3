"""Merges identities and takes that back, by the thousand, while events arrive and stamps are rewritten; at
quiet points every person's count of events is compared with the reference model.

python -m tests.identity_churn 10000    says what it took
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from structlog.testing import capture_logs

from footfall.storage.migrate import migrate
from footfall.storage.opening import open_store
from footfall.storage.topology import Topology
from processor.restamp import Restamper, RestampOptions
from query_api.sql.events import PERSON
from tests.processor_world import ADMINISTRATOR, NOON, World, sign_up, track, word
from tests.reference.identity import Claim, Word, persons

DEVICES, LOGINS = 8, 4  # of a group, within which all bindings stay: so the slow model can be asked
BATCH = 200


@dataclass
class Group:
    """Some devices and logins, and all that was said about them."""

    number: int
    claims: list[Claim] = field(default_factory=list)
    words: list[Word] = field(default_factory=list)

    @property
    def devices(self) -> list[str]:
        return [f"d{self.number}-{n}" for n in range(DEVICES)]

    @property
    def logins(self) -> list[str]:
        return [f"c{self.number}-{n}" for n in range(LOGINS)]

    def persons(self) -> dict[str, str]:
        ids = [*self.devices, *self.logins]
        return persons(self.claims, ids, only_trusted=False, limit=3, words=self.words)


@dataclass
class Figures:
    """What a run came to."""

    said: int = 0
    events: int = 0
    quiet_points: int = 0
    most_overrides: int = 0
    overrides_left: int = 0
    passes: int = 0
    copied_again: int = 0  # months whose copy was not what there was, though nothing was deleted
    seconds: float = 0.0
    slowest_turn_seconds: float = 0.0


def churn(world: World, identities: int, seed: int, *, quiet_points: int = 5) -> Figures:
    """AssertionError at the first quiet point whose answers are not the model's."""
    with capture_logs() as lines:
        figures = _churn(world, identities, seed, quiet_points)
    figures.copied_again = sum(line["event"] == "restamp.again" for line in lines)
    return figures


def _churn(world: World, identities: int, seed: int, quiet_points: int) -> Figures:
    random = Random(seed)
    groups = [Group(number) for number in range(max(1, identities // DEVICES))]
    options = RestampOptions(
        from_overrides=max(10, identities // 20),
        after_seconds=1e9,
        rows_per_turn=max(50, identities // 2),
        longest_query_seconds=0,
    )
    at_work = Restamper(world.store, world.processor, clock=lambda: world.now, options=options)
    figures, counts, began = Figures(), Counter[str](), time.monotonic()
    moves = list(_moves(groups, random))
    random.shuffle(moves)
    pause = max(1, len(moves) // quiet_points)
    _send_events(world, groups, random, counts, len(groups) * DEVICES)
    for place, (group, move) in enumerate(moves, start=1):
        _say(world, group, move, random, NOON + place)
        if place % BATCH == 0 or place % pause == 0:
            _send_events(world, groups, random, counts, BATCH)
            world.process()
            _rewrite(at_work, figures, turns=3)
            figures.most_overrides = max(figures.most_overrides, _overrides(world))
        if place % pause == 0:
            _compare(world, groups, counts)
            figures.quiet_points += 1
    world.process()
    finish = Restamper(
        world.store, world.processor, clock=lambda: world.now,
        options=RestampOptions(from_overrides=1, rows_per_turn=20_000, longest_query_seconds=0),
    )  # fmt: skip
    while _rewrite(at_work, figures, turns=1) or _rewrite(finish, figures, turns=1):
        pass
    _compare(world, groups, counts)
    figures.said, figures.events = len(moves), counts.total()
    figures.overrides_left = _overrides(world)
    figures.passes = world.rows("SELECT uniqExact(version) FROM restamps WHERE {project:String} != ''")[0][0]
    figures.seconds = time.monotonic() - began
    return figures


def _moves(groups: list[Group], random: Random) -> Iterator[tuple[Group, str]]:
    for group in groups:
        for _ in range(DEVICES):
            yield group, "sign_up"
            yield group, random.choice(["bind", "unbind", "unbind"])
        yield group, "merge"
        yield group, random.choice(["merge", "unmerge"])


def _say(world: World, group: Group, move: str, random: Random, now: int) -> None:
    device, login, other = random.choice(group.devices), *random.sample(group.logins, 2)
    world.now = now
    if move == "sign_up":
        group.claims.append(Claim(device, login, now, 0, 0, trusted=False))
        world.append(sign_up(device, login), received_at=now)
        return
    subject = login if "merge" in move else device
    into = other if "merge" in move else login
    if move == "bind":
        group.claims.append(Claim(subject, into, now, 0, 0, trusted=True))
    group.words.append(Word(move, subject, into, now, 0, 0))
    world.append(word(move, subject, into), received_at=now, **ADMINISTRATOR)


def _send_events(world: World, groups: list[Group], random: Random, counts: Counter[str], count: int) -> None:
    """Of devices and of logins, in two months."""
    sent = []
    for _ in range(count):
        group = random.choice(groups)
        distinct_id = random.choice([*group.devices, *group.devices, *group.logins])
        counts[distinct_id] += 1
        sent.append(track("view", distinct_id, NOON - random.randrange(2) * 31 * 86_400_000))
    world.append(*sent, received_at=world.now)


def _rewrite(at_work: Restamper, figures: Figures, turns: int) -> bool:
    worked = False
    for _ in range(turns):
        began = time.monotonic()
        worked = at_work.turn()
        figures.slowest_turn_seconds = max(figures.slowest_turn_seconds, time.monotonic() - began)
    return worked


def _compare(world: World, groups: list[Group], counts: Counter[str]) -> None:
    expected = Counter[int]()
    for group in groups:
        for distinct_id, person in group.persons().items():
            expected[world.key(person)] += counts[distinct_id]
    found = world.rows(
        f"SELECT {PERSON} AS person, count() FROM events WHERE project = {{project:String}} "
        "AND event = 'view' GROUP BY person"
    )
    assert dict(found) == {person: count for person, count in expected.items() if count}


def _overrides(world: World) -> int:
    return int(world.rows("SELECT uniqExact(id_key) FROM overrides WHERE {project:String} != ''")[0][0])


def main(identities: int) -> None:
    with TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        store = open_store(f"chdb://{directory}/store", scratch=Path(directory) / "scratch")
        migrate(store, Topology())
        world = World(store, "churn")
        figures = churn(world, identities, seed=1)
        store.close()
    for name, value in vars(figures).items():
        sys.stdout.write(
            f"{name:22} {value:,.2f}\n" if isinstance(value, float) else f"{name:22} {value:,}\n"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]))
