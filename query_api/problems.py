"""What can go wrong, and what each failure is over HTTP: one error tree, one table.

Problem (application/problem+json)
├── MalformedBody      not JSON, too large, too deep, not Unicode
├── InvalidQuery       a field that is unknown, missing or wrong; or an option that is not built yet
├── Unauthorised       no key, or one that opens nothing
├── Forbidden          a key that does not open this
├── NotFound           no such project, person or page
├── Conflict           a project of that name exists
├── TooExpensive       a query over its budget: says which, and what to narrow
├── TooManyQueries     the project has its share of the queue already: says when to come again
└── Busy               too many queries at once, the store is away, or the scanner was not built
Everything else is a bug: 500, logged, without details for the client.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from footfall.eventlog.log import LogError
from footfall.storage.store import (
    Budget,
    QueryCancelled,
    QueryTooExpensive,
    StoreError,
    StoreUnavailable,
)
from footfall.workspace.audit import AuditUnavailable
from footfall.workspace.errors import WorkspaceUnavailable
from query_api.answers import number_text
from query_api.scan import ScannerMissing
from query_api.spec.conditions import FORMS
from query_api.spec.query import ACTOR_FORMS
from query_api.spec.spellings import nearest_word

MAX_SHOWN = 200
MAX_ALLOWED_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a query, and where."""

    field: str  # "steps[0].where[1].op", "" for the query as a whole
    code: str  # "unknown_field", "unknown_value", "missing_field", "invalid_value", "not_implemented"
    message: str
    given: Any = None
    allowed: Sequence[str] = ()
    nearest: str | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "field": self.field,
            "code": self.code,
            "message": self.message,
            "given": shorten(self.given),
            "allowed": self._shown_allowed(),
            "nearest": self.nearest,
        }

    def _shown_allowed(self) -> list[str]:
        """At most so many, the nearest among them."""
        shown = list(self.allowed[:MAX_ALLOWED_SHOWN])
        return shown if self.nearest is None or self.nearest in shown else [self.nearest, *shown[:-1]]


class Problem(Exception):  # noqa: N818 - as RFC 9457 calls it
    """A failure that the client is told about; `code` is a word of a closed list."""

    status: int
    code: str

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        faults: Sequence[Fault] = (),
        retry_after: int | None = None,
    ) -> None:
        """`retry_after`: in so many seconds it is worth coming again."""
        super().__init__(detail)
        self.detail = detail
        self.code = code or self.code
        self.faults = tuple(faults)
        self.retry_after = retry_after

    def as_json(self) -> dict[str, Any]:
        """The body of application/problem+json; the first fault's fields are repeated at the top."""
        body: dict[str, Any] = {
            "type": f"urn:footfall:problem:{self.code}",
            "title": TITLES[self.status],
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        }
        if self.retry_after is not None:
            body["retry_after_seconds"] = self.retry_after
        if self.faults:
            body |= self.faults[0].as_json() | {"code": self.code}
            body["errors"] = [fault.as_json() for fault in self.faults]
        return body


TITLES: Final = {
    400: "Malformed body",
    401: "Who are you?",
    403: "Not yours",
    404: "Not found",
    405: "Method not allowed",
    409: "Exists already",
    413: "Body too large",
    422: "The query says something that cannot be done",
    429: "Too many queries",
    500: "A bug of ours",
    503: "Try again soon",
}
"""The short name of each HTTP status that is ever answered beside 200 and 201."""


class MalformedBody(Problem):
    status, code = 400, "malformed_body"


class BodyTooLarge(Problem):
    status, code = 413, "body_too_large"


class InvalidQuery(Problem):
    status, code = 422, "invalid_query"


class Unauthorised(Problem):
    status, code = 401, "unauthorised"


class Forbidden(Problem):
    status, code = 403, "forbidden"


class NotFound(Problem):
    status, code = 404, "not_found"


class MethodNotAllowed(Problem):
    status, code = 405, "method_not_allowed"


class Conflict(Problem):
    status, code = 409, "exists"


class TooExpensive(Problem):
    """A query that went over its budget. `narrow`: the fields of the query that would make it cheaper."""

    status, code = 422, "too_expensive"
    budget: str | None = None
    limit: float | None = None
    narrow: Sequence[str] = ()

    @classmethod
    def of(cls, budget: Budget | None, limit: float | None) -> TooExpensive:
        """The problem of a query over this budget; `limit` is in the budget's unit."""
        if budget is None or limit is None:
            return cls(f"the query went over its budget: {_NARROW}")
        problem = cls(f"the query went over its budget of {_BUDGETS[budget](limit)}: {_NARROW}")
        problem.budget, problem.limit = budget, limit
        return problem

    def as_json(self) -> dict[str, Any]:
        told = {"budget": self.budget, "limit": self.limit, "narrow": list(self.narrow)}
        return super().as_json() | {name: value for name, value in told.items() if value}


_NARROW = "ask for a shorter range, fewer events or a coarser breakdown, or give sample"
_BUDGETS: Final[dict[Budget, Callable[[float], str]]] = {
    "seconds": lambda limit: f"{limit:g} seconds",
    "memory_bytes": lambda limit: f"{int(limit) >> 20:,} MiB of memory",
    "rows": lambda limit: f"{int(limit):,} rows to read",
    "disk_bytes": lambda limit: f"{int(limit) >> 20:,} MiB on disk",
}


