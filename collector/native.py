"""The native door, `POST /v1/events`: our SDKs, back ends, importers. JSON in, a verdict on every record out.

`POST /v1/validate` is the same without storing anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

import orjson

from collector.answers import (
    Answer,
    BodyTooLarge,
    Headers,
    NotAllowed,
    Receive,
    Scope,
    Unauthorized,
    UnreadableBody,
    WrongProject,
    json_answer,
)
from collector.aside import Pace, Run, at_once, check_light, opened
from collector.bodies import KEPT_BYTES, decompress
from collector.budgets import Visitor, neighbourhood
from collector.doors import Collaborators, Door, Taken, query_of
from collector.intake import Origin, Place, judged, refuse, violations
from footfall.events.batch import TakesLong, TooManyRecords, Unreadable, read_batch
from footfall.events.log_record import Refusal
from footfall.events.names import KnownNames
from footfall.events.reasons import Reason
from footfall.events.verdicts import NATIVE, Verdicts
from footfall.workspace.projects import DEFAULT_PROJECT
from footfall.workspace.workspace import Grant

_USUAL_KEYS: Final = 1_000
_WHERE_KEYS_COME_FROM: Final = (
    "it was shown when the project was made (POST /api/v1/projects; that of the project default, when "
    "`footfall up` first started, or FOOTFALL_WRITE_KEY sets it)"
)
_HOW_TO: Final = (
    "send the project's write key as 'Authorization: Bearer <write key>', or in the URL as ?key=<write key>; "
    + _WHERE_KEYS_COME_FROM
)
EVENTS_PATH = "/v1/events"
VALIDATE_PATH = "/v1/validate"


class Visit(NamedTuple):
    """One request: what its key opens, and what becomes of its records."""

    stores: bool  # False: validation only
    encoding: bytes
    origin: Origin
    grant: Grant
    base: Place  # of records that name no project themselves
    visitor: Visitor


class NativeDoor(Door):
    """Raw ASGI application of both paths."""

    name = "native"

    def __init__(self, collaborators: Collaborators, known: KnownNames) -> None:
        super().__init__(collaborators, NATIVE, known)
        self._usual: dict[bytes, tuple[str, Grant, Place]] = {}  # by Authorization header

    async def take(self, scope: Scope, headers: Headers, receive: Receive) -> Taken:
        if scope["method"] != "POST":
            raise NotAllowed(f"{scope['path']} takes POST, not {scope['method']}")
        query = query_of(scope)
        grant, base = await self._admit(headers, query)
        encoding = headers.get(b"content-encoding") or query.get("compression", "").encode()
        origin = self.origin(scope, headers)
        if grant.kind == "secret":
            self.key_uses.secret_key(grant.fingerprint, self.name, origin.ip)
        key = f"{base.project}:{grant.fingerprint}"
        visitor = Visitor(key, base.project, neighbourhood(origin.ip))
        visit = Visit(scope["path"] == EVENTS_PATH, encoding, origin, grant, base, visitor)
        self.turnstile.enter(visitor)
        try:
            return await self._receive(visit, headers, receive)
        finally:
            self.turnstile.leave(visitor)

    async def _receive(self, visit: Visit, headers: Headers, receive: Receive) -> Taken:
        try:
            body = await self.read(headers, receive)
        except BodyTooLarge as error:
            await self._keep(Reason.BODY_TOO_LARGE, error.kept, str(error), visit, at_once)
            raise
        try:
            self.turnstile.pay(visit.visitor, size=len(body))
            received_at = self.intake.now()
            try:
                return await self._take(visit, body, received_at, self._light)
            except TakesLong:
                pass
            async with self._aside.turn(visit.base.project):
                return await self._take(visit, body, received_at, self._heavy)
        finally:
            self.room.give_back(len(body))

    async def _take(self, visit: Visit, body: bytes, received_at: int, pace: Pace) -> Taken:
        check_light(body, pace)
        try:
            verdicts = (
                await pace.run(self._read, visit, body, received_at, pace)
                if pace.patient
                else self._read(visit, body, received_at, pace)
            )
            self.turnstile.pay(visit.visitor, records=len(verdicts.records))
        except TooManyRecords as error:
            await self._keep(Reason.TOO_MANY_RECORDS, body[:KEPT_BYTES], str(error), visit, pace.run)
            raise BodyTooLarge(str(error)) from None
        except BodyTooLarge as error:
            await self._keep(Reason.BODY_TOO_LARGE, error.kept, str(error), visit, pace.run)
            raise
        except (Unreadable, UnreadableBody) as error:
            if body:
                await self._keep(Reason.UNREADABLE, body, str(error), visit, pace.run)
            raise UnreadableBody(str(error)) from None
        places: Place | list[Place] = visit.base
        if verdicts.claims:
            places = await self._places(verdicts, visit)
        admitted = await self.intake.admit(verdicts, places, pace.run, tell=not visit.stores)
        told = [] if visit.stores else violations(admitted)
        answer = await pace.run(_answer, verdicts, told) if pace.patient else _answer(verdicts, told)
        if not visit.stores or not verdicts.records:
            return Taken(answer)
        appended = await self.intake.append(admitted, visit.origin, received_at, pace.run)
        return Taken(answer, appended, judged(verdicts))

    def _read(self, visit: Visit, body: bytes, received_at: int, pace: Pace) -> Verdicts:
        text = body
        encoding = visit.encoding.strip().lower()
        if encoding:
            limit = self.options.limits.decompressed_bytes
            text = opened(lambda most: decompress(body, encoding, most), limit, pace)
            check_light(text, pace)
        return read_batch(text, pace.judge, received_at, patient=pace.patient)

    async def _keep(self, reason: Reason, raw: bytes, message: str, visit: Visit, run: Run) -> None:
        """A body without records becomes one dead letter."""
        if not visit.stores:
            return
        appended = await self.intake.quarantine(
            raw, Refusal(0, reason.value, "", message), visit.base, visit.origin, run
        )
        await self.intake.wait(appended)
        self.counts.records[self.name, reason.value] += 1

    async def _admit(self, headers: Headers, query: Mapping[str, str]) -> tuple[Grant, Place]:
        """What the request's key opens, and where its records go that name no project themselves."""
        authorization = headers.get(b"authorization", b"")
        usual = self._usual.get(authorization)
        if usual is not None and not query:
            key, grant, base = usual
            if self.keys.known_grant(key) is grant:
                return grant, base
        key = _key_of(headers, query)
        found = await self.keys.grant(key)
        if found is None:
            raise Unauthorized(f"the key opens no project: send a whole write key; {_WHERE_KEYS_COME_FROM}")
        base = await self._base_place(found, query)
        if authorization and not query:
            if len(self._usual) >= _USUAL_KEYS:
                self._usual.clear()
            self._usual[authorization] = key, found, base
        return found, base

    async def _base_place(self, grant: Grant, query: Mapping[str, str]) -> Place:
        """Where records go that name no project themselves."""
        project = query.get("project") or grant.project or DEFAULT_PROJECT
        if project != grant.project and not await self._opens(grant, project):
            raise WrongProject(f"the key does not open the project {project!r} of the URL")
        return Place(project, grant.kind == "secret")

    async def _opens(self, grant: Grant, project: str) -> bool:
        return grant.opens(project) and await self.keys.project(project) is not None

    async def _places(self, verdicts: Verdicts, visit: Visit) -> list[Place]:
        """The place of each record; those that the key does not open are refused."""
        base = visit.base
        places = [base] * len(verdicts.records)
        refused: list[Refusal] = []
        for index, claim in verdicts.claims.items():
            project = claim.project
            if project is None or project == base.project:
                continue
            if await self._opens(visit.grant, project):
                places[index] = Place(project, base.trusted)
            else:
                message = f"the key does not open the project {project!r} that the record names"
                refused.append(Refusal(index, Reason.WRONG_PROJECT.value, "project", message))
        refuse(verdicts, refused)
        return places


