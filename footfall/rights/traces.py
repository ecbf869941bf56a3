"""Where a person is named outside of their own rows: dead letters, and events of others."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from footfall.dead_letters import open_letter
from footfall.events.keys import KeyedHash
from footfall.rights.person import LONGEST, OWN_KEY
from footfall.sealing import CannotUnseal, Sealer
from footfall.storage.store import Parameter, Query, Store
from processor.tombstones import ids_in

_AT_ONCE: Final = 2_000
_IDENTITY: Final = re.compile(r"\$identity_[A-Za-z0-9_]{1,200}")
_TOLD: Final = (
    "startsWith(k, '$identity_') AND arrayExists(t -> v = t OR position(v, concat('\"', t, '\"')) > 0, "
    "{values:Array(String)})"
)
_MENTIONS: Final = f"""
SELECT log_partition, log_offset, seq, anonymous_id IN {{texts:Array(String)}},
    distinct_id IN {{texts:Array(String)}},
    arrayFilter((k, v) -> {_TOLD}, mapKeys(properties), mapValues(properties))
FROM events
WHERE project = {{project:String}} AND NOT ({OWN_KEY} IN {{keys:Array(UInt64)}}) AND {{stored}} AND (
    anonymous_id IN {{texts:Array(String)}} OR distinct_id IN {{texts:Array(String)}}
    OR arrayExists((k, v) -> {_TOLD}, mapKeys(properties), mapValues(properties)))"""  # noqa: S608 - ours

_LETTERS: Final = """
SELECT log_partition, log_offset, seq, hex(sealed), field, message, project,
    toUnixTimestamp64Milli(received_at),
    door, reason
FROM dead_letters
WHERE project IN {projects:Array(String)} AND (log_partition, log_offset, seq) >= (
    {p:UInt16}, {o:UInt64}, {s:UInt32})
ORDER BY log_partition, log_offset, seq LIMIT {limit:UInt32}"""

Place = tuple[int, int, int]
"""Log partition, offset, seq."""

_NOBODY_ERASED: Final[Mapping[int, int]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class NamingLetter:
    """A dead letter that names the person."""

    place: Place
    project: str
    received_at: int
    door: str
    reason: str
    field: str
    message: str
    raw: bytes


def mentions(
    store: Store,
    project: str,
    keys: Collection[int],
    texts: Collection[str],
    stored: str,
    *,
    values: Collection[str] = (),
) -> dict[str, set[Place]]:
    """Events of others that name one of the ids: by the column or the identity property, where.

    `stored` is SQL that says which rows are looked at; `values` are looked for in identity properties only.
    """
    if not texts and not values:
        return {}
    own: dict[str, Parameter] = {
        "project": project, "texts": list(texts), "values": [*texts, *values], "keys": list(keys),
    }  # fmt: skip
    found: dict[str, set[Place]] = {}
    rows = store.rows(Query(_MENTIONS.replace("{stored}", stored), own), LONGEST).rows
    for partition, offset, seq, anonymous, distinct, names in rows:
        told = ["anonymous_id"] * bool(anonymous) + ["distinct_id"] * bool(distinct)
        for column in [*told, *filter(_IDENTITY.fullmatch, names)]:
            found.setdefault(column, set()).add((int(partition), int(offset), int(seq)))
    return found


class Letters:
    """Opens dead letters and looks who is in them."""

    def __init__(
        self,
        store: Store,
        sealer: Sealer,
        keyed_hash: KeyedHash,
        inside: Callable[[str, bytes], Iterable[bytes]] = lambda _project, _raw: (),
        forms: Callable[[str, str], Iterable[str]] = lambda _project, text: (text,),
    ) -> None:
        """`inside` gives the records of an encrypted envelope, as far as the project's keys open it; `forms`
        how an id rests in a project: letters hold it as it was sent.
        """
        self._inside = inside
        self._forms = forms
        self._store = store
        self._sealer = sealer
        self._hash = keyed_hash

    def naming(
        self,
        project: str,
        keys: Collection[int],
        texts: Collection[str],
        erased: Mapping[int, int] = _NOBODY_ERASED,
    ) -> Iterator[NamingLetter]:
        """Those of the project, and of no project, that name one of the ids: as a record's id, or anywhere as
        a whole text. But none that came before (`erased`: by key, epoch ms) an id that it names was erased.
        """
        wanted = set(keys)
        marks = [(form, self._hash.id_key(project, text)) for text in texts for form in _written(text)]
        for row in self._all(project):
            letter = self._open(row)
            bodies = [letter.raw, *self._inside(project, letter.raw)]
            everything = b"\n".join([*bodies, letter.field.encode(), letter.message.encode()])
            told = {key for keys_of in self._told(project, bodies) for key in keys_of}
            named = {key for mark, key in marks if mark in everything} | (told & wanted)
            if named and all(letter.received_at > erased.get(key, -1) for key in named):
                yield letter

    def is_of(self, letter: NamingLetter, project: str, keys: Collection[int]) -> bool:
        """Whether its records are theirs alone: it tells ids, and nobody else's."""
        bodies = [letter.raw, *self._inside(project, letter.raw)]
        told = self._told(project, bodies)
        return bool(told) and all(each & set(keys) for each in told)

    def _told(self, project: str, bodies: Iterable[bytes]) -> list[set[int]]:
        """Of each id that is in them, the keys of its forms."""
        texts = {text for body in bodies for text in ids_in(body)}
        return [{self._hash.id_key(project, form) for form in self._forms(project, text)} for text in texts]

    def _all(self, project: str) -> Iterator[Any]:
        first: Place = (0, 0, 0)
        while True:
            own: dict[str, Parameter] = {
                "projects": [project, ""],
                **dict(zip("pos", first, strict=True)),
                "limit": _AT_ONCE,
            }
            rows = self._store.rows(Query(_LETTERS, own)).rows
            yield from rows
            if len(rows) < _AT_ONCE:
                return
            partition, offset, seq = map(int, rows[-1][:3])
            first = (partition, offset, seq + 1)

    def _open(self, row: Any) -> NamingLetter:
        partition, offset, seq, sealed, field, message, project, received_at, door, reason = row
        place = (int(partition), int(offset), int(seq))
        try:
            raw = open_letter(self._sealer, place, bytes.fromhex(sealed)).raw
        except CannotUnseal:
            raw = b""
        return NamingLetter(place, project, int(received_at), door, reason, field, message, raw)


def _written(text: str) -> tuple[bytes, ...]:
    """The ways in which JSON and our messages write a text, with what stands around it."""
    plain = json.dumps(text, ensure_ascii=False).encode(errors="surrogatepass")
    return tuple(dict.fromkeys((plain, json.dumps(text).encode(), repr(text).encode(errors="replace"))))
