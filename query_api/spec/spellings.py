"""The nearest spelling: by letters, and by what other tools call the same thing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Final

_SURE, _FAINT = 0.6, 0.4
_MANY = 100  # among so many words a faint likeness is chance

_SAID_ELSEWHERE: Final[Mapping[str, str]] = {
    # operators, as in Sensors, PostHog, Mixpanel, SQL and programs
    "eq": "= == === equal equals equal_to is exact",
    "ne": "!= !== <> neq not_equal not_equals notequal not_eq does_not_equal is_not",
    "gt": "> greater greater_than more_than above",
    "gte": ">= ge at_least greater_or_equal greater_than_or_equal greater_than_or_equal_to",
    "lt": "< less less_than below",
    "lte": "<= le at_most less_or_equal less_than_or_equal less_than_or_equal_to",
    "matches": "~ regex regexp rlike match",
    "contains": "like ilike icontains contain includes has substring",
    "not_contains": "not_like not_icontains notcontain does_not_contain excludes",
    "starts_with": "prefix startswith",
    "ends_with": "suffix endswith",
    "in": "one_of any_of isin",
    "not_in": "nin none_of notin",
    "is_set": "isset set exists defined not_null notnull is_not_null notempty is_not_empty",
    "is_not_set": "isnotset notset not_set null is_null isnull is_empty isempty not_exists undefined",
    "is_true": "true istrue",
    "is_false": "false isfalse",
    "before": "is_date_before",
    "after": "is_date_after since",
    "within_last": "last relative_within in_the_last",
    # measures
    "events": "count counts total total_count totals times general number",
    "users": "unique uniques unique_users unique_count uniq people dau",
    "distinct": "unique uniques uniq count_distinct distinct_count unique_count uniqcount",
    "sum": "total",
    "average": "avg mean",
    "median": "p50",
    "events_per_user": "per_user",
    "sum_per_user": "per_user avg_per_user",
    # units; where there is none so long or short, the next one
    "second": "s sec",
    "minute": "m min s sec second",
    "hour": "h hr hourly",
    "day": "d daily",
    "month": "mo monthly months quarter year",
    "week": "w weekly month months monthly quarter year",
    "quarter": "q quarterly",
    "year": "y yearly",
    # orders, attributions, owners
    "ordered": "sequential sequence loose",
    "any": "unordered",
    "first_touch": "first",
    "last_touch": "last",
    "user": "person people profile",
    # retention
    "recurring": "any every retention_recurring",
    "first_in_range": "first retention_first_occurrence",
    "first_ever": "first_time first_time_ever retention_first_time retention_first_ever_occurrence",
    "on": "exact on_day bounded",
    "on_or_after": "unbounded rolling n_day_or_after",
    "rolling_24h": "rolling 24_hour 24h 24_hour_windows",
    "calendar": "strict_calendar_dates civil",
    "retained": "converted returned kept active",
    "lost": "dropped churned not_retained",
    # fields
    "op": "operator operation comparator",
    "property": "field key attribute column name",
    "value": "values",
    "of": "source owner",
    "where": "filter filters condition conditions operator",
    "event": "name event_name id",
    "label": "display_name",
    "measure": "metric math aggregation aggregator",
    "series": "events measures metrics",
    "steps": "events",
    "interval": "granularity bucket unit",
    "return": "returning_entity returning second_event return_event",
    "periods": "total_intervals intervals interval_count",
    "entry": "retention_type",
    "mode": "retention_reference",
    "min_occurrences": "minimum_occurrences",
    "period": "interval day week",
    "trailing": "rolling",
    "breakdown": "groupby group_by segment segmentation dimensions by_fields",
    "range": "between date_range time_range period dates date_from date_to from to",
    "from": "date_from from_date start since",
    "to": "date_to to_date end until",
    "timezone": "tz time_zone",
    "window": "conversion_window funnel_window max_convert_time",
    "order": "funnel_order_type",
    "exclude": "exclusions",
    "node": "path_type node_property path_item",
    "session_gap_seconds": "session_gap gap session_timeout session_window inactivity",
    "start": "target_entity first_event initial_event birth cohort_event start_point start_event",
    "end": "end_point end_event exit",
    "max_steps": "step_limit depth max_depth steps path_length",
    "clean": "cleaning path_cleaning local_path_cleaning_filters",
    "groups": "path_groupings groupings wildcards wildcard_groups",
    "limit": "edge_limit",
    "min_count": "min_edge_weight min_weight",
    "compare": "comparison",
    "sample": "sampling sampling_factor",
    "breakdown_limit": "limit",
}
"""Our words, and what users of other tools write for them."""


def _by_word() -> dict[str, list[str]]:
    meant: dict[str, list[str]] = {}
    for ours, theirs in _SAID_ELSEWHERE.items():
        for word in theirs.split():
            meant.setdefault(word, []).append(ours)
    return meant


_MEANT: Final[Mapping[str, Sequence[str]]] = _by_word()


def nearest(given: object, allowed: Iterable[str], *, cutoff: float = _SURE) -> str | None:
    """The name among `allowed` whose letters come closest, if one is close at all."""
    found = get_close_matches(str(given)[:200], list(allowed), n=1, cutoff=cutoff)
    return found[0] if found else None


def nearest_word(given: object, allowed: Iterable[str]) -> str | None:
    """Of our own words (fields, operators, units, zones): the same letters, else the same meaning, else near.

    >>> nearest_word("eqq", ["eq", "ne"]), nearest_word("Equals", ["eq", "ne"]), nearest_word("x", ["eq"])
    ('eq', 'eq', None)
    """
    words = list(allowed)
    plain = str(given)[:200].strip().lower().replace(" ", "_").replace("-", "_")
    if (same := next((word for word in words if word.lower() == plain), None)) is not None:
        return same
    for meant in _MEANT.get(plain, ()):
        if meant in words:
            return meant
    return nearest(given, words) or (nearest(plain, words, cutoff=_FAINT) if len(words) < _MANY else None)
