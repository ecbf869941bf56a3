"""A processor over a log in memory and the shared store, for tests: a project and a log partition of its
own.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from footfall.eventlog.log import Log, Tally
from footfall.eventlog.memory_log import MemoryLog
from footfall.events.keys import KeyedHash
from footfall.events.log_record import Header, Refusal, write_log_record
from footfall.sealing import Sealer
from footfall.storage.store import Query, Store
from footfall.workspace import IdentityRules, Project
from processor.loop import Processor, ProcessorOptions
from processor.planned_types import TypesOf, no_plans

KEY = b"an installation key of 32 bytes!"
HASH = KeyedHash(KEY)
NOON = 1_795_000_000_000
ADMINISTRATOR = {"door": "administrator", "trusted": True}  # how an administrator's records come
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/120.0.0.0 Safari/537.36"
)
_partitions = itertools.count(1_000)
_ids = itertools.count(1)


@dataclass
class World:
    """Append records, process them, look at the rows of this world's project."""

    store: Store
    project: str
    rules: IdentityRules = field(default_factory=IdentityRules)
    log: Log = field(default_factory=lambda: MemoryLog(max_bytes=1 << 30))
    options: ProcessorOptions = field(default_factory=ProcessorOptions)
    partition: int = field(default_factory=lambda: next(_partitions))
    now: int = NOON
    types_of: TypesOf = no_plans

    def __post_init__(self) -> None:
        self.writer = self.log.open_writer(self.partition)
        self.processor = self.start()

    def start(self) -> Processor:
        """A new processor on the same log and store, as after a restart; the old one is not used again."""
        self.processor = Processor(
            self.log,
            self.store,
            HASH,
            Sealer(KEY),
            lambda name: Project(name, identity=self.rules),
            types_of=self.types_of,
            clock=lambda: self.now,
            options=self.options,
        )
        return self.processor

    def append(
        self,
        *events: Any,
        received_at: int = NOON,
        refusals: Sequence[Refusal] = (),
        event_ids: Sequence[str] | None = None,
        writer: Any = None,
        **header: Any,
    ) -> int:
        """One log record, as the collector writes it; its offset."""
        refused = {refusal.index for refusal in refusals}
        ids = event_ids or [
            "" if index in refused else new_event_id(self.project, event)
            for index, event in enumerate(events)
        ]
        header = {"project": self.project, "door": "native"} | header
        payload = write_log_record(
            Header(
                received_at=received_at,
                count=len(events),
                event_ids=list(ids),
                refusals=list(refusals),
                **header,
            ),
            json.dumps(events, ensure_ascii=False).encode(),
        )
        tally = Tally(header["project"], header["door"], received_at // 60_000, len(events))
        return (writer or self.writer).append(payload, tally).result()

    def process(self) -> None:
        """Until nothing waits."""
        while self.processor.step():
            pass

    def rows(self, sql: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """Rows of a query in which {project:String} is this world's."""
        return list(self.store.rows(Query(sql, {"project": self.project, **parameters})).rows)

    def events(self, columns: str = "*") -> list[tuple[Any, ...]]:
        return self.rows(
            f"SELECT {columns} FROM events WHERE project = {{project:String}} ORDER BY log_offset, seq"
        )

    def persons(self) -> dict[str, str]:
        """Each row's own id -> the id behind its person, by the stamps and the overrides."""
        names = {self.key(id_): id_ for row in self.rows(_IDS) for id_ in row if id_}
        found = self.rows(_PERSONS)
        return {own: names.get(person, "nobody") for own, person in found}

    def profiles(self) -> dict[str, dict[str, str]]:
        """By user id; those of merged or deleted persons are left out."""
        return dict(
            self.rows(
                "SELECT user_id, properties FROM profiles FINAL "
                "WHERE project = {project:String} AND NOT deleted"
            )
        )

    def ledger(self) -> dict[str, int]:
        """Counts by outcome, rejected ones by reason."""
        return dict(
            self.rows(
                "SELECT if(reason = '', outcome, concat(outcome, ' ', reason)), sum(count) FROM ledger "
                "WHERE log_partition = {partition:UInt16} AND project = {project:String} GROUP BY 1",
                partition=self.partition,
            )
        )

    def key(self, distinct_id: str) -> int:
        return HASH.id_key(self.project, distinct_id)


_IDS = """
SELECT DISTINCT distinct_id, login_id FROM events WHERE project = {project:String}
UNION DISTINCT SELECT anonymous_id, login_id FROM bindings WHERE project = {project:String}"""

_PERSONS = """
SELECT DISTINCT if(login_id = '', distinct_id, login_id),
    dictGetOrDefault('overrides_map', 'user_key', if(alias_key = 0, user_key, alias_key), user_key)
FROM events WHERE project = {project:String}"""


def new_event_id(project: str, event: Any) -> str:
    """32 hex digits: of the event's own id, else one that no other event has."""
    told = event.get("event_id") if isinstance(event, dict) else None
    return HASH.event_id(project.encode(), (told or f"number {next(_ids)}").encode()).hex()


def track(event: str, distinct_id: str, time: int = NOON, **fields: Any) -> dict[str, Any]:
    """A record of the usual kind."""
    record: dict[str, Any] = {"type": "track", "event": event, "distinct_id": distinct_id, "time": time}
    return record | {"properties": {}} | fields


def profile(operation: str, distinct_id: str, time: int = NOON, **properties: Any) -> dict[str, Any]:
    return {
        "type": f"profile_{operation}",
        "distinct_id": distinct_id,
        "time": time,
        "properties": properties,
    }


def sign_up(anonymous_id: str, login_id: str, **fields: Any) -> dict[str, Any]:
    record = track("$SignUp", login_id, **fields)
    return record | {"type": "track_signup", "original_id": anonymous_id}


def word(kind: str, subject: str, login: str) -> dict[str, Any]:
    """An administrator's record."""
    name = "$identity_merged_login_id" if "merge" in kind else "$identity_anonymous_id"
    identities = {name: subject} | ({"$identity_login_id": login} if login else {})
    type_ = "track_id_unbind" if kind.startswith("un") else "track_id_bind"
    record = track("$UnbindID" if kind.startswith("un") else "$BindID", login or subject)
    return record | {"type": type_, "identities": identities}
