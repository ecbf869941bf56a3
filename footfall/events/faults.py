"""What is wrong with a record that the typed decoders refused: reason, field, and a sentence for its sender.

This is the slow way, only for records that are turned away or carry unknown fields; whether a record is good
is decided in verdicts.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple, get_args

from footfall.events import limits
from footfall.events.reasons import Reason
from footfall.events.record import RecordType
from footfall.events.spellings import Spellings


class Fault(NamedTuple):
    """Why a record is turned away."""

    reason: Reason
    field: str
    message: str


class FaultFound(Exception):  # noqa: N818 - carries a fault, is no error of ours
    """Ends a search with the first fault found."""

    def __init__(self, reason: Reason, field: str, message: str) -> None:
        super().__init__(message)
        self.fault = Fault(reason, field, message)


_PAYLOADS: Final = frozenset({"payload", "payloads"})

TYPES: Final = get_args(RecordType)

_TEXT: Final = (str,)
_TIME: Final = (int, float, str)
_OBJECT: Final = (dict,)

FIELD_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "type": _TEXT,
    "event": _TEXT,
    "distinct_id": _TEXT,
    "time": _TIME,
    "properties": _OBJECT,
    "event_id": _TEXT,
    "anonymous_id": _TEXT,
    "login_id": _TEXT,
    "original_id": _TEXT,
    "identities": _OBJECT,
    "lib": _OBJECT,
    "project": _TEXT,
    "item_type": _TEXT,
    "item_id": _TEXT,
    "time_free": (bool,),
    "sent_at": _TIME,
    "_track_id": (int, str),
    "_flush_time": _TIME,
}
"""The fields of a record, in the order in which faults are looked for."""

NEVER_NULL: Final = frozenset({"type", "properties"})

ID_FIELDS: Final = frozenset(
    {"distinct_id", "event_id", "anonymous_id", "login_id", "original_id", "item_type", "item_id", "project"}
)

_SHOWN: Final = 60  # characters of a word that a sender made up

_FIELDS: Final = Spellings(
    FIELD_TYPES,
    {  # as other vendors' SDKs and programs call them
        "name": "event", "event_name": "event", "event_type": "event", "action": "event",
        "uid": "distinct_id", "user": "distinct_id", "user_id": "distinct_id", "visitor_id": "distinct_id",
        "client_id": "distinct_id", "device_id": "anonymous_id",
        "timestamp": "time", "ts": "time", "datetime": "time", "date": "time", "event_time": "time",
        "occurred_at": "time", "created_at": "time", "original_timestamp": "time",
        "property": "properties", "props": "properties", "params": "properties", "data": "properties",
        "attributes": "properties", "event_properties": "properties", "traits": "properties",
        "id": "event_id", "uuid": "event_id", "insert_id": "event_id", "message_id": "event_id",
        "previous_id": "original_id", "alias": "original_id", "library": "lib", "sdk": "lib",
        "flush_time": "_flush_time", "track_id": "_track_id",
        "sent": "sent_at", "sent_time": "sent_at", "send_time": "sent_at", "kind": "type",
    },
)  # fmt: skip

_TYPES: Final = Spellings(
    TYPES,
    {
        "event": "track", "page": "track", "screen": "track", "capture": "track",
        "alias": "track_signup", "signup": "track_signup", "login": "track_signup",
        "bind": "track_id_bind", "unbind": "track_id_unbind",
        "identify": "profile_set", "set": "profile_set", "people_set": "profile_set",
        "user_set": "profile_set", "set_once": "profile_set_once",
        "increment": "profile_increment", "add": "profile_increment",
        "append": "profile_append", "union": "profile_append", "unset": "profile_unset",
        "delete": "profile_delete",
    },
)  # fmt: skip

_TYPE_WORDS: Final[dict[type, str]] = {
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    str: "a string",
    dict: "an object",
    list: "a list",
    type(None): "null",
}


class _NotANumber(float):
    """A number JSON does not have (NaN), or that no double or integer of ours holds."""


def _float_of(text: str) -> float:
    number = float(text)
    return _NotANumber("nan") if number in (float("inf"), float("-inf")) else number


def _integer_of(text: str) -> int | float:
    return _NotANumber("nan") if len(text.lstrip("-")) > limits.INTEGER_DIGITS else int(text)


_decoder = json.JSONDecoder(
    parse_float=_float_of, parse_int=_integer_of, parse_constant=lambda _: _NotANumber("nan")
)


def parse_object(element: bytes) -> dict[str, Any]:
    """A record as plain values. Raises FaultFound if it is none, or for what no record may hold anywhere."""
    if len(element) > limits.RECORD_BYTES:
        raise FaultFound(
            Reason.RECORD_TOO_LARGE,
            "",
            f"the record has {len(element)} bytes, at most {limits.RECORD_BYTES} are allowed",
        )
    try:
        text = element.decode()
    except UnicodeDecodeError as error:
        raise FaultFound(Reason.INVALID_UTF8, "", f"byte {error.start} of the record is not UTF-8") from None
    if depth_exceeds(element, limits.NESTING_DEPTH):
        raise FaultFound(
            Reason.TOO_DEEP, "", f"brackets are nested deeper than {limits.NESTING_DEPTH} in one another"
        )
    try:
        value = _decoder.decode(text)
    except ValueError as error:
        raise FaultFound(Reason.UNREADABLE, "", f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise FaultFound(Reason.NOT_AN_OBJECT, "", f"a record is an object, this is {_word(value)}")
    if not _all_leaves_good(value):
        for path, leaf in _leaves(value, ""):
            _check_leaf(path, leaf)
    return value


_STRING: Final = re.compile(rb'"(?:[^"\\]+|\\.)*+"?', re.DOTALL)
_BRACKETS_ALIKE: Final = bytes.maketrans(b"{}", b"[]")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))


def depth_exceeds(text: bytes, depth: int) -> bool:
    """Whether brackets outside strings are nested deeper than `depth`. Linear, and never recursive."""
    if text.count(b"[") + text.count(b"{") <= depth:
        return False
    brackets = _STRING.sub(b"", text).translate(_BRACKETS_ALIKE, _NO_BRACKETS)
    if b"[" * (depth + 1) in brackets:
        return True
    for _ in range(depth):
        brackets = brackets.replace(b"[]", b"")  # takes away the innermost level
    return b"[" in brackets


_TOKEN: Final = re.compile(_STRING.pattern + rb"|[\[{]+|[\]}]+|,", re.DOTALL)


def split_leniently(array: bytes) -> list[bytes] | None:
    """The elements of a JSON array whose elements need not be JSON; None if its own brackets do not match."""
    text = array.strip()
    if not (text.startswith(b"[") and text.endswith(b"]")):
        return None
    elements: list[bytes] = []
    level, start = 0, 1
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token[0] in b"[{":
            level += len(token)
        elif token[0] in b"]}":
            level -= len(token)
            if level < 0 or (level == 0 and match.end() != len(text)):
                return None
        elif level == 1 and token == b",":
            elements.append(text[start : match.start()].strip())
            start = match.end()
        if len(elements) > limits.BATCH_RECORDS:
            return elements
    if level != 0:
        return None
    elements.append(text[start:-1].strip())
    return elements


def _all_leaves_good(value: Any) -> bool:
    """Whether `_check_leaf` finds nothing in any of the `_leaves`. Without their paths it is much faster."""
    found = [value]
    for inner in found:  # which grows meanwhile
        kind = type(inner)
        if kind is str:
            if not inner.isascii() and _SURROGATE.search(inner):
                return False
        elif kind is dict:
            found += inner
            found += inner.values()
        elif kind is list:
            found += inner
        elif kind is _NotANumber:
            return False
    return True


def _leaves(value: Any, path: str) -> Iterable[tuple[str, Any]]:
    """Every key and every value that is neither object nor list, with the path of where it is."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield path, key
            yield from _leaves(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, path)
    else:
        yield path, value


