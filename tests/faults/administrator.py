"""What an administrator says of ids beside the load: logins are merged, bindings taken back, and the reverse.

One word at a time, each sent until it is answered; of a device only once its sign-up was accepted, so that
nothing hangs on which of two processes was the faster.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from random import Random

import httpx

from tests.faults.clients import Answers, WrongAnswer
from tests.faults.machine import SECRET_KEY
from tests.reference.identity import Word

_PATH = "/api/v1/projects/default/bindings"
_ANSWER_SECONDS = 8.0
_PATIENCE_SECONDS = 60.0
_PAUSE_SECONDS = 0.1
_ACTIONS = ("merge", "unbind", "merge", "unbind", "bind", "unmerge")


class Administrator:
    """Speaks until `stop` is called, and has then said at least one word of each kind."""

    def __init__(self, url: str, seed: int, answers: Answers) -> None:
        self._url = url
        self._answers = answers
        self._random = Random(seed)
        self._stopped = False

    async def run(self) -> None:
        async with httpx.AsyncClient(
            base_url=self._url,
            timeout=_ANSWER_SECONDS,
            trust_env=False,
            headers={"Authorization": f"Bearer {SECRET_KEY}"},
        ) as http:
            while not self._stopped or len(self._answers.words) < len(_ACTIONS):
                if self._answers.claims:
                    await self._say(http, *self._draw())
                await asyncio.sleep(_PAUSE_SECONDS)

    def stop(self) -> None:
        self._stopped = True

    def _draw(self) -> tuple[str, str, str]:
        """(action, subject, login); what is undone was said before."""
        words, choice = self._answers.words, self._random.choice
        action = _ACTIONS[len(words) % len(_ACTIONS)]
        if action in ("unmerge", "bind"):
            undone = "merge" if action == "unmerge" else "unbind"
            said = choice([word for word in words if word.kind == undone])
            return action, said.subject, said.login
        first, second = choice(self._answers.claims), choice(self._answers.claims)
        if action == "merge" and first.login != second.login:
            return action, first.login, second.login
        return "unbind", first.anonymous, first.login

    async def _say(self, http: httpx.AsyncClient, action: str, subject: str, login: str) -> None:
        body = _body(action, subject, login)
        give_up_at = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < give_up_at:
            try:
                response = await http.post(_PATH, json=body)
            except httpx.ConnectError:  # nobody listens: nothing was sent
                status = 422
            except httpx.TransportError:
                status = 500
            else:
                status = response.status_code
            if status == 202:
                self._answers.words.append(Word(action, subject, login, len(self._answers.words) + 1, 0, 0))
                return
            if status != 422:  # that of a login that was accepted, but is not processed yet
                self._answers.unknown_words += 1
            await asyncio.sleep(_PAUSE_SECONDS)
        raise WrongAnswer(f"{body} was not taken in {_PATIENCE_SECONDS} s: {status}")


def _body(action: str, subject: str, login: str) -> Mapping[str, str]:
    if "merge" in action:
        return {"action": action, "login_id": subject, "into": login}
    return {"action": action, "anonymous_id": subject, "login_id": login}
