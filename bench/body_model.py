"""The collector as the FastAPI documentation teaches it: a pydantic model as the body, which says the same of
a record as Footfall's doors do (known fields, names, lengths, kinds of values), and a response model.

It is what the collector's way of reading records is measured against, so it stops there: no key, no time
limits, no log.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_$][A-Za-z0-9_$]*$", max_length=255)]
Id = Annotated[str, StringConstraints(min_length=1, max_length=1_024)]
Text = Annotated[str, StringConstraints(max_length=16_384)]
Value = bool | int | float | Text | Annotated[list[Text], Field(max_length=1_000)] | None
Time = int | float | str
RecordType = Literal[
    "track", "track_signup", "track_id_bind", "track_id_unbind", "profile_set", "profile_set_once",
    "profile_increment", "profile_append", "profile_unset", "profile_delete", "item_set", "item_delete",
]  # fmt: skip


class Event(BaseModel):
    """A record, as spec'd for `POST /v1/events`."""

    model_config = ConfigDict(extra="forbid")

    type: RecordType = "track"
    event: Name | None = None
    distinct_id: Id | None = None
    time: Time | None = None
    properties: Annotated[dict[Name, Value], Field(max_length=1_000)] = {}
    event_id: Id | None = None
    anonymous_id: Id | None = None
    login_id: Id | None = None
    original_id: Id | None = None
    identities: dict[str, Id] | None = None
    lib: dict[str, Value] | None = None
    project: str | None = None
    item_type: Name | None = None
    item_id: Id | None = None
    time_free: bool | None = None
    sent_at: Time | None = None
    track_id: int | str | None = Field(default=None, alias="_track_id")
    flush_time: Time | None = Field(default=None, alias="_flush_time")


class Rejected(BaseModel):
    """A record that was turned away."""

    index: int
    reason: str
    field: str
    message: str


class Answer(BaseModel):
    """What the doors answer."""

    accepted: int
    rejected: list[Rejected] = []


class GzipRequest(Request):
    """From the documentation: "Custom Request and APIRoute class"."""

    async def body(self) -> bytes:
        if not hasattr(self, "_body"):
            body = await super().body()
            if "gzip" in self.headers.getlist("Content-Encoding"):
                body = gzip.decompress(body)
            self._body = body
        return self._body


class GzipRoute(APIRoute):
    """Its route."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        original = super().get_route_handler()

        async def with_gzip(request: Request) -> Response:
            return await original(GzipRequest(request.scope, request.receive))

        return with_gzip


app = FastAPI()
app.router.route_class = GzipRoute


@app.post("/v1/events")
async def collect(events: Event | list[Event]) -> Answer:
    return Answer(accepted=len(events) if isinstance(events, list) else 1)
