"""`footfall keys`, against the real API."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from footfall.cli.app import app
from footfall.cli.local_engine import EngineRefused, LocalEngine
from footfall.envelopes.keys import Algorithm, generate
from tests.system import System

SM2 = generate(Algorithm.SM2)


class Reached:
    """The system of the test in the place of an engine process."""

    def __init__(self, system: System, loop: asyncio.AbstractEventLoop) -> None:
        self._system = system
        self._loop = loop

    def ask(self, method: str, path: str, query: Any = None, body: Any = None) -> Any:
        asked = self._system.query_api.request(method, path, params=query, json=body)
        answer = asyncio.run_coroutine_threadsafe(asked, self._loop).result(60)
        if answer.status_code >= 400:
            raise EngineRefused(answer.json()["detail"])
        return answer.json()


async def run(
    system: System, monkeypatch: pytest.MonkeyPatch, *words: str, given: str | None = None
) -> Result:
    reached = Reached(system, asyncio.get_running_loop())
    monkeypatch.setattr(LocalEngine, "of", lambda home: reached)
    return await asyncio.to_thread(CliRunner().invoke, app, ["keys", *words], input=given)


async def test_keys_are_managed_by_command(
    system: System, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    none = await run(system, monkeypatch, "list")
    assert "wait as dead letters" in none.output
    file = tmp_path / "own.key"
    file.write_text(SM2.private.hex() + "\n")
    imported = await run(system, monkeypatch, "import", "sm2", str(file), "--version", "7", "--publish")
    assert (imported.exit_code, SM2.public in imported.output) == (0, True)
    made = await run(system, monkeypatch, "make", "SM2", "--json")
    assert json.loads(made.output)["name"] == "sm2-8"
    secret = await run(system, monkeypatch, "make", "AES", "--version", "app")
    assert "secret, shown only now: " in secret.output
    assert "current" in (await run(system, monkeypatch, "publish", "sm2-8")).output
    assert "retired" in (await run(system, monkeypatch, "retire", "sm2-7")).output
    shown = await run(system, monkeypatch, "list")
    assert [line.split()[0] for line in shown.output.splitlines()] == ["sm2-7", "sm2-8", "aes-app"]
    assert SM2.private.hex() not in shown.output + imported.output


async def test_mistakes_end_with_1_and_say_what_to_do(
    system: System, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for words, given, said in (
        (("make", "SM3"), None, "did you mean 'SM2'?"),
        (("import", "SM2", str(tmp_path / "none")), None, "No such file"),
        (("import", "RSA", "-"), "nonsense", "neither PEM"),
        (("publish", "sm2-1"), None, "no key 'sm2-1'"),
        (("list", "--project", "defalt"), None, "did you mean 'default'?"),
    ):
        answer = await run(system, monkeypatch, *words, given=given)
        assert answer.exit_code == 1
        assert said in answer.output, answer.output
