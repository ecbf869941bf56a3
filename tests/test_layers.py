"""Who may import whom: events flow one way, and so do imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

EVENTS = frozenset(
    {
        "footfall.events",
        "footfall.crash_points",
        "footfall.__version__",
        "footfall.metrics",
        "footfall.weather",
    }
)
DOORS_SHARE = EVENTS | {
    "footfall.privacy",
    "footfall.sealing",
    "footfall.tracking_plan",
    "footfall.treatment",
    "footfall.workspace",
}
MAY_IMPORT: dict[str, frozenset[str]] = {
    "footfall.crash_points": frozenset(),
    "footfall.metrics": frozenset(),
    "footfall.weather": frozenset({"footfall.metrics"}),
    "footfall.simulator": frozenset(),
    "footfall.events": frozenset(),
    "footfall.eventlog": EVENTS,
    "footfall.storage": EVENTS,
    "footfall.sealing": frozenset(),
    "footfall.dead_letters": frozenset({"footfall.sealing"}),
    "footfall.privacy": EVENTS,
    "footfall.tracking_plan": EVENTS,
    "footfall.envelopes": EVENTS,
    "footfall.workspace": EVENTS | {"footfall.privacy", "footfall.envelopes", "footfall.tracking_plan"},
    "footfall.treatment": DOORS_SHARE - {"footfall.treatment"},
    "footfall.importing": DOORS_SHARE | {"footfall.eventlog"},
    "footfall.settings": frozenset(),
    "collector": DOORS_SHARE | {"footfall.envelopes", "footfall.eventlog"},
    "processor": EVENTS
    | {
        "footfall.dead_letters",
        "footfall.eventlog",
        "footfall.sealing",
        "footfall.storage",
        "footfall.tracking_plan",
        "footfall.treatment",
        "footfall.workspace",
    },
    "web": frozenset(),
    "query_api": DOORS_SHARE
    | {"footfall.dead_letters", "footfall.envelopes", "footfall.eventlog", "footfall.storage"},
    "footfall.proof": EVENTS
    | {"footfall.eventlog", "footfall.storage", "footfall.tracking_plan", "footfall.workspace", "processor"},
    "footfall.rights": EVENTS
    | {
        "footfall.dead_letters",
        "footfall.eventlog",
        "footfall.sealing",
        "footfall.storage",
        "footfall.tracking_plan",
        "footfall.workspace",
        "processor",
    },
    "footfall_sdk": frozenset(),
}
OURS = ("footfall", "collector", "processor", "query_api", "footfall_sdk", "bench", "tests")


def part_of(module: str) -> str:
    """The layer that a module belongs to: `footfall.events.keys` is of `footfall.events`."""
    names = module.split(".")
    return ".".join(names[:2]) if names[0] == "footfall" else names[0]


def files_of(part: str) -> Iterator[Path]:
    path = (ROOT / "sdk/python" if part == "footfall_sdk" else ROOT) / part.replace(".", "/")
    return iter([path.with_suffix(".py")]) if path.with_suffix(".py").is_file() else path.rglob("*.py")


def imports_of(path: Path) -> Iterator[str]:
    """Every module of ours that a file imports, also within functions and for types only."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            module = node.module or ""
            names = [f"{module}.{alias.name}" for alias in node.names] if module == "footfall" else [module]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] in OURS)


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_a_part_imports_only_what_is_below_it(part: str) -> None:
    files = list(files_of(part))
    assert files, f"{part} is gone: this table must follow"
    for path in files:
        for name in imports_of(path):
            allowed = MAY_IMPORT[part] | {part}
            assert part_of(name) in allowed, f"{path.relative_to(ROOT)} imports {name}"


def test_every_part_has_a_layer() -> None:
    parts = {
        part_of(".".join(path.relative_to(ROOT).with_suffix("").parts))
        for folder in ("footfall", "collector", "processor", "query_api", "web")
        for path in (ROOT / folder).rglob("*.py")
    }
    assert parts == set(MAY_IMPORT) - {"footfall_sdk"} | {"footfall.cli", "footfall.__init__"}
