"""/api/v1/projects/{name}/dead-letters: what was turned away, and sending it in again."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import Field, StrictBool, model_validator
from starlette.requests import Request
from starlette.responses import Response

from footfall.events.reasons import Reason
from query_api.access import Access
from query_api.body import read_json
from query_api.dead_letters import Letters, Place, read_place
from query_api.fixes import LONGEST, InvalidFix, parse_fix
from query_api.problems import Fault, NotFound, refused
from query_api.replays import Replay, Replays
from query_api.routes.front import Front
from query_api.routes.parameters import read_limit, read_parameters
from query_api.spec.conditions import MAX_TEXT
from query_api.spec.spellings import nearest
from query_api.spec.strict import Strict, refuse

MOST_LETTERS = 10_000
_REASONS = [reason.value for reason in Reason]


class ReplaySpec(Strict):
    """Which letters: those named, or all (of a reason); how they are mended first; whether only to try."""

    letters: tuple[str, ...] | None = Field(default=None, max_length=MOST_LETTERS)
    reason: str | None = Field(default=None, max_length=MAX_TEXT)
    all: StrictBool = False
    fix: str = Field(default="", max_length=LONGEST)
    time_free: StrictBool = False
    dry_run: StrictBool = False

    @model_validator(mode="after")
    def _check(self) -> ReplaySpec:
        if sum([self.letters is not None, self.reason is not None, self.all]) != 1:
            refuse("invalid_value", "say one of letters, reason and all: which letters to replay")
        for number, text in enumerate(self.letters or ()):
            if read_place(text) is None:
                message = f"{text[:50]!r} is no letter's id: write partition:offset:seq"
                refuse("invalid_value", message, field=f"letters[{number}]", given=text)
        if self.reason is not None and self.reason not in _REASONS:
            message = f"{self.reason[:50]!r} is no reason"
            refuse("unknown_value", message, field="reason", given=self.reason, allowed=_REASONS)
        return self

    def replay(self) -> Replay:
        """What to do. Raises InvalidQuery for a fix that is none."""
        try:
            fix = parse_fix(self.fix)
        except InvalidFix as error:
            raise refused([Fault("fix", "invalid_value", str(error), self.fix)]) from None
        places = None
        if self.letters is not None:
            places = [place for text in self.letters if (place := read_place(text)) is not None]
        return Replay(places, self.reason, fix, self.time_free, self.dry_run)


def build_dead_letter_routes(front: Front, access: Access, letters: Letters, replays: Replays) -> APIRouter:
    """All with a secret key: a letter's bytes are what the privacy rules never saw."""
    router = APIRouter(prefix="/api/v1/projects/{name}/dead-letters", include_in_schema=False)

    @router.get("")
    async def page(request: Request, name: str) -> Response:
        def work() -> dict[str, Any]:
            grant, project = access.opened(request, name)
            given = read_parameters(request, "reason", "limit", "cursor")
            limit = read_limit(given.get("limit"))
            found, following = letters.page(project.name, _reason(given), limit, _cursor(given))
            access.record(grant, "dead_letters.list", project.name, rows=len(found))
            return {"letters": found, "next_cursor": following}

        return await front.answer("dead-letters", work)

    @router.get("/counts")
    async def counts(request: Request, name: str) -> Response:
        def work() -> dict[str, Any]:
            _, project = access.opened(request, name)
            read_parameters(request)
            return {"reasons": letters.counts(project.name)}

        return await front.answer("dead-letters/counts", work)

    @router.post("/replay")
    async def replay(request: Request, name: str) -> Response:
        def work(body: bytes) -> dict[str, Any]:
            grant, project = access.opened(request, name)
            wanted = ReplaySpec.model_validate(read_json(body)).replay()
            done = replays.replay(project.name, wanted)
            if not wanted.dry_run:
                refused = sum(done["refused"].values())
                access.record(
                    grant, "dead_letters.replay", project.name, rows=done["replayed"], refused=refused
                )
            return done

        return await front.answer_body(request, "dead-letters/replay", work)

    @router.get("/{letter}")
    async def show(request: Request, name: str, letter: str) -> Response:
        def work() -> dict[str, Any]:
            grant, project = access.opened(request, name)
            place = read_place(letter)
            found = None if place is None else letters.show(project.name, place)
            if found is None:
                raise NotFound(f"there is no dead letter {letter[:50]!r}: ids are partition:offset:seq")
            access.record(grant, "dead_letters.show", project.name, letter)
            return found

        return await front.answer("dead-letters/one", work)

    return router


def _reason(given: dict[str, str]) -> str | None:
    reason = given.get("reason")
    if reason is not None and reason not in _REASONS:
        message = f"{reason[:50]!r} is no reason"
        close = nearest(reason, _REASONS)  # the answer's detail has it, too
        raise refused([Fault("reason", "unknown_value", message, reason, _REASONS, close)])
    return reason


def _cursor(given: dict[str, str]) -> Place | None:
    text = given.get("cursor")
    place = None if text is None else read_place(text)
    if text is not None and place is None:
        raise refused([Fault("cursor", "invalid_value", "send next_cursor of the page before", text)])
    return place