def _check_leaf(path: str, leaf: Any) -> None:
    if isinstance(leaf, _NotANumber):
        message = f"{path} is NaN, infinite, beyond what a double holds, or too long for an integer"
        raise FaultFound(Reason.INVALID_NUMBER, path, message)
    if isinstance(leaf, str) and not leaf.isascii():
        try:
            leaf.encode()
        except UnicodeEncodeError:
            shown = path.encode(errors="replace").decode()
            message = f"{shown or 'a field name'} holds half of a surrogate pair, which is no character"
            raise FaultFound(Reason.INVALID_UTF8, shown, message) from None


def is_schema_protocol(record: dict[str, Any]) -> bool:
    """Whether this is a record of the Java SDK's newer schema protocol (schema_protocol.py)."""
    return "schema" in record


def is_encrypted(record: dict[str, Any]) -> bool:
    """Whether this is an envelope of Sensors Analytics' encryption plugins instead of a record."""
    return "ekey" in record or ("event" not in record and not record.keys().isdisjoint(_PAYLOADS))


def explain(record: dict[str, Any], *, unknown_allowed: bool) -> None:
    """Raises FaultFound for the first fault of form; returns if it sees none."""
    if unknown_allowed and is_encrypted(record):
        message = "an encrypted envelope: this installation has no key for it (yet)"
        raise FaultFound(Reason.ENCRYPTED, "", message)
    if not unknown_allowed:
        if is_schema_protocol(record):
            message = "records of the Java SDK's schema protocol (version 2.0) come in at /sa only"
            raise FaultFound(Reason.UNSUPPORTED_SCHEMA, "schema", message)
        for field in record:
            if field not in FIELD_TYPES:
                raise FaultFound(Reason.UNKNOWN_FIELD, field[:_SHOWN], _explain_unknown_field(field, record))
    for field, types in FIELD_TYPES.items():
        if field in record:
            _explain_field(field, record[field], types)


