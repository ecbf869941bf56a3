"""The Sensors door: `/sa`, `/sa.gif` and `/debug` at any path prefix, as Sensors Analytics' own SDKs speak.

Its clients delete their data over most answers but 200, 403, 404 and 5xx, so whatever arrived is kept, as a
dead letter if it is good for nothing else, and answered 200; only what could not be stored gets 503. `/debug`
tells developers what is wrong: 200 `{}` or 400 with the errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import Any, NamedTuple

import orjson

from collector.answers import (
    EMPTY,
    PIXEL,
    SILENCE,
    Answer,
    BodyTooLarge,
    Headers,
    NotAllowed,
    Overloaded,
    Receive,
    Scope,
    UnreadableBody,
    json_answer,
)
from collector.aside import Pace, Run, at_once, check_light, opened
from collector.budgets import Visitor, neighbourhood
from collector.counts import Judged
from collector.doors import Collaborators, Door, Taken
from collector.encrypted import ENCRYPTED_CODES, Envelopes, OpenedBatch, TooManySessionKeys
from collector.envelopes import Envelope, Fields, open_envelope, plain, read_fields
from collector.intake import NO_PROJECT, STRANGERS_BYTES, Origin, Place, judged, refuse, violations
from collector.session_keys import SessionKeys
from footfall.events.batch import TakesLong, TooManyRecords, Unreadable, read_batch
from footfall.events.log_record import Refusal
from footfall.events.names import KnownNames
from footfall.events.reasons import Reason
from footfall.events.surrogates import join_surrogates
from footfall.events.verdicts import SENSORS, Claim, Verdicts
from footfall.workspace.projects import DEFAULT_PROJECT
from footfall.workspace.workspace import fingerprint

SENSORS_NAMES = frozenset({"sa", "sa.gif", "debug"})
"""Last path segments of this door."""

_BURST = 32
_MINI_PROGRAM = b"https://servicewechat.com/"
"""How the Referer begins that WeChat puts on every request of a mini-program, which cannot change it."""


class Visit(NamedTuple):
    """One request: what kind it is, and where its records belong by default."""

    debug: bool
    dry_run: bool
    pixel: bool
    origin: Origin
    project: str | None  # of the URL
    token: str | None
    base: Place | None  # None: its project is unknown or takes nothing from it
    visitor: Visitor


class _Fault(NamedTuple):
    """A request that holds no record."""

    reason: Reason
    message: str
    raw: bytes


class SensorsDoor(Door):
    """Raw ASGI application of all three paths."""

    name = "sensors"
    holds = True

    def __init__(self, collaborators: Collaborators, known: KnownNames) -> None:
        super().__init__(collaborators, SENSORS, known)
        self._allowance = _Allowance(self.options.quarantine_bytes_per_second)
        limits = self.options.limits
        sessions = SessionKeys(self.options, self.counts, self.key_uses)
        self._envelopes = Envelopes(self.keys, sessions, limits.decompressed_bytes)

    async def take(self, scope: Scope, headers: Headers, receive: Receive) -> Taken:
        method = scope["method"]
        if method not in ("GET", "POST", "HEAD"):
            raise NotAllowed(f"{scope['path']} takes GET and POST, not {method}", "GET, HEAD, POST, OPTIONS")
        query = read_fields(scope["query_string"])
        visit = await self._visit(scope, headers, query)
        self.turnstile.enter(visit.visitor)
        try:
            if method != "POST":
                self.turnstile.pay(visit.visitor, size=len(scope["query_string"]))
                return await self._taken(visit, query, b"")
            return await self._receive(visit, query, headers, receive)
        finally:
            self.turnstile.leave(visit.visitor)

    async def _receive(self, visit: Visit, query: Fields, headers: Headers, receive: Receive) -> Taken:
        try:
            body = await self.read(headers, receive)
        except BodyTooLarge as error:
            return await self._keep(visit, _Fault(Reason.BODY_TOO_LARGE, str(error), error.kept), at_once)
        try:
            self.turnstile.pay(visit.visitor, size=len(body))
            return await self._taken(visit, query | read_fields(body), body)
        finally:
            self.room.give_back(len(body))

    def overloaded(self, problem: Overloaded, headers: Headers) -> Answer:
        """Mini-programs take any answer for success; without one they send their batch again."""
        if headers.get(b"referer", b"").startswith(_MINI_PROGRAM):
            return SILENCE
        return problem.answer()

    async def _visit(self, scope: Scope, headers: Headers, query: Fields) -> Visit:
        name = scope["path"].rpartition("/")[2]
        project = plain(query[b"project"]) if b"project" in query else None
        token = plain(query[b"token"]) if b"token" in query else None
        origin = self.origin(scope, headers)
        base = await self._place(project or None, token or None, origin)
        target = NO_PROJECT if base is None else base.project
        key = f"{target}:{fingerprint(token) if token else ''}"
        return Visit(
            debug=name == "debug",
            dry_run=name == "debug" and headers.get(b"dry-run") == b"true",
            pixel=name == "sa.gif" and scope["method"] != "POST",
            origin=origin,
            project=project or None,
            token=token or None,
            base=base,
            visitor=Visitor(key, target, neighbourhood(origin.ip)),
        )

    async def _taken(self, visit: Visit, fields: Fields, body: bytes) -> Taken:
        if visit.debug and b"info_id" in fields and not (fields.get(b"data") or fields.get(b"data_list")):
            return Taken(EMPTY)  # a developer's phone says that it was chosen for debugging: no records
        received_at = self.intake.now()
        project = NO_PROJECT if visit.base is None else visit.base.project
        try:
            return await self._take(visit, fields, body, received_at, self._light)
        except TakesLong:
            pass
        async with self._aside.turn(project):
            return await self._take(visit, fields, body, received_at, self._heavy)

    async def _take(self, visit: Visit, fields: Fields, body: bytes, received_at: int, pace: Pace) -> Taken:
        check_light(body, pace)
        raw = body or fields.get(b"data_list") or fields.get(b"data", b"")
        try:
            limit = self.options.limits.decompressed_bytes
            envelope = (
                await pace.run(open_envelope, fields, limit)
                if pace.patient
                else opened(lambda most: open_envelope(fields, most), limit, pace)
            )
            if envelope is None:
                if not body.strip():
                    return Taken(
                        self._stored(visit)
                    )  # a probe, or a client that was redirected: nothing came
                raise UnreadableBody("no field data or data_list in the body")
            check_light(envelope.text, pace)
            self._count_envelope(envelope)
            try:
                batch = await self._read(visit, envelope, received_at, pace)
            except TakesLong:
                self._count_envelope(envelope, -1)  # it comes again
                raise
            self.turnstile.pay(visit.visitor, records=len(batch.verdicts.records))
        except (UnreadableBody, Unreadable) as error:
            fault = _Fault(Reason.UNREADABLE, str(error), raw)
        except (TooManyRecords, TooManySessionKeys) as error:
            fault = _Fault(Reason.TOO_MANY_RECORDS, str(error), raw)
        except BodyTooLarge as error:
            fault = _Fault(Reason.BODY_TOO_LARGE, str(error), raw)
        else:
            return await self._store(visit, batch, received_at, pace.run)
        return await self._keep(visit, fault, pace.run)

    async def _read(self, visit: Visit, envelope: Envelope, received_at: int, pace: Pace) -> OpenedBatch:
        """Some plugins do not say that they encrypt: then the envelope shows it."""
        if envelope.gzip_code not in ENCRYPTED_CODES:
            verdicts = (
                await pace.run(_read_plain, envelope.text, received_at, pace)
                if pace.patient
                else _read_plain(envelope.text, received_at, pace)
            )
            if all(refusal.reason != Reason.ENCRYPTED for refusal in verdicts.refusals):
                return OpenedBatch(verdicts)
        project = NO_PROJECT if visit.base is None else visit.base.project
        return await self._envelopes.open(envelope.text, project, received_at, pace)

    def _count_envelope(self, envelope: Envelope, times: int = 1) -> None:
        self.counts.crc[envelope.crc] += times
        self.counts.gzip_code[envelope.gzip_code] += times

    async def _store(self, visit: Visit, batch: OpenedBatch, received_at: int, run: Run) -> Taken:
        verdicts = batch.verdicts
        places: Place | Sequence[Place]
        if visit.base is not None and not verdicts.claims:
            places = visit.base
        else:
            places = await self._places(visit, verdicts)
            lost = sum(place.project == NO_PROJECT for place in places)
            if lost and not visit.dry_run:
                self._allowance.spend(len(verdicts.events))
        admitted = await self.intake.admit(verdicts, places, run, tell=visit.dry_run)
        answer = self._stored(visit)
        if visit.debug:
            # What is inside an envelope is not told: someone else may have written it.
            told = [each for each in violations(admitted) if each.index not in batch.sealed]
            answer = await run(_debug_answer, batch.told(), told)
        if not verdicts.records or visit.dry_run:
            return Taken(answer)
        appended = await self.intake.append(admitted, visit.origin, received_at, run)
        return Taken(answer, appended, judged(verdicts))

    async def _keep(self, visit: Visit, fault: _Fault, run: Run) -> Taken:
        """A body without records becomes one dead letter."""
        appended = None
        place = visit.base or Place(NO_PROJECT, trusted=False)
        if not visit.dry_run:
            raw = fault.raw
            if place.project == NO_PROJECT:
                raw = raw[:STRANGERS_BYTES]
                self._allowance.spend(len(raw))
            appended = await self.intake.quarantine(raw, _told_whole(fault), place, visit.origin, run)
        answer = self._stored(visit)
        if visit.debug or self.options.strict_sensors:
            answer = _debug_answer([_told_whole(fault)])
        return Taken(answer, appended, Judged({fault.reason.value: 1}, 0))

    def _stored(self, visit: Visit) -> Answer:
        if visit.debug:
            return json_answer(b"{}")
        return PIXEL if visit.pixel else EMPTY

    async def _place(self, project: str | None, token: str | None, origin: Origin) -> Place | None:
        """Where records of this project and token go; None if nowhere."""
        grant = await self.keys.grant(token) if token else None
        if grant is not None:
            target = project or grant.project or DEFAULT_PROJECT
            if target == grant.project or (
                grant.opens(target) and await self.keys.project(target) is not None
            ):
                if grant.kind == "secret":
                    self.key_uses.secret_key(grant.fingerprint, self.name, origin.ip)
                return Place(target, grant.kind == "secret")
        target = project or DEFAULT_PROJECT
        found = await self.keys.project(target)
        return Place(target, trusted=False) if found is not None and found.keyless else None

    async def _places(self, visit: Visit, verdicts: Verdicts) -> list[Place]:
        """The place of each record. What may go nowhere is refused, in the request's own project if any."""
        nowhere = visit.base or Place(NO_PROJECT, trusted=False)
        places: list[Place] = []
        refused: list[Refusal] = []
        known: dict[Claim, Place | None] = {Claim(None, None): visit.base}
        for index, record in enumerate(verdicts.records):
            claim = verdicts.claims.get(index, Claim(None, None))
            if claim not in known:
                project, token = claim.project or visit.project, claim.token or visit.token
                known[claim] = await self._place(project, token, visit.origin)
            place = known[claim]
            places.append(place or nowhere)
            if place is None and record is not None:
                refused.append(_refusal_of_place(index, claim, visit))
        refuse(verdicts, refused)
        return places


