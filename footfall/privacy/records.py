"""A record, field by field, as it may rest. What is not changed keeps its bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from footfall.events.addresses import country_of, truncated
from footfall.events.faults import FIELD_TYPES
from footfall.privacy.never_collect import is_never_collected
from footfall.privacy.rulebook import Rulebook, Verdict
from footfall.privacy.settings import Address
from footfall.privacy.values import Done, Masked, Place, Values

Raw = msgspec.Raw

_read_object = msgspec.json.Decoder(dict[str, Raw]).decode
_read_text = msgspec.json.Decoder(str).decode
_read_plain = msgspec.json.Decoder().decode
_write = msgspec.json.Encoder().encode

ID_FIELDS: Final = frozenset(
    {"distinct_id", "login_id", "anonymous_id", "original_id", "event_id", "item_id"}
)
_NUMBERS_OF_SDKS: Final = frozenset({"_track_id", "_flush_time", "sent_at", "time"})
"""Random or times. `time` decides when it happened and was judged; the others are dropped if they are
somebody's number: the event's id was made of them before.
"""

MONEY: Final = frozenset({"amount", "balance", "fee"})
"""Whole numbers under these names are money: 13800138000 fen are no phone."""


_NAMELESS: Final = {"track_signup": "$SignUp", "track_id_bind": "$BindID", "track_id_unbind": "$UnbindID"}
_NOWHERE: Final = Place("", "")
_MOST_NAMES: Final = 20_000


class Told(NamedTuple):
    """What a record says of itself, and where to count what is done to it."""

    source: str  # event, user, item: whose properties these are
    event: str
    type: str
    masked: Masked


class Records:
    """The records of one project. Safe to use from several threads."""

    def __init__(self, values: Values, rulebook: Rulebook, ip: Address, money: frozenset[str]) -> None:
        self._values = values
        self._rulebook = rulebook
        self._ip = ip
        self._money = MONEY | money
        self.keeps_ip = ip == "keep"
        self.looks_at_all_ids = values.looks_at_all_ids
        self._clean_names: set[str] = set()  # usual names need no second look

    def rewritten(self, element: bytes, masked: Masked) -> bytes:
        """The record, its objects written anew: of a name that is there twice the last value counts, and the
        others are nowhere any more.
        """
        fields = _read_object(element)
        told = self.told(fields, masked)
        kept: dict[str, Raw | None] = {}
        for field, raw in fields.items():
            if field == "properties":
                kept[field] = self._properties(raw, told)
            elif field in ("lib", "identities"):
                kept[field] = self._entries(raw, field, told)
            elif field in FIELD_TYPES or not is_never_collected(field):
                shown = field if field in FIELD_TYPES else self.shown(field)
                kept[shown] = self.field(field, raw, Place(told.event, shown), told)
        return _write({field: raw for field, raw in kept.items() if raw is not None})

    def told(self, fields: Mapping[str, Raw], masked: Masked) -> Told:
        """What a record with these fields says of itself."""
        type_ = _text_of(fields.get("type")) or "track"
        source = "item" if type_.startswith("item") else "user" if type_.startswith("profile") else "event"
        event = ""
        if source == "event":
            event = self.shown(_text_of(fields.get("event")) or _NAMELESS.get(type_, ""))
        return Told(source, event, type_, masked)

    def verdict(self, told: Told, name: str) -> Verdict | None:
        """Of the rules, on a property, `lib.<name>` or `identities.<name>`."""
        return self._rulebook.verdict(told.source, told.event, name)

    def shown(self, name: str) -> str:
        """A name as it may be seen; counted elsewhere."""
        if name in self._clean_names:
            return name
        shown = self._values.name(name, _NOWHERE, Masked())
        if shown == name:
            if len(self._clean_names) >= _MOST_NAMES:
                self._clean_names.clear()
            self._clean_names.add(name)
        return shown

    def field(self, field: str, raw: Raw, place: Place, told: Told) -> Raw | None:
        """A field that is not one of the objects; the same object if nothing is to be done, None: dropped."""
        if field in _NUMBERS_OF_SDKS:
            is_clean = self._values.looked_at(raw, _NOWHERE, Masked()) is raw
            return raw if is_clean or field == "time" else None
        return self._plain_field(field, raw, place, told.masked)  # also a Sensors SDK's, that nobody reads

    def _plain_field(self, field: str, raw: Raw, place: Place, masked: Masked) -> Raw:
        text = _text_of(raw)
        if text is None:
            return self._values.looked_at(raw, place, masked)
        shown = text
        if field in ID_FIELDS:
            shown = self._values.id(text, place, masked)
        elif field in ("event", "item_type"):
            shown = self._values.name(text, place, masked)
        else:
            shown = self._values.text(text, place, masked)
        return raw if shown == text else Raw(_write(shown))

    def _properties(self, raw: Raw, told: Told) -> Raw:
        if bytes(raw)[:1] != b"{":
            return raw
        properties = _read_object(raw)
        kept: dict[str, Raw] = {}
        for name, value in properties.items():
            if name == "$ip":
                self._put_address(value, properties, kept, told)
                continue
            place = Place(told.event, self.shown(name))
            changed = self.property(name, value, place, self.verdict(told, name), told)
            if changed is not None and place.property not in kept:
                kept[place.property] = changed
                if place.property != name:
                    self._values.name(name, place, told.masked)  # counts
        return Raw(_write(kept))

    def property(
        self, name: str, value: Raw, place: Place, verdict: Verdict | None, told: Told
    ) -> Raw | None:
        """A property but `$ip`; the same object if nothing is to be done, None: dropped."""
        new: Raw | None
        if verdict is None:
            new = self._values.looked_at(value, place, told.masked, numbers=name not in self._money)
        else:
            new = self._ruled(value, verdict, place, told.masked)
        if new is not value and told.type == "profile_increment":
            return None  # what is added up is a number or nothing
        return new

    def _ruled(self, value: Raw, verdict: Verdict, place: Place, masked: Masked) -> Raw | None:
        new = self._values.acted_on(value, verdict.action)
        if new is not value:
            masked[Done(*place, verdict.why, verdict.action)] += 1
        return new

    def _put_address(self, value: Raw, properties: dict[str, Raw], kept: dict[str, Raw], told: Told) -> None:
        """`$ip` as the rule says; the country behind it is put down before it goes."""
        ip = _text_of(value)
        if self._ip == "keep":
            kept["$ip"] = value
            return
        if ip is not None:
            if "$country" not in properties and (country := country_of(ip)):
                kept["$country"] = Raw(_write(country))
            if self._ip == "truncate" and (network := truncated(ip)):
                kept["$ip"] = Raw(_write(network))
                if network == ip:
                    return
        told.masked[Done(told.event, "$ip", "ip", self._ip)] += 1

    def _entries(self, raw: Raw, field: str, told: Told) -> Raw:
        """Of `lib` and `identities`."""
        if bytes(raw)[:1] != b"{":
            return raw
        kept: dict[str, Raw] = {}
        for name, value in _read_object(raw).items():
            shown = self.shown(name)
            verdict = self.verdict(told, f"{field}.{name}")
            new = self.entry(field, value, Place(told.event, f"{field}.{shown}"), verdict, told)
            if new is not None:
                kept[shown] = new
        return Raw(_write(kept))

    def entry(self, field: str, value: Raw, place: Place, verdict: Verdict | None, told: Told) -> Raw | None:
        """Of `lib` or `identities`; the same object if nothing is to be done, None: dropped."""
        if field == "identities" and (verdict is None or verdict.action == "hash"):
            return self._identity(value, place, told.masked, always=verdict is not None)
        if verdict is None:
            return self._values.looked_at(value, place, told.masked)
        return self._ruled(value, verdict, place, told.masked)

    def _identity(self, raw: Raw, place: Place, masked: Masked, *, always: bool) -> Raw:
        told = _read_plain(raw)
        ids = told if isinstance(told, list) else [told]
        if not all(isinstance(each, str) for each in ids):
            return raw
        new = [self._values.id(each, place, masked, always=always) for each in ids]
        if new == ids:
            return raw
        return Raw(_write(new if isinstance(told, list) else new[0]))


def _text_of(raw: Raw | None) -> str | None:
    """The text of a JSON string; None for anything else."""
    return _read_text(raw) if raw is not None and bytes(raw)[:1] == b'"' else None
