"""GET /api/v1/projects/{name}/bindings: the log of decisions, newest first, and what stands now."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from typing import Any, Final

from footfall.events.identity import REASONS
from footfall.events.keys import KeyedHash
from footfall.storage.store import Parameter, Query
from footfall.workspace.projects import Project
from query_api.answers import instant
from query_api.problems import Fault, refused
from query_api.spec.spellings import nearest
from query_api.store_reader import StoreReader

OUTCOMES: Final = ("accepted", "refused")
KINDS: Final = ("bind", "unbind", "merge", "unmerge")

_ORDER = "(decided_at_ms, log_partition, log_offset, seq, event_key, subject_key, login_key, trusted)"

_PAGE = """
SELECT toUnixTimestamp64Milli(decided_at) AS decided_at_ms, log_partition, log_offset, seq, event_key,
    subject_key, login_key, toUInt8(trusted), kind, subject_id, login_id, outcome, reason,
    toUnixTimestamp64Milli(received_at)
FROM binding_decisions WHERE project = {project:String}"""

_LATEST = """
SELECT kind, subject_key, login_key, toUInt8(trusted), if(kind = 'bind', 0, event_key) AS ruling,
    toUnixTimestamp64Milli(max(decided_at))
FROM binding_decisions WHERE project = {project:String} AND subject_key IN {subjects:Array(UInt64)}
GROUP BY ALL"""

_COUNTS = """
SELECT kind, last.1, last.2, count()
FROM (
    SELECT kind, argMax((outcome, reason), decided_at) AS last
    FROM binding_decisions WHERE project = {project:String}
    GROUP BY kind, subject_key, login_key, trusted, if(kind = 'bind', 0, event_key)
)
GROUP BY ALL ORDER BY ALL"""


def read_decisions(
    reader: StoreReader,
    project: Project,
    keyed_hash: KeyedHash,
    given: Mapping[str, str],
    *,
    limit: int,
    ids: Sequence[str] = (),
) -> dict[str, Any]:
    """`{"decisions": [...], "next_cursor"}`; `given` may hold outcome, reason, kind and cursor.

    `ids`: only decisions about one of these.
    """
    parameters: dict[str, Parameter] = {"project": project.name, "limit": limit}
    tests = ""
    for name, allowed in (("outcome", OUTCOMES), ("kind", KINDS), ("reason", tuple(REASONS)[1:])):
        if name in given:
            parameters[name] = _one_of(name, given[name], allowed)
            tests += f" AND {name} = {{{name}:String}}"
    if ids:
        parameters["keys"] = [keyed_hash.id_key(project.name, each) for each in ids]
        tests += (
            " AND (subject_key IN {keys:Array(UInt64)} OR login_key IN {keys:Array(UInt64)}"
            " OR subject_id IN {ids:Array(String)} OR login_id IN {ids:Array(String)})"
        )
        parameters["ids"] = list(ids)
    if "cursor" in given:
        place = _read_cursor(given["cursor"])
        parameters |= {f"after{index}": value for index, value in enumerate(place)}
        after = ", ".join(f"{{after{index}:UInt64}}" for index in range(len(place)))
        tests += f" AND {_ORDER} < ({after})"
    sql = f"{_PAGE}{tests} ORDER BY {_ORDER} DESC LIMIT {{limit:UInt32}}"
    rows = reader.rows(Query(sql, parameters)).rows
    latest = _latest(reader, project, rows)
    return {
        "decisions": [_as_json(row, latest) for row in rows],
        "next_cursor": _write_cursor(rows[-1][:8]) if len(rows) == limit else None,
    }


def count_decisions(reader: StoreReader, project: Project) -> dict[str, Any]:
    """How many claims stand and how many were refused, by kind and reason, as things are now."""
    accepted = dict.fromkeys(KINDS, 0)
    reasons: dict[str, int] = {}
    for kind, outcome, reason, count in reader.rows(Query(_COUNTS, {"project": project.name})).rows:
        if outcome == "accepted":
            accepted[kind] += count
        else:
            reasons[reason] = reasons.get(reason, 0) + count
    return {"accepted": accepted, "refused": dict(sorted(reasons.items()))}


def _latest(
    reader: StoreReader, project: Project, rows: Sequence[Sequence[Any]]
) -> dict[tuple[Any, ...], int]:
    if not rows:
        return {}
    subjects = sorted({row[5] for row in rows})
    found = reader.rows(Query(_LATEST, {"project": project.name, "subjects": subjects})).rows
    return {tuple(subject): moment for *subject, moment in found}


def _as_json(row: Sequence[Any], latest: Mapping[tuple[Any, ...], int]) -> dict[str, Any]:
    decided_at, partition, offset, seq, event_key, subject_key, login_key, trusted = row[:8]
    kind, subject_id, login_id, outcome, reason, received_at = row[8:]
    ruling = 0 if kind == "bind" else event_key
    merges = kind in ("merge", "unmerge")
    return {
        "decided_at": instant(decided_at),
        "kind": kind,
        **({} if merges else {"anonymous_id": subject_id}),
        "login_id": subject_id if merges else login_id or None,
        **({"into": login_id} if merges else {}),
        "trusted": bool(trusted),
        "outcome": outcome,
        "reason": reason or None,
        "why": REASONS[reason or "accepted"],
        "is_current": latest[kind, subject_key, login_key, trusted, ruling] == decided_at,
        "record": {
            "received_at": instant(received_at),
            "log_partition": partition,
            "log_offset": offset,
            "seq": seq,
            "event_key": f"{event_key:016x}",
        },
    }


def _one_of(name: str, given: str, allowed: Sequence[str]) -> str:
    if given in allowed:
        return given
    message = f"{given[:100]!r} is not one of {', '.join(allowed)}"
    raise refused([Fault(name, "unknown_value", message, given, allowed, nearest(given, allowed))])


def _write_cursor(place: Sequence[int]) -> str:
    text = json.dumps(list(map(int, place)), separators=(",", ":"))
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> list[int]:
    try:
        place = json.loads(urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)))
    except ValueError:
        place = None
    if isinstance(place, list) and len(place) == 8 and all(_is_uint64(value) for value in place):
        return place
    raise refused([Fault("cursor", "invalid_value", "give next_cursor as it came, or leave it out", cursor)])


def _is_uint64(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 64
