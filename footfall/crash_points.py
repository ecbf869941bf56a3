"""Named places where a test may end the process or raise, to prove that nothing is lost or doubled.

`FOOTFALL_FAULT=P6:3` ends the process, as SIGKILL would, when it reaches the point P6 for the third time.
`FOOTFALL_FAULT=P6:3@/path` does so once: a process that finds the file goes on, one that dies leaves it.
Several faults are separated by commas. Without the variable `reach` does nothing. The points, in the order
data flows:

P1  log: the group is written, not yet committed      P5  processor: the block is prepared
P2  log: fsynced, not yet acknowledged                P6  processor: before an insert (once each)
P3  log: between two truncations                      P7  processor: inserted, offset not committed
P4  processor: the block is planned and read          P8  processor: committed, log not truncated

S1  spool: the log has the oldest records, the spool does not know
S2  spool: it knows, and still has them

I1  import: a batch is announced, not in the log      I3  import: all rows are in the log
I2  import: the log has it, the journal knows not

K1  envelopes that waited for their key are in the log again, and that is not written down yet

R1  restamper: a slice is copied                      R4  restamper: replaced, not yet written down
R2  restamper: the copy is complete                   R5  restamper: before the overrides are emptied
R3  restamper: planned, partition not yet replaced    R6  restamper: emptied, dictionary not yet reloaded

E1  erasure: ids found, nothing written               E6  erasure: the cut is through
E2  erasure: the cut is written down                  E7  erasure: rows are gone, the log not cleaned
E3  removal: before it is planned (once each)         E8  erasure: the log is clean, files are not
E4  removal: planned, not carried out                 E9  erasure: files are clean, nothing is looked for
E5  removal: carried out, not written down
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

_KILLED = 137


@dataclass(slots=True)
class _Fault:
    point: str
    hits_left: int
    once_file: str  # "": every process dies

    def count_down(self) -> None:
        self.hits_left -= 1
        if self.hits_left == 0 and self._is_first():
            os._exit(_KILLED)

    def _is_first(self) -> bool:
        if not self.once_file:
            return True
        try:
            os.close(os.open(self.once_file, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return False
        return True


def _read_faults(text: str) -> list[_Fault]:
    faults = []
    for each in filter(None, text.split(",")):
        fault, _, once_file = each.partition("@")
        point, _, hits = fault.partition(":")
        faults.append(_Fault(point, int(hits or 1), once_file))
    return faults


_faults = _read_faults(os.environ.get("FOOTFALL_FAULT", ""))
_observer: Callable[[str], None] | None = None


def reach(point: str) -> None:
    """Marks that the code got to a point."""
    if _observer is not None:
        _observer(point)
    for fault in _faults:
        if fault.point == point:
            fault.count_down()


def observe(observer: Callable[[str], None] | None) -> None:
    """Has `observer` called with each point that is reached (it may raise); None: no more. For tests."""
    global _observer  # noqa: PLW0603 - one switch a process
    _observer = observer
