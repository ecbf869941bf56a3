"""What administrators say about ids: a record of their own door, which goes the way of every record.

So it is durable before it is answered, counted in the ledger, and decided by the processor as a pure function
of all that was said: see docs/identity.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal
from uuid import uuid4

import msgspec
from pydantic import Field, model_validator

from footfall.eventlog.log import Log
from footfall.eventlog.partitions import ADMINISTRATORS, LateWriter
from footfall.events.identity import ADMINISTRATOR, MERGED_LOGIN
from footfall.events.keys import KeyedHash
from footfall.events.log_record import Header
from footfall.storage.ties import StoredTies
from footfall.treatment.policy import PolicyOf
from footfall.treatment.treatment import treat
from footfall.workspace.projects import Project
from query_api.answers import instant
from query_api.problems import Fault, refused
from query_api.spec.conditions import MAX_TEXT
from query_api.spec.strict import Strict, refuse
from query_api.store_reader import StoreReader

_EVENTS = {"bind": "$BindID", "unbind": "$UnbindID", "merge": "$MergeLogins", "unmerge": "$UnmergeLogins"}


class WordSpec(Strict):
    """`{"action": "bind", "anonymous_id", "login_id"}`, `"unbind"` (without `login_id`: from every login),
    `{"action": "merge", "login_id", "into"}`, `"unmerge"`; with a `note` for whoever reads it later.
    """

    action: Literal["bind", "unbind", "merge", "unmerge"]
    anonymous_id: str | None = Field(default=None, min_length=1, max_length=MAX_TEXT)
    login_id: str | None = Field(default=None, min_length=1, max_length=MAX_TEXT)
    into: str | None = Field(default=None, min_length=1, max_length=MAX_TEXT)
    note: str = Field(default="", max_length=MAX_TEXT)

    @model_validator(mode="after")
    def _check(self) -> WordSpec:
        merges = self.action in ("merge", "unmerge")
        needed = ["login_id", "into"] if merges else ["anonymous_id"]
        needed += ["login_id"] if self.action == "bind" else []
        for name in needed:
            if getattr(self, name) is None:
                refuse("missing_field", f"{self.action} needs {name}", field=name, given=None)
        useless = "anonymous_id" if merges else "into"
        if (given := getattr(self, useless)) is not None:
            message = f"{self.action} takes no {useless}"
            refuse("unknown_field", message, field=useless, given=given, allowed=needed)
        return self


class AdministratorsDoor:
    """Writes what administrators say into the log."""

    def __init__(
        self, log: Log, keyed_hash: KeyedHash, policy_of: PolicyOf, clock: Callable[[], int]
    ) -> None:
        self._hash = keyed_hash
        self._policy_of = policy_of
        self._writer = LateWriter(log, ADMINISTRATORS, clock)

    def say(self, reader: StoreReader, project: Project, spec: WordSpec) -> dict[str, Any]:
        """Durable on return; decided within the time that any record takes. Raises InvalidQuery, LogError."""
        self._check(reader, project, spec)
        header = Header(
            project=project.name,
            door=ADMINISTRATOR,
            received_at=0,
            count=1,
            event_ids=[self._hash.event_id(project.name.encode(), b"client", uuid4().bytes).hex()],
            trusted=True,
        )
        events = msgspec.json.encode([_record(spec)])
        received_at = self._writer.append(*treat(header, events, self._policy_of(project.name)))
        return {**spec.model_dump(exclude_none=True), "received_at": instant(received_at)}

    def close(self) -> None:
        self._writer.close()

    def _check(self, reader: StoreReader, project: Project, spec: WordSpec) -> None:
        """What no record could do later: ids that identify nobody, an id with itself, merging what is no
        login.
        """
        told = {name: getattr(spec, name) for name in ("anonymous_id", "login_id", "into")}
        given = {name: value for name, value in told.items() if value is not None}
        faults = [
            Fault(name, "invalid_value", f"{value[:100]!r} identifies nobody", value)
            for name, value in given.items()
            if project.identity.is_nobody(value)
        ]
        if not faults and len(set(given.values())) < len(given):
            name = list(given)[-1]
            faults = [Fault(name, "invalid_value", "name two different ids", given[name])]
        if not faults:
            faults = self._not_logins(reader, project, spec)
        if faults:
            raise refused(faults)

    def _not_logins(self, reader: StoreReader, project: Project, spec: WordSpec) -> list[Fault]:
        rules = project.identity.resolution
        wanted = {"login_id": True, "into": True} if spec.action == "merge" else {}
        if spec.action == "bind":
            wanted = {"anonymous_id": False}
        ids = {name: getattr(spec, name) for name in wanted}
        keys = {name: self._hash.id_key(project.name, value) for name, value in ids.items()}
        ties = StoredTies(reader.rows).ties_of(keys.values()) if keys else {}
        logins = {name for name, key in keys.items() if key in ties and ties[key].counts_as_login(rules)}
        return [
            Fault(
                name,
                "invalid_value",
                f"{ids[name][:100]!r} was never seen as a login: merge takes two logins"
                if must_be
                else f"{ids[name][:100]!r} is a login, and belongs to nobody else: merge it, if it is to",
                ids[name],
            )
            for name, must_be in wanted.items()
            if (name in logins) != must_be
        ]


def _record(spec: WordSpec) -> dict[str, Any]:
    """The record that says it: processor/claims.py reads it."""
    login = spec.into if spec.into is not None else spec.login_id
    subject = "$identity_anonymous_id" if spec.into is None else MERGED_LOGIN
    identities = {subject: spec.anonymous_id if spec.into is None else spec.login_id}
    if login is not None:
        identities["$identity_login_id"] = login
    return {
        "type": "track_id_unbind" if spec.action.startswith("un") else "track_id_bind",
        "event": _EVENTS[spec.action],
        "distinct_id": login or spec.anonymous_id,
        "identities": identities,
        "properties": {"note": spec.note} if spec.note else {},
    }
