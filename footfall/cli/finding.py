"""What a check of `footfall doctor` saw."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """`remedy` is what to do when it is not ok."""

    check: str
    ok: bool
    seen: str
    remedy: str = ""
