"""Reads a request's JSON body exactly: decimals as they were written, nothing that is not Unicode."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any

from query_api.problems import BodyTooLarge, MalformedBody

MAX_BODY_BYTES = 1 << 20
MAX_DEPTH = 40
MAX_DIGITS = 400


def read_json(body: bytes) -> Any:
    """The value that the body holds. Raises MalformedBody or BodyTooLarge."""
    if len(body) > MAX_BODY_BYTES:
        raise BodyTooLarge(f"a query has at most {MAX_BODY_BYTES} bytes, this one has {len(body)}")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedBody(f"the body is not UTF-8: byte {error.start}") from None
    try:
        value = json.loads(
            text, parse_float=_read_decimal, parse_int=_read_int, parse_constant=_refuse_constant
        )
    except json.JSONDecodeError as error:
        raise MalformedBody(
            f"the body is not JSON: {error.msg} at line {error.lineno} column {error.colno}"
        ) from None
    except RecursionError:
        raise MalformedBody(f"the body is nested deeper than {MAX_DEPTH}") from None
    _check(value, 0)
    return value


def _check(value: Any, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise MalformedBody(f"the body is nested deeper than {MAX_DEPTH}")
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise MalformedBody("half of a surrogate pair is not Unicode text") from None
    elif isinstance(value, list):
        for element in value:
            _check(element, depth + 1)
    elif isinstance(value, dict):
        for name, element in value.items():
            _check(name, depth + 1)
            _check(element, depth + 1)


def _read_decimal(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or len(text) > MAX_DIGITS or abs(value.adjusted()) > MAX_DIGITS:
        raise MalformedBody(f"no number of a query needs more than {MAX_DIGITS} digits")
    return value


def _read_int(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise MalformedBody(f"no number of a query needs more than {MAX_DIGITS} digits")
    return int(text)


def _refuse_constant(name: str) -> Any:
    raise MalformedBody(f"{name} is not JSON")
