"""Fixes of records that were turned away: a few statements, separated by semicolons or line breaks.

    set /properties/amount = number(/properties/amount)
    rename /properties/amout to /properties/amount
    delete /properties/debug

A place is a JSON pointer (RFC 6901). A value is JSON, a place, or a function of values: number(x), text(x),
trim(x), lower(x), default(x, y), which is y where x is not there. `delete` and `rename` of what is not there
do nothing; `set` puts a new field into an object that is there. Numbers keep every digit. Nothing else can be
said: no loops, no code, nothing of another record.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from typing import Any, Final, NoReturn

import msgspec

LONGEST: Final = 10_000
"""Characters of a fix."""

_read = msgspec.json.Decoder(float_hook=Decimal).decode
_write = msgspec.json.Encoder(decimal_format="number").encode
_read_value = msgspec.json.Decoder(float_hook=Decimal).decode

_TOKEN = re.compile(
    r"""[ \t\r]*(?:(?P<end>[;\n])|(?P<pointer>/[^\s,();=]*)|(?P<word>[A-Za-z_]+)|(?P<sign>[=(),])
    |(?P<json>"(?:[^"\\]|\\.)*"|-?\d[0-9.eE+-]*|\[[^\n\]]*\]))""",
    re.VERBOSE,
)
_CONSTANTS: Final = {"true": True, "false": False, "null": None}
_ABSENT: Final = object()


class InvalidFix(ValueError):  # noqa: N818 - reads as what it is
    """The text is no fix; says where and what was expected."""


class FixDoesNotFit(ValueError):  # noqa: N818
    """The fix cannot be applied to this record."""


@dataclass(frozen=True, slots=True)
class Fix:
    """A parsed fix."""

    statements: tuple[Callable[[Any], None], ...]

    def apply(self, raw: bytes) -> bytes:
        """The record, mended. FixDoesNotFit."""
        if not self.statements:
            return raw
        try:
            record = _read(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, InvalidOperation, RecursionError) as error:
            raise FixDoesNotFit(f"the record is no JSON: {error}") from None
        for statement in self.statements:
            statement(record)
        return _write(record)


def parse_fix(text: str) -> Fix:
    """Reads a fix; InvalidFix."""
    if len(text) > LONGEST:
        raise InvalidFix(f"a fix has at most {LONGEST} characters, this one has {len(text)}")
    return Fix(tuple(_Parser(text).statements()))


def _lower(value: Any) -> Any:
    return _as_text(value).lower()


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else _write(value).decode()


def _as_number(value: Any) -> Any:
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return value
    plain = str(value).strip().replace(",", "").replace("，", "") if isinstance(value, str) else ""
    try:
        number = Decimal(plain)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise FixDoesNotFit(f"{str(value)[:60]!r} is no number")
    return int(number) if re.fullmatch(r"-?\d+", plain) else number


_FUNCTIONS: Final[dict[str, tuple[int, Callable[..., Any]]]] = {
    "number": (1, _as_number),
    "text": (1, _as_text),
    "trim": (1, lambda value: _as_text(value).strip()),
    "lower": (1, _lower),
    "default": (2, lambda value, other: other if value is _ABSENT else value),
}
_STATEMENTS: Final = ("set", "rename", "delete")


