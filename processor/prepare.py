"""A planned block -> everything that is inserted for it, computed before the first insert.

Pure but for look-ups in the store, which leave out what an earlier try of the same block stored: so a redo
gives the same rows and the same counts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, NamedTuple

import pyarrow as pa
import structlog

from footfall.events.keys import KeyedHash
from footfall.sealing import Sealer
from footfall.storage.digests import PROVEN, Digest, digest_rows
from footfall.storage.event_rows import (
    build_events_table,
    join_events_tables,
)
from footfall.storage.rows import LinkRow, OverrideRow, PropertyRow, build_table
from footfall.storage.store import Store, StoreError
from footfall.workspace import IdentityRules
from footfall.workspace.errors import WorkspaceUnavailable
from processor.block_parts import by_day, checksum, event_ids_table, event_rows, ids_by_project, split
from processor.blocks import Plan
from processor.catalogue import (
    Catalogue,
    conflict_rows,
    event_name_rows,
    property_rows,
    with_first_seen,
)
from processor.claims import Claims, find_claims, find_merges
from processor.dead_letters import dead_letter_rows
from processor.duplicates import Numbers, SeenEvents, day_of
from processor.event_block import EventBlock, PropertyTypes, Request, Rows, build_block, cut
from processor.failures import what_failed
from processor.id_keys import IdKeys
from processor.intake import Intake, Opened, take_in
from processor.ledger import Outcomes
from processor.links import find_links
from processor.news import Heard
from processor.person_book import People, PersonBook
from processor.pipeline import EVENT_STEPS, ITEM_STEPS, PROFILE_STEPS, UNSET_STEPS, Step, run_steps
from processor.plan_violations import violation_rows
from processor.planned_types import PlannedTypes, TypesOf
from processor.privacy_counts import privacy_count_rows
from processor.replays import replay_rows
from processor.snapshots import Profiles, build_items, item_operations, profile_operations
from processor.tombstones import Tombstones

_log = structlog.get_logger(__name__)

_PIECE = 2_000
"""Events that go through the pipeline at once: so many stay in the processor's cache from step to step, which
takes a quarter of the time off.
"""

_WIDEST_FAILURE = 20
"""So many unprocessable records, and a tenth of a block or most of late: a bug of ours, not odd records."""


class NearlyAllUnprocessable(Exception):  # noqa: N818 - reads as what it is
    """Most records of late could not be processed: stop, keep them in the log, and have it looked at."""


class Insert(NamedTuple):
    """One insert: the table, and what goes in."""

    table: str
    rows: pa.Table


def _nearly_all(count: int) -> NearlyAllUnprocessable:
    return NearlyAllUnprocessable(
        f"{count} records of late could not be processed: too many to be odd records. Nothing is given up, "
        "all stay in the log: look at the warnings before this and fix or roll back the processor"
    )


class Prepared(NamedTuple):
    """All of a block, ready to be inserted, and what to remember when it is."""

    version: int  # the plan's
    inserts: Sequence[Insert]  # in order: an answer never lacks what an earlier insert explains
    digests: Sequence[Digest]  # of the inserts whose rows are each of one record
    outcomes: Outcomes
    stored: int
    checksum: int  # sum of the stored events' event_key, modulo 2^64
    received_until: int
    people: People
    event_ids: Mapping[date, Sequence[bytes]]
    properties: Sequence[PropertyRow]
    profile_ids: Collection[int]  # keys of the ids that the block's profile operations are of


@dataclass(slots=True)
class _Derived:
    """What the accepted records of a block come to."""

    fresh: Rows
    repeats: Sequence[int]  # request numbers
    people: People
    blocks: Sequence[EventBlock]
    events: pa.Table | None
    tables: Mapping[str, Sequence[Any]]
    properties: Sequence[PropertyRow]


class BlockPreparer:
    """Holds what is known of the past: ids seen, bindings, types."""

    def __init__(
        self,
        store: Store,
        keyed_hash: KeyedHash,
        sealer: Sealer,
        *,
        rules_of: Callable[[str], IdentityRules],
        zone_of: Callable[[str], str],
        types_of: TypesOf,
        dedup_days: int,
        numbers: Numbers,
        spent: Callable[[str, float], None] | None = None,
    ) -> None:
        """`rules_of` a project, `zone_of` its time zone's name; `spent(step, seconds)` hears what each step
        of the pipeline took; `numbers` of the log are what repeats are looked for in.
        """
        self._zone_of = zone_of
        self._planned = PlannedTypes(types_of)
        self._store = store
        self._sealer = sealer
        self._spent = spent
        self._id_keys = IdKeys(
            keyed_hash,
            nobody_of=lambda project: rules_of(project).is_nobody,
            keys_of=lambda project: rules_of(project).resolution.keys,
        )
        self.seen = SeenEvents(store, dedup_days, numbers)
        self._book = PersonBook(store, lambda project: rules_of(project).resolution)
        self._catalogue = Catalogue(store)
        self._profiles = Profiles(store, self._book)
        self.tombstones = Tombstones(store, self._id_keys)
        self._processed = 0
        self._unprocessable = 0

    def rebuild(self) -> None:
        """Reads what must be known of the past from the store, but for the ids of events (`seen`)."""
        self._book.rebuild()
        self._profiles.rebuild()
        self._catalogue.rebuild()
        self.tombstones.rebuild()

    def forget_people(self) -> None:
        """What the store says of persons was changed: it is read again."""
        self._book.forget()

    def hear(self, heard: Heard) -> None:
        """What other processors stored."""
        if heard.too_late:
            self.rebuild()
        elif heard.anew:
            self.tombstones.rebuild()
            self._catalogue.rebuild()
            self.forget_people()
        for row in heard.rows:
            self._book.hear(row.bound, row.linked, merges=row.anew)
            self._profiles.remember(row.profiled)
            self._catalogue.hear(row.projects)

    def prepare(self, plan: Plan, records: Sequence[Opened]) -> Prepared:
        """Everything to insert for the plan. StoreError from look-ups; NearlyAllUnprocessable."""
        self._planned.read(records)
        intake = self.tombstones.apply(take_in(records, self._id_keys, plan.version, self._sealer))
        derived = self._derive_what_can_be(plan, intake)
        self.tombstones.empty_letters(intake)
        outcomes = _outcomes(intake, derived)
        days = [day_of(request.header.received_at) for request in intake.requests]
        inserts = self._inserts(plan, intake, derived, outcomes, days)
        return Prepared(
            version=plan.version,
            inserts=inserts,
            digests=[
                digest for table, rows in inserts if table in PROVEN for digest in digest_rows(table, rows)
            ],
            outcomes=outcomes,
            stored=len(derived.fresh.records),
            checksum=checksum(derived.events),
            received_until=intake.received_until,
            people=derived.people,
            event_ids=by_day(days, derived.fresh),
            properties=derived.properties,
            profile_ids={row.id_key for row in derived.tables["profile_operations"]},
        )

    def _inserts(
        self, plan: Plan, intake: Intake, derived: _Derived, outcomes: Outcomes, days: Sequence[date]
    ) -> list[Insert]:
        """`days` are the requests'."""
        first: dict[str, Sequence[Any]] = {
            "bindings": derived.people.bindings,
            "rulings": derived.people.rulings,
            "identity_links": derived.people.links,
            "past_persons": derived.people.past_persons(plan.derived),
            "binding_decisions": derived.people.decisions,
            "overrides": [
                OverrideRow(key, person, plan.derived)
                for key, person in sorted(derived.people.overrides.items())
            ],
        }
        then: dict[str, Sequence[Any]] = {
            **derived.tables,
            "dead_letters": dead_letter_rows(intake.requests, intake.dead_letters, self._sealer),
            "property_catalogue": derived.properties,
            "type_conflicts": conflict_rows(derived.blocks),
            "plan_violations": violation_rows(intake, derived.fresh, self._zone_of),
            "ledger": outcomes.rows(plan),
            "privacy_counts": privacy_count_rows(intake.requests),
            "replays": replay_rows(plan, intake, derived.fresh),
        }
        inserts = [Insert(table, build_table(rows)) for table, rows in first.items() if rows]
        if derived.fresh.records:
            inserts.append(Insert("event_ids", event_ids_table(plan, intake.requests, derived.fresh, days)))
        if derived.events is not None:
            inserts.append(Insert("events", derived.events))
        return inserts + [Insert(table, build_table(rows)) for table, rows in then.items() if rows]

    def remember(self, partition: int, prepared: Prepared) -> None:
        """The block of this log partition is in the store now."""
        self.seen.remember(partition, prepared.event_ids)
        self.seen.forget_old(day_of(prepared.version))
        self._book.remember(prepared.people)
        self._profiles.remember(prepared.profile_ids)
        self._catalogue.remember(prepared.properties)

    def _derive_what_can_be(self, plan: Plan, intake: Intake) -> _Derived:
        """All records but those that cannot be processed, which are noted in the intake."""
        rows = intake.rows
        bad: dict[int, str] = {}
        try:
            derived = self._derive(plan, intake.requests, rows)
        except (StoreError, WorkspaceUnavailable):
            raise
        except Exception as error:  # noqa: BLE001 - one record must not stop the others, whatever is wrong
            _log.warning("processor.block_failed", block=plan.token, error=what_failed(error))
            self._find_bad(plan, intake, range(len(rows.records)), bad)
            good = [row for row in range(len(rows.records)) if row not in bad]
            derived = self._derive(plan, intake.requests, rows.select(good))
        self._note_health(len(rows.records) - len(bad), len(bad))
        for row, message in bad.items():
            intake.give_up(rows, row, message)
        return derived

    def _find_bad(self, plan: Plan, intake: Intake, numbers: Sequence[int], bad: dict[int, str]) -> None:
        """Notes row number -> error for each record that fails by itself; by halving."""
        try:
            self._derive(plan, intake.requests, intake.rows.select(numbers))
        except (StoreError, WorkspaceUnavailable):
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this record's
            if len(numbers) > 1:
                middle = len(numbers) // 2
                self._find_bad(plan, intake, numbers[:middle], bad)
                self._find_bad(plan, intake, numbers[middle:], bad)
                return
            bad[numbers[0]] = what_failed(error)
            if len(bad) >= max(_WIDEST_FAILURE, len(intake.rows.records) // 10):
                raise _nearly_all(len(bad)) from None  # the error quotes a record

    def _note_health(self, processed: int, unprocessable: int) -> None:
        """Also many small blocks that fail are a failure of ours."""
        self._processed += processed
        self._unprocessable += unprocessable
        if unprocessable and self._unprocessable >= max(_WIDEST_FAILURE, self._processed):
            raise _nearly_all(self._unprocessable)
        if self._processed > 10_000:
            self._processed //= 2
            self._unprocessable //= 2

    def _derive(self, plan: Plan, requests: Sequence[Request], rows: Rows) -> _Derived:
        repeats = self.seen.find_repeats(plan, rows.event_ids)
        fresh = (
            rows.select([row for row in range(len(rows.records)) if row not in repeats]) if repeats else rows
        )
        claims, links = self._what_is_said(requests, fresh)
        people = self._book.settle(plan, ids_by_project(requests, fresh), claims, links)
        types = self._catalogue.types(plan, {request.header.project for request in requests})
        events, *others = split(fresh)
        sets, unsets, items = (
            self._run(steps, requests, part, source=source, people=people, types=types)
            for steps, part, source in zip(
                (PROFILE_STEPS, UNSET_STEPS, ITEM_STEPS), others, ("user", "user", "item"), strict=True
            )
        )
        event_blocks, table = self._run_events(plan, requests, events, people=people, types=types)
        asked = [row for part in (sets, unsets) if part for row in profile_operations(part, self._id_keys)]
        asked_items = item_operations(items) if items else []
        blocks = [*event_blocks, *(block for block in (sets, items) if block is not None)]
        return _Derived(
            fresh=fresh,
            repeats=[rows.request_of[row] for row in repeats],
            people=people,
            blocks=blocks,
            events=table,
            tables={
                "profile_operations": asked,
                "profiles": self._profiles.build(plan, people, asked),
                "item_operations": asked_items,
                "items": build_items(self._store, plan, asked_items),
                "event_catalogue": [] if table is None else event_name_rows(table),
            },
            properties=self._catalogue.admit(property_rows(blocks)),
        )

    def _what_is_said(self, requests: Sequence[Request], rows: Rows) -> tuple[Claims, Sequence[LinkRow]]:
        """What records say of ids, by the strategy of their project."""
        declares = [self._id_keys.has_identity_keys(request.header.project) for request in requests]
        if not any(declares):
            return find_claims(requests, rows, self._id_keys), ()
        numbers: tuple[list[int], list[int]] = ([], [])
        for row, request in enumerate(rows.request_of):
            numbers[declares[request]].append(row)
        bound, linked = (rows.select(each) for each in numbers)
        claims = find_claims(requests, bound, self._id_keys)
        rulings = [*claims.rulings, *find_merges(requests, linked, self._id_keys)]
        return claims._replace(rulings=rulings), find_links(requests, linked, self._id_keys)

    def _run_events(
        self, plan: Plan, requests: Sequence[Request], rows: Rows, *, people: People, types: PropertyTypes
    ) -> tuple[list[EventBlock], pa.Table | None]:
        """The events in pieces, and all of them as rows."""
        blocks: list[EventBlock] = []
        tables: list[pa.Table] = []
        for own_requests, piece in cut(requests, rows, _PIECE):
            block = self._run(EVENT_STEPS, own_requests, piece, source="event", people=people, types=types)
            assert block is not None
            types = with_first_seen(types, block.typed.first_seen)
            blocks.append(block)
            tables.append(build_events_table(event_rows(plan, block)))
        return blocks, join_events_tables(tables) if tables else None

    def _run(
        self,
        steps: tuple[Step, ...],
        requests: Sequence[Request],
        rows: Rows,
        *,
        source: str,
        people: People,
        types: PropertyTypes,
    ) -> EventBlock | None:
        if not rows.records:
            return None
        block = build_block(requests, rows, source)
        block = replace(block, persons=people.persons, known_types=types, declared_types=self._planned.types)
        return run_steps(steps, block, self._spent)


def _outcomes(intake: Intake, derived: _Derived) -> Outcomes:
    outcomes = Outcomes(intake.requests)
    outcomes.count("stored", derived.fresh.request_of)
    outcomes.count("duplicate", derived.repeats)
    for letter in intake.dead_letters:
        outcomes.count_rejected(letter.reason, letter.request)
    return outcomes
