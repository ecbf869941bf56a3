"""What the records of a block claim about ids: bindings, and rulings where somebody with a secret key says so
on purpose.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from footfall.events.identity import ADMINISTRATOR, MERGED_LOGIN, Binding, Decision, Kind, Ruling
from footfall.events.keys import NOBODY, event_key
from footfall.events.nobody import IsNobody
from footfall.events.record import Record, telling
from footfall.storage.rows import BindingRow, DecisionRow, RulingRow
from processor.event_block import Request, Rows
from processor.id_keys import IdKeys

ANONYMOUS_IDENTITIES = (
    "$identity_anonymous_id",
    "$identity_cookie_id",
    "$identity_android_uuid",
    "$identity_android_id",
    "$identity_ios_uuid",
    "$identity_idfv",
    "$identity_mp_id",
    "$identity_harmony_uuid",
)
"""Declared identities that stand for a device or browser: what `track_id_bind` binds to the login."""

IDENTITY_TYPES = ("track_signup", "track_id_bind", "track_id_unbind")


class Claims(NamedTuple):
    """What a block's records say about ids."""

    bindings: Sequence[BindingRow] = ()  # each (anonymous, login, trusted) once, by the first record
    rulings: Sequence[RulingRow] = ()
    refused: Sequence[tuple[RulingRow, Decision]] = ()  # rulings of those who may not make any


def find_claims(requests: Sequence[Request], rows: Rows, id_keys: IdKeys) -> Claims:
    """All bindings and rulings of a block."""
    first: dict[tuple[str, str, str, bool], int] = {}
    rulings: list[RulingRow] = []
    refused: list[tuple[RulingRow, Decision]] = []
    places = [(r.header.project, r.header.trusted, r.header.received_at) for r in requests]
    for row, record in enumerate(rows.records):
        if record.login_id or record.type in IDENTITY_TYPES or "$is_login_id" in record.properties:
            project, trusted, received_at = places[rows.request_of[row]]
            for anonymous_id, login_id in _pairs(record, id_keys.nobody_in(project)):
                pair = (project, anonymous_id, login_id, trusted)
                known = first.setdefault(pair, row)
                if known != row and received_at <= places[rows.request_of[known]][2]:
                    first[pair] = min(known, row, key=lambda each: _order(requests, rows, each))
            if record.type in IDENTITY_TYPES:
                for ruling in _rulings(requests, rows, row, id_keys):
                    refusal = _refusal(ruling, trusted=trusted)
                    if refusal is None:
                        rulings.append(ruling)
                    elif ruling.kind != "bind":  # a client's is kept as a claim
                        refused.append((ruling, refusal))
    return Claims(_bindings(requests, rows, first, id_keys), rulings, refused)


def find_merges(requests: Sequence[Request], rows: Rows, id_keys: IdKeys) -> list[RulingRow]:
    """What administrators say of logins being one person, whatever else the records say."""
    return [
        ruling
        for row, record in enumerate(rows.records)
        if record.type in IDENTITY_TYPES and MERGED_LOGIN in (record.identities or ())
        for ruling in _rulings(requests, rows, row, id_keys)
        if ruling.kind in ("merge", "unmerge")
    ]


def _bindings(
    requests: Sequence[Request],
    rows: Rows,
    first: Mapping[tuple[str, str, str, bool], int],
    id_keys: IdKeys,
) -> list[BindingRow]:
    claims: dict[tuple[int, int, bool], BindingRow] = {}
    for (project, anonymous_id, login_id, _), row in first.items():
        anonymous = (id_keys.key(project, anonymous_id), anonymous_id)
        login = (id_keys.key(project, login_id), login_id)
        for claim in _claims(requests, rows, row, anonymous, login):
            known = claims.setdefault((claim.anonymous_key, claim.login_key, claim.trusted), claim)
            if as_binding(claim).order < as_binding(known).order:
                claims[claim.anonymous_key, claim.login_key, claim.trusted] = claim
    return list(claims.values())


def _order(requests: Sequence[Request], rows: Rows, row: int) -> tuple[int, int, int]:
    """As Binding.order."""
    received_at = requests[rows.request_of[row]].header.received_at
    return (received_at, rows.seq[row], event_key(rows.event_ids[row]))


def _claims(
    requests: Sequence[Request], rows: Rows, row: int, anonymous: tuple[int, str], login: tuple[int, str]
) -> Iterator[BindingRow]:
    """A link with an id that identifies nobody is kept to be shown; a login in it is a login all the same."""
    header, partition, offset = requests[rows.request_of[row]]
    told = BindingRow(
        project=header.project,
        anonymous_key=anonymous[0],
        login_key=login[0],
        anonymous_id=anonymous[1],
        login_id=login[1],
        received_at=header.received_at,
        seq=rows.seq[row],
        event_key=event_key(rows.event_ids[row]),
        trusted=header.trusted,
        log_partition=partition,
        log_offset=offset,
    )
    if anonymous[0] == NOBODY and login[0] != NOBODY:
        yield told._replace(anonymous_key=login[0], anonymous_id=login[1])
    if all(text.strip() for _, text in (anonymous, login)) and anonymous[0] + login[0] != NOBODY:
        yield told


