"""Records that were turned away -> rows, their bytes sealed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from footfall.sealing import Sealer, dead_letter_place
from footfall.storage.rows import DeadLetterRow
from processor.event_block import Request
from processor.intake import DeadLetter


def dead_letter_rows(
    requests: Sequence[Request], letters: Iterable[DeadLetter], sealer: Sealer
) -> list[DeadLetterRow]:
    """One row a letter."""
    rows = []
    for letter in letters:
        header, partition, offset = requests[letter.request]
        place = dead_letter_place(partition, offset, letter.seq)
        rows.append(
            DeadLetterRow(
                project=header.project,
                received_at=header.received_at,
                door=header.door,
                reason=letter.reason,
                field=letter.field,
                message=letter.message,
                sealed=sealer.seal(letter.raw, place),
                log_partition=partition,
                log_offset=offset,
                seq=letter.seq,
            )
        )
    return rows
