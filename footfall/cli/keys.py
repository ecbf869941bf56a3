"""`footfall keys`: what encrypted uploads are sealed to."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from footfall.cli.asking import ask_engine, print_json, say
from footfall.cli.fail import fail

app = typer.Typer(
    help="Keys that apps with Sensors Analytics' SDKs encrypt their uploads with. Footfall must run. "
    "docs/encryption.md explains.",
    no_args_is_help=True,
)
_Project = Annotated[str, typer.Option(help="Whose.")]
_Json = Annotated[bool, typer.Option("--json", help="The answer of the API.")]
_Algorithm = Annotated[str, typer.Argument(help="RSA (payloads in AES), SM2 (payloads in SM4), or AES.")]
_Version = Annotated[
    str | None,
    typer.Option("--version", help="pkv of RSA and SM2, key_id of AES. Left out: the next free number."),
]
_Publish = Annotated[bool, typer.Option("--publish", help="Make it current at once (RSA, SM2).")]
_Key = Annotated[str, typer.Argument(help="Its name, as in sm2-3.")]


@app.command("list")
def list_keys(project: _Project = "default", as_json: _Json = False) -> None:
    """List all there ever were, oldest first. Private keys are never shown."""
    answer = _ask("GET", project, "")
    if as_json:
        print_json(answer)
        return
    for key in answer["keys"]:
        _tell(key)
    if not answer["keys"]:
        say("none: encrypted uploads wait as dead letters with the reason 'encrypted'")


@app.command()
def make(
    algorithm: _Algorithm,
    project: _Project = "default",
    version: _Version = None,
    publish_: _Publish = False,
    as_json: _Json = False,
) -> None:
    """Make a key. An AES key is shown, this once: the app needs it, too."""
    _add(project, {"algorithm": algorithm.upper(), "version": version, "publish": publish_}, as_json=as_json)


@app.command("import")
def import_(  # noqa: PLR0917 - each is an option
    algorithm: _Algorithm,
    file: Annotated[
        Path, typer.Argument(help="RSA: PEM of the private key; SM2, AES: hexadecimal. '-': stdin.")
    ],
    project: _Project = "default",
    version: _Version = None,
    publish_: _Publish = False,
    as_json: _Json = False,
) -> None:
    """Keep a private key that you have already, under the number that apps know it by."""
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{file}: {error.strerror if isinstance(error, OSError) else error}")
    body = {"algorithm": algorithm.upper(), "version": version, "publish": publish_, "private_key": text}
    _add(project, body, as_json=as_json)


@app.command()
def publish(key: _Key, project: _Project = "default", as_json: _Json = False) -> None:
    """Make a key current: apps are told it when they next ask for their configuration."""
    _show(_ask("POST", project, f"/{key}/publish"), as_json=as_json)


@app.command()
def retire(key: _Key, project: _Project = "default", as_json: _Json = False) -> None:
    """Destroy a private key for ever: what is still encrypted with it cannot be opened any more."""
    _show(_ask("POST", project, f"/{key}/retire"), as_json=as_json)


def _add(project: str, body: dict[str, Any], *, as_json: bool) -> None:
    _show(_ask("POST", project, "", body), as_json=as_json)


def _show(key: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(key)
        return
    _tell(key)
    if key["public_key"]:
        say(f"public key: {key['public_key']}")
    if "secret" in key:
        say(f"secret, shown only now: {key['secret']}")


def _tell(key: dict[str, Any]) -> None:
    state = "retired" if key["retired_at"] else "current" if key["current"] else "opens, not published"
    number = "key_id" if key["algorithm"] == "AES" else "pkv"
    say(f"{key['name']:<12} {number} {key['version']}  {state}  (since {key['created_at']})")


def _ask(method: str, project: str, path: str, body: Any = None) -> dict[str, Any]:
    return ask_engine(method, f"/api/v1/projects/{project}/envelope-keys{path}", None, body)
