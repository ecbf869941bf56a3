"""Records that were turned away -> rows, their bytes sealed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from footfall.dead_letters import Sender, seal_letter
from footfall.sealing import Sealer
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
        sender = Sender(header.ip, header.user_agent, header.country, header.trusted)
        rows.append(
            DeadLetterRow(
                project=header.project,
                received_at=header.received_at,
                door=header.door,
                reason=letter.reason,
                field=letter.field,
                message=letter.message,
                sealed=seal_letter(sealer, (partition, offset, letter.seq), letter.raw, sender),
                log_partition=partition,
                log_offset=offset,
                seq=letter.seq,
            )
        )
    return rows
