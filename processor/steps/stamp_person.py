"""Step: stamps each event with the person known now. Queries correct a stamp that later proves wrong
(overrides).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from processor.event_block import EventBlock


def stamp_person(block: EventBlock) -> EventBlock:
    """`user_keys`: the person's key, the id's own where nothing else is known, NOBODY for ids that
    identify nobody.
    """
    if not block.persons:
        return replace(block, user_keys=block.id_keys)
    person_of = block.persons.get
    keys = block.id_keys.tolist()
    return replace(block, user_keys=np.array([person_of(key, key) for key in keys], np.uint64))
