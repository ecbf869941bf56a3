"""What apps are told when they ask for their configuration: what Sensors Analytics' SDKs can be set to from
here, per project and, where it differs, per app.

The kill switch (`disable_sdk`) ends all collecting on every phone, so turning it on takes two: a change that
would do so waits as a proposal until another secret key than the proposer's approves exactly that proposal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Engine, RowMapping, delete, func, insert, select

from footfall.envelopes.keys import Algorithm
from footfall.events.names import explain_name, name_fault
from footfall.workspace.envelope_keys import EnvelopeKey
from footfall.workspace.tables import remote_config_proposals, remote_configs
from footfall.workspace.writing import writing

EVERY_APP: Final = ""
MOST_APPS: Final = 100
LONGEST_APP_ID: Final = 255
MOST_BLACKLISTED: Final = 1_000
PROPOSAL_MS: Final = 24 * 3_600_000
"""So long a proposal can be approved."""

AUTO_TRACK: Final = {"app_start": 1, "app_end": 2, "app_click": 4, "app_view_screen": 8}
"""The bits of `auto_track_mode`; 0 is none of them, -1 what the app itself has set."""

_write = msgspec.json.Encoder(order="deterministic").encode


class InvalidRemoteConfig(ValueError):  # noqa: N818 - reads as what it is
    """A field that cannot be: `field` is its path, `message` says what can."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


@dataclass(frozen=True, slots=True)
class RemoteConfig:
    """What an app is told. The defaults change nothing in it."""

    auto_track_mode: int = -1
    disable_sdk: bool = False
    disable_debug_mode: bool = False
    event_blacklist: tuple[str, ...] = ()
    effect_mode: int = 0  # 1: at once, 0: when the app is next started
    support_transport_encrypt: bool = False


@dataclass(frozen=True, slots=True)
class SavedRemoteConfig:
    """In force: for one app, or (EVERY_APP) for all that have none of their own."""

    app_id: str
    config: RemoteConfig
    changed_at: int  # epoch milliseconds
    changed_by: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """Waits for somebody else's approval; nobody is told of it."""

    id: str
    app_id: str
    config: RemoteConfig
    proposed_at: int  # epoch milliseconds
    proposed_by: str


def check_remote_config(config: RemoteConfig, app_id: str = EVERY_APP) -> None:
    """Raises InvalidRemoteConfig for the first field that is wrong."""
    if len(app_id) > LONGEST_APP_ID or not app_id.isprintable():
        raise InvalidRemoteConfig("app_id", f"use at most {LONGEST_APP_ID} characters, as in 'com.bank.app'")
    if not -1 <= config.auto_track_mode <= sum(AUTO_TRACK.values()):
        bits = ", ".join(f"{bit} {name}" for name, bit in AUTO_TRACK.items())
        message = f"use -1 (as the app has it), 0 (nothing), or a sum of {bits}"
        raise InvalidRemoteConfig("auto_track_mode", message)
    if config.effect_mode not in (0, 1):
        raise InvalidRemoteConfig("effect_mode", "use 1 (at once) or 0 (when the app is next started)")
    if len(config.event_blacklist) > MOST_BLACKLISTED:
        raise InvalidRemoteConfig("event_blacklist", f"use at most {MOST_BLACKLISTED} events")
    for index, name in enumerate(config.event_blacklist):
        if name_fault(name) is not None:
            raise InvalidRemoteConfig(f"event_blacklist[{index}]", explain_name(name))


@dataclass(frozen=True, slots=True)
class Published:
    """What goes to an app, and by which version it tells that it has that."""

    version: str
    body: bytes


def publish(config: RemoteConfig, keys: Mapping[str, Any]) -> Published:
    """In the SDKs' own words; `keys`: the entries that publish keys for encrypted uploads.

    The version is made of the contents, of digits only: whoever has it has these contents.
    """
    told: dict[str, Any] = {
        "disableDebugMode": config.disable_debug_mode,
        "disableSDK": config.disable_sdk,
        "autoTrackMode": config.auto_track_mode,
        "event_blacklist": list(config.event_blacklist),
        "effect_mode": config.effect_mode,
        "supportTransportEncrypt": config.support_transport_encrypt,
        **keys,
    }
    version = str(int.from_bytes(sha256(_write(told)).digest()[:6]))
    return Published(version, _write({"v": version, "configs": {"nv": version, **told}}))


def key_entries(current: Iterable[EnvelopeKey]) -> dict[str, Any]:
    """The entries that publish a project's current keys, for `publish`."""
    entries: dict[str, Any] = {}
    for key in current:
        if key.algorithm is Algorithm.RSA:
            entries["key"] = {"pkv": int(key.version), "public_key": key.public_key}
        elif key.algorithm is Algorithm.SM2:
            entries["key_v2"] = {"pkv": int(key.version), "type": "SM2+SM4", "public_key": key.public_key}
    return entries


