"""Walks a spec: every leaf condition, selector and property that it mentions, with the path of each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel


def walk(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], BaseModel]]:
    """All models in a spec, outermost first; a path is as in the client's body."""
    if isinstance(value, BaseModel):
        yield path, value
        for name, field in type(value).model_fields.items():
            yield from walk(getattr(value, name), (*path, field.alias or name))
    elif isinstance(value, tuple):
        for index, element in enumerate(value):
            yield from walk(element, (*path, index))
