"""What commands that ask the running engine share: the question, and how an answer is shown."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console

from footfall.cli.fail import fail
from footfall.cli.local_engine import EngineRefused, EngineUnreachable, LocalEngine
from footfall.settings import InvalidSettings, read_settings


def ask_engine(
    method: str, path: str, query: Mapping[str, str] | None = None, body: Any = None
) -> dict[str, Any]:
    """The answer of the engine that runs on the settings' home; ends with why there is none."""
    try:
        return LocalEngine.of(read_settings().home).ask(method, path, query, body)
    except (EngineUnreachable, EngineRefused, InvalidSettings) as error:
        fail(str(error))


def print_json(answer: Any) -> None:
    """An answer as it came, for programs."""
    sys.stdout.write(json.dumps(answer, ensure_ascii=False, indent=2) + "\n")


def say(text: str) -> None:
    """A line for people: as long as it is, in plain colours."""
    Console(highlight=False, soft_wrap=True).print(text, markup=False)