def _pairs(record: Record, is_nobody: IsNobody) -> Iterable[tuple[str, str]]:
    """(anonymous id, login id) for each link that a record makes; equal ids only say: this is a login."""
    login = telling(record.login_id, is_nobody)
    if record.type == "track_signup":
        yield (
            record.original_id or "",
            telling(record.distinct_id, is_nobody) or login or record.distinct_id or "",
        )
    if login:
        yield record.anonymous_id or login, login
    if record.properties.get("$is_login_id") is True:
        own = telling(record.distinct_id, is_nobody) or login
        yield own, own
    if record.type == "track_id_bind":
        bound = _bound_login(record, is_nobody)
        for device in _devices(record, is_nobody):
            if bound:
                yield device, bound


def _rulings(requests: Sequence[Request], rows: Rows, row: int, id_keys: IdKeys) -> list[RulingRow]:
    """What the record says on purpose. An unbind that names no login is against all of them; one that names
    no device is kept to be refused.
    """
    header, partition, offset = requests[rows.request_of[row]]
    found = []
    for kind, subject, login in _stated(rows.records[row], header.door, id_keys.nobody_in(header.project)):
        subject_key, login_key = id_keys.key(header.project, subject), id_keys.key(header.project, login)
        names_two = NOBODY not in (subject_key, login_key) and subject_key != login_key
        names_one = kind == "unbind" and (subject_key, login_key).count(NOBODY) == 1
        if names_two or names_one:
            found.append(
                RulingRow(
                    project=header.project,
                    kind=kind,
                    subject_key=subject_key,
                    login_key=login_key,
                    subject_id=subject,
                    login_id=login,
                    received_at=header.received_at,
                    seq=rows.seq[row],
                    event_key=event_key(rows.event_ids[row]),
                    door=header.door,
                    log_partition=partition,
                    log_offset=offset,
                )
            )
    return found


def _refusal(ruling: RulingRow, *, trusted: bool) -> Decision | None:
    """Why a ruling is none, whatever else is said."""
    if not trusted:
        return "untrusted"
    return "identifies_nobody" if ruling.subject_key == NOBODY else None


def _stated(record: Record, door: str, is_nobody: IsNobody) -> Iterator[tuple[Kind, str, str]]:
    """(kind, subject's id, login's id); no login: "" ."""
    if record.type == "track_signup":
        yield "bind", record.original_id or "", telling(record.distinct_id or record.login_id, is_nobody)
        return
    binds = record.type == "track_id_bind"
    login = _bound_login(record, is_nobody)
    devices = list(_devices(record, is_nobody))
    told = (record.identities or {}).get(MERGED_LOGIN) if door == ADMINISTRATOR else None
    merged = list(_told_ids(told, is_nobody))
    for device in devices if binds or devices or merged else [""]:
        yield "bind" if binds else "unbind", device, login
    for each in merged:
        yield "merge" if binds else "unmerge", each, login


def _bound_login(record: Record, is_nobody: IsNobody) -> str:
    told = _told_ids((record.identities or {}).get("$identity_login_id"), is_nobody)
    return next(told, telling(record.login_id, is_nobody))


def _devices(record: Record, is_nobody: IsNobody) -> Iterator[str]:
    for name in ANONYMOUS_IDENTITIES:
        yield from _told_ids((record.identities or {}).get(name), is_nobody)


def _told_ids(identity: Any, is_nobody: IsNobody) -> Iterator[str]:
    """The ids that a declared identity, one or a list of them, tells somebody by."""
    for each in identity if isinstance(identity, list) else [identity]:
        if isinstance(each, str) and telling(each, is_nobody):
            yield each


def as_binding(row: BindingRow) -> Binding:
    """What the rules of identity look at."""
    return Binding(row.anonymous_key, row.login_key, row.trusted, row.received_at, row.seq, row.event_key)


def as_ruling(row: RulingRow) -> Ruling:
    """What the rules of identity look at."""
    kind: Any = row.kind
    return Ruling(kind, row.subject_key, row.login_key, row.received_at, row.seq, row.event_key)


def decision_of_binding(row: BindingRow, decision: Decision, decided_at: int) -> DecisionRow:
    """A line of the log of decisions."""
    return DecisionRow(
        row.project, decided_at, "bind", row.anonymous_key, row.login_key, row.anonymous_id, row.login_id,
        row.trusted, *_verdict(decision), row.received_at, row.seq, row.event_key, row.log_partition,
        row.log_offset,
    )  # fmt: skip


def decision_of_ruling(
    row: RulingRow, decision: Decision, decided_at: int, *, trusted: bool = True
) -> DecisionRow:
    """A line of the log of decisions."""
    return DecisionRow(
        row.project, decided_at, row.kind, row.subject_key, row.login_key, row.subject_id, row.login_id,
        trusted, *_verdict(decision), row.received_at, row.seq, row.event_key, row.log_partition,
        row.log_offset,
    )  # fmt: skip


def _verdict(decision: Decision) -> tuple[str, str]:
    return ("accepted", "") if decision == "accepted" else ("refused", decision)
