"""Keys of encrypted envelopes: shown, made, imported, published, retired. Changes are audited.

A private key that was given is never part of an answer, not even of a problem.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, StrictBool, StrictInt

from footfall.envelopes.keys import Algorithm, InvalidKey, generate, read_key
from footfall.envelopes.vault import Vault
from footfall.workspace.envelope_keys import EnvelopeKey, EnvelopeKeyRefused
from footfall.workspace.workspace import Grant, Workspace
from query_api.answers import instant
from query_api.problems import Conflict, Fault, NotFound, Problem, refused
from query_api.spec.spellings import nearest
from query_api.spec.strict import Strict

_LONGEST_VERSION = 64


class EnvelopeKeySpec(Strict):
    """A key to make, or one that exists already: then its private part."""

    algorithm: Literal["RSA", "SM2", "AES"]
    version: StrictInt | str | None = Field(
        default=None, description="pkv of RSA and SM2, key_id of AES; null: the next free number."
    )
    private_key: Any = Field(
        default=None,
        json_schema_extra={"type": ["string", "null"]},
        description="RSA: PEM or base64 of PKCS #8; SM2, AES: hexadecimal. Null: a new one is made.",
    )
    publish: StrictBool = Field(default=False, description="Make it current at once (RSA, SM2).")


def show_envelope_keys(workspace: Workspace, project: str) -> dict[str, Any]:
    """`{"keys"}`, oldest first."""
    return {"keys": [_shown(key) for key in workspace.envelope_keys.all(project)]}


def make_envelope_key(
    workspace: Workspace, vault: Vault, project: str, spec: EnvelopeKeySpec, *, grant: Grant, now: int
) -> dict[str, Any]:
    """The key; one of AES that was made here comes with its `secret`, this once: the app needs it, too."""
    algorithm = Algorithm(spec.algorithm)
    if spec.publish and algorithm is Algorithm.AES:
        message = "an AES key is a secret of both sides: it can never be published"
        raise refused([Fault("publish", "invalid_value", message, given=True)])
    try:
        pair = (
            generate(algorithm) if spec.private_key is None else read_key(algorithm, _text(spec.private_key))
        )
    except InvalidKey as error:
        raise refused([Fault("private_key", "invalid_value", str(error))]) from None
    version = None if spec.version is None else str(spec.version)
    keys = workspace.envelope_keys
    try:
        key = keys.add(project, pair, version, vault, now)
        workspace.audit.record(
            grant.actor,
            "envelope_keys.add",
            project,
            key.name,
            {"imported": spec.private_key is not None, "public_key": key.public_key},
        )
        if spec.publish:
            key = _publish(workspace, project, key.name, grant, now)
    except EnvelopeKeyRefused as error:
        raise _refused(workspace, project, error, spec.version) from None
    secret = {"secret": pair.private.hex()} if algorithm is Algorithm.AES and spec.private_key is None else {}
    return _shown(key) | secret


def publish_envelope_key(
    workspace: Workspace, project: str, name: str, *, grant: Grant, now: int
) -> dict[str, Any]:
    """The key, current now."""
    try:
        return _shown(_publish(workspace, project, name, grant, now))
    except EnvelopeKeyRefused as error:
        raise _refused(workspace, project, error, name) from None


def retire_envelope_key(
    workspace: Workspace, project: str, name: str, *, grant: Grant, now: int
) -> dict[str, Any]:
    """The key, without its private part."""
    try:
        key = workspace.envelope_keys.retire(project, name, now)
    except EnvelopeKeyRefused as error:
        raise _refused(workspace, project, error, name) from None
    workspace.audit.record(grant.actor, "envelope_keys.retire", project, name, {})
    return _shown(key)


def _publish(workspace: Workspace, project: str, name: str, grant: Grant, now: int) -> EnvelopeKey:
    key = workspace.envelope_keys.publish(project, name, now)
    workspace.audit.record(grant.actor, "envelope_keys.publish", project, name, {})
    return key


def _text(private_key: Any) -> str:
    if not isinstance(private_key, str):
        raise InvalidKey("a private key is given as text")
    return private_key


def _shown(key: EnvelopeKey) -> dict[str, Any]:
    return {
        "name": key.name,
        "algorithm": key.algorithm.value,
        "version": key.version,
        "public_key": key.public_key,
        "current": key.current,
        "created_at": instant(key.created_at),
        "published_at": None if key.published_at is None else instant(key.published_at),
        "retired_at": None if key.retired_at is None else instant(key.retired_at),
    }


def _refused(workspace: Workspace, project: str, error: EnvelopeKeyRefused, given: Any) -> Problem:
    if error.field == "name":
        near = nearest(str(given), [key.name for key in workspace.envelope_keys.all(project)])
        return NotFound(str(error) + (f"; did you mean {near!r}?" if near else ""))
    if error.field:
        return refused([Fault(error.field, "invalid_value", str(error), given)])
    return Conflict(str(error))
