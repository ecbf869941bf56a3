"""`footfall dead-letters`: records that were turned away, asked of the engine that runs on this home."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from footfall.cli.asking import ask_engine, print_json, say

app = typer.Typer(
    help="Records that were turned away: list, count, show, mend and send them again. Footfall must run.",
    no_args_is_help=True,
)
_Project = Annotated[str, typer.Option(help="Whose.")]
_Json = Annotated[bool, typer.Option("--json", help="The answer of the API.")]


@app.command("list")
def list_letters(
    project: _Project = "default",
    reason: Annotated[str | None, typer.Option(help="Only of this reason.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 100,
    cursor: Annotated[str | None, typer.Option(help="Behind this one.")] = None,
    as_json: _Json = False,
) -> None:
    """List them, oldest log positions first: id, arrival, reason, field, message."""
    asked = {"reason": reason, "limit": str(limit), "cursor": cursor}
    answer = _ask("GET", project, "", {name: value for name, value in asked.items() if value is not None})
    if as_json:
        print_json(answer)
        return
    for letter in answer["letters"]:
        became = "".join(f" [{replay['outcome']}]" for replay in letter["replays"])
        where = f" {letter['field']}" if letter["field"] else ""
        say(
            f"{letter['id']}  {letter['received_at']}  {letter['reason']}{where}: {letter['message']}{became}"
        )
    if answer["next_cursor"]:
        say(f"more: --cursor {answer['next_cursor']}")


@app.command()
def count(project: _Project = "default", as_json: _Json = False) -> None:
    """Count them by reason."""
    answer = _ask("GET", project, "/counts")
    if as_json:
        print_json(answer)
        return
    for line in answer["reasons"]:
        replayed = f", {line['replayed']} replayed" if line["replayed"] else ""
        say(f"{line['count']:>10,}  {line['reason']}  ({line['first']} to {line['last']}{replayed})")
    if not answer["reasons"]:
        say("none")


@app.command()
def show(
    letter: Annotated[str, typer.Argument(help="Its id: partition:offset:seq.")],
    project: _Project = "default",
) -> None:
    """Show one with the bytes that came."""
    print_json(_ask("GET", project, f"/{letter}"))


@app.command()
def replay(  # noqa: PLR0917 - each is an option
    letters: Annotated[list[str] | None, typer.Argument(help="Ids; or --reason, or --all.")] = None,
    project: _Project = "default",
    reason: Annotated[str | None, typer.Option(help="All of this reason.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of the project.")] = False,
    fix: Annotated[str, typer.Option(help="How to mend each: 'set /event = \"buy\"; delete /x'.")] = "",
    time_free: Annotated[bool, typer.Option("--time-free", help="Whatever their time.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would happen.")] = False,
) -> None:
    """Mend them and send them through the pipeline again. What is stored already stays as it is.

    Ends with 1 if some did not go; they say why. docs/operations.md has the language of fixes.
    """
    body: dict[str, Any] = {"fix": fix, "time_free": time_free, "dry_run": dry_run}
    if letters:
        body["letters"] = letters
    if reason is not None:
        body["reason"] = reason
    if everything:
        body["all"] = True
    answer = _ask("POST", project, "/replay", body=body)
    for letter in answer["letters"]:
        say(f"{letter['id']}  {letter['problem']}")
    refused = sum(answer["refused"].values())
    say(
        f"{'would replay' if dry_run else 'replayed'} {answer['replayed']}; stored before "
        f"{answer['stored_before']}, replayed before {answer['replayed_before']}, refused {refused}"
    )
    if refused:
        raise typer.Exit(1)


def _ask(
    method: str, project: str, path: str, query: dict[str, str] | None = None, body: Any = None
) -> dict[str, Any]:
    return ask_engine(method, f"/api/v1/projects/{project}/dead-letters{path}", query, body)
