"""Dead letters that came in again -> rows: what became of each this time."""

from __future__ import annotations

from footfall.storage.rows import ReplayRow
from processor.blocks import Plan
from processor.event_block import Rows
from processor.intake import Intake


def replay_rows(plan: Plan, intake: Intake, fresh: Rows) -> list[ReplayRow]:
    """A row for each record of a block that is a replay; `fresh` are the records that were stored."""
    if not any(request.header.replayed for request in intake.requests):
        return []
    stored = set(zip(fresh.request_of, fresh.seq, strict=True))
    rejected = {(letter.request, letter.seq) for letter in intake.dead_letters}
    rows = []
    for number, (header, partition, offset) in enumerate(intake.requests):
        for seq, letter in enumerate(header.replayed[: len(header.event_ids)]):
            place = (number, seq)
            outcome = "rejected" if place in rejected else "stored" if place in stored else "duplicate"
            event_id = bytes.fromhex(header.event_ids[seq]) or bytes(16)
            rows.append(
                ReplayRow(header.project, *letter, event_id, outcome, plan.version, partition, offset, seq)
            )
    return rows
