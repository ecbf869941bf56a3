"""The garbage collector, kept out of the way while a block is taken apart."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_cycle_search() -> Iterator[None]:
    """A block makes a million objects, none of them in a cycle: looking for cycles costs a third of the time.

    Switches the search off for the whole process, for the fraction of a second that a block takes.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
