"""What must be true after any faults, once they have ended; each broken invariant is a line of its own.

I1 accepted is stored        I4 content is as sent              I6 received = stored + duplicate + rejected
I2 stored once               I5 refused is not stored           I7 nothing waits, and what is new is seen soon
I3 nothing is invented                                  I8 persons are the model's, and rewriting ends
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from tests.faults.clients import Answers
from tests.faults.events import Content, Fate, Sent
from tests.faults.stored import Stored
from tests.reference.identity import persons

_SHOWN = 5


def broken_by_store(answers: Answers, stored: Stored) -> list[str]:
    """Compares what clients were told with the rows."""
    events = {sent.number: sent for sent in answers.accepted.values() if sent.fate is Fate.EVENT}
    profiles = {sent.number: sent for sent in answers.accepted.values() if sent.fate is Fate.PROFILE}
    counts = Counter(number for number, _, _ in stored.events)
    contents = {number: content for number, content, _ in stored.events}
    return [
        *_complain("I1 lost", events.keys() - counts.keys()),
        *_complain("I2 stored more than once", [number for number, count in counts.items() if count > 1]),
        *_complain("I3 invented, or I5 refused but stored", counts.keys() - events.keys()),
        *_complain(
            "I4 stored otherwise than sent",
            [
                (sent.content, contents[number])
                for number, sent in events.items()
                if number in contents and not _equal(sent.content, contents[number])
            ],
        ),
        *_complain("profile operations (I1 to I5)", _profile_differences(profiles, stored)),
        *_complain("I6 dead letters", _outside(stored.dead_letters, *_refused_bounds(answers))),
        *_complain("I6 ledger's stored", _outside(stored.ledger.get("stored", 0), *_stored_bounds(answers))),
        *_complain("I6 ledger's rejected", _unequal(stored.ledger.get("rejected", 0), stored.dead_letters)),
        *_complain("I6 ledger's received", _unequal(stored.ledger.get("received", 0), stored.tallies)),
        *_complain("I7 log records left after a clean stop", _unequal(stored.lag, 0)),
        *_complain("I8 persons", stored.persons.items() ^ persons_of(answers).items()),
        *_complain("I8 persons, rewritten", stored.persons_rewritten.items() ^ stored.persons.items()),
        *_complain("I8 overrides left", _unequal(stored.overrides_left, 0)),
    ]


def broken_by_ledger(answers: Answers, ledger: Mapping[str, Any]) -> list[str]:
    """Checks what the ledger says through the API once everything has been processed."""
    total = ledger["total"]
    rejected = sum(total["rejected"].values())
    at_least = answers.answered_records + len(answers.words)
    at_most = at_least + answers.unknown_records + answers.unknown_words
    return [
        *_complain("I7 queued", _unequal(total["queued"], 0)),
        *_complain("I6 stored", _outside(total["stored"], *_stored_bounds(answers))),
        *_complain("I6 rejected", _outside(rejected, *_refused_bounds(answers))),
        *_complain("I6 received", _outside(total["received"], at_least, at_most)),
        *_complain("I6 the total does not close", _gap(total)),
        *_complain("I6 a minute does not close", [line for line in ledger["minutes"] if any(_gap(line))]),
    ]


def persons_of(answers: Answers) -> dict[str, str]:
    """The model's, of every id with an event."""
    ids = {sent.content.distinct_id for sent in answers.accepted.values() if sent.fate is Fate.EVENT}
    return persons(answers.claims, ids, only_trusted=False, limit=3, words=answers.words)


def _stored_bounds(answers: Answers) -> tuple[int, int]:
    """A word that was never answered may have been heard as well."""
    at_least = len(answers.accepted) + len(answers.words)
    return at_least, at_least + answers.unknown_words


def _refused_bounds(answers: Answers) -> tuple[int, int]:
    """A refused record in a request that was never answered may have its dead letter, too."""
    return answers.answered_refused, answers.answered_refused + answers.unknown_refused


def _gap(line: Mapping[str, Any]) -> Iterator[str]:
    accounted = line["stored"] + line["duplicate"] + sum(line["rejected"].values()) + line["queued"]
    if accounted != line["received"]:
        yield f"{line['received']} received, {accounted} accounted for"


def _equal(sent: Content, stored: Content) -> bool:
    return sent._replace(amount="") == stored._replace(amount="") and Decimal(sent.amount) == Decimal(
        stored.amount
    )


def _profile_differences(profiles: Mapping[int, Sent], stored: Stored) -> list[str]:
    """Each profile record writes three properties of a profile of its own, once."""
    expected = Counter(
        (sent.content.distinct_id, property_, value)
        for number, sent in profiles.items()
        for property_, value in (
            ("fault_number", str(number)),
            ("text", sent.content.text),
            ("amount", str(Decimal(sent.content.amount))),
        )
    )
    found = Counter(
        (distinct_id, property_, str(Decimal(value)) if property_ == "amount" else value)
        for distinct_id, _, property_, value in stored.profile_operations
        if property_ in ("fault_number", "text", "amount")
    )
    missing, too_many = expected - found, found - expected
    return [f"missing {key}" for key in missing] + [f"too many {key}" for key in too_many]


def _unequal(found: int, expected: int) -> list[str]:
    return [] if found == expected else [f"{found}, not {expected}"]


def _outside(found: int, least: int, most: int) -> list[str]:
    return [] if least <= found <= most else [f"{found}, not from {least} to {most}"]


def _complain(invariant: str, witnesses: Iterable[object]) -> list[str]:
    seen = list(witnesses)
    return [f"{invariant}: {len(seen)}, such as {sorted(map(str, seen))[:_SHOWN]}"] if seen else []
