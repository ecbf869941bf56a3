"""Which action holds for a property: what must never be collected, explicit rules, the plan's grades."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from footfall.privacy.kinds import Action
from footfall.privacy.never_collect import PLAIN_NAMES, is_never_collected, plain_name
from footfall.privacy.settings import PrivacySettings, Rule

Grades = Mapping[str, Mapping[str, str]]
"""By source (event, user, item): C1, C2 or C3 of each property that has a grade."""

_MOST_REMEMBERED: Final = 20_000


class Verdict(NamedTuple):
    """What is done to all values of a property, and who says so."""

    action: Action
    why: str  # "never_collect", "rule", "grade"


class Rulebook:
    """Of one project. Safe to use from several threads."""

    def __init__(self, settings: PrivacySettings, grades: Grades) -> None:
        self._rules = settings.rules
        self._patterns: dict[Rule, re.Pattern[str]] = {
            rule: re.compile(rule.expression) for rule in settings.rules if rule.is_pattern
        }
        self._grades = grades
        self._of_grade: dict[str, Action] = {"C1": "keep", "C2": settings.c2, "C3": "drop"}
        self._known: dict[tuple[str, str, str], Verdict | None] = {}
        self.concerns_any_name = any(
            rule.is_pattern and not rule.name.startswith(("lib.", "identities.")) for rule in self._rules
        )
        """Whether a property of any name may be concerned, so that every record must be looked at."""

    def names(self) -> frozenset[str]:
        """The names, in plain spelling, without which none of the rules, nor the list, concerns a record."""
        exact = (rule.name.rpartition(".")[2] for rule in self._rules if not rule.is_pattern)
        patterns = (rule.name.partition(".")[0] for rule in self._rules if rule.is_pattern)
        graded: Iterable[str] = (
            name for names in self._grades.values() for name, grade in names.items() if grade != "C1"
        )
        return PLAIN_NAMES | {plain_name(name) for name in (*exact, *graded, *patterns)}

    def verdict(self, source: str, event: str, name: str) -> Verdict | None:
        """None: nobody says anything, detection looks at the values."""
        key = source, event, name
        try:
            return self._known[key]
        except KeyError:
            if len(self._known) >= _MOST_REMEMBERED:
                self._known.clear()
            self._known[key] = verdict = self._find(source, event, name)
            return verdict

    def identity(self, key: str) -> Action | None:
        """What a rule says of the identities of a key, wherever they stand."""
        verdict = self.verdict("event", "", f"identities.{key}")
        return verdict.action if verdict is not None and verdict.why == "rule" else None

    def _find(self, source: str, event: str, name: str) -> Verdict | None:
        if is_never_collected(name.rpartition(".")[2]):
            return Verdict("drop", "never_collect")
        for rule in self._rules:
            if rule.of not in (None, source) or (rule.events and (source, event) not in _events(rule)):
                continue
            if _object_of(rule.name) != _object_of(name):
                continue  # `*phone*` is for properties: an identity that it masked would merge people
            pattern = self._patterns.get(rule)
            if rule.name == name if pattern is None else pattern.match(name):
                return Verdict(rule.action, "rule")
        grade = self._grades.get(source, {}).get(name)
        return None if grade is None or grade == "C1" else Verdict(self._of_grade[grade], "grade")


def _object_of(name: str) -> str:
    """lib., identities. or nothing: where what is called so stands."""
    return next((each for each in _OBJECTS if name.startswith(each)), "")


_OBJECTS: Final = ("lib.", "identities.")


def _events(rule: Rule) -> set[tuple[str, str]]:
    return {("event", event) for event in rule.events}
