"""`footfall verify`: asks the engine that runs on this home, or looks itself when none runs."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from typing import Any

from rich.console import Console

from footfall.cli.counted import counted
from footfall.cli.engines import opened_log, opened_store, opened_workspace
from footfall.cli.home import HomeInUse, HomeUnusable, hold_home
from footfall.cli.local_engine import EngineRefused, EngineUnreachable, LocalEngine
from footfall.eventlog.log import LogError
from footfall.settings import InvalidSettings, Settings
from footfall.storage.migrate import migrate
from footfall.storage.store import StoreError
from footfall.storage.topology import topology_of

_SHOWN = 1_000
_MONTH = re.compile(r"\d{4}-(?:0[1-9]|1[0-2])")


class CannotVerify(Exception):  # noqa: N818 - reads as what it is
    """It could not look; the text says why."""


def run_verify(settings: Settings, project: str | None, since: str, until: str, *, as_json: bool) -> bool:
    """Whether all agrees; prints as it goes. CannotVerify."""
    for name, text in (("--since", since), ("--until", until)):
        if text and not _MONTH.fullmatch(text):
            raise CannotVerify(f"{name} {text}: write a month as 2026-11")
    try:
        lines = _lines(settings, project, since, until)
        return _print_json(lines) if as_json else _print_text(lines)
    except (HomeUnusable, EngineUnreachable, EngineRefused, InvalidSettings, StoreError, LogError) as error:
        raise CannotVerify(str(error)) from error


def _lines(settings: Settings, project: str | None, since: str, until: str) -> Iterator[dict[str, Any]]:
    if not settings.home.exists():
        raise CannotVerify(f"{settings.home}: there is no such directory; set FOOTFALL_HOME")
    try:
        home = hold_home(settings.home)
    except HomeInUse:
        asked = {"project": project, "since": since, "until": until}
        query = {name: value for name, value in asked.items() if value}
        yield from LocalEngine.of(settings.home).lines("GET", "/api/v1/verify", query)
        return
    try:
        yield from _look(settings, project, since, until)
    finally:
        home.release()


def _look(settings: Settings, project: str | None, since: str, until: str) -> Iterator[dict[str, Any]]:
    from footfall.proof.evidence import Evidence
    from footfall.proof.verify import rules_in

    with (
        opened_workspace(settings) as workspace,
        opened_log(settings) as log,
        opened_store(settings) as store,
    ):
        if project is not None and workspace.project(project) is None:
            raise CannotVerify(f"there is no project {project!r}")
        migrate(store, topology_of(settings.store_url))
        evidence = Evidence(store, log, rules_in(workspace))
        yield from evidence.verify(project, since.replace("-", ""), until.replace("-", ""))


def _print_json(lines: Iterator[dict[str, Any]]) -> bool:
    verdict: dict[str, Any] = {}
    for line in lines:
        sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
        sys.stdout.flush()
        verdict = line
    return _agrees(verdict)


def _print_text(lines: Iterator[dict[str, Any]]) -> bool:
    console = Console(highlight=False, soft_wrap=True)
    verdict: dict[str, Any] = {}
    shown = 0
    for line in lines:
        verdict = line
        if line["kind"] == "checked":
            rest = f" ({line['not_compared']})" if line["not_compared"] else ""
            console.print(
                f"     {line['check']}: {counted(line['compared'], line['unit'])}{rest}", markup=False
            )
        elif line["kind"] == "finding" and shown < _SHOWN:
            shown += 1
            named = " ".join(filter(None, (line["table"], line["record"], line["event_id"])))
            of = f" [{line['project']}]" if line["project"] else ""
            console.print(
                f"{line['problem'].upper()} {named}{of}: {line['message']}", markup=False, style="red"
            )
    agrees = _agrees(verdict)
    if agrees:
        console.print("Nothing is lost, doubled or altered.")
    else:
        found = counted(verdict["findings"], "findings")
        console.print(f"{found}: records are named partition:offset:seq of the event log.")
    return agrees


def _agrees(verdict: dict[str, Any]) -> bool:
    """CannotVerify if the lines ended without a verdict."""
    if verdict.get("kind") != "verdict":
        raise CannotVerify(str(verdict.get("detail", "the engine ended before the verification did")))
    return bool(verdict["ok"])
