"""Erases a person: one job at a time, step by step, each of which may be repeated after a kill.

asked      somebody asked; a legal hold may stand in the way
cutting    between two blocks: the ids are found, tombstones set, bindings, profile and corrections taken out
removing   events, dead letters, traces in records of others; log and files rewritten; looked for again
finished   nothing of them is left; who it was is forgotten

From the cut on the processor refuses what the ids did before. What waited in the log then is read by it,
refused, and cut off with the rest.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Final

import structlog

from footfall.crash_points import reach
from footfall.rights.belongings import KIND, ids_of_others, listed, rows_left, rows_of, taken_at_the_cut
from footfall.rights.desk import ErasureDesk
from footfall.rights.late_letters import LateLetters
from footfall.rights.opened import Elsewhere, ErasureOptions, Opened
from footfall.rights.person import (
    OWN_KEY,
)
from footfall.rights.traces import mentions
from footfall.storage.rows import TombstoneRow
from footfall.storage.store import StoreError
from footfall.weather import Weather
from footfall.workspace import FOOTFALL
from footfall.workspace.erasures import Erasure
from processor.loop import Processor
from processor.old_parts import drop_old_parts
from processor.removals import Removal, Removals, Stopped, place_condition, stored_before

_TABLES: Final = (
    "events", "dead_letters", "bindings", "rulings", "binding_decisions", "identity_links", "past_persons",
    "profile_operations", "profiles", "overrides",
)  # fmt: skip
_log = structlog.get_logger(__name__)


class Eraser:
    """Works off, in one thread, what the desk took down."""

    def __init__(
        self,
        opened: Opened,
        desk: ErasureDesk,
        processor: Processor,
        removals: Removals,
        *,
        elsewhere: Elsewhere | None = None,
        options: ErasureOptions | None = None,
        weather: Weather | None = None,
        mine: Callable[[], bool] = lambda: True,
    ) -> None:
        """`mine`: whether the work is this process's, and not that of another one with the same store."""
        self._mine = mine
        self._weather = weather or Weather()
        self._desk = desk
        self._store = opened.store
        self._log = opened.log
        self._workspace = opened.workspace
        self._processor = processor
        self._hash = opened.keyed_hash
        self._clock = opened.clock
        self._removals = removals
        self._letters = opened.letters
        self._late = LateLetters(opened.store, opened.workspace, removals)
        self._late_looked_at = float("-inf")
        self._elsewhere = elsewhere or Elsewhere()
        self._options = options or ErasureOptions()
        self._working = threading.Lock()

    # The work -----------------------------------------------------------------------------------------------

    def recover(self) -> None:
        """Finishes a cut that a kill interrupted. Before the processor goes on. StoreError, LogError."""
        for erasure in self._workspace.erasures.open():
            if erasure.state == "cutting":
                with self._removals.reserved(), self._processor.at_rest():
                    self._finish_cut(erasure)

    def erase_restored(self) -> int:
        """Before anything is answered: whoever was erased since the backup that this home was restored from.

        How many. StoreError, LogError.
        """
        restored = [job for job in self._workspace.erasures.open() if job.keys and not job.ends]
        jobs = [self._cut(job) for job in restored]
        if jobs:
            while self._processor.step():
                pass
        for job in jobs:
            self._remove(job, threading.Event())
        return len(jobs)

    def run(self, stop: threading.Event) -> None:
        """Works until `stop` is set."""
        while not stop.is_set():
            try:
                if self._mine():
                    self.run_open(stop)
                self._weather.fine("erasure")
            except Stopped:
                return
            except Exception as error:  # noqa: BLE001 - this thread must not end: the job is tried again
                self._weather.bad("erasure", error)
                _log.warning("erasure.given_up_for_now", error=f"{type(error).__name__}: {error}")
            stop.wait(self._options.poll_seconds)

    def run_open(self, stop: threading.Event | None = None) -> int:
        """Does what can be done now; how many jobs it finished. A job that fails says so in `waits_for` and
        keeps nobody waiting: of what it planned and could not do, `Removals` lets nothing else take a row.

        Stopped; or the first failure, once all were tried: StoreError, LogError, OSError and apsw.Error of
        files.
        """
        stop = stop or threading.Event()
        finished = 0
        failures: list[Exception] = []
        with self._working:
            for job in self._workspace.erasures.open():
                if stop.is_set():
                    break
                try:
                    finished += self._advance(job, stop)
                except Stopped:
                    raise
                except Exception as error:  # noqa: BLE001 - told, and raised below
                    self._tell_failure(job, error)
                    failures.append(error)
            if not stop.is_set():
                self._clear_late_letters(stop)
        if failures:
            raise failures[0]
        return finished

    def _clear_late_letters(self, stop: threading.Event) -> None:
        """Now and then: letters that could be read only after their person was erased, and the log, in which
        a replay left what they say.
        """
        now = time.monotonic()
        if now < self._late_looked_at + self._options.letters_seconds:
            return
        cleared = self._late.finish(stop)
        if found := self._late.find():
            with self._removals.reserved(), self._processor.at_rest():
                pass  # the block that refused them is behind the processor now
            if self._clean_log():
                return
            self._late.take_out(found, stop)
            cleared = True
        if cleared:
            drop_old_parts(self._store, ("dead_letters",), stop, self._options.parts_seconds)
        self._late_looked_at = now

    def _advance(self, job: Erasure, stop: threading.Event) -> bool:
        """Whether it finished."""
        if job.state == "asked":
            if why := self._desk.held(job):
                self._tell(job, why)
                return False
            job = self._cut(job)
            if job.state == "asked":
                return False
        elif job.state == "cutting":
            with self._removals.reserved(), self._processor.at_rest():
                job = self._finish_cut(job)
        return self._remove(job, stop)

    def _cut(self, job: Erasure) -> Erasure:
        project = self._desk.project_of(job)
        with self._removals.reserved(), self._processor.at_rest() as ends:
            person = self._desk.whole_person(job, project)
            texts = self._desk.all_texts(job, project)
            cutting = replace(
                job,
                state="cutting",
                waits_for="",
                sealed=self._desk.seal(job.id, sorted(texts)),
                keys=person.keys,
                erased_at=job.erased_at or self._clock(),
                ends=self._removals.all_ends(ends),
                removed=rows_of(self._store, person),
                awaited={each: position.end for each, position in self._log.positions().items()},
            )
            with self._desk.deciding():
                if why := self._desk.held(job):  # it was placed since the job was looked at
                    self._tell(job, why)
                    return job
                reach("E1")
                self._workspace.erasures.save(cutting)
            reach("E2")
            return self._finish_cut(cutting)

    def _finish_cut(self, job: Erasure) -> Erasure:
        """Within at_rest."""
        self._processor.bury(
            [TombstoneRow(job.project, key, job.erased_at, job.refuse_all, job.id) for key in job.keys]
        )
        for removal in taken_at_the_cut(job):
            self._removals.take_out(removal)
        self._processor.forget_people()
        removing = replace(job, state="removing")
        self._workspace.erasures.save(removing)
        reach("E6")
        return removing

    def _remove(self, job: Erasure, stop: threading.Event) -> bool:
        """False if something must be waited for; the next call goes on."""
        self._elsewhere.note_tombstone(job)
        if why := self._unprocessed(job, stop):
            self._tell(job, why)
            return False
        told = self._desk.unsealed(job)
        values = ids_of_others(self._store, self._hash, job, told)
        texts = [text for text in told if text not in values]
        keys = listed(job.keys)
        condition = f"{OWN_KEY} IN ({keys}) AND {stored_before(job.ends, others=False)}"
        self._removals.take_out(Removal(job.removal, KIND, "events", condition), stop)
        self._blank_mentions(job, texts, values, stop)
        self._remove_letters(job, texts, stop)
        reach("E7")
        if why := self._clean_log():
            self._tell(job, why)
            return False
        reach("E8")
        self._elsewhere.clean_files(job.project, texts)
        drop_old_parts(self._store, _TABLES, stop, self._options.parts_seconds)
        reach("E9")
        if left := rows_left(self._store, job, texts):
            raise StoreError(f"erasure {job.id}: rows are still there: {left}")
        self._finish(job)
        return True

    def _finish(self, job: Erasure) -> None:
        letters = self._removals.rows(job.removal).get("dead_letters", 0)
        finished = replace(
            job,
            state="finished",
            waits_for="",
            sealed=b"",
            removed={**job.removed, "dead_letters": letters},
            backups=[each for each in self._elsewhere.backups() if each["taken_at"] <= job.erased_at],
            finished_at=self._clock(),
        )
        self._removals.forget_places(job.removal)
        detail = {"erasure": job.id, "removed": dict(finished.removed)}
        self._workspace.audit.record(FOOTFALL, "erasure.finish", job.project, "", detail)
        self._workspace.erasures.save(finished)
        _log.info("erasure.finished", erasure=job.id, project=job.project, removed=finished.removed)

    def _blank_mentions(
        self, job: Erasure, texts: Sequence[str], values: Collection[str], stop: threading.Event
    ) -> None:
        """In events of others: the id of a device that several used, an identity that was told beside."""
        stored = stored_before(job.ends, others=False)
        found = mentions(self._store, job.project, job.keys, texts, stored, values=values)
        for column, places in sorted(found.items()):
            of, name = f"events.{column}", f"{job.removal}.{column}"
            self._removals.note_places(job.removal, of, places)
            values = {column: "''"}
            if column.startswith("$"):
                values = {"properties": f"mapFilter((k, v) -> k != '{column}', properties)"}
            condition = place_condition(job.removal, of)
            self._removals.take_out(Removal(name, KIND, "events", condition, values), stop)
        for name in self._removals.unfinished(KIND):  # after a kill, when nothing is found any more
            if name.startswith(f"{job.removal}."):
                self._removals.finish(name, None, stop)

    def _remove_letters(self, job: Erasure, texts: Sequence[str], stop: threading.Event) -> None:
        found = self._letters.naming(job.project, job.keys, texts)
        if self._removals.note_places(job.removal, "dead_letters", (letter.place for letter in found)):
            condition = place_condition(job.removal, "dead_letters")
            self._removals.take_out(Removal(job.removal, KIND, "dead_letters", condition), stop)
        else:
            self._removals.finish(job.removal, "dead_letters", stop)

    def _unprocessed(self, job: Erasure, stop: threading.Event) -> str:
        """What waits in the log and may be theirs; "" if all was read."""
        since_cut = (self._clock() - job.erased_at) / 1000
        if stop.wait(min(max(self._options.settle_seconds - since_cut, 0), self._options.settle_seconds)):
            raise Stopped
        for partition, position in self._log.positions().items():
            if position.committed < job.awaited.get(partition, 0):
                return "the processor: what waited in the log at the cut is not through yet"
        return ""

    def _clean_log(self) -> str:
        """Cuts off what was processed and rewrites the files; what it waits for, "" once done."""
        with self._processor.cutting_log() as may_cut:
            if not may_cut:
                return "a backup that is being taken"
            for partition in self._log.partitions():
                if not self._log.scrub(partition):
                    return f"the log: partition {partition} is busy, or too much waits in it to rewrite it"
        return ""

    def _tell(self, job: Erasure, waits_for: str) -> None:
        if job.waits_for != waits_for:
            self._workspace.erasures.save(replace(job, waits_for=waits_for))
            _log.info("erasure.waits", erasure=job.id, waits_for=waits_for)

    def _tell_failure(self, job: Erasure, error: Exception) -> None:
        known = self._workspace.erasures.find(job.id) or job
        self._tell(known, f"{type(error).__name__}: it is tried again, see the engine's log lines")
        _log.warning("erasure.failed", erasure=job.id, error=f"{type(error).__name__}: {error}")
