"""Imports into a `System`, step by step, as `footfall import` does it."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from footfall.importing.importer import Importer, ImportOptions, State, Target
from footfall.importing.journal import Position, RejectedRow
from footfall.importing.mapping import FileMapping, build_mapping
from footfall.importing.opening import Reading
from footfall.importing.plan import Plan
from footfall.importing.preview import preview
from footfall.importing.source import look_at
from footfall.treatment.policy import Policies, Policy
from tests.system import INSTALLATION_KEY, System

ZONE = ZoneInfo("Asia/Shanghai")


def mapping_of(text: str | None) -> FileMapping | None:
    return None if text is None else build_mapping(tomllib.loads(text))


def plan_of(path: Path, mapping: str | None = None, **reading: Any) -> tuple[Reading, Plan | None]:
    """How the file is read, and what its rows become."""
    options: dict[str, Any] = {"format_": None, "encoding": None, "delimiter": None, **reading}
    read = Reading(look_at(path), **options)
    return read, preview(read, mapping_of(mapping), Policy("default"), ZONE).plan


def importer_of(
    system: System,
    path: Path,
    mapping: str | None = None,
    *,
    project: str = "default",
    tell: Callable[[State], None] = lambda _state: None,
    **reading: Any,
) -> Importer:
    """An import that can run; its journal lies beside the file."""
    read, plan = plan_of(path, mapping, **reading)
    target = Target(
        project, system.log, system.keyed_hash, Policies(system.workspace, INSTALLATION_KEY)(project)
    )
    return Importer(read, plan, target, ImportOptions(path.parent / "imports", tell))


async def import_file(
    system: System, path: Path, mapping: str | None = None, **options: Any
) -> tuple[Position, Sequence[RejectedRow]]:
    """Imports and processes a file; where it ended, and what was rejected."""
    with closing(importer_of(system, path, mapping, **options)) as importer:
        end = importer.run()
        rejected = list(importer.journal.rejected())
    await system.settle()
    return end, rejected


def stored(system: System, project: str = "default") -> list[dict[str, Any]]:
    """The events of a project, in order of time and id."""
    rows = system.rows(
        "SELECT event, distinct_id, toUnixTimestamp64Milli(time), door, toString(p_amount), p_channel,"
        " properties FROM events WHERE project = {project:String}"
        " ORDER BY time, distinct_id, event, toString(p_amount)",
        project=project,
    )
    names = ("event", "distinct_id", "time", "door", "amount", "channel", "properties")
    return [dict(zip(names, row, strict=True)) for row in rows]
