"""What the query API asks about a person's rights: one object, made by the command line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from footfall.events.keys import NOBODY
from footfall.rights.desk import ErasureDesk
from footfall.rights.export import person_lines, write_line
from footfall.rights.opened import Opened
from footfall.rights.person import find_by_texts, key_of
from footfall.workspace import Project
from footfall.workspace.erasures import ErasureBegun, Hold, UnknownPerson


class Rights:
    """Safe to use from several threads. What is asked is in the audit log before it is done: without the log
    nothing is (AuditUnavailable).
    """

    def __init__(self, opened: Opened, desk: ErasureDesk) -> None:
        self._opened = opened
        self._desk = desk
        self._letters = opened.letters

    def count(self, project: Project, distinct_id: str, reason: str, actor: str) -> dict[str, Any]:
        """What an erasure would take: rows by table. UnknownPerson."""
        counts = self._desk.count(project, distinct_id)
        self._record(actor, "person.count", project, distinct_id, {"reason": reason})
        return {"dry_run": True, "removed": counts}

    def erase(
        self, project: Project, distinct_id: str, reason: str, actor: str, *, refuse_all: bool
    ) -> dict[str, Any]:
        """Asks for it; the job as JSON. UnknownPerson."""
        return self._desk.ask(project, distinct_id, reason, actor, refuse_all=refuse_all).as_json()

    def erasures(self, project: Project) -> list[dict[str, Any]]:
        """The project's jobs, the newest first."""
        return [job.as_json() for job in self._opened.workspace.erasures.of_project(project.name)]

    def erasure(self, project: Project, id_: str) -> dict[str, Any] | None:
        job = self._opened.workspace.erasures.find(id_)
        return job.as_json() if job is not None and job.project == project.name else None

    def export(self, project: Project, distinct_id: str, reason: str, actor: str) -> Iterator[bytes]:
        """Lines of JSON. UnknownPerson, before the first of them."""
        self._desk.count(project, distinct_id)
        self._record(actor, "person.export", project, distinct_id, {"reason": reason})
        forms = self._opened.forms(project.name, distinct_id)
        person = find_by_texts(self._opened.store, project, self._opened.keyed_hash, forms)
        lines = person_lines(
            self._opened.store,
            project,
            person,
            self._letters,
            self._opened.keyed_hash,
            now=self._opened.clock(),
        )
        return map(write_line, lines)

    def holds(self, project: Project) -> list[dict[str, Any]]:
        return [hold.as_json() for hold in self._opened.workspace.holds.of_project(project.name)]

    def hold(self, project: Project, distinct_id: str | None, reason: str, actor: str) -> dict[str, Any]:
        """Nothing of the project (None), or of the person, is dropped or erased from now on.

        ErasureBegun if the person's erasure cannot be stopped any more, UnknownPerson for an id of nobody.
        """
        keys = self._keys(project, distinct_id)
        with self._desk.deciding():
            for job in self._opened.workspace.erasures.open():
                begun = job.project == project.name and job.state != "asked"
                if begun and (0 in keys or keys & {*job.keys}):
                    raise ErasureBegun(
                        f"erasure {job.id} has begun and cannot be stopped any more: ask for the hold again "
                        "when it has finished"
                    )
            now = self._opened.clock()
            holds = [Hold(project.name, key, reason, actor, now) for key in sorted(keys)]
            self._record(actor, "hold.place", project, distinct_id, {"reason": reason})
            for hold in holds:
                self._opened.workspace.holds.put(hold)
        return holds[-1].as_json()

    def release(self, project: Project, distinct_id: str | None, reason: str, actor: str) -> bool:
        """Whether there was a hold. What waited for it goes on."""
        holds, keys = self._opened.workspace.holds, self._keys(project, distinct_id)
        placed = keys & {hold.id_key for hold in holds.of_project(project.name)}
        if placed:
            self._record(actor, "hold.release", project, distinct_id, {"reason": reason})
        for key in placed:
            holds.release(project.name, key)
        return bool(placed)

    def _keys(self, project: Project, distinct_id: str | None) -> set[int]:
        """Of the id in each of its forms; 0 is the project."""
        if distinct_id is None:
            return {0}
        keys = {
            key_of(project, self._opened.keyed_hash, form)
            for form in self._opened.forms(project.name, distinct_id)
        }
        if NOBODY in keys:
            raise UnknownPerson(f"{distinct_id[:100]!r} identifies nobody (docs/identity.md)")
        return keys

    def _record(
        self, actor: str, action: str, project: Project, distinct_id: str | None, detail: dict[str, Any]
    ) -> None:
        audit = self._opened.workspace.audit
        subject = "" if distinct_id is None else audit.hashed(project.name, distinct_id)
        audit.record(actor, action, project.name, subject, detail)
