"""Saves, lists and deletes virtual events: names that queries take like an event's."""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from footfall.workspace.projects import Project
from footfall.workspace.workspace import SavedVirtualEvent, VirtualEventRefused, Workspace
from query_api.advice import check_patterns, check_spans
from query_api.answers import instant, write_json
from query_api.body import read_json
from query_api.buckets import Calendar
from query_api.catalogue import Catalogue
from query_api.problems import Conflict, Fault, NotFound, refused
from query_api.spec.spellings import nearest
from query_api.spec.virtual_event import MAX_VIRTUAL_EVENTS, VirtualEvent
from query_api.store_reader import StoreReader


def read_virtual_events(workspace: Workspace, project: str) -> dict[str, VirtualEvent]:
    """The project's virtual events, by name."""
    return {saved.name: read_virtual_event(saved.definition) for saved in workspace.virtual_events(project)}


def save_virtual_event(
    workspace: Workspace,
    project: Project,
    virtual: VirtualEvent,
    *,
    catalogue: Catalogue,
    reader: StoreReader,
    now: int,
) -> dict[str, Any]:
    """The virtual event as it is listed. Conflict where an event or a virtual event has the name.

    A real event that comes later under this name stays in the store, and queries mean the virtual one; they
    warn of it.
    """
    if virtual.name in catalogue.events:
        raise Conflict(f"events named {virtual.name!r} were sent: choose another name", code="event_exists")
    _refuse_virtual_sources(workspace, project, virtual)
    check_patterns(virtual, reader)
    check_spans(virtual, Calendar(ZoneInfo(project.timezone)), now)
    saved = SavedVirtualEvent(virtual.name, write_json(virtual.as_json()).decode(), now)
    try:
        workspace.save_virtual_event(project.name, saved, most=MAX_VIRTUAL_EVENTS)
    except VirtualEventRefused as error:
        raise Conflict(str(error)) from None
    return _listed(saved)


def list_virtual_events(workspace: Workspace, project: str) -> list[dict[str, Any]]:
    """`[{"name", "events", "created_at"}]`, by name."""
    return [_listed(saved) for saved in workspace.virtual_events(project)]


def delete_virtual_event(workspace: Workspace, project: str, name: str) -> dict[str, Any]:
    """`{"deleted": name}`. NotFound if there is none."""
    if not workspace.delete_virtual_event(project, name):
        close = nearest(name, [saved.name for saved in workspace.virtual_events(project)])
        hint = f"; did you mean {close!r}?" if close is not None else ""
        raise NotFound(f"there is no virtual event {name[:100]!r}{hint}", code="unknown_virtual_event")
    return {"deleted": name}


@lru_cache(maxsize=2_000)
def read_virtual_event(definition: str) -> VirtualEvent:
    """The virtual event that the workspace keeps as this JSON text."""
    return VirtualEvent.model_validate(read_json(definition.encode()))


def _listed(saved: SavedVirtualEvent) -> dict[str, Any]:
    definition = read_virtual_event(saved.definition).as_json()
    return {**definition, "created_at": instant(saved.created_at)}


def _refuse_virtual_sources(workspace: Workspace, project: Project, virtual: VirtualEvent) -> None:
    """A virtual event is made of real ones: of others it would change with them."""
    known = {saved.name for saved in workspace.virtual_events(project.name)} | {virtual.name}
    for index, source in enumerate(virtual.events):
        for name in source.event or ():
            if name in known:
                message = f"{name!r} is a virtual event: name the events that it consists of"
                raise refused([Fault(f"events[{index}].event", "invalid_value", message, name)])
