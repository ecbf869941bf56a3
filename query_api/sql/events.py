"""Rows of the events table: who is behind them, which a query reads, and what their groups are called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from footfall.storage.columns import PropertyType
from query_api.buckets import Period
from query_api.scope import Scope
from query_api.spec.breakdown import Part
from query_api.spec.query import PropertyActor, SessionActor
from query_api.spec.selector import Selector
from query_api.spec.virtual_event import VirtualSource
from query_api.sql.conditions import LATEST_PROFILES, ConditionWriter
from query_api.sql.items import current_items, item_key, item_property
from query_api.sql.parameters import EXACT_SCALE, Parameters
from query_api.sql.properties import PropertySql, event_property, map_property

PERSON = "dictGetOrDefault('overrides_map', 'user_key', if(alias_key = 0, user_key, alias_key), user_key)"
"""A row's person after all merges; 0 for an id that identifies nobody."""

TIME = "toUnixTimestamp64Milli(time)"
SESSION_GAP_MS = 30 * 60_000
"""A session by gaps ends where so much time or more lies between two `track` events of a user."""
SAMPLE_PARTS = 1_000_000
EARLIEST_MS, LATEST_MS = -2_208_988_800_000, 10_413_791_999_000
"""What a DateTime64 can hold: 1900 to 2299."""
_ALWAYS = Period(EARLIEST_MS, LATEST_MS)


