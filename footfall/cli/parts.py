"""What each service is put together from: the opened engines, and what the installation key gives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from footfall.cli.engines import opened_log, opened_store, opened_workspace
from footfall.envelopes.opening import Room, read_element, unwrap, wanted
from footfall.envelopes.vault import Vault
from footfall.events.keys import KeyedHash
from footfall.rights.opened import Opened
from footfall.sealing import Sealer
from footfall.settings import Settings, read_installation_key
from footfall.treatment.policy import Policies
from footfall.weather import Weather
from footfall.workspace.envelope_keys import KeyRings
from processor.loop import wall_clock

if TYPE_CHECKING:
    from footfall.eventlog.log import Log
    from footfall.storage.store import Store
    from footfall.workspace import Workspace

_MOST_INSIDE = 64 << 20
"""What may come out of one envelope, in bytes."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Of one process. What is counted in it is in `registry`."""

    settings: Settings
    workspace: Workspace
    log: Log
    store: Store
    keyed_hash: KeyedHash
    sealer: Sealer
    vault: Vault
    rings: KeyRings
    policies: Policies
    registry: CollectorRegistry
    weather: Weather

    @property
    def for_rights(self) -> Opened:
        """What asking for an erasure, and doing it, are put together from."""
        return Opened(
            self.store,
            self.log,
            self.workspace,
            self.keyed_hash,
            self.sealer,
            wall_clock,
            partial(forms, self.policies),
            partial(inside, self.rings),
        )


@contextmanager
def opened_parts(settings: Settings) -> Iterator[Parts]:
    """InvalidSettings, LogError, StoreError: whatever opening an engine may raise."""
    installation_key = read_installation_key(settings)
    vault = Vault(installation_key)
    registry = CollectorRegistry()
    with (
        opened_workspace(settings) as workspace,
        opened_log(settings) as log,
        opened_store(settings) as store,
    ):
        yield Parts(
            settings,
            workspace,
            log,
            store,
            KeyedHash(installation_key),
            Sealer(installation_key, settings.suite),
            vault,
            KeyRings(workspace.envelope_keys, vault),
            Policies(workspace, installation_key, suite=settings.suite),
            registry,
            Weather(registry),
        )


def forms(policies: Policies, project: str, distinct_id: str) -> Sequence[str]:
    """How an id may rest: as it came, before the project had a rule, and as privacy writes it now."""
    privacy = policies(project).privacy
    written = distinct_id if privacy is None else privacy.id(distinct_id)
    return tuple(dict.fromkeys((distinct_id, written)))


def inside(rings: KeyRings, project: str, raw: bytes) -> Sequence[bytes]:
    """The records of a dead letter that is an encrypted envelope, as far as the project's keys open it."""
    element = read_element(raw)
    if element.sealed is None:
        return ()
    ring = rings(project)
    sessions = {
        (each.key.name, each.ekey): each.key.open_session(each.ekey) for each in wanted([element], ring)
    }
    return [record.element for record in unwrap(element, ring, sessions, Room(_MOST_INSIDE))]