def _explain_unknown_field(field: str, record: dict[str, Any]) -> str:
    near = _FIELDS.nearest(field)
    if near is not None and near not in record:
        return f"records have no field {_shown(field)}: did you mean {near!r}?"
    return (
        f"records have no field {_shown(field)}: if it says something about the event, put it in properties"
    )


def _explain_unknown_type(value: str) -> str:
    near = _TYPES.nearest(value)
    hint = "" if near is None else f"did you mean {near!r}? "
    return f"there is no type {_shown(value)}: {hint}type is one of {', '.join(TYPES)}"


def _shown(word: str) -> str:
    return repr(word if len(word) <= _SHOWN else word[:_SHOWN] + "...")


def _explain_field(field: str, value: Any, types: tuple[type, ...]) -> None:
    if value is None and field not in NEVER_NULL:
        return
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        wanted = " or ".join(_TYPE_WORDS[each] for each in types)
        raise FaultFound(Reason.INVALID_TYPE, field, f"{field} must be {wanted}, not {_word(value)}")
    if field == "type" and value not in TYPES:
        raise FaultFound(Reason.UNKNOWN_TYPE, field, _explain_unknown_type(str(value)))
    if field in ID_FIELDS and isinstance(value, str):
        _explain_id(field, value)
    elif field in _ENTRY_RULES and isinstance(value, dict):
        _explain_entries(field, value)


def _explain_id(field: str, value: str) -> None:
    if len(value) > limits.ID_LENGTH:
        message = f"{field} has {len(value)} characters, at most {limits.ID_LENGTH} are allowed"
        raise FaultFound(Reason.ID_TOO_LONG, field, message)


def _explain_entries(field: str, entries: dict[str, Any]) -> None:
    most, explain_entry = _ENTRY_RULES[field]
    if len(entries) > most:
        message = f"{field} has {len(entries)} entries, at most {most} are allowed"
        raise FaultFound(Reason.TOO_MANY_PROPERTIES, field, message)
    for key, value in entries.items():
        explain_entry(f"{field}.{key}", value)


def _explain_property(path: str, value: Any) -> None:
    if isinstance(value, str):
        _explain_string(path, value)
    elif isinstance(value, dict):
        raise FaultFound(Reason.NESTED_VALUE, path, f"{path} is an object: a property is a plain value")
    elif isinstance(value, list):
        if len(value) > limits.LIST_LENGTH:
            message = f"{path} has {len(value)} strings, at most {limits.LIST_LENGTH} are allowed"
            raise FaultFound(Reason.LIST_TOO_LONG, path, message)
        for index, element in enumerate(value):
            if not isinstance(element, str):
                message = f"{path} is a list with {_word(element)} in it: lists hold strings only"
                raise FaultFound(Reason.NESTED_VALUE, f"{path}[{index}]", message)
            _explain_string(f"{path}[{index}]", element)


def _explain_string(path: str, value: str) -> None:
    if len(value) > limits.STRING_LENGTH:
        message = f"{path} has {len(value)} characters, at most {limits.STRING_LENGTH} are allowed"
        raise FaultFound(Reason.STRING_TOO_LONG, path, message)


def _explain_lib(path: str, value: Any) -> None:
    if isinstance(value, (dict, list)):
        raise FaultFound(Reason.INVALID_TYPE, path, f"{path} must be a plain value, not {_word(value)}")
    if isinstance(value, str):
        _explain_string(path, value)


def _explain_identity(path: str, value: Any) -> None:
    if not isinstance(value, list):
        value = [value]
    elif len(value) > limits.FIELD_ENTRIES:
        message = f"{path} has {len(value)} ids, at most {limits.FIELD_ENTRIES} are allowed"
        raise FaultFound(Reason.LIST_TOO_LONG, path, message)
    for element in value:
        if not isinstance(element, str):
            raise FaultFound(Reason.INVALID_TYPE, path, f"{path} must be a string, not {_word(element)}")
        _explain_id(path, element)


_ENTRY_RULES: Final[dict[str, tuple[int, Callable[[str, Any], None]]]] = {
    "properties": (limits.PROPERTY_COUNT, _explain_property),
    "lib": (limits.FIELD_ENTRIES, _explain_lib),
    "identities": (limits.FIELD_ENTRIES, _explain_identity),
}


def _word(value: Any) -> str:
    return next((word for kind, word in _TYPE_WORDS.items() if isinstance(value, kind)), "something else")