class TooManyQueries(Problem):
    status, code = 429, "too_many_queries"


class Busy(Problem):
    status, code = 503, "busy"


class Bug(Problem):
    status, code = 500, "bug"


def problem_of(error: Exception) -> Problem:
    """The problem that a failure is: the first line of the table that fits."""
    return next(build(error) for kind, build in _TABLE if isinstance(error, kind))


def invalid_query(error: ValidationError) -> InvalidQuery:
    """A 422 that names each field, what was given, what is allowed and the nearest spelling."""
    details = error.errors(include_url=False)
    faults = [_fault(one) for one in details if not _is_echo(one, details)]
    faults.sort(key=lambda fault: fault.code == "not_implemented")
    return refused(faults)


def fault_of(error: PydanticCustomError, path: str) -> Fault:
    """The fault that spec.strict.refuse raised, of the value at `path`."""
    context = error.context or {}
    return Fault(
        field=".".join(filter(None, (path, context["field"]))),
        code=context["code"],
        message=context["message"],
        given=context["given"],
        allowed=context["allowed"],
        nearest=context["nearest"],
    )


def refused(faults: Sequence[Fault]) -> InvalidQuery:
    """The problem that these faults make."""
    first = faults[0]
    detail = f"{first.field}: {first.message}" if first.field else first.message
    if first.nearest is not None:
        detail += f"; did you mean {first.nearest!r}?"
    return InvalidQuery(detail, code=first.code, faults=faults)


def shorten(given: Any) -> Any:
    """What was given, cut to a size that an error may have; what is no scalar as JSON text."""
    if given is None or isinstance(given, bool | float):
        return given
    if isinstance(given, int):
        return given if abs(given) < 1 << 63 else str(given)[:MAX_SHOWN]
    if isinstance(given, Decimal):
        return given if len(number_text(given)) <= MAX_SHOWN else str(given)[:MAX_SHOWN]
    text = given if isinstance(given, str) else json.dumps(given, default=str, ensure_ascii=False)
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"


_TAGS = FORMS | ACTOR_FORMS


def field_path(location: Iterable[str | int]) -> str:
    """`steps[0].where` from pydantic's location; the tags of forms are left out."""
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part not in _TAGS:
            path += f".{part}" if path else part
    return path


_IN_WORDS_OF_JSON = {  # by pydantic's type of error and, of lists, how many are needed
    ("model_type", None): "an object was expected",
    ("model_attributes_type", None): "an object was expected",
    ("tuple_type", None): "a list was expected",
    ("too_short", 1): "at least one is needed",
}
_QUOTED = re.compile(r"'([^']*)'")


def _fault(detail: ErrorDetails) -> Fault:
    context = detail.get("ctx", {})
    given = detail["input"]
    path = field_path(detail["loc"])
    match detail["type"]:
        case "footfall":
            return Fault(
                field=".".join(filter(None, (path, context["field"]))),
                code=context["code"],
                message=context["message"],
                given=given if context["is_the_value"] else context["given"],
                allowed=context["allowed"],
                nearest=context["nearest"],
            )
        case "literal_error":
            allowed = _QUOTED.findall(context["expected"])
            message = f"{shorten(given)!r} is not one of {', '.join(allowed)}"
            return Fault(path, "unknown_value", message, given, allowed, nearest_word(given, allowed))
        case "missing":
            return Fault(path, "missing_field", "this field is needed")
        case type_:
            message = _IN_WORDS_OF_JSON.get((type_, context.get("min_length")), detail["msg"])
            return Fault(path, "invalid_value", message.removeprefix("Value error, "), given)


def _is_echo(detail: ErrorDetails, details: Sequence[ErrorDetails]) -> bool:
    """pydantic calls a list too short when its elements are wrong: the elements' errors say more."""
    if detail["type"] != "too_short":
        return False
    place = detail["loc"]
    return any(len(other["loc"]) > len(place) and other["loc"][: len(place)] == place for other in details)


_TABLE: Final[tuple[tuple[type[Exception] | tuple[type[Exception], ...], Callable[[Any], Problem]], ...]] = (
    (Problem, lambda problem: problem),
    (ValidationError, invalid_query),
    (PydanticCustomError, lambda error: refused([fault_of(error, "")])),
    (QueryTooExpensive, lambda error: TooExpensive.of(error.budget, None)),
    (MemoryError, lambda _: TooExpensive.of("memory_bytes", None)),
    (QueryCancelled, lambda _: Busy("the query was ended by the engine", code="cancelled", retry_after=1)),
    (
        (StoreUnavailable, LogError),
        lambda _: Busy("the store cannot be reached now", code="unavailable", retry_after=2),
    ),
    (
        WorkspaceUnavailable,
        lambda _: Busy("the workspace cannot be asked now", code="unavailable", retry_after=2),
    ),
    (
        AuditUnavailable,
        lambda _: Busy("what was done cannot be recorded now", code="unavailable", retry_after=2),
    ),
    (ScannerMissing, lambda error: Busy(str(error), code="scanner_missing", retry_after=60)),
    (StoreError, lambda _: Bug("the store refused our SQL; the server's log says why", code="query_refused")),
    (Exception, lambda _: Bug("something unexpected happened; the server's log says what")),
)
"""The one table from failure to problem, and so to HTTP status; it ends with everything else."""