def _told_whole(fault: _Fault) -> Refusal:
    return Refusal(0, fault.reason.value, "", fault.message)


def _read_plain(text: bytes, received_at: int, pace: Pace) -> Verdicts:
    return read_batch(join_surrogates(text), pace.judge, received_at, patient=pace.patient)


def _refusal_of_place(index: int, claim: Claim, visit: Visit) -> Refusal:
    if claim.project is not None and visit.base is not None:
        message = f"the token does not open the project {claim.project!r} that the record names"
        return Refusal(index, Reason.WRONG_PROJECT.value, "project", message)
    project = claim.project or visit.project or DEFAULT_PROJECT
    message = f"the token opens no project, and {project!r} is not keyless"
    return Refusal(index, Reason.UNKNOWN_KEY.value, "token", message)


def _debug_answer(refusals: Sequence[Refusal], violations: Sequence[Refusal] = ()) -> Answer:
    """Violations of a tracking plan are told beside: what is stored all the same is no error."""
    answer = {
        name: [_told(each) for each in told]
        for name, told in (("errors", refusals), ("violations", violations))
        if told
    }
    return json_answer(orjson.dumps(answer), 400 if refusals else 200)


def _told(refusal: Refusal) -> dict[str, Any]:
    return {
        "index": refusal.index,
        "field": refusal.field,
        "reason": refusal.reason,
        "message": refusal.message,
    }


class _Allowance:
    """How much may be stored of what belongs to nobody, so that strangers cannot fill the log."""

    def __init__(self, bytes_per_second: int) -> None:
        self._rate = bytes_per_second
        self._left = float(bytes_per_second * _BURST)
        self._refilled = monotonic()

    def spend(self, size: int) -> None:
        """Raises Overloaded when there is none left: the client keeps its data."""
        now = monotonic()
        self._left = min(self._rate * _BURST, self._left + (now - self._refilled) * self._rate)
        self._refilled = now
        if self._left <= 0:
            raise Overloaded("too much comes without a key that is known")
        self._left -= size