class RemoteConfigs:
    """The remote configurations of all projects. Safe to use from several threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def of(self, project: str) -> dict[str, RemoteConfig]:
        """In force, by app; {} if nobody has ever set any."""
        return {saved.app_id: saved.config for saved in self.saved(project)}

    def saved(self, project: str) -> list[SavedRemoteConfig]:
        """In force, by app."""
        found = (
            select(remote_configs)
            .where(remote_configs.c.project == project)
            .order_by(remote_configs.c.app_id)
        )
        with self._engine.connect() as connection:
            return [_saved(row) for row in connection.execute(found).mappings()]

    def proposals(self, project: str, now: int) -> list[Proposal]:
        """What waits for approval, by app. `now` in epoch milliseconds."""
        table = remote_config_proposals
        found = (
            select(table)
            .where((table.c.project == project) & (table.c.proposed_at > now - PROPOSAL_MS))
            .order_by(table.c.app_id)
        )
        with self._engine.connect() as connection:
            return [_proposal(row) for row in connection.execute(found).mappings()]

    def put(
        self, project: str, app_id: str, config: RemoteConfig, *, actor: str, now: int
    ) -> SavedRemoteConfig | Proposal:
        """Sets it, or keeps it as a proposal if it would turn the kill switch on.

        What was proposed for the app before is withdrawn. Raises InvalidRemoteConfig.
        """
        check_remote_config(config, app_id)
        with writing(self._engine) as connection:
            _withdraw(connection, project, app_id)
            if config.disable_sdk and not _in_force(connection, project, app_id).disable_sdk:
                proposal = Proposal(_id_of(app_id, config, now, actor), app_id, config, now, actor)
                _insert_proposal(connection, project, proposal)
                return proposal
            return _save(connection, project, SavedRemoteConfig(app_id, config, now, actor))

    def approve(
        self, project: str, proposal_id: str, *, actor: str, now: int
    ) -> tuple[SavedRemoteConfig, Proposal]:
        """Puts a proposal in force; `actor` must be another than who proposed it.

        Raises InvalidRemoteConfig if there is no such proposal (any more), or it is the actor's own.
        """
        with writing(self._engine) as connection:
            _forget_expired(connection, now)
            mine = (remote_config_proposals.c.project == project) & (
                remote_config_proposals.c.id == proposal_id
            )
            row = connection.execute(select(remote_config_proposals).where(mine)).mappings().first()
            if row is None:
                raise InvalidRemoteConfig(
                    "proposal",
                    "there is no such proposal: it was replaced, withdrawn or approved, or is over 24 hours "
                    "old; look at what is proposed now",
                )
            proposal = _proposal(row)
            if proposal.proposed_by == actor:
                message = "you proposed this yourself: whoever approves it needs another secret key"
                raise InvalidRemoteConfig("proposal", message)
            _withdraw(connection, project, proposal.app_id)
            saved = SavedRemoteConfig(proposal.app_id, proposal.config, now, actor)
            return _save(connection, project, saved), proposal

    def withdraw(self, project: str, app_id: str) -> bool:
        """Whether something was proposed for the app."""
        with writing(self._engine) as connection:
            return _withdraw(connection, project, app_id)


def of_app(configs: Mapping[str, RemoteConfig], app_id: str) -> RemoteConfig | None:
    """What an app is told: its own, else that of every app; None if nobody has set any."""
    return configs.get(app_id) or configs.get(EVERY_APP)


def _in_force(connection: Connection, project: str, app_id: str) -> RemoteConfig:
    table = remote_configs
    found = select(table).where((table.c.project == project) & table.c.app_id.in_((app_id, EVERY_APP)))
    saved = [_saved(row) for row in connection.execute(found).mappings()]
    return of_app({each.app_id: each.config for each in saved}, app_id) or RemoteConfig()


def _save(connection: Connection, project: str, saved: SavedRemoteConfig) -> SavedRemoteConfig:
    table = remote_configs
    of_project = table.c.project == project
    connection.execute(delete(table).where(of_project & (table.c.app_id == saved.app_id)))
    if (connection.scalar(select(func.count()).select_from(table).where(of_project)) or 0) >= MOST_APPS:
        raise InvalidRemoteConfig("app_id", f"a project has at most {MOST_APPS} apps with one of their own")
    connection.execute(
        insert(table).values(
            project=project,
            app_id=saved.app_id,
            definition=_write(asdict(saved.config)).decode(),
            changed_at=saved.changed_at,
            changed_by=saved.changed_by,
        )
    )
    return saved


def _insert_proposal(connection: Connection, project: str, proposal: Proposal) -> None:
    connection.execute(
        insert(remote_config_proposals).values(
            project=project,
            app_id=proposal.app_id,
            id=proposal.id,
            definition=_write(asdict(proposal.config)).decode(),
            proposed_at=proposal.proposed_at,
            proposed_by=proposal.proposed_by,
        )
    )


def _withdraw(connection: Connection, project: str, app_id: str) -> bool:
    table = remote_config_proposals
    mine = (table.c.project == project) & (table.c.app_id == app_id)
    return connection.execute(delete(table).where(mine)).rowcount > 0


def _forget_expired(connection: Connection, now: int) -> None:
    table = remote_config_proposals
    connection.execute(delete(table).where(table.c.proposed_at <= now - PROPOSAL_MS))


def _id_of(app_id: str, config: RemoteConfig, now: int, actor: str) -> str:
    """Of these contents and no others: whoever approves it approves what was seen."""
    return sha256(_write([app_id, asdict(config), now, actor])).hexdigest()[:12]


def _saved(row: RowMapping) -> SavedRemoteConfig:
    return SavedRemoteConfig(row["app_id"], _read(row["definition"]), row["changed_at"], row["changed_by"])


def _proposal(row: RowMapping) -> Proposal:
    return Proposal(
        row["id"], row["app_id"], _read(row["definition"]), row["proposed_at"], row["proposed_by"]
    )


_read = msgspec.json.Decoder(RemoteConfig).decode