class _Parser:
    """Recursive descent over a fix's text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[tuple[str, str, int]] = []
        place = 0
        while text[place:].strip():
            found = _TOKEN.match(text, place)
            if found is None or found.lastgroup is None:
                self._refuse(place, "a place like /properties/amount, a word, or a JSON value")
            self._tokens.append((found.lastgroup, found[found.lastgroup], found.start(found.lastgroup)))
            place = found.end()
        self._next = 0

    def statements(self) -> list[Callable[[Any], None]]:
        found = []
        while self._next < len(self._tokens):
            if self._peek()[0] == "end":
                self._next += 1
                continue
            found.append(self._statement())
            if self._next < len(self._tokens):
                self._take("end", "the end of the statement, ';' or a line break")
        return found

    def _statement(self) -> Callable[[Any], None]:
        place = self._peek()[2]
        word = self._take("word", " or ".join(_STATEMENTS))
        if word not in _STATEMENTS:
            near = get_close_matches(word, _STATEMENTS, n=1)
            self._refuse(place, " or ".join(_STATEMENTS) + (f"; did you mean {near[0]!r}?" if near else ""))
        where = self._pointer()
        if word == "delete":
            return lambda record: _delete(record, where)
        if word == "rename":
            if self._take("word", "'to'") != "to":
                self._refuse(self._tokens[self._next - 1][2], "'to'")
            target = self._pointer()
            return lambda record: _rename(record, where, target)
        self._take("sign", "'='", "=")
        value = self._value()
        return lambda record: _set(record, where, value(record))

    def _value(self, depth: int = 0) -> Callable[[Any], Any]:
        kind, text, place = self._peek()
        if depth > 20:
            self._refuse(place, "fewer functions within one another")
        self._next += 1
        if kind == "pointer":
            pointer = _parts(text)
            return lambda record: _look_up(record, pointer)
        if kind == "json":
            try:
                constant = _read_value(text)
            except (msgspec.MsgspecError, InvalidOperation):
                self._refuse(place, "a JSON value")
            return lambda _: constant
        if kind == "word" and text in _CONSTANTS:
            return lambda _: _CONSTANTS[text]
        if kind == "word" and text in _FUNCTIONS:
            return self._call(text, depth)
        near = get_close_matches(text, _FUNCTIONS, n=1) if kind == "word" else []
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return self._refuse(place, f"a JSON value, a place or one of {', '.join(_FUNCTIONS)}{hint}")

    def _call(self, name: str, depth: int) -> Callable[[Any], Any]:
        count, function = _FUNCTIONS[name]
        self._take("sign", "'('", "(")
        arguments = [self._value(depth + 1)]
        while len(arguments) < count:
            self._take("sign", "','", ",")
            arguments.append(self._value(depth + 1))
        self._take("sign", "')'", ")")

        def call(record: Any) -> Any:
            values = [argument(record) for argument in arguments]
            if values[0] is _ABSENT and name != "default":
                raise FixDoesNotFit(f"{name}(): the place is not there")
            return function(*values)

        return call

    def _pointer(self) -> Sequence[str]:
        parts = _parts(self._take("pointer", "a place like /properties/amount"))
        if parts == [""]:
            self._refuse(self._tokens[self._next - 1][2], "a place within the record")
        return parts

    def _peek(self) -> tuple[str, str, int]:
        return self._tokens[self._next] if self._next < len(self._tokens) else ("", "", len(self._text))

    def _take(self, kind: str, expected: str, text: str | None = None) -> str:
        found = self._peek()
        if found[0] != kind or (text is not None and found[1] != text):
            self._refuse(found[2], expected)
        self._next += 1
        return found[1]

    def _refuse(self, place: int, expected: str) -> NoReturn:
        shown = self._text[place : place + 20] or "the end"
        raise InvalidFix(f"character {place + 1}, at {shown!r}: expected {expected}")


def _parts(pointer: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer[1:].split("/")]


def _step(value: Any, part: str) -> Any:
    if isinstance(value, dict):
        return value.get(part, _ABSENT)
    if isinstance(value, list) and part.isascii() and part.isdigit() and int(part) < len(value):
        return value[int(part)]
    return _ABSENT


def _look_up(record: Any, parts: Sequence[str]) -> Any:
    for part in parts:
        record = _step(record, part)
    return record


def _set(record: Any, parts: Sequence[str], value: Any) -> None:
    where = "/" + "/".join(parts)
    if value is _ABSENT:
        raise FixDoesNotFit(f"set {where}: the place of the value is not there")
    holder = _look_up(record, parts[:-1])
    if isinstance(holder, dict):
        holder[parts[-1]] = value
    elif isinstance(holder, list) and _step(holder, parts[-1]) is not _ABSENT:
        holder[int(parts[-1])] = value
    else:
        raise FixDoesNotFit(f"set {where}: there is no object to put it into")


def _delete(record: Any, parts: Sequence[str]) -> None:
    holder = _look_up(record, parts[:-1])
    if isinstance(holder, dict):
        holder.pop(parts[-1], None)
    elif isinstance(holder, list) and _step(holder, parts[-1]) is not _ABSENT:
        del holder[int(parts[-1])]


def _rename(record: Any, parts: Sequence[str], target: Sequence[str]) -> None:
    value = _look_up(record, parts)
    if value is not _ABSENT and list(parts) != list(target):
        _delete(record, parts)
        _set(record, target, value)