def _key_of(headers: Headers, query: Mapping[str, str]) -> str:
    authorization = headers.get(b"authorization")
    if authorization is None:
        key = query.get("key", "")
    else:
        scheme, _, credentials = authorization.decode("latin-1").partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthorized(f"the Authorization header is not of the form 'Bearer ...': {_HOW_TO}")
        key = credentials.strip()
    if not key:
        raise Unauthorized(f"the request has no key: {_HOW_TO}")
    return key


def _answer(verdicts: Verdicts, violations: Sequence[Refusal]) -> Answer:
    accepted = len(verdicts.records) - len(verdicts.refusals)
    if not verdicts.refusals and not violations:
        return _accepted(accepted)
    answer = {"accepted": accepted, "rejected": [_told(refusal) for refusal in verdicts.refusals]}
    if violations:
        answer["violations"] = [_told(violation) for violation in violations]
    return json_answer(orjson.dumps(answer))


@lru_cache(maxsize=1_000)
def _accepted(count: int) -> Answer:
    return json_answer(b'{"accepted":%d,"rejected":[]}' % count)


def _told(refusal: Refusal) -> dict[str, Any]:
    return {
        "index": refusal.index,
        "reason": refusal.reason,
        "field": refusal.field,
        "message": refusal.message,
    }
