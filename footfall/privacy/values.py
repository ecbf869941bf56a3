"""What becomes of one value: a text, a number, a list, an id. Knows nothing of records."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NamedTuple

import msgspec

from footfall.privacy.detection import find
from footfall.privacy.kinds import Action, Match
from footfall.privacy.masks import HIDDEN, mask_match, mask_name, mask_value
from footfall.privacy.settings import PrivacySettings
from footfall.privacy.stand_ins import StandIns

Raw = msgspec.Raw

_read = msgspec.json.Decoder(float_hook=msgspec.Raw).decode
"""Numbers with a point or an exponent stay text."""
_write = msgspec.json.Encoder().encode


class Done(NamedTuple):
    """Something that privacy did: what `Masked` counts."""

    event: str  # "" for users and items
    property: str  # or the field: distinct_id, lib.$app_version, user_agent
    kind: str  # a Kind, "rule", "grade", "id", "ip"
    action: str


class Masked(dict[Done, int]):
    """How often what was done; of what was not, 0."""

    def __missing__(self, done: Done) -> int:
        return 0


_ROUNDS: Final = 8
_IS_HIDDEN: Final = re.compile(r"[0-9]{3,8}\*{4,13}[0-9]{0,4}")
"""A number by itself, hidden: nothing else is left to look for."""


class Place(NamedTuple):
    """Where a value stands, for the count."""

    event: str
    property: str


class Values:
    """The actions of one project. Safe to use from several threads."""

    def __init__(
        self,
        settings: PrivacySettings,
        stand_ins: StandIns,
        is_nobody: Callable[[str], bool],
        id_keys: Collection[str] = (),
        rule_of: Callable[[str], Action | None] = lambda _key: None,
    ) -> None:
        """`id_keys`: names of identities that may stand before an id, `member+13800138000`; `rule_of`: what a
        rule says of the identities of such a name.
        """
        self._rule_of = rule_of
        self._id_keys = frozenset(id_keys)
        self._detect: dict[str, Action] = dict(settings.detect.items())
        self._ids = settings.ids
        hashes_some = any(
            rule.name.startswith("identities.") and rule.action == "hash" for rule in settings.rules
        )
        self.looks_at_all_ids = settings.ids == "all" or hashes_some
        self._stand_ins = stand_ins
        self._is_nobody = is_nobody

    def text(self, text: str, place: Place, masked: Masked) -> str:
        """The text with what detection finds in it hidden; the same object if that is nothing."""
        for _ in range(_ROUNDS):
            hidden = self._once(text, place, masked)
            if hidden is text:
                break
            if _IS_HIDDEN.fullmatch(hidden):
                return hidden
            text = hidden  # digits that touched what is hidden now may be somebody's by themselves
        return text

    def _once(self, text: str, place: Place, masked: Masked) -> str:
        matches = find(text)
        if not matches:
            return text
        parts: list[str] = []
        at = 0
        for match in matches:
            action = self._detect.get(match.kind, "mask")
            if action == "keep":
                continue
            parts += [text[at : match.start], self._hidden(match, text, action)]
            at = match.end
            masked[Done(*place, match.kind, action)] += 1
        return "".join([*parts, text[at:]]) if parts else text

    def _hidden(self, match: Match, text: str, action: Action) -> str:
        if action == "drop":
            return f"[{match.kind}]"
        if action == "hash":
            return self._stand_ins.hash(match.plain)
        if action == "tokenise":
            return self._stand_ins.token(match.plain)
        return mask_match(match, text)

    def name(self, name: str, place: Place, masked: Masked) -> str:
        """The name of an event or a property, with numbers hidden that are somebody's."""
        parts: list[str] = []
        at = 0
        for match in find(name):
            if self._detect.get(match.kind, "mask") != "keep":
                parts += [name[at : match.start], mask_name(match, name)]
                at = match.end
                masked[Done(*place, match.kind, "mask")] += 1
        return "".join([*parts, name[at:]]) if parts else name

    def id(self, id_: str, place: Place, masked: Masked, *, always: bool = False) -> str:
        """The id, or its pseudonym where it holds something of a person, or (`always`) a rule wants one."""
        key, plus, value = id_.partition("+")
        if plus and (key in self._id_keys or key.startswith("$identity_")):
            rule = self._rule_of(key)
            if rule == "keep":
                return id_
            always = always or rule == "hash"
            return f"{key}+{self.id(value, place, masked, always=always)}"  # as `identities` has it
        if not id_ or self._is_nobody(id_) or (self._ids == "keep" and not always):
            return id_
        if self._ids == "detected" and not always:
            kinds: set[str] = {match.kind for match in find(id_)}
            kinds = {kind for kind in kinds if self._detect.get(kind, "mask") != "keep"}
            if not kinds:
                return id_
        else:
            kinds = {"id"}
        pseudonym = self._stand_ins.pseudonym(id_)
        if pseudonym != id_:
            for kind in kinds:
                masked[Done(*place, kind, "hash")] += 1
        return pseudonym

    def looked_at(self, raw: Raw, place: Place, masked: Masked, *, numbers: bool = True) -> Raw:
        """A property's value (JSON) after detection; the same object if there is nothing."""
        first = bytes(raw)[:1]
        if first == b'"':
            text = _read(raw)
            hidden = self.text(text, place, masked)
            return raw if hidden is text else Raw(_write(hidden))
        if first in b"[{":
            value = _read(raw)
            changed = self._nested(value, place, masked)
            # An object is written anew all the same: of a name that is there twice, only the last was seen.
            return raw if changed is value and first == b"[" else Raw(_write(changed))
        if numbers and first in b"-0123456789":
            digits = whole_digits(bytes(raw))
            if digits is not None:
                hidden = self.text(digits, place, masked)
                return raw if hidden is digits else Raw(_write(hidden))
        return raw

    def _nested(self, value: Any, place: Place, masked: Masked) -> Any:
        """Lists of strings; anything deeper comes only in fields that nobody reads."""
        if isinstance(value, str):
            return self.text(value, place, masked)
        if isinstance(value, list):
            changed = [self._nested(each, place, masked) for each in value]
            return changed if any(a is not b for a, b in zip(changed, value, strict=True)) else value
        if isinstance(value, dict):
            told = {
                self.name(key, place, masked): self._nested(each, place, masked)
                for key, each in value.items()
            }
            same = told.keys() == value.keys() and all(told[key] is value[key] for key in told)
            return value if same else told
        if isinstance(value, int | Raw) and not isinstance(value, bool):
            digits = whole_digits(bytes(value) if isinstance(value, Raw) else b"%d" % value)
            if digits is not None and (hidden := self.text(digits, place, masked)) is not digits:
                return hidden
        return value

    def acted_on(self, raw: Raw, action: Action) -> Raw | None:
        """A property's value (JSON) after a rule's action on all of it; None: dropped."""
        if action == "keep" or bytes(raw) == b"null":
            return raw
        if action == "drop":
            return None
        value = _read(raw)
        if isinstance(value, list):
            return Raw(_write([self._acted_on_text(_as_text(each), action) for each in value]))
        text = value if isinstance(value, str) else bytes(raw).decode()
        return Raw(_write(self._acted_on_text(text, action)))

    def whole(self, text: str, action: Action) -> str | None:
        """A text after a rule's action on all of it; None: dropped."""
        if action in ("keep", "drop"):
            return text if action == "keep" else None
        return self._acted_on_text(text, action)

    def _acted_on_text(self, text: str, action: Action) -> str:
        if action == "hash":
            return self._stand_ins.hash(text)
        if action == "tokenise":
            return self._stand_ins.token(text)
        matches = find(text)
        if len(matches) == 1 and matches[0].start == 0 and matches[0].end == len(text):
            return mask_match(matches[0], text)
        return text if set(text) == {"*"} or HIDDEN in text[:4] else mask_value(text)


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else _write(value).decode()


_LONGEST_NUMBER: Final = 40


def whole_digits(number: bytes) -> str | None:
    """The digits of a JSON number that is whole, has 11 to 19 of them, and may thus be somebody's.

    >>> whole_digits(b"13800138000"), whole_digits(b"1.38001380E10"), whole_digits(b"0.5")
    ('13800138000', '13800138000', None)
    """
    if number.isdigit():
        return number.decode() if 11 <= len(number) <= 19 else None
    if len(number) > _LONGEST_NUMBER:
        return None
    try:
        value = Decimal(number.decode())
    except InvalidOperation:
        return None
    if not 10 <= value.adjusted() < 19 or value != value.to_integral_value():
        return None
    return str(int(value)) if value > 0 else None
