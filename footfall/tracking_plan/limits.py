"""How big a plan may be; docs/limits.md shows these to users, a test compares. Lengths are characters."""

from __future__ import annotations

from typing import Final

PLAN_BYTES: Final = 1024 * 1024
"""A plan as it is sent, in JSON or YAML."""

PLAN_EVENTS: Final = 1_000
"""Events."""

PLAN_DECLARATIONS: Final = 10_000
"""Declarations of properties, those of all events together."""

PLAN_ALLOWED: Final = 1_000
"""Allowed values of a property."""

PLAN_TEXT: Final = 1_000
"""An owner, a description in one language, an allowed text."""

VIOLATIONS_PER_RECORD: Final = 20
"""Violations of a record that are told and counted; a plan of many required properties must not make a small
record into a large answer."""
