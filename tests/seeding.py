"""Mistakes put into the code on purpose, one at a time: the comparisons with the models must see each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any
from zoneinfo import ZoneInfo

import pytest

import query_api.run
from footfall.storage.store import Query
from query_api.buckets import Calendar
from query_api.store_reader import StoreReader

Patch = pytest.MonkeyPatch
Mistake = Callable[[Patch], None]

PERSON_NOW = "dictGetOrDefault('overrides_map', 'user_key', if(alias_key = 0, user_key, alias_key), user_key)"


def in_sql(*changes: tuple[str, str]) -> Mistake:
    """The SQL says something else wherever it has these texts."""

    def put(patch: Patch) -> None:
        def changed(query: Query) -> Query:
            sql = query.sql
            for correct, wrong in changes:
                sql = sql.replace(correct, wrong)
            return replace(query, sql=sql)

        rows, stream = StoreReader.rows, StoreReader.stream
        patch.setattr(StoreReader, "rows", lambda self, query: rows(self, changed(query)))
        patch.setattr(StoreReader, "stream", lambda self, query: stream(self, changed(query)))

    return put


def in_scan(
    analysis: ModuleType,
    scan: str,
    *,
    blocks: Callable[[Any], Any] = lambda block: block,
    found: Callable[[Any], Any] = lambda found: found,
    **options: Callable[[Any], Any],
) -> Mistake:
    """The analysis' scanner gets other events or another plan, or something happens to what it found."""
    whole = getattr(analysis, scan)

    def changed(given: Any, plan: Any, *more: Any, **limits: Any) -> Any:
        wrong = replace(plan, **{name: change(getattr(plan, name)) for name, change in options.items()})
        return found(whole((blocks(block) for block in given), wrong, *more, **limits))

    return lambda patch: patch.setattr(analysis, scan, changed)


def in_zone(name: str) -> Mistake:
    def put(patch: Patch) -> None:
        calendar = query_api.run._calendar
        patch.setattr(
            query_api.run, "_calendar", lambda *given: replace(calendar(*given), zone=ZoneInfo(name))
        )

    return put


def days_of_24_hours(patch: Patch) -> None:
    def buckets(self: Calendar, period: Any, interval: Any) -> Any:
        found = whole(self, period, interval)
        if interval != "day":
            return found
        start = found[0].start
        return [
            replace(b, start=start + i * 86_400_000, end=start + (i + 1) * 86_400_000)
            for i, b in enumerate(found)
        ]

    whole = Calendar.buckets
    patch.setattr(Calendar, "buckets", buckets)
