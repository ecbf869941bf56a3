"""`footfall remote-config`: what apps are told when they ask for their configuration."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from footfall.cli.asking import ask_engine, print_json, say

app = typer.Typer(
    help="What apps with Sensors Analytics' SDKs are told when they ask for their configuration. "
    "Footfall must run.",
    no_args_is_help=True,
)
_Project = Annotated[str, typer.Option(help="Whose.")]
_App = Annotated[
    str, typer.Option("--app-id", help="Only this app; without it, all that have none of their own.")
]
_Json = Annotated[bool, typer.Option("--json", help="The answer of the API.")]


@app.command()
def show(project: _Project = "default", as_json: _Json = False) -> None:
    """Show what is in force, what is proposed, and the keys that apps are told."""
    _tell(_ask("GET", project, ""), as_json=as_json)


@app.command("set")
def set_(  # noqa: PLR0917 - each is an option
    project: _Project = "default",
    app_id: _App = "",
    auto_track_mode: Annotated[
        int | None,
        typer.Option(
            min=-1,
            max=15,
            help="-1: as the app has it; 0: nothing; a sum of 1 start, 2 end, 4 click, 8 view.",
        ),
    ] = None,
    disable_sdk: Annotated[
        bool | None,
        typer.Option("--disable-sdk/--enable-sdk", help="The kill switch; turning it on waits for approval."),
    ] = None,
    disable_debug_mode: Annotated[
        bool | None, typer.Option("--disable-debug-mode/--enable-debug-mode", help="Debugging on phones.")
    ] = None,
    blacklist: Annotated[
        list[str] | None,
        typer.Option("--blacklist", help="An event that apps stop sending; may be repeated."),
    ] = None,
    no_blacklist: Annotated[bool, typer.Option("--no-blacklist", help="Apps send all events again.")] = False,
    effect_mode: Annotated[
        int | None, typer.Option(min=0, max=1, help="1: at once; 0: when the app is next started.")
    ] = None,
    transport_encryption: Annotated[
        bool | None, typer.Option("--transport-encryption/--no-transport-encryption", help="Whole uploads.")
    ] = None,
    as_json: _Json = False,
) -> None:
    """Change what is given, and leave the rest as it is in force. What was proposed before is withdrawn."""
    config = _config_of(_ask("GET", project, ""), app_id)
    asked = {
        "auto_track_mode": auto_track_mode,
        "disable_sdk": disable_sdk,
        "disable_debug_mode": disable_debug_mode,
        "event_blacklist": [] if no_blacklist else blacklist,
        "effect_mode": effect_mode,
        "support_transport_encrypt": transport_encryption,
    }
    config |= {name: value for name, value in asked.items() if value is not None}
    _tell(_ask("PUT", project, "", config | {"app_id": app_id}), as_json=as_json)


@app.command()
def approve(
    proposal: Annotated[str, typer.Argument(help="Its id, as `show` has it.")],
    project: _Project = "default",
    as_json: _Json = False,
) -> None:
    """Approve what a secret key proposed over the API. (Commands on this machine are one approver.)"""
    _tell(_ask("POST", project, "/approve", {"proposal": proposal}), as_json=as_json)


@app.command()
def withdraw(project: _Project = "default", app_id: _App = "", as_json: _Json = False) -> None:
    """Take a proposal back."""
    _tell(_ask("POST", project, "/withdraw", {"app_id": app_id}), as_json=as_json)


def _config_of(shown: dict[str, Any], app_id: str) -> dict[str, Any]:
    """What an app is told now; {}: nothing."""
    by_app = {each["app_id"]: each["config"] for each in shown["configs"]}
    return dict(by_app.get(app_id) or by_app.get("") or {})


def _tell(shown: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(shown)
        return
    if not shown["configs"]:
        say("nothing is set: apps keep what they have")
    for each in shown["configs"]:
        say(f"{_name(each)}  v={each['version']}  {each['changed_at']} by {each['changed_by']}")
        say(f"    {json.dumps(each['config'], ensure_ascii=False)}")
    for each in shown["proposals"]:
        say(
            f"proposed for {_name(each)}: {each['proposal']} by {each['proposed_by']}; waits for another "
            f"key's approval until {each['expires_at']}",
        )
        say(f"    {json.dumps(each['config'], ensure_ascii=False)}")
    for entry in shown["keys"].values():
        say(f"key for encrypted uploads: pkv {entry['pkv']} {entry.get('type', 'RSA')}")


def _name(each: dict[str, Any]) -> str:
    return f"app {each['app_id']}" if each["app_id"] else "every app"


def _ask(method: str, project: str, path: str, body: Any = None) -> dict[str, Any]:
    return ask_engine(method, f"/api/v1/projects/{project}/remote-config{path}", None, body)
