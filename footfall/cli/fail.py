"""Ends a command that cannot do what it was asked for."""

from __future__ import annotations

from typing import NoReturn

import typer
from rich.console import Console


def fail(message: str, code: int = 1) -> NoReturn:
    """Says why on stderr, in one line, and ends."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(f"footfall: {message}", style="red", markup=False)
    raise typer.Exit(code)
