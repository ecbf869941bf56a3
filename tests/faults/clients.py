"""The load: clients outside the faulted processes that send each request until it is answered.

No answer (refused, reset, too late) means that nobody knows; the request is sent again as it was, as every
SDK does, until it is answered: then each of its records is accepted or refused, once and for all.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random

import httpx

from tests.faults.events import Fate, Request, Sent, draw_request
from tests.faults.machine import WRITE_KEY
from tests.reference.identity import Claim, Word

_ANSWER_SECONDS = 8.0
_PAUSE_SECONDS = 0.03  # of a client between requests: enough is enough for the machine that runs the tests
_DOORS = {"native": "/v1/events", "sensors": f"/sa?project=default&token={WRITE_KEY}"}


class WrongAnswer(AssertionError):  # noqa: N818 - reads as what it is
    """An answer that the contract does not allow."""


@dataclass
class Answers:
    """The oracle's notes: what became of everything that was sent."""

    accepted: dict[int, Sent] = field(default_factory=dict)
    refused: dict[int, Sent] = field(default_factory=dict)
    answered_records: int = 0  # records in requests that were answered 200, repeats included
    answered_refused: int = 0
    unknown_records: int = 0  # records in sendings without an answer: the server may or may not have them
    unknown_refused: int = 0
    turned_away: Counter[int] = field(default_factory=Counter)  # by status
    last_accepted_ms: int = 0
    words: list[Word] = field(default_factory=list)  # of the administrator, as the model has them
    unknown_words: int = 0  # sendings without an answer

    def note_answer(self, request: Request, refused_indexes: set[int]) -> None:
        for index, sent in enumerate(request.records):
            expected = sent.fate is Fate.REFUSED
            if expected != (index in refused_indexes):
                raise WrongAnswer(f"record {sent.number} ({sent.fate}) refused: {index in refused_indexes}")
            (self.refused if expected else self.accepted)[sent.number] = sent
        self.answered_records += len(request.records)
        self.answered_refused += len(refused_indexes)
        self.last_accepted_ms = time.time_ns() // 1_000_000

    @property
    def claims(self) -> list[Claim]:
        """The bindings that follow, as the model has them: all that clients make come before any word."""
        signed_up = [sent.record for sent in self.accepted.values() if "original_id" in sent.record]
        claims = [
            Claim(record["original_id"], record["distinct_id"], 0, 0, 0, trusted=False)
            for record in signed_up
        ]
        binds = [word for word in self.words if word.kind == "bind"]
        return claims + [Claim(*word[1:], trusted=True) for word in binds]

    def note_silence(self, request: Request) -> None:
        self.unknown_records += len(request.records)
        self.unknown_refused += sum(sent.fate is Fate.REFUSED for sent in request.records)


class Clients:
    """Some clients that send at once until `stop` is called; each finishes what it began."""

    def __init__(self, url: str, seed: int, count: int = 6) -> None:
        self.answers = Answers()
        self._url = url
        self._count = count
        self._random = Random(seed)
        self._next_number = 0
        self._stopped = False

    async def run(self) -> None:
        # A connection a request: a killed worker's connections must not decide who serves the next one.
        limits = httpx.Limits(max_keepalive_connections=0)
        async with (
            httpx.AsyncClient(
                base_url=self._url, timeout=_ANSWER_SECONDS, limits=limits, trust_env=False
            ) as http,
            asyncio.TaskGroup() as clients,
        ):
            for _ in range(self._count):
                clients.create_task(self._send_until_stopped(http))

    def stop(self) -> None:
        self._stopped = True

    async def _send_until_stopped(self, http: httpx.AsyncClient) -> None:
        before: list[Sent] = []
        while not self._stopped:
            request = draw_request(self._random, self._next_number, time.time_ns() // 1_000_000, before)
            self._next_number += len(request.sent)
            await self._send(http, request)
            before += [sent for sent in request.sent if sent.fate is not Fate.REFUSED]
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _send(self, http: httpx.AsyncClient, request: Request) -> None:
        while True:
            body = request.body(time.time_ns() // 1_000_000)
            try:
                response = await http.post(
                    _DOORS[request.door], content=body, headers={"Authorization": f"Bearer {WRITE_KEY}"}
                )
            except httpx.ConnectError:  # nobody listens: nothing was sent
                await asyncio.sleep(0.05)
                continue
            except httpx.TransportError:
                self.answers.note_silence(request)
                await asyncio.sleep(0.05)
                continue
            if response.status_code == 200:
                self.answers.note_answer(request, _refused_indexes(request, response))
                return
            self.answers.turned_away[response.status_code] += 1
            if response.status_code != 503:
                raise WrongAnswer(f"{request.door}: {response.status_code} {response.text[:500]}")
            # 503 promises that nothing was stored, but for a request of which a part may have been.
            self.answers.note_silence(request)
            await asyncio.sleep(0.1)


def _refused_indexes(request: Request, response: httpx.Response) -> set[int]:
    if request.door == "sensors":
        return set()
    verdicts = response.json()
    refused = {verdict["index"] for verdict in verdicts["rejected"]}
    if verdicts["accepted"] + len(refused) != len(request.records):
        raise WrongAnswer(f"{len(request.records)} records, but {response.text[:500]}")
    return refused
