"""What happens to a block: the literal lists of steps. Table of contents, order of execution and metric
labels.

`put_` enriches and never replaces what the client sent; `drop_` takes away. A step takes a block and returns
one.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from processor.event_block import EventBlock
from processor.steps.correct_clock import correct_clock
from processor.steps.drop_hoisted import drop_hoisted
from processor.steps.drop_sentinels import drop_sentinels
from processor.steps.put_channel import put_channel
from processor.steps.put_country import put_country
from processor.steps.put_identities import put_identities
from processor.steps.put_lib import put_lib
from processor.steps.put_python_datetimes import put_python_datetimes
from processor.steps.put_referrer import put_referrer
from processor.steps.put_url import put_url
from processor.steps.put_user_agent import put_user_agent
from processor.steps.stamp_person import stamp_person
from processor.steps.type_properties import type_properties

Step = Callable[[EventBlock], EventBlock]

EVENT_STEPS: tuple[Step, ...] = (
    correct_clock,
    drop_hoisted,
    put_lib,
    put_identities,
    put_python_datetimes,
    drop_sentinels,
    put_user_agent,
    put_url,
    put_referrer,
    put_channel,
    put_country,
    stamp_person,
    type_properties,
)

PROFILE_STEPS: tuple[Step, ...] = (
    correct_clock,
    drop_hoisted,
    put_python_datetimes,
    drop_sentinels,
    type_properties,
)

UNSET_STEPS: tuple[Step, ...] = (  # profile_unset, profile_delete: their properties have no values
    correct_clock,
    drop_hoisted,
)

ITEM_STEPS: tuple[Step, ...] = (
    correct_clock,
    drop_hoisted,
    put_python_datetimes,
    type_properties,
)


def run_steps(
    steps: tuple[Step, ...], block: EventBlock, spent: Callable[[str, float], None] | None = None
) -> EventBlock:
    """The block after all steps; `spent(name, seconds)` hears what each took."""
    for step in steps:
        began = time.perf_counter()
        block = step(block)
        if spent is not None:
            spent(step.__name__, time.perf_counter() - began)
    return block
