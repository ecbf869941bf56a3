"""`footfall plan`: a project's tracking plan, as a file that can live in a repository."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from footfall.cli.asking import ask_engine, print_json, say
from footfall.cli.fail import fail
from footfall.tracking_plan.faults import InvalidPlan
from footfall.tracking_plan.plan import Plan
from footfall.tracking_plan.reading import read_plan
from footfall.tracking_plan.writing import plan_as_json
from footfall.tracking_plan.yaml_form import read_yaml, write_yaml

app = typer.Typer(
    help="A project's tracking plan: what its events and properties are. Footfall must run, but for `check`.",
    no_args_is_help=True,
)
_Project = Annotated[str, typer.Option(help="Whose.")]
_Json = Annotated[bool, typer.Option("--json", help="The answer of the API.")]
_File = Annotated[Path, typer.Argument(help="A YAML file.")]
_Output = Annotated[Path | None, typer.Option("--output", "-o", help="Into this file.")]
_LONGEST_VALUE = 60


@app.command()
def show(
    project: _Project = "default",
    history: Annotated[bool, typer.Option("--history", help="Its versions, and who made them.")] = False,
    as_json: _Json = False,
) -> None:
    """Show the plan that counts, or its versions."""
    if history:
        answer = _ask("GET", project, "/versions", {"limit": "1000"})
        if as_json:
            print_json(answer)
            return
        for each in answer["versions"]:
            say(f"version {each['version']}  {each['changed_at']}  by {each['changed_by']}")
        if not answer["versions"]:
            say("there is no plan")
        return
    answer = _ask("GET", project, "")
    if as_json:
        print_json(answer)
        return
    if not answer["version"]:
        say("there is no plan: make one with `footfall plan propose`, or write one (docs/tracking-plan.md)")
        return
    say(f"version {answer['version']}, {answer['changed_at']} by {answer['changed_by']}")
    _outline(_plan_of(answer["plan"]))


@app.command()
def export(
    project: _Project = "default",
    version: Annotated[int | None, typer.Option(help="An earlier version.")] = None,
    output: _Output = None,
) -> None:
    """Write the plan as YAML: equal plans are equal bytes."""
    query = {} if version is None else {"version": str(version)}
    _write(write_yaml(_plan_of(_ask("GET", project, "", query)["plan"])), output)


@app.command("import")
def import_(
    file: _File,
    project: _Project = "default",
    version: Annotated[
        int | None,
        typer.Option(help="The version that the file was made from; left out, the one that counts."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    as_json: _Json = False,
) -> None:
    """Make the file's plan the one that counts, and say what that changes."""
    plan = _checked(file)
    base = _ask("GET", project, "")["version"] if version is None else version
    body = {"version": base, "plan": plan_as_json(plan)}
    answer = _ask("PUT", project, "", {"dry_run": "true"} if dry_run else {}, body)
    if as_json:
        print_json(answer)
        return
    for change in answer["changes"]:
        say(_in_words(change))
    for warning in answer["warnings"]:
        say(f"note: {warning}")
    if not answer["changed"]:
        say(f"nothing changes: version {answer['version']} is the same")
    elif dry_run:
        say(f"version {answer['version']} would be replaced")
    else:
        say(f"version {answer['version']} counts now; the collector follows within two seconds")


@app.command()
def propose(
    project: _Project = "default",
    days: Annotated[
        int | None, typer.Option(min=1, help="Of the last so many days; left out, of all.")
    ] = None,
    output: _Output = None,
) -> None:
    """Write a plan made of what was seen, to be read and corrected; it is not imported."""
    answer = _ask("POST", project, "/propose", {} if days is None else {"days": str(days)})
    for note in answer["notes"]:
        sys.stderr.write(f"note: {note}\n")
    _write(write_yaml(_plan_of(answer["plan"])), output)


@app.command()
def check(file: _File) -> None:
    """Read a file and say what is wrong with it, line by line; ends with 1 if something is."""
    plan = _checked(file)
    events, properties = len(plan.events), sum(1 for _ in plan.declarations("event"))
    say(f"{file}: {events} events, {properties} declarations of their properties, mode {plan.mode}")


@app.command()
def violations(  # noqa: PLR0917 - each is an option
    project: _Project = "default",
    first: Annotated[
        str | None, typer.Option("--from", help="A day: 2026-10-01. Default: a week ago.")
    ] = None,
    last: Annotated[str | None, typer.Option("--to", help="A day; default: today.")] = None,
    by: Annotated[
        str,
        typer.Option(help="Of day, event, property, kind, lib, app_version, refused; separated by commas."),
    ] = "event,property,kind,app_version",
    event: Annotated[str | None, typer.Option(help="Only of this event.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many lines.")] = 100,
    as_json: _Json = False,
) -> None:
    """Count what did not keep to the plan, most frequent first."""
    asked = {"from": first, "to": last, "by": by, "event": event, "limit": str(limit)}
    query = {name: value for name, value in asked.items() if value is not None}
    answer = _ask("GET", project, "/violations", query)
    if as_json:
        print_json(answer)
        return
    for row in answer["rows"]:
        say(f"{row['count']:>10,}  " + "  ".join(str(row[name]) or "-" for name in answer["by"]))
    more = "; there are more lines" if answer["truncated"] else ""
    span = f"{answer['from']} to {answer['to']}"
    say(f"{answer['total']:>10,}  in all, {answer['refused']:,} of records that were refused, {span}{more}")


def _outline(plan: Plan) -> None:
    """A line an event; what is required has an exclamation mark."""
    say(f"mode {plan.mode}; unknown events: {plan.unknown_events}, properties: {plan.unknown_properties}")
    lines = {event: planned.properties for event, planned in plan.events.items()}
    owned = {
        "[all events]": plan.common_properties,
        "[users]": plan.user_properties,
        "[items]": plan.item_properties,
    }
    lines |= {title: properties for title, properties in owned.items() if properties}
    for title, properties in lines.items():
        words = ", ".join(name + ("!" if each.required else "") for name, each in properties.items())
        say(f"  {title}: {words or 'no properties of its own'}")


def _checked(file: Path) -> Plan:
    """The file's plan; ends with 1, and a line for each fault."""
    try:
        return read_yaml(file.read_bytes())
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror}")
    except InvalidPlan as error:
        for fault in error.faults:
            place = f"{file}:{fault.line}: "
            hint = f"; did you mean {fault.nearest!r}?" if fault.nearest is not None else ""
            sys.stderr.write(f"{place}{fault.field + ': ' if fault.field else ''}{fault.message}{hint}\n")
        raise typer.Exit(1) from None


def _plan_of(value: Any) -> Plan:
    """What the engine answered; it is of this version, so it can be read."""
    return read_plan(value)


def _in_words(change: dict[str, Any]) -> str:
    before, after = (_short(change[side]) for side in ("before", "after"))
    match change["change"]:
        case "added":
            return f"+ {change['path']}: {after}"
        case "removed":
            return f"- {change['path']}: {before}"
    return f"~ {change['path']}: {before} -> {after}"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"


def _write(text: str, output: Path | None) -> None:
    if output is None:
        sys.stdout.write(text)
        return
    try:
        output.write_text(text, "utf-8", newline="\n")
    except OSError as error:
        fail(f"{output} cannot be written: {error.strerror}")


def _ask(
    method: str, project: str, path: str, query: dict[str, str] | None = None, body: Any = None
) -> dict[str, Any]:
    return ask_engine(method, f"/api/v1/projects/{project}/plan{path}", query, body)
