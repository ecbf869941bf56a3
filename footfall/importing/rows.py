"""What every kind of file gives: rows with cells by column, or records as they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from footfall.events.log_record import Refusal
from footfall.events.reasons import Reason
from footfall.importing.source import KEPT_BYTES

Cells = Mapping[str, Any]
"""By column. CSV has texts; JSONL and Parquet also numbers (decimals as msgspec.Raw), booleans, lists of
texts, dates and None."""


class Row(NamedTuple):
    """A row of a file, or why it is none."""

    line: int  # where it begins; in Parquet the number of the row
    cells: Cells | None  # None: broken, or `raw` is a record as it stands
    raw: bytes  # as it lies in the file; empty where there is no such thing
    refusal: Refusal | None = None


def broken(line: int, raw: bytes, message: str, reason: Reason = Reason.UNREADABLE) -> Row:
    """A row that nothing can be made of."""
    return Row(line, None, raw[:KEPT_BYTES], Refusal(0, reason.value, "", message))


class Table(Protocol):
    """An open file."""

    @property
    def columns(self) -> tuple[str, ...] | None:
        """All columns; None where rows may differ in them."""
        ...

    @property
    def kinds(self) -> Mapping[str, str]:
        """What the file itself says of its columns' types, by column; empty where it says nothing."""
        ...

    def rows(self, skip: int) -> Iterator[Row]:
        """All rows behind the first `skip` ones; blank lines are none. Once."""
        ...

    def progress(self) -> tuple[int, int]:
        """How much of how much was read: bytes, or rows."""
        ...

    def close(self) -> None: ...
