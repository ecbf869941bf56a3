"""`footfall privacy`: what is done to personal data, tried out, and tokens read again."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from footfall.cli.asking import ask_engine, print_json, say
from footfall.cli.fail import fail

app = typer.Typer(
    help="What is done to personal data before it is stored: rules, what they did, tokens. "
    "Footfall must run.",
    no_args_is_help=True,
)
_Project = Annotated[str, typer.Option(help="Whose.")]
_Json = Annotated[bool, typer.Option("--json", help="The answer of the API.")]


@app.command()
def show(project: _Project = "default", as_json: _Json = False) -> None:
    """Show the rules, and what was hidden in the last 30 days, by property. No values."""
    _tell(_ask("GET", project, ""), as_json=as_json)


@app.command("set")
def set_(
    settings: Annotated[
        str, typer.Argument(help="All settings as JSON, or a file that holds them; - reads them from here.")
    ],
    project: _Project = "default",
    as_json: _Json = False,
) -> None:
    """Set the rules, all of them: what is left out gets its default. They count within two seconds."""
    _tell(_ask("PUT", project, "", _read(settings)), as_json=as_json)


@app.command("test")
def try_out(
    record: Annotated[str, typer.Argument(help="A record as JSON, or a file that holds it; - reads it.")],
    project: _Project = "default",
    as_json: _Json = False,
) -> None:
    """Say what would rest of a record, and why. Nothing is stored."""
    told = _ask("POST", project, "/test", {"record": _read(record)})
    if as_json:
        _write(told)
        return
    if not told["accepted"]:
        say(f"it would be turned away: {told['problem']}")
        raise typer.Exit(1)
    say(json.dumps(told["record"], ensure_ascii=False, indent=2))
    for each in told["done"]:
        say(f"{each['property']}: {each['kind']} -> {each['action']} ({each['count']})")
    if not told["done"]:
        say("nothing of it would be hidden")


@app.command()
def reveal(
    tokens: Annotated[list[str], typer.Argument(help="Tokens, as they stand in answers: tok_...")],
    reason: Annotated[str, typer.Option(help="Why; it stands in the audit log for good.")],
    project: _Project = "default",
) -> None:
    """Read what tokens stand for. The audit log has who, when, how many and why."""
    told = _ask("POST", project, "/detokenise", {"values": tokens, "reason": reason})
    for value in told["values"]:
        sys.stdout.write(value + "\n")


def _read(given: str) -> Any:
    try:
        text = sys.stdin.read() if given == "-" else given
        if not text.lstrip().startswith(("{", "[")):
            text = Path(given).read_text(encoding="utf-8")
        return json.loads(text)
    except (OSError, ValueError) as error:
        fail(f"this is no JSON, and no file that holds some: {error}")


def _tell(shown: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        _write(shown)
        return
    if shown["changed_at"] is None:
        say("nothing was set: the defaults hold")
    else:
        say(f"set {shown['changed_at']} by {shown['changed_by']}")
    say(json.dumps(shown["settings"], ensure_ascii=False, indent=2))
    for each in shown["counts"]:
        where = f"{each['event'] or '(users, items, requests)'}  {each['property']}"
        say(f"{each['day']}  {where}  {each['kind']} -> {each['action']}: {each['count']}")


def _write(told: Any) -> None:
    print_json(told)


def _ask(method: str, project: str, path: str, body: Any = None) -> dict[str, Any]:
    return ask_engine(method, f"/api/v1/projects/{project}/privacy{path}", None, body)
