"""What a row of the audit log is, and how rows are chained: pure, without a database.

Each row holds the authentication code of the row before it (`previous`) and its own (`mac`), over that and
all it says, under a key that only this installation has. A row that was altered no longer fits its own code;
one that was taken out leaves a gap in the numbers, which cannot be closed without writing all later rows
anew, and for that one needs the key.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

START = "0" * 64
"""What the first row of all holds as the code of the row before it."""

ANCHOR_LOST = "audit.anchor_lost"
"""The action of a row that says that the anchor was not there any more."""

ANCHOR_MADE = "audit.anchor_made"
"""The action of a row that says that from now on a machine, its subject, knows a shared log's newest row."""

ARCHIVED = "audit.archived"
"""The action of a row that says which rows before it were moved to a file."""

MAX_TEXT = 200
MAX_DETAIL_BYTES = 4_000


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One thing that was done. `time` in epoch milliseconds; `detail` is canonical JSON text."""

    sequence: int  # from 1, without gaps
    time: int
    actor: str  # "secret key 1a2b3c4d" or "command line"
    action: str  # "export.events"
    project: str  # "" where it concerns all of them
    subject: str  # what it was done to: a name, a keyed hash
    detail: str
    previous: str  # the row before's `mac`
    mac: str  # 64 hex digits

    def as_json(self) -> dict[str, Any]:
        """As it is shown and exported; `from_json` reads it again."""
        return {**asdict(self), "detail": _read_detail(self.detail)}

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> AuditRow:
        """Raises KeyError or TypeError for what is no row."""
        detail = given["detail"]
        text = detail if isinstance(detail, str) else canonical_detail(detail)
        return cls(**{**given, "detail": text})


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong with the log. `sequence` is the row's number; None: not of one row."""

    sequence: int | None
    message: str


class AuditKey:
    """Computes the codes of rows and of the anchor, and the hashes that stand for ids."""

    def __init__(self, installation_key: bytes) -> None:
        def derive(purpose: bytes) -> bytes:
            return HKDF(SHA256(), 32, salt=None, info=b"footfall.audit." + purpose).derive(installation_key)

        self._rows, self._anchor, self._ids = derive(b"rows"), derive(b"anchor"), derive(b"ids")

    def mac(self, row: AuditRow) -> str:
        """The code that the row should hold. The row's own `mac` is not part of it."""
        said = [
            row.sequence,
            row.time,
            row.actor,
            row.action,
            row.project,
            row.subject,
            row.detail,
            row.previous,
        ]
        return _code(self._rows, json.dumps(said, ensure_ascii=True, separators=(",", ":")))

    def anchor(self, sequence: int, mac: str) -> str:
        """The code that proves that this was the newest row once."""
        return _code(self._anchor, f"{sequence}:{mac}")

    def hashed(self, project: str, text: str) -> str:
        """Stands for an id of a person, or for a query's text: 32 hex digits."""
        return _code(self._ids, json.dumps([project, text]))[:32]


def _code(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode(), sha256).hexdigest()


def canonical_detail(detail: Mapping[str, Any]) -> str:
    """JSON text that is always the same for the same detail. What is too long is replaced by its SHA-256."""
    text = json.dumps(detail, sort_keys=True, ensure_ascii=True, separators=(",", ":"), default=str)
    if len(text) > MAX_DETAIL_BYTES:
        return canonical_detail(
            {"cut": True, "bytes": len(text), "sha256": sha256(text.encode()).hexdigest()}
        )
    return text


def shortened(text: str) -> str:
    """At most MAX_TEXT characters, printable: what clients named themselves cannot break a line."""
    clean = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
    return clean if len(clean) <= MAX_TEXT else clean[: MAX_TEXT - 1] + "\N{HORIZONTAL ELLIPSIS}"


def check_rows(key: AuditKey, rows: Iterable[AuditRow], after: AuditRow | None = None) -> Iterator[Finding]:
    """What is wrong with rows in the order of their numbers, each finding with its row's number.

    `after` is the row that the first of them follows; None: it need not be linked, only be right in itself.
    """
    before, expected = after, key.mac(after) if after is not None else None
    for row in rows:
        if before is not None and row.sequence != before.sequence + 1:
            yield _gap(before.sequence + 1, row.sequence - 1)
            expected = None
        right = key.mac(row)
        if not hmac.compare_digest(right, row.mac):
            yield Finding(
                row.sequence, "altered, or not written by Footfall: its content does not fit its code"
            )
        elif before is not None and expected is not None and row.previous not in (before.mac, expected):
            yield Finding(row.sequence, "does not follow the row before it: rows were exchanged")
        if row.action == ANCHOR_LOST:
            yield Finding(row.sequence, _LOST)
        before, expected = row, right


_LOST = "the anchor was missing or not Footfall's when this was written: rows before it may have been cut off"


def _gap(first: int, last: int) -> Finding:
    if last < first:
        return Finding(first, "its number comes twice, or is out of order")
    return Finding(first, "missing" if first == last else f"missing, and all rows up to {last}")


def _read_detail(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text  # altered: shown as it is
