"""From a body to records: which of the body forms it is, and where each record in it begins and ends.

Forms: one JSON object, an array of them, ``{"events": [...]}``, or NDJSON (a record a line).
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from footfall.events import limits
from footfall.events.faults import split_leniently
from footfall.events.reasons import Reason
from footfall.events.record import split_array
from footfall.events.verdicts import Judge, Verdicts


class Unreadable(ValueError):  # noqa: N818 - reads as what it is
    """The body as a whole is no batch of records; the text says why."""


class TooManyRecords(ValueError):  # noqa: N818
    """More records than a request may carry."""

    def __init__(self, count: int) -> None:
        super().__init__(f"{count} records in one request, at most {limits.BATCH_RECORDS} are allowed")


class TakesLong(Exception):  # noqa: N818
    """A body for which whoever reads it has no patience: it needs the slow way, and much of it."""


QUICK_RECORDS = 150
QUICK_BYTES = 128 * 1024
"""So many records, in a body of so many bytes, go the slow way whoever waits."""


class _Envelope(msgspec.Struct, forbid_unknown_fields=True):
    events: msgspec.Raw


_ENVELOPE_START = re.compile(rb'\s*\{\s*"events"\s*:')
_read_envelope = msgspec.json.Decoder(_Envelope).decode
_skim = msgspec.json.Decoder(msgspec.Raw).decode
_MANY_COMMAS = 400_000
_UNPARSABLE = (msgspec.MsgspecError, RecursionError)


def read_batch(body: bytes, judge: Judge, received_at: int, *, patient: bool = True) -> Verdicts:
    """The verdicts on every record of a body. Raises Unreadable and TooManyRecords.

    `received_at` is epoch ms. Without patience it raises TakesLong rather than take many records, or large
    ones, the slow way.
    """
    start = body[:1]
    if start not in (b"[", b"{"):
        body = body.removeprefix(b"\xef\xbb\xbf").strip()
        start = body[:1]
        if start not in (b"[", b"{") and b"\n" not in body:
            raise Unreadable(
                "the body is empty" if not body else "the body is neither a JSON object nor an array"
            )
    if start == b"{" and _ENVELOPE_START.match(body):
        body = _open_envelope(body)
        start = b"["
    verdicts = judge.judge_array(body if start == b"[" else b"[" + body + b"]", received_at)
    if verdicts is not None and (start == b"[" or len(verdicts.records) == 1):
        return verdicts
    if not patient and len(body) > QUICK_BYTES:
        raise TakesLong
    elements = _elements_of_array(body) if start == b"[" else _elements_of_objects(body)
    if not patient and len(elements) > QUICK_RECORDS:
        raise TakesLong
    if len(elements) > limits.BATCH_RECORDS:
        raise TooManyRecords(len(elements))
    if start != b"[" and len(elements) > 1:
        # NDJSON: usual records once they are an array.
        verdicts = judge.judge_array(b"[" + b",".join(elements) + b"]", received_at)
        if verdicts is not None and len(verdicts.records) == len(elements):
            return verdicts
    verdicts = judge.judge_elements(elements, received_at)
    if start != b"[" and len(elements) == 1 and _nothing_readable(verdicts):
        raise Unreadable(verdicts.refusals[0].message)
    return verdicts


def split_batch(body: bytes) -> list[bytes]:
    """The elements of an array, or the one object. Raises Unreadable and TooManyRecords."""
    body = body.removeprefix(b"\xef\xbb\xbf").strip()
    if body[:1] not in (b"[", b"{"):
        raise Unreadable(
            "the body is empty" if not body else "the body is neither a JSON object nor an array"
        )
    elements = _elements_of_array(body) if body.startswith(b"[") else _elements_of_objects(body)
    if len(elements) > limits.BATCH_RECORDS:
        raise TooManyRecords(len(elements))
    return elements


def _nothing_readable(verdicts: Verdicts) -> bool:
    return [refusal.reason for refusal in verdicts.refusals] == [Reason.UNREADABLE]


_OTHER_FIELD: Final = re.compile("Object contains unknown field `(.*)`", re.DOTALL)
"""What msgspec says, and quotes so that nobody could tell where the quotation ends."""


def _open_envelope(body: bytes) -> bytes:
    try:
        events = bytes(_read_envelope(body).events)
    except _UNPARSABLE as error:
        other = _OTHER_FIELD.match(str(error))
        why = f"{error}" if other is None else f"there is a field {other[1][:60]!r} beside events"
        raise Unreadable(f'not an {{"events": [...]}} envelope: {why}') from None
    if not events.startswith(b"["):
        raise Unreadable('"events" is not an array')
    return events


def _elements_of_array(body: bytes) -> list[bytes]:
    commas = body.count(b",")
    if commas > limits.BATCH_COMMAS:
        raise Unreadable(f"{commas} commas in one body, at most {limits.BATCH_COMMAS} are allowed")
    if commas > _MANY_COMMAS:
        elements = split_leniently(body)  # makes no more elements than a batch may have
    else:
        try:
            return [bytes(element) for element in split_array(body)]
        except _UNPARSABLE:
            elements = split_leniently(body) if len(body) <= limits.SALVAGE_BYTES else None
    if elements is None:
        raise Unreadable(f"not JSON: {_json_error(body)}")
    return elements


def _json_error(body: bytes) -> str:
    try:
        _skim(body)
    except RecursionError:
        return "nested too deep"
    except msgspec.MsgspecError as error:
        return str(error)
    return "brackets do not match"


def _elements_of_objects(body: bytes) -> list[bytes]:
    """One object, or NDJSON; a line that is no JSON is still a record of its own."""
    try:
        _skim(body)
        return [body.strip()]
    except _UNPARSABLE as error:
        message = f"not JSON: {error}"
    if body.count(b"\n") > _MANY_COMMAS:
        raise Unreadable(f"more than {_MANY_COMMAS} lines in one body")
    lines = [stripped for line in body.split(b"\n") if (stripped := line.strip())]
    if len(lines) > 1 and any(map(_is_object, lines)):
        return lines
    alone = None
    if body.startswith(b"{") and len(body) <= limits.SALVAGE_BYTES:
        alone = split_leniently(b"[" + body + b"]")
    if alone is None or len(alone) != 1:
        raise Unreadable(message)
    return alone


def _is_object(line: bytes) -> bool:
    if not (line.startswith(b"{") and line.endswith(b"}")):
        return False
    try:
        _skim(line)
    except _UNPARSABLE:
        return False
    return True
