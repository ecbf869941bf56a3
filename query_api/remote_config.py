"""What apps are told when they ask for their configuration: shown, set, approved; changes are audited."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pydantic import Field, StrictBool, StrictInt

from footfall.workspace.remote_config import (
    EVERY_APP,
    LONGEST_APP_ID,
    MOST_BLACKLISTED,
    PROPOSAL_MS,
    InvalidRemoteConfig,
    Proposal,
    RemoteConfig,
    SavedRemoteConfig,
    key_entries,
    of_app,
    publish,
)
from footfall.workspace.workspace import Grant, Workspace
from query_api.answers import instant
from query_api.problems import Fault, InvalidQuery, refused
from query_api.spec.strict import Strict

_APP_ID = Field(
    default=EVERY_APP, max_length=LONGEST_APP_ID, description="Empty: all apps that have none of their own."
)


class RemoteConfigSpec(Strict):
    """The whole configuration of an app; what is left out is as it is without any."""

    app_id: str = _APP_ID
    auto_track_mode: StrictInt = Field(
        default=-1,
        description="-1: as the app has it; 0: nothing; else a sum of 1, 2, 4, 8: start, end, click, view.",
    )
    disable_sdk: StrictBool = Field(
        default=False, description="The kill switch: turning it on waits for another key's approval."
    )
    disable_debug_mode: StrictBool = False
    event_blacklist: tuple[str, ...] = Field(default=(), max_length=MOST_BLACKLISTED)
    effect_mode: StrictInt = Field(default=0, description="1: at once; 0: when the app is next started.")
    support_transport_encrypt: StrictBool = False

    @property
    def config(self) -> RemoteConfig:
        return RemoteConfig(**self.model_dump(exclude={"app_id"}))


class ApprovalSpec(Strict):
    """`{"proposal"}`: the id of exactly what is approved."""

    proposal: str = Field(max_length=64)


class WithdrawalSpec(Strict):
    """`{"app_id"}`: whose proposal is taken back."""

    app_id: str = _APP_ID


def show_remote_config(workspace: Workspace, project: str, now: int) -> dict[str, Any]:
    """`{"configs", "proposals", "keys"}`; `now` in epoch milliseconds."""
    keys = key_entries(workspace.envelope_keys.current(project))
    return {
        "configs": [_in_force(each, keys) for each in workspace.remote_config.saved(project)],
        "proposals": [_proposed(each) for each in workspace.remote_config.proposals(project, now)],
        "keys": keys,
    }


def set_remote_config(
    workspace: Workspace, project: str, spec: RemoteConfigSpec, *, grant: Grant, now: int
) -> dict[str, Any]:
    """As it is shown: in `configs` if it is in force now, in `proposals` if it waits for approval."""
    turned_on = spec.disable_sdk and is_made_key(workspace, project, grant)
    if turned_on and not _is_killed(workspace, project, spec.app_id):
        raise refused([Fault("disable_sdk", "invalid_value", _MADE_KEY, True)])
    try:
        done = workspace.remote_config.put(project, spec.app_id, spec.config, actor=grant.actor, now=now)
    except InvalidRemoteConfig as error:
        raise _refused(error, spec) from None
    action = "remote_config.propose" if isinstance(done, Proposal) else "remote_config.change"
    _record(workspace, grant, action, project, done)
    return show_remote_config(workspace, project, now)


def approve_remote_config(
    workspace: Workspace, project: str, spec: ApprovalSpec, *, grant: Grant, now: int
) -> dict[str, Any]:
    """As it is shown."""
    if is_made_key(workspace, project, grant):
        raise refused([Fault("proposal", "invalid_value", _MADE_KEY, spec.proposal)])
    try:
        saved, proposal = workspace.remote_config.approve(project, spec.proposal, actor=grant.actor, now=now)
    except InvalidRemoteConfig as error:
        raise _refused(error, spec) from None
    _record(workspace, grant, "remote_config.approve", project, saved, proposed_by=proposal.proposed_by)
    return show_remote_config(workspace, project, now)


_MADE_KEY = (
    "the kill switch takes two persons, and whoever has a secret key can make further ones: propose and "
    "approve it with the project's first key, the installation's, or on the command line"
)


def is_made_key(workspace: Workspace, project: str, grant: Grant) -> bool:
    """Whether the key was made over the API later, so that another key's holder may have it, too."""
    return any(
        key.fingerprint == grant.fingerprint and key.created_at is not None
        for key in workspace.keys.of_project(project)
    )


def _is_killed(workspace: Workspace, project: str, app_id: str) -> bool:
    saved = {each.app_id: each.config for each in workspace.remote_config.saved(project)}
    config = of_app(saved, app_id)
    return config is not None and config.disable_sdk


def withdraw_remote_config(
    workspace: Workspace, project: str, spec: WithdrawalSpec, *, grant: Grant, now: int
) -> dict[str, Any]:
    """As it is shown."""
    if not workspace.remote_config.withdraw(project, spec.app_id):
        message = (
            f"nothing is proposed for app {spec.app_id!r}"
            if spec.app_id
            else "nothing is proposed for all apps"
        )
        raise refused([Fault("app_id", "unknown_value", message, spec.app_id)])
    workspace.audit.record(grant.actor, "remote_config.withdraw", project, spec.app_id or "every app", {})
    return show_remote_config(workspace, project, now)


def _record(
    workspace: Workspace,
    grant: Grant,
    action: str,
    project: str,
    done: SavedRemoteConfig | Proposal,
    **more: str,
) -> None:
    detail = {**asdict(done.config), "event_blacklist": list(done.config.event_blacklist), **more}
    workspace.audit.record(grant.actor, action, project, done.app_id or "every app", detail)


def _in_force(saved: SavedRemoteConfig, keys: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "app_id": saved.app_id,
        "config": asdict(saved.config),
        "version": publish(saved.config, keys).version,
        "changed_at": instant(saved.changed_at),
        "changed_by": saved.changed_by,
    }


def _proposed(proposal: Proposal) -> dict[str, Any]:
    return {
        "proposal": proposal.id,
        "app_id": proposal.app_id,
        "config": asdict(proposal.config),
        "proposed_at": instant(proposal.proposed_at),
        "proposed_by": proposal.proposed_by,
        "expires_at": instant(proposal.proposed_at + PROPOSAL_MS),
    }


def _refused(error: InvalidRemoteConfig, spec: Strict) -> InvalidQuery:
    given = spec.model_dump().get(error.field.partition("[")[0])
    return refused([Fault(error.field, "invalid_value", error.message, given)])
