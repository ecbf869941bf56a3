"""The base of all specs: frozen, nothing unknown, and errors that name the nearest spelling."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, NoReturn

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError


def nearest(given: object, allowed: Iterable[str]) -> str | None:
    """The allowed spelling that comes closest to what was given, if one is close at all."""
    found = get_close_matches(str(given)[:200], list(allowed), n=1, cutoff=0.6)
    return found[0] if found else None


def refuse(
    code: str, message: str, *, field: str = "", given: Any = None, allowed: Iterable[str] = ()
) -> NoReturn:
    """Ends a validation: `field` is the path below the value that is being validated."""
    spellings = list(allowed)
    raise PydanticCustomError(
        "footfall",
        "{message}",
        {
            "code": code,
            "message": message,
            "field": field,
            "given": given,
            "allowed": spellings,
            "nearest": nearest(given, spellings) if spellings else None,
        },
    )


def refuse_not_implemented(option: str, *, field: str = "", given: Any = None) -> NoReturn:
    """For what spec/query.md describes and is not built yet."""
    refuse("not_implemented", f"{option} is not implemented yet", field=field, given=given)


class Strict(BaseModel):
    """A frozen value that refuses fields it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=False)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_fields(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        allowed = [field.alias or name for name, field in cls.model_fields.items()]
        for name in given:
            if name not in allowed:
                refuse("unknown_field", f"{name!r} is no field here", field=name, given=name, allowed=allowed)
        return given
