"""What a project is, and what it may be called and set to."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from zoneinfo import available_timezones

DEFAULT_PROJECT = "default"
STRATEGIES = ("many_to_one",)
BINDINGS = ("any", "trusted")
WEEK_STARTS = ("monday", "sunday")
MAX_SHARED_DEVICE_LIMIT = 1000

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class InvalidProject(ValueError):  # noqa: N818 - reads as what it is
    """A field of a project that cannot be: `field` is its path ("identity.strategy"), `message` what can."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


@dataclass(frozen=True, slots=True)
class IdentityRules:
    """How ids become persons."""

    strategy: str = "many_to_one"
    bindings: str = "any"  # "trusted": only those that came with a secret key count
    shared_device_limit: int = 3  # an anonymous id with more logins than this belongs to none of them


@dataclass(frozen=True, slots=True)
class Project:
    """A tenant: its own events, people and keys."""

    name: str
    timezone: str = "Asia/Shanghai"
    week_start: str = "monday"
    keyless: bool = False  # the Sensors door takes records without a key
    identity: IdentityRules = field(default_factory=IdentityRules)


def check_project(project: Project) -> None:
    """Raises InvalidProject for the first field that is wrong."""
    if not _NAME.fullmatch(project.name):
        raise InvalidProject(
            "name",
            "use 1 to 64 letters, digits, '_' or '-', the first a letter or a digit, as in 'retail-app'",
        )
    check_timezone(project.timezone)
    _check_choice("week_start", project.week_start, WEEK_STARTS)
    _check_choice("identity.strategy", project.identity.strategy, STRATEGIES)
    _check_choice("identity.bindings", project.identity.bindings, BINDINGS)
    if not 1 <= project.identity.shared_device_limit <= MAX_SHARED_DEVICE_LIMIT:
        raise InvalidProject("identity.shared_device_limit", f"use 1 to {MAX_SHARED_DEVICE_LIMIT} logins")


def check_timezone(name: str) -> None:
    """Raises InvalidProject unless `name` is an IANA zone, spelled as IANA spells it."""
    if name not in timezones():
        near = _nearest(name, timezones()) or "Asia/Shanghai"
        raise InvalidProject(
            "timezone", f"{name!r} is not a time zone of the IANA database; did you mean {near!r}?"
        )


def _check_choice(field: str, value: str, allowed: Collection[str]) -> None:
    if value not in allowed:
        near = _nearest(value, allowed)
        hint = f"; did you mean {near!r}?" if near else ""
        raise InvalidProject(field, f"{value!r} is not one of {', '.join(map(repr, allowed))}{hint}")


@cache
def timezones() -> frozenset[str]:
    """All IANA zones that this machine knows; not the names that mean whatever its clock is set to."""
    return frozenset(available_timezones()) - {"localtime", "Factory"}


def _nearest(value: str, allowed: Collection[str]) -> str | None:
    by_lower = {name.lower(): name for name in sorted(allowed)}
    found = get_close_matches(value.lower()[:100], by_lower, n=1)
    return by_lower[found[0]] if found else None