@dataclass(frozen=True, slots=True)
class EventSql:
    """Writes SQL over the events of one scope. Everything it returns is never NULL unless it says so."""

    scope: Scope
    parameters: Parameters = field(default_factory=Parameters)

    @property
    def conditions(self) -> ConditionWriter:
        scope = self.scope
        return ConditionWriter(
            self.parameters, scope.catalogue, scope.project, PERSON, scope.project_calendar, scope.now
        )

    @property
    def actor(self) -> str:
        """UInt64: what is counted; 0 for rows without one. Of rows from `source`."""
        actor = self.scope.actor
        if actor is None:
            return PERSON
        if isinstance(actor, PropertyActor):
            value = self.property(actor.property)
            return f"if({value.present}, greatest(sipHash64(ifNull({value.canonical}, '')), 1), 0)"
        if actor.session is None:
            inside = f"session_person != 0 AND {TIME} < session_end + {SESSION_GAP_MS}"
            return f"if({inside}, greatest(sipHash64(session_person, session_start), 1), 0)"
        value = self.property(actor.session)
        session = f"greatest(sipHash64({PERSON}, ifNull({value.canonical}, '')), 1)"
        return f"if({value.present} AND {PERSON} != 0, {session}, 0)"

    def source(self, selectors: Sequence[Selector], period: Period) -> str:
        """What stands behind FROM: events, with their sessions where those are counted.

        Whether two events of a period share a session depends on the track events between them alone, so
        only those of the period are read; all history where an occurrence asks for it.
        """
        if self.scope.actor != SessionActor(session=None):
            return "events"
        if any(selector.occurrence != "any" for selector in selectors):
            period = Period(EARLIEST_MS, period.end)
        tests = [self.of_project(), self.within(period), "type = 'track'", "session_person != 0"]
        split = f"arraySplit((ms, gap) -> gap >= {SESSION_GAP_MS}, times, arrayDifference(times))"
        return f"""(
    SELECT * FROM events AS read
    ASOF LEFT JOIN (
        SELECT session_person, session[1] AS session_start, session[-1] AS session_end
        FROM (
            SELECT {PERSON} AS session_person, arraySort(groupArray({TIME})) AS times,
                arrayJoin({split}) AS session
            FROM events WHERE {" AND ".join(tests)}
            GROUP BY session_person
        )
    ) AS sessions ON {PERSON} = sessions.session_person AND {TIME} >= sessions.session_start
)"""

    def property(self, name: str) -> PropertySql:
        """A property of the event itself."""
        return event_property(name, self.scope.catalogue, self.parameters)

    def of_project(self) -> str:
        return f"project = {self.parameters.text(self.scope.project)}"

    def within(self, period: Period) -> str:
        edges = (min(max(edge, EARLIEST_MS), LATEST_MS) for edge in (period.start, period.end))
        first, last = (f"fromUnixTimestamp64Milli({self.parameters.integer(edge)}, 'UTC')" for edge in edges)
        return f"time >= {first} AND time < {last}"

    def reads(self, selectors: Sequence[Selector], period: Period, *, filtered: bool = True) -> str:
        """WHERE of all rows that may match a selector: project, period, names, conditions, the sample.

        Not `filtered`: also rows that fail the query's own conditions.
        """
        tests = [self.of_project(), self.within(period), self.named(selectors)]
        if self.scope.where and filtered:
            tests.append(self.conditions.all_of(self.scope.where))
        if (carrier := self._actor_property()) is not None:
            tests.append(self.property(carrier).present)
        if self.scope.sample is not None and self.scope.sample < 1:
            tests.append(self._sampled())
        return "\n        AND ".join(tests)

    def named(self, selectors: Sequence[Selector]) -> str:
        """Rows with the names that the selectors take; `null` takes every `track` event.

        Of virtual events these are all rows of their names: `selects` and `narrows` tell which are theirs.
        """
        return self._named([source for selector in selectors for source in self._sources(selector)])

    def selects(self, selector: Selector) -> str:
        """Whether a row that is read matches the selector, its name included."""
        return f"({' AND '.join([self.taken(selector), *self._narrows(selector)])})"

    def narrows(self, selector: Selector) -> list[str]:
        """What a selector asks of a row beside that it is `named`."""
        conditional = any(source.where for source in self._sources(selector))
        return [*([self.taken(selector)] if conditional else []), *self._narrows(selector)]

    def plain_names(self, selector: Selector) -> tuple[str, ...] | None:
        """The names that alone decide whether the selector takes a row; None where more is asked."""
        sources = self._sources(selector)
        if selector.where or selector.occurrence != "any" or any(s.where or s.event is None for s in sources):
            return None
        return tuple(dict.fromkeys(name for source in sources for name in source.event or ()))

    def taken(self, selector: Selector) -> str:
        """Whether a row is an event that the selector names, real or virtual; its `where` is not asked."""
        sources = self._sources(selector)
        plain = [source for source in sources if not source.where]
        tests = [self._named(plain)] if plain else []
        for source in sources:
            if source.where:
                where = [self.conditions.one(condition) for condition in source.where]
                tests.append(f"({' AND '.join([self._named([source]), *where])})")
        return tests[0] if len(tests) == 1 else f"({' OR '.join(tests)})"

    def _sources(self, selector: Selector) -> list[VirtualSource]:
        """What the selector's names stand for: real events as they are, virtual ones by their definition."""
        if selector.event is None:
            return [VirtualSource(event=None)]
        virtual = self.scope.virtual_events
        real = [name for name in selector.event if name not in virtual]
        sources = [VirtualSource(event=tuple(real))] if real else []
        return sources + [s for name in selector.event if name in virtual for s in virtual[name].events]

    def _named(self, sources: Sequence[VirtualSource]) -> str:
        names = sorted({name for source in sources for name in source.event or ()})
        tests = [f"event IN {self.parameters.one_of(names)}"] if names else []
        if any(source.event is None for source in sources):
            tests.append("type = 'track'")
        return tests[0] if len(tests) == 1 else f"({' OR '.join(tests)})"

    def _narrows(self, selector: Selector) -> list[str]:
        tests = [self.conditions.one(condition) for condition in selector.where]
        if selector.occurrence != "any":
            tests.append(self._is_first(selector))
        return tests

    def key(self, parts: Sequence[Part], profile: str = "profile") -> str:
        """String: the group's key, in the form that query_api.group_keys reads."""
        return self.joined_key([self.key_part(part, profile) for part in parts])

    def key_part(self, part: Part, profile: str = "profile") -> str:
        """String: a part of the key: '' for a missing value, else '=' and its text."""
        if part.of == "item":
            return self._item_key_part(part)
        if part.of == "event":
            found = self.property(part.property)
        else:
            found = map_property(part.property, "user", profile, self.scope.catalogue, self.parameters)
        return f"ifNull(concat('=', {found.canonical}), '')"

    def _item_key_part(self, part: Part) -> str:
        assert part.item_type is not None
        assert part.by is not None
        catalogue, parameters = self.scope.catalogue, self.parameters
        found = item_property(part.property, catalogue, parameters)
        items = current_items(self.scope.project, part.item_type, parameters)
        return item_key(part.by, found, items, catalogue, parameters)

    @staticmethod
    def joined_key(parts: Sequence[str]) -> str:
        if len(parts) == 1:
            return parts[0]
        sized = [f"toString(length({part})), ':', {part}" for part in parts]
        return f"concat({', '.join(sized)})"

    @staticmethod
    def order_of_part(part: str, type_: PropertyType | None) -> str:
        """ORDER BY of a key's part: a missing value first, numbers by size, then texts."""
        if type_ not in ("number", "decimal"):
            return f"{part} != '', {part}"
        number = f"toDecimal256OrNull(substring({part}, 2), {EXACT_SCALE})"
        return f"{part} != '', {number} ASC NULLS LAST, {part}"

    def profiles(self, columns: str) -> str:
        """A subquery over the latest profiles: `profile` is the map of properties."""
        project = self.parameters.text(self.scope.project)
        return f"({LATEST_PROFILES.replace('{project}', project).replace('SELECT user_key', columns, 1)})"

    def _actor_property(self) -> str | None:
        """The property that a row must have to be of an actor."""
        actor = self.scope.actor
        if isinstance(actor, PropertyActor):
            return actor.property
        return actor.session if isinstance(actor, SessionActor) else None

    def _sampled(self) -> str:
        """The share of actors; rows of nobody are sampled by their time."""
        assert self.scope.sample is not None
        limit = self.parameters.integer(int(self.scope.sample * SAMPLE_PARTS))
        return (
            f"sipHash64(if({self.actor} = 0, toUInt64(abs({TIME})), {self.actor})) % {SAMPLE_PARTS} < {limit}"
        )

    def _is_first(self, selector: Selector) -> str:
        """The actor's first event of these names in all history, or the first that matches."""
        tests = [self.of_project(), self.taken(selector), f"{self.actor} != 0"]
        if selector.occurrence == "first_matching":
            tests.append(self.conditions.all_of((*self.scope.where, *selector.where)))
        row = "time, seq, event_key"
        firsts = f"""SELECT actor, first.1, first.2, first.3 FROM (
        SELECT {self.actor} AS actor, min(({row})) AS first
        FROM {self.source([selector], _ALWAYS)} WHERE {" AND ".join(tests)}
        GROUP BY actor)"""
        return f"({self.actor}, {row}) IN ({firsts})"
