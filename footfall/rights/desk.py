"""Takes down erasures: what one would take, the job, what holds it. Needs no processor, so that any service
can ask; the job is a row of the workspace, which the eraser beside a processor works off.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection
from contextlib import AbstractContextManager
from dataclasses import replace

from footfall.events.keys import NOBODY
from footfall.rights.belongings import rows_of
from footfall.rights.opened import Opened
from footfall.rights.person import (
    Person,
    find_by_texts,
    find_person,
    key_of,
    texts_of,
)
from footfall.workspace import Project
from footfall.workspace.erasures import Erasure, UnknownPerson


class ErasureDesk:
    """Safe to use from several threads."""

    def __init__(self, opened: Opened) -> None:
        self._store = opened.store
        self._workspace = opened.workspace
        self._hash = opened.keyed_hash
        self._sealer = opened.sealer
        self._clock = opened.clock
        self._forms = opened.forms
        self._letters = opened.letters

    def deciding(self) -> AbstractContextManager[object]:
        """Held while a job begins or a hold is placed, by whichever service: which was first is certain."""
        return self._workspace.turns.exclusive("erasures")

    def count(self, project: Project, distinct_id: str) -> dict[str, int]:
        """How many rows of each table are theirs now; dead letters are opened. UnknownPerson."""
        person = self._person(project, distinct_id)
        texts = {*self._forms(project.name, distinct_id), *texts_of(self._store, person, self._hash)}
        letters = sum(1 for _ in self._letters.naming(project.name, person.keys, texts))
        counts = rows_of(self._store, person) | {"dead_letters": letters}
        if not any(counts.values()):
            raise UnknownPerson(
                f"nobody in project {project.name!r} has the id {distinct_id[:100]!r}: ids are compared "
                "letter by letter; what was just sent is known a moment later"
            )
        return counts

    def ask(
        self, project: Project, distinct_id: str, reason: str, actor: str, *, refuse_all: bool = False
    ) -> Erasure:
        """Writes the job down, first in the audit log; it is begun soon. The one that is under way if it was
        asked before; `refuse_all` beside one that does not refuse all is another job for the same ids.

        UnknownPerson, AuditUnavailable.
        """
        forms = set(self._forms(project.name, distinct_id))
        under_way = self._under_way(project, forms)
        erasure = next((known for known in under_way if known.refuse_all or not refuse_all), None)
        is_new = erasure is None
        if erasure is None:
            if not under_way:
                self.count(project, distinct_id)
            id_ = secrets.token_hex(8)
            texts = forms.union(*(self.all_texts(known, project) for known in under_way))
            erasure = Erasure(
                id=id_,
                project=project.name,
                state="asked",
                reason=reason,
                actor=actor,
                asked_at=self._clock(),
                refuse_all=refuse_all,
                sealed=self.seal(id_, sorted(texts)),
            )
            erasure = replace(erasure, waits_for=self.held(erasure))
        audit = self._workspace.audit
        detail = {"erasure": erasure.id, "reason": reason, "refuse_all": refuse_all}
        audit.record(actor, "person.erase", project.name, audit.hashed(project.name, distinct_id), detail)
        if is_new:
            self._workspace.erasures.save(erasure)
        return erasure

    def _under_way(self, project: Project, texts: Collection[str]) -> list[Erasure]:
        """Jobs of the person of one of these ids."""
        keys = {key_of(project, self._hash, text) for text in texts}
        jobs = [job for job in self._workspace.erasures.open() if job.project == project.name]
        return [job for job in jobs if keys & self._keys_of(job, project)]

    def held(self, erasure: Erasure) -> str:
        """The legal hold that it waits for; "" if it does not."""
        project = self.project_of(erasure)
        if erasure.state != "asked" or erasure.erased_at:  # the latter was erased before the restore
            return ""
        holds = self._workspace.holds.of_project(erasure.project)
        keys = self._keys_of(erasure, project) if holds else set()
        for hold in holds:
            if hold.id_key == 0:
                return f"the legal hold on the project ({hold.reason}); it goes on when that is released"
            if keys & {*find_person(self._store, project, hold.id_key).keys}:
                return f"the legal hold on the person ({hold.reason}); it goes on when that is released"
        return ""

    # What the work looks up, too ----------------------------------------------------------------------------

    def whole_person(self, job: Erasure, project: Project) -> Person:
        """Whom the ids belong to now, with those that the job names by key."""
        return find_by_texts(self._store, project, self._hash, self.unsealed(job), job.keys)

    def all_texts(self, job: Erasure, project: Project) -> set[str]:
        """The ids of its person: once it was cut, only the job knows them."""
        person = self.whole_person(job, project)
        return {*self.unsealed(job), *texts_of(self._store, person, self._hash)}

    def project_of(self, job: Erasure) -> Project:
        """Also of one that is gone."""
        return self._workspace.project(job.project) or Project(job.project)

    def seal(self, id_: str, texts: Collection[str]) -> bytes:
        """Ids as they rest in a job."""
        return self._sealer.seal(json.dumps(list(texts)).encode(), f"erasure:{id_}")

    def unsealed(self, job: Erasure) -> list[str]:
        """The ids in a job."""
        if not job.sealed:
            return []
        found: list[str] = json.loads(self._sealer.unseal(job.sealed, f"erasure:{job.id}"))
        return found

    # What it is made of -------------------------------------------------------------------------------------

    def _person(self, project: Project, distinct_id: str) -> Person:
        if key_of(project, self._hash, distinct_id) == NOBODY:
            raise UnknownPerson(f"{distinct_id[:100]!r} identifies nobody (docs/identity.md)")
        forms = self._forms(project.name, distinct_id)
        return find_by_texts(self._store, project, self._hash, forms)

    def _keys_of(self, job: Erasure, project: Project) -> set[int]:
        return {*job.keys} if job.state != "asked" else {*self.whole_person(job, project).keys}
