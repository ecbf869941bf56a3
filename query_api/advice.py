"""What can only be said of a query with the store at hand: patterns that mean nothing, names never seen."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace

from pydantic_core import PydanticCustomError

from footfall.storage.columns import PropertyType
from footfall.storage.store import Query, QueryRefused
from footfall.workspace import Project
from query_api.answers import instant
from query_api.buckets import Calendar
from query_api.catalogue import Catalogue, Source, source_of
from query_api.problems import Fault, field_path, refused
from query_api.retired import Retired
from query_api.spec.breakdown import Part
from query_api.spec.conditions import Leaf, Operator
from query_api.spec.paths import Cleaning
from query_api.spec.query import PropertyActor, QuerySpec, SessionActor
from query_api.spec.selector import Selector
from query_api.spec.strict import Strict
from query_api.spec.time_range import Span
from query_api.spec.trends import Measure
from query_api.spec.virtual_event import VirtualEvent, VirtualSource
from query_api.sql.properties import PSEUDO_PROPERTIES
from query_api.store_reader import StoreReader
from query_api.walk import walk

_TIMES: tuple[Operator, ...] = ("before", "after", "within_last")


def check_patterns(spec: Strict, reader: StoreReader) -> None:
    """Refuses regular expressions that RE2, which the store matches with, does not understand."""
    faults = []
    for path, model in walk(spec):
        if isinstance(model, Leaf) and model.op == "matches":
            faults += _faults(field_path((*path, "value")), model.value, reader)
        if isinstance(model, Cleaning):
            faults += _faults(field_path((*path, "pattern")), model.pattern, reader)
            faults = faults or _faults_of_replacement(field_path((*path, "replace")), model, reader)
    if faults:
        raise refused(faults)


def _faults(field: str, pattern: str, reader: StoreReader) -> list[Fault]:
    try:
        reader.rows(Query("SELECT match('', {pattern:String})", {"pattern": pattern}))
    except QueryRefused as error:
        why = str(error).partition("error: ")[2].partition(". Look at")[0] or "it cannot be compiled"
        message = f"not a regular expression as RE2 knows them: {why}"
        return [Fault(field, "invalid_value", message, pattern)]
    return []


def _faults_of_replacement(field: str, rule: Cleaning, reader: StoreReader) -> list[Fault]:
    """A replacement may name the pattern's groups, and no others."""
    sql = "SELECT replaceRegexpAll('', {pattern:String}, {replace:String})"
    try:
        reader.rows(Query(sql, {"pattern": rule.pattern, "replace": rule.replace}))
    except QueryRefused:
        message = "text, in which \\0 is what matched and \\1 to \\9 are the pattern's groups, if it has them"
        return [Fault(field, "invalid_value", message, rule.replace)]
    return []


def check_spans(spec: Strict, calendar: Calendar, now: int) -> None:
    """Refuses a within_last that begins before there are dates."""
    for path, model in walk(spec):
        if isinstance(model, Leaf) and model.op == "within_last":
            try:
                calendar.shift(now, Span.model_validate(model.value))
            except PydanticCustomError as error:
                message = (error.context or {})["message"]
                fault = Fault(field_path((*path, "value")), "invalid_value", message, model.value)
                raise refused([fault]) from None


def warn_of_unknown_names(
    spec: QuerySpec, catalogue: Catalogue, virtual_events: Mapping[str, VirtualEvent], reader: StoreReader
) -> None:
    """Warnings for names that were never seen, for values that cannot match, and for names of two events."""
    named = used_virtual_events(spec, virtual_events)
    known = replace(catalogue, events=catalogue.events | virtual_events.keys())
    found = [_warnings(model, known) for _, model in walk(spec)]
    found += [_warnings(model, catalogue) for virtual in named.values() for _, model in walk(virtual)]
    for warning in itertools.chain(*found, map(_of_shadowed, named.keys() & catalogue.events)):
        if warning is not None:
            reader.warn(warning)


def used_virtual_events(
    spec: QuerySpec, virtual_events: Mapping[str, VirtualEvent]
) -> dict[str, VirtualEvent]:
    """Those that the spec's selectors name, by name."""
    names = {
        name
        for _, model in walk(spec)
        if isinstance(model, Selector)
        for name in model.event or ()
        if name in virtual_events
    }
    return {name: virtual_events[name] for name in sorted(names)}


def _of_shadowed(name: str) -> str:
    return f"{name!r} is a virtual event and also an event that was seen: the virtual event was taken"


def warn_of_retired(project: Project, start: int, retired: Retired, reader: StoreReader) -> None:
    """A warning for a question that begins (epoch ms) where the project's events were dropped."""
    until = retired.until(project.name)
    if until is not None and start < until:
        now = "for ever" if project.keep_days is None else f"for {project.keep_days} days"
        reader.warn(
            f"the question begins before {instant(until)[:10]}, and events of {project.name!r} from before "
            f"then were dropped: the project keeps events {now}, by whole months"
        )
    for what, before in retired.thinned(project.name):
        if start < before:
            kind, _, name = what.partition(" ")
            lost = "events" if kind == "event" else "values of the property"
            reader.warn(
                f"the question begins before {instant(before)[:10]}, and {lost} {name!r} from before "
                "then were dropped by a rule of the project"
            )


def _warnings(model: object, catalogue: Catalogue) -> list[str | None]:
    match model:
        case Selector() | VirtualSource():
            found = [catalogue.unknown_event(name) for name in model.event or ()]
            measure = getattr(model, "measure", None)
            return found + (_of_measure(measure, catalogue) if isinstance(measure, Measure) else [])
        case Leaf():
            source = source_of(model.of)
            by = _of_property("event", model.by, catalogue) if model.by is not None else None
            return [by, _of_property(source, model.property, catalogue), _of_times(source, model, catalogue)]
        case Part():
            by = _of_property("event", model.by, catalogue) if model.by is not None else None
            return [by, _of_property(source_of(model.of), model.property, catalogue)]
        case PropertyActor(property=str(name)) | SessionActor(session=str(name)):
            return [_of_property("event", name, catalogue)]
        case _:
            return []


def _of_property(source: Source, name: str, catalogue: Catalogue) -> str | None:
    if source == "event" and name in PSEUDO_PROPERTIES:
        return None
    return catalogue.unknown_property(source, name)


def _of_times(source: Source, leaf: Leaf, catalogue: Catalogue) -> str | None:
    type_ = catalogue.type_of(source, leaf.property)
    if leaf.op not in _TIMES or type_ in ("datetime", "string", None):
        return None
    return f"{leaf.property!r} is a {type_} property: {leaf.op} matches none of its values"


_NUMERIC: tuple[PropertyType | None, ...] = ("number", "decimal", None)


def _of_measure(measure: Measure, catalogue: Catalogue) -> list[str | None]:
    if measure.property is None:
        return []
    type_ = catalogue.type_of("event", measure.property)
    unseen = _of_property("event", measure.property, catalogue)
    if measure.kind == "distinct" or type_ in _NUMERIC:
        return [unseen]
    return [
        unseen,
        f"{measure.property!r} is a {type_} property: {measure.kind} takes only values that are numbers",
    ]
