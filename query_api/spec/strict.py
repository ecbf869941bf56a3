"""The base of all specs: frozen, nothing unknown, and errors that name the nearest spelling."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NoReturn

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError

from query_api.spec.spellings import nearest_word

THE_VALUE: Final = object()
"""Stands for what is being validated, where that is what was given."""


def refuse(
    code: str, message: str, *, field: str = "", given: Any = THE_VALUE, allowed: Iterable[str] = ()
) -> NoReturn:
    """Ends a validation: `field` is the path below the value that is being validated.

    `given` left out is that value itself, and null for a field below it.
    """
    spellings = list(allowed)
    is_known = given is not THE_VALUE
    raise PydanticCustomError(
        "footfall",
        "{message}",
        {
            "code": code,
            "message": message,
            "field": field,
            "given": given if is_known else None,
            "is_the_value": not is_known and not field,
            "allowed": spellings,
            "nearest": nearest_word(given, spellings) if code.startswith("unknown_") and is_known else None,
        },
    )


def refuse_not_implemented(option: str, *, field: str = "", given: Any = THE_VALUE) -> NoReturn:
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
