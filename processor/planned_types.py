"""The types that tracking plans declare: of the versions that log records name, which never change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from processor.event_block import DeclaredTypes
from processor.intake import Opened

TypesOf = Callable[[str, int], Mapping[Any, Mapping[str, str]]]
"""From a project and a version of its plan: by source, the declared types by name. May block."""

_KEPT = 1_000


class PlannedTypes:
    """Reads each version once."""

    def __init__(self, types_of: TypesOf) -> None:
        self._types_of = types_of
        self._known: dict[tuple[str, int], Mapping[str, Mapping[str, str]]] = {}

    @property
    def types(self) -> DeclaredTypes:
        """Those of the versions that were read."""
        return self._known

    def read(self, records: Iterable[Opened]) -> None:
        """Reads the versions that these log records name. What keeps the workspace from answering is raised:
        before anything is made of a record, so that the block can be tried again.
        """
        named = {(each.header.project, each.header.plan) for each in records if each.header is not None}
        wanted = {place for place in named if place[1] and place not in self._known}
        if wanted and len(self._known) + len(wanted) > _KEPT:
            self._known.clear()
            wanted = {place for place in named if place[1]}
        for place in sorted(wanted):
            self._known[place] = self._types_of(*place)


def no_plans(_project: str, _version: int) -> Mapping[str, Mapping[str, str]]:
    """Where no project has a plan."""
    return {}
