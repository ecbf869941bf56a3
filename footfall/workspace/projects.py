"""What a project is, and what it may be called and set to."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from zoneinfo import available_timezones

from footfall.events.declared_keys import key_faults
from footfall.events.identity import ResolutionRules
from footfall.events.identity_keys import IdentityKey, IdentityKeys
from footfall.events.nobody import IsNobody, folded, identifies_nobody, nobody_test

DEFAULT_PROJECT = "default"
DEFAULT = IdentityKeys()
"""What a project with the strategy `global` declares that says nothing else."""
STRATEGIES = ("many_to_one", "one_to_one", "global")
BINDINGS = ("any", "trusted")
WEEK_STARTS = ("monday", "sunday")
MAX_SHARED_DEVICE_LIMIT = 1000
MAX_NOBODY_IDS = 1000
MAX_NOBODY_ID_LENGTH = 255
MAX_KEEP_DAYS = 36_500

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class InvalidProject(ValueError):  # noqa: N818 - reads as what it is
    """A field of a project that cannot be: `field` is its path ("identity.strategy"), `message` what can."""

    def __init__(
        self, field: str, message: str, allowed: Sequence[str] = (), nearest: str | None = None
    ) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message
        self.allowed = allowed
        self.nearest = nearest


@cache
def _keys(keys: tuple[IdentityKey, ...]) -> IdentityKeys:
    return IdentityKeys(keys)


@dataclass(frozen=True, slots=True)
class IdentityRules:
    """How ids become persons."""

    strategy: str = "many_to_one"
    bindings: str = "any"  # "trusted": only those that came with a secret key count
    shared_device_limit: int = 3  # an anonymous id with more logins than this belongs to none of them
    nobody_ids: tuple[str, ...] = ()  # identify nobody, beside those of footfall.events.nobody
    somebody_ids: tuple[str, ...] = ()  # are on that list and yet somebody's here
    keys: tuple[IdentityKey, ...] = ()  # declared under "global", the first with the highest priority

    @property
    def resolution(self) -> ResolutionRules:
        """As footfall.events.identity takes them."""
        return ResolutionRules(
            self.bindings == "trusted",
            self.shared_device_limit,
            self.strategy == "one_to_one",
            self.declared,
        )

    @property
    def declared(self) -> IdentityKeys | None:
        """The identity keys by which ids become persons; None: by bindings to logins."""
        if self.strategy != "global":
            return None
        return _keys(self.keys) if self.keys else DEFAULT

    @property
    def is_nobody(self) -> IsNobody:
        """Whether an id identifies nobody in this project."""
        return nobody_test(self.nobody_ids, self.somebody_ids)


@dataclass(frozen=True, slots=True)
class Project:
    """A tenant: its own events, people and keys."""

    name: str
    timezone: str = "Asia/Shanghai"
    week_start: str = "monday"
    keyless: bool = False  # the Sensors door takes records without a key
    identity: IdentityRules = field(default_factory=IdentityRules)
    keep_days: int | None = None  # events older than this are dropped, by whole months; None: never


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
    check_keys(project.identity)
    _check_choice("identity.bindings", project.identity.bindings, BINDINGS)
    if not 1 <= project.identity.shared_device_limit <= MAX_SHARED_DEVICE_LIMIT:
        raise InvalidProject("identity.shared_device_limit", f"use 1 to {MAX_SHARED_DEVICE_LIMIT} logins")
    check_keep_days(project.keep_days)
    _check_ids("identity.nobody_ids", project.identity.nobody_ids)
    _check_ids("identity.somebody_ids", project.identity.somebody_ids)
    both = set(map(folded, project.identity.nobody_ids)) & set(map(folded, project.identity.somebody_ids))
    if both:
        raise InvalidProject(
            "identity.somebody_ids", f"{min(both)!r} is in nobody_ids, too: take it out of one"
        )
    for distinct_id in project.identity.somebody_ids:
        if not identifies_nobody(distinct_id):
            message = f"{distinct_id!r} is not on the list of ids that identify nobody: leave it out"
            raise InvalidProject("identity.somebody_ids", message)


def check_keys(rules: IdentityRules) -> None:
    """Raises InvalidProject for the first fault of the declared keys."""
    if rules.keys and rules.strategy != "global":
        message = f"the strategy {rules.strategy!r} knows no declared keys: leave them out, or use 'global'"
        raise InvalidProject("identity.keys", message)
    for fault in key_faults(rules.keys) if rules.keys else ():
        raise InvalidProject(f"identity.keys{fault.field}", fault.message, fault.allowed, fault.nearest)


def _check_ids(field: str, ids: Collection[str]) -> None:
    if len(ids) > MAX_NOBODY_IDS:
        raise InvalidProject(field, f"use at most {MAX_NOBODY_IDS} ids")
    if len({folded(distinct_id) for distinct_id in ids}) < len(ids):
        raise InvalidProject(field, "an id comes twice; case and surrounding white space do not count")
    for distinct_id in ids:
        if not len(folded(distinct_id)) >= 1 or len(distinct_id) > MAX_NOBODY_ID_LENGTH:
            raise InvalidProject(field, f"use ids of 1 to {MAX_NOBODY_ID_LENGTH} characters")


def check_keep_days(days: int | None) -> None:
    """Raises InvalidProject."""
    if days is not None and not 1 <= days <= MAX_KEEP_DAYS:
        raise InvalidProject("keep_days", f"use 1 to {MAX_KEEP_DAYS} days, or null to keep events for ever")


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
