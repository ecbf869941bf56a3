"""Drops single events of a project by their name, and blanks properties by their grade, once months are over
for long enough: what a project's rules ask for beside `keep_days`.

What goes is written down first (processor/removals.py): `footfall verify` stays closed, and answers that
reach back can warn. Rows that come late for such a month go with the next pass.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import structlog

from footfall.storage.columns import PROPERTY_COLUMNS
from footfall.storage.store import Query, QueryLimits, Store
from processor.removals import Removal, Removals, stored_before

KIND: Final = "retention"
OWN_KEY: Final = "if(alias_key = 0, user_key, alias_key)"
_DAY_MS: Final = 86_400_000
_LIMITS: Final = QueryLimits(seconds=3600.0, memory_bytes=2 << 30)
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Thinned:
    """A rule of a project, made out: which events go, or which of their properties."""

    project: str
    rule: str  # "event buy", "grade C2"
    keep_days: int
    events: tuple[str, ...] = ()
    properties: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Held:
    """What legal holds keep: whole projects, and persons by the keys of their ids."""

    projects: frozenset[str] = frozenset()
    keys: Mapping[str, frozenset[int]] = field(default_factory=dict)  # by project

    def excluded(self, project: str) -> str:
        """SQL: rows of `events` that no hold keeps."""
        keys = self.keys.get(project)
        return f"NOT ({OWN_KEY} IN ({', '.join(map(str, sorted(keys)))}))" if keys else "1"


NOTHING_HELD: Final = Held()


class Thinning:
    """One thread runs passes."""

    def __init__(
        self,
        store: Store,
        removals: Removals,
        rules: Callable[[], Sequence[Thinned]],
        at_rest: Callable[[], AbstractContextManager[Mapping[int, int]]],
        clock: Callable[[], int],
    ) -> None:
        """`at_rest` gives the next offset of each log partition; `clock` epoch ms."""
        self._store = store
        self._removals = removals
        self._rules = rules
        self._at_rest = at_rest
        self._clock = clock

    def run(self, stop: threading.Event, held: Callable[[], Held] = lambda: NOTHING_HELD) -> dict[str, int]:
        """One pass; rows that went or were altered, by project and rule. `held` is asked for each of them: a
        hold may be placed while the pass runs. StoreError, LogError, Stopped.
        """
        for name in self._removals.unfinished(KIND):
            self._removals.finish(name, None, stop)
        done: dict[str, int] = {}
        for rule in self._rules():
            if stop.is_set():
                break
            rows = self._apply(rule, held, stop)
            if rows:
                done[f"{rule.project} {rule.rule}"] = rows
                _log.info("thinning.done", project=rule.project, rule=rule.rule, rows=rows)
        return done

    def _apply(self, rule: Thinned, held: Callable[[], Held], stop: threading.Event) -> int:
        until = _month_begin(self._clock() - rule.keep_days * _DAY_MS)
        with self._at_rest() as ends:
            stored = stored_before(self._removals.all_ends(ends), others=False)
        over = (
            f"project = {_text(rule.project)} AND time < toDateTime64({until // 1000}, 3, 'UTC') AND {stored}"
        )
        rows = 0
        for what, values in _what(rule):
            with self._removals.reserved():  # whoever was before us is through when it is asked who is held
                law = held()
                if rule.project in law.projects:
                    break
                condition = f"{over} AND {law.excluded(rule.project)} AND ({what})"
                sql = f"SELECT count() FROM events WHERE {condition}"  # noqa: S608 - ours
                count = int(self._store.rows(Query(sql), _LIMITS).rows[0][0])
                if count:
                    name = f"{KIND}-{secrets.token_hex(8)}"
                    about = f"{rule.project} {rule.rule}"
                    self._removals.take_out(Removal(name, KIND, "events", condition, values, about), stop)
                    rows += count
        return rows


def _what(rule: Thinned) -> list[tuple[str, dict[str, str]]]:
    """Conditions, and the new values of what meets them (none: the rows go)."""
    found: list[tuple[str, dict[str, str]]] = []
    if rule.events:
        found.append((f"event IN ({_texts(rule.events)})", {}))
    columns = [PROPERTY_COLUMNS[name].column for name in rule.properties if name in PROPERTY_COLUMNS]
    if rule.properties:
        names = _texts(rule.properties)
        has = [f"isNotNull(`{column}`)" for column in columns]
        has.append(f"arrayExists(k -> k IN ({names}), mapKeys(properties))")
        values = dict.fromkeys(columns, "NULL")
        values["properties"] = f"mapFilter((k, v) -> k NOT IN ({names}), properties)"
        found.append((" OR ".join(has), values))
    return found


def _texts(texts: Collection[str]) -> str:
    return ", ".join(map(_text, texts))


def _text(text: str) -> str:
    """As SQL, whatever stands in it."""
    return f"unhex('{text.encode().hex()}')"


def _month_begin(ms: int) -> int:
    """Of the month (UTC) that an instant lies in: all before it is of months that are over."""
    moment = datetime.fromtimestamp(ms / 1000, UTC)
    return int(moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0).timestamp() * 1000)
