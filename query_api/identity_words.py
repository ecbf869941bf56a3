"""What administrators say about ids: a record of their own door, which goes the way of every record.

So it is durable before it is answered, counted in the ledger, and decided by the processor as a pure function
of all that was said: see docs/identity.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal
from uuid import uuid4

import msgspec
from pydantic import Field, model_validator

from footfall.eventlog.log import Log
from footfall.eventlog.partitions import ADMINISTRATORS, LateWriter
from footfall.events.identity import ADMINISTRATOR, MERGED_LOGIN, ResolutionRules
from footfall.events.identity_keys import LOGIN, PLAIN
from footfall.events.keys import KeyedHash
from footfall.events.limits import IDENTITY_KEYS
from footfall.events.log_record import Header
from footfall.events.record import Record
from footfall.events.routing import routing_keys
from footfall.storage.links import StoredLinks
from footfall.storage.ties import StoredTies
from footfall.treatment.policy import PolicyOf
from footfall.treatment.treatment import treat
from footfall.workspace.projects import Project
from query_api.answers import instant
from query_api.ids_at_rest import ids_at_rest
from query_api.problems import Fault, refused
from query_api.spec.conditions import MAX_TEXT
from query_api.spec.spellings import nearest
from query_api.spec.strict import Strict, refuse
from query_api.store_reader import StoreReader

_EVENTS = {"bind": "$BindID", "unbind": "$UnbindID", "merge": "$MergeLogins", "unmerge": "$UnmergeLogins"}


class WordSpec(Strict):
    """`{"action": "bind", "anonymous_id", "login_id"}`, `"unbind"` (without `login_id`: from every login),
    `{"action": "merge", "login_id", "into"}`, `"unmerge"`; with a `note` for whoever reads it later.

    In a project that declares identity keys `identities` says bind and unbind of any ids.
    """

    action: Literal["bind", "unbind", "merge", "unmerge"]
    anonymous_id: str | None = Field(default=None, min_length=1, max_length=MAX_TEXT)
    login_id: str | None = Field(default=None, min_length=1, max_length=MAX_TEXT)
    into: str | None = Field(default=None, min_length=1, max_length=MAX_TEXT)
    identities: dict[str, Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]] | None = Field(
        default=None,
        min_length=1,
        max_length=IDENTITY_KEYS,
        description="By declared key: `bind` all of them, `unbind` one from all that it was bound to, or the "
        "others from the one with the highest priority.",
    )
    note: str = Field(default="", max_length=MAX_TEXT)

    @model_validator(mode="after")
    def _check(self) -> WordSpec:
        merges = self.action in ("merge", "unmerge")
        if self.identities is not None:
            self._check_identities(merges=merges)
            return self
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

    def _check_identities(self, *, merges: bool) -> None:
        if merges:
            message = f"{self.action} takes login_id and into"
            refuse("unknown_field", message, field="identities", allowed=["login_id", "into"])
        for name in ("anonymous_id", "login_id", "into"):
            if (given := getattr(self, name)) is not None:
                message = f"say {name} among the identities, or leave them out"
                refuse("unknown_field", message, field=name, given=given, allowed=["action", "identities"])
        if self.action == "bind" and len(self.identities or ()) < 2:
            message = "bind needs two identities"
            refuse("invalid_value", message, field="identities", given=self.identities)


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
        record = _record(spec)
        told = routing_keys(project.name, [Record(distinct_id=record["distinct_id"])], self._hash)
        treated = treat(header, msgspec.json.encode([record]), self._policy_of(project.name))
        received_at = self._writer.append(*treated, told)
        return {**spec.model_dump(exclude_none=True), "received_at": instant(received_at)}

    def close(self) -> None:
        self._writer.close()

    def _check(self, reader: StoreReader, project: Project, spec: WordSpec) -> None:
        """What no record could do later: ids that identify nobody, an id with itself, merging what is no
        login.
        """
        told = {name: getattr(spec, name) for name in ("anonymous_id", "login_id", "into")}
        told |= {f"identities.{name}": value for name, value in (spec.identities or {}).items()}
        given = {name: value for name, value in told.items() if value is not None}
        faults = _undeclared(project, spec)
        faults += [
            Fault(name, "invalid_value", f"{value[:100]!r} identifies nobody", value)
            for name, value in given.items()
            if project.identity.is_nobody(value)
        ]
        if not faults and spec.identities is None and len(set(given.values())) < len(given):
            name = list(given)[-1]
            faults = [Fault(name, "invalid_value", "name two different ids", given[name])]
        if not faults:
            faults = self._not_logins(reader, project, spec)
        if faults:
            raise refused(faults)

    def _not_logins(self, reader: StoreReader, project: Project, spec: WordSpec) -> list[Fault]:
        rules = project.identity.resolution
        wanted = {"login_id": True, "into": True} if spec.action == "merge" else {}
        if spec.action == "bind" and spec.identities is None:
            wanted = {"anonymous_id": False}
        ids = {name: getattr(spec, name) for name in wanted}
        at_rest = ids_at_rest(self._policy_of)
        keys = {name: self._hash.id_key(project.name, at_rest(project.name, ids[name])) for name in ids}
        logins = {name for name, key in keys.items() if key in _logins(reader, rules, set(keys.values()))}
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


def _undeclared(project: Project, spec: WordSpec) -> list[Fault]:
    """What `identities` names that the project does not know."""
    if spec.identities is None:
        return []
    declared = project.identity.declared
    if declared is None:
        message = "only projects with the strategy global declare identities: give anonymous_id and login_id"
        return [Fault("identities", "unknown_field", message, None, ["anonymous_id", "login_id"])]
    return [
        Fault(
            f"identities.{name}", "unknown_field", f"the project declares no identity key {name[:100]!r}",
            name, declared.names, nearest(name, declared.names),
        )
        for name in spec.identities
        if name not in declared
    ]  # fmt: skip


def _logins(reader: StoreReader, rules: ResolutionRules, keys: set[int]) -> set[int]:
    """Those of the ids that some record named as a login."""
    if not keys:
        return set()
    if rules.keys is not None:
        nodes = StoredLinks(reader.rows).node_ties(keys)
        return {key for key, ties in nodes.items() if ties.name_in(rules) == LOGIN}
    found = StoredTies(reader.rows).ties_of(keys)
    return {key for key, ties in found.items() if ties.counts_as_login(rules)}


def _record(spec: WordSpec) -> dict[str, Any]:
    """The record that says it: processor/claims.py reads it."""
    login = spec.into if spec.into is not None else spec.login_id
    subject = "$identity_anonymous_id" if spec.into is None else MERGED_LOGIN
    identities: dict[str, str | None] = dict(spec.identities or {})
    if spec.identities is None:
        identities[subject] = spec.anonymous_id if spec.into is None else spec.login_id
    if login is not None:
        identities["$identity_login_id"] = login
    return {
        "type": "track_id_unbind" if spec.action.startswith("un") else "track_id_bind",
        "event": _EVENTS[spec.action],
        "distinct_id": login or spec.anonymous_id or _main_id(spec.identities or {}),
        "identities": identities,
        "properties": {"note": spec.note} if spec.note else {},
    }


def _main_id(identities: Mapping[str, str]) -> str:
    """The id whose record it is: a login, if one is named."""
    name = LOGIN if LOGIN in identities else next(iter(identities))
    return identities[name] if name in PLAIN else f"{name}+{identities[name]}"
