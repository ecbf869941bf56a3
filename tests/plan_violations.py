"""What the store counts of a project's violations of its tracking plan."""

from __future__ import annotations

from typing import Any, Protocol


class Asked(Protocol):
    """A processor's world, or a whole system."""

    def rows(self, sql: str, **parameters: Any) -> Any: ...


def violations(asked: Asked, columns: str = "event, property, kind, refused") -> dict[tuple[Any, ...], int]:
    """Counts by these columns."""
    found = asked.rows(
        f"SELECT {columns}, sum(count) FROM plan_violations WHERE project = {{project:String}} GROUP BY ALL"
    )
    return {row[:-1]: int(row[-1]) for row in found}
