"""Which rows of the store's tables are a person's, by table: counted, taken out, looked for again."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from footfall.events.keys import KeyedHash
from footfall.rights.person import LONGEST, OWN_KEY, Person, asked
from footfall.storage.store import Parameter, Store
from footfall.workspace.erasures import Erasure
from processor.removals import Removal, stored_before

KIND: Final = "erasure"

_KEYS: Final = "{keys:Array(UInt64)}"
_TEXTS: Final = "{texts:Array(String)}"
_THEIRS: Final = {
    "events": f"user_key IN {{stamps:Array(UInt64)}} AND {OWN_KEY} IN {_KEYS}",
    "profile_operations": f"id_key IN {_KEYS}",
    "profiles": f"user_key IN {_KEYS}",
    "bindings": f"anonymous_key IN {_KEYS} OR login_key IN {_KEYS}",
    "rulings": f"subject_key IN {_KEYS} OR login_key IN {_KEYS}",
    "binding_decisions": f"subject_key IN {_KEYS} OR login_key IN {_KEYS}",
    "identity_links": f"one_key IN {_KEYS} OR other_key IN {_KEYS}",
}
_LEFT: Final = {
    "events": f"{OWN_KEY} IN {_KEYS} OR distinct_id IN {_TEXTS} OR anonymous_id IN {_TEXTS} "
    f"OR login_id IN {_TEXTS}",
    "bindings": f"anonymous_key IN {_KEYS} OR anonymous_id IN {_TEXTS} OR login_id IN {_TEXTS}",
    "rulings": f"subject_key IN {_KEYS} OR subject_id IN {_TEXTS} OR login_id IN {_TEXTS}",
    "binding_decisions": f"subject_key IN {_KEYS} OR login_key IN {_KEYS}",
    "identity_links": f"one_id IN {_TEXTS} OR other_id IN {_TEXTS}",
    "profile_operations": f"id_key IN {_KEYS}",
}

_KNOWN: Final = f"""
SELECT DISTINCT {OWN_KEY} FROM events WHERE project = {{project:String}} AND {OWN_KEY} IN {_KEYS}
UNION DISTINCT SELECT id_key FROM profile_operations WHERE project = {{project:String}} AND id_key IN {_KEYS}
UNION DISTINCT SELECT one_key FROM identity_links WHERE project = {{project:String}} AND one_key IN {_KEYS}
UNION DISTINCT SELECT other_key FROM identity_links
    WHERE project = {{project:String}} AND other_key IN {_KEYS}"""  # noqa: S608 - ours


def rows_of(store: Store, person: Person) -> dict[str, int]:
    """How many rows of each table are theirs. StoreError."""
    counts = {}
    for table, condition in _THEIRS.items():
        sql = f"SELECT count() FROM {table} WHERE project = {{project:String}} AND ({condition})"  # noqa: S608
        counts[table] = int(store.rows(person.query(sql), LONGEST).rows[0][0])
    return counts


def rows_left(store: Store, job: Erasure, texts: Sequence[str]) -> dict[str, int]:
    """What of a job should be gone and is still there, by table. StoreError."""
    own: dict[str, Parameter] = {"project": job.project, "keys": list(job.keys), "texts": list(texts)}
    counts = {}
    for table, condition in _LEFT.items():
        where = f"project = {{project:String}} AND ({condition}) AND {stored_before(job.ends, others=False)}"
        query = asked(f"SELECT count() FROM {table} WHERE {where}", own)  # noqa: S608 - ours
        counts[table] = int(store.rows(query, LONGEST).rows[0][0])
    return {table: count for table, count in counts.items() if count}


def ids_of_others(store: Store, keyed_hash: KeyedHash, job: Erasure, texts: Sequence[str]) -> set[str]:
    """Values of declared ids (a mobile's number) that are by themselves an id of somebody else.

    StoreError.
    """
    by_key = {keyed_hash.id_key(job.project, text): text for text in texts}
    own: dict[str, Parameter] = {"project": job.project, "keys": [*by_key.keys() - {*job.keys}]}
    if not own["keys"]:
        return set()
    rows = store.rows(asked(_KNOWN, own), LONGEST).rows
    return {by_key[int(key)] for (key,) in rows}


def taken_at_the_cut(job: Erasure) -> list[Removal]:
    """What the processor looks at. A binding of somebody else's id to the person's login stays without its
    text: what it tells of that id (that several logins used it) must not change.
    """
    name, keys, stored = job.removal, listed(job.keys), stored_before(job.ends, others=False)
    both = f"(subject_key IN ({keys}) OR login_key IN ({keys}))"
    blanked = f"login_key IN ({keys}) AND login_id != '' AND {stored}"
    within = f"one_key IN (0, {keys}) AND other_key IN (0, {keys}) AND one_key + other_key != 0"
    one, other = (f"{side}_key IN ({keys}) AND {side}_id != '' AND {stored}" for side in ("one", "other"))
    return [
        Removal(name, KIND, "identity_links", f"{within} AND {stored}"),
        Removal(f"{name}.one_id", KIND, "identity_links", one, {"one_id": "''"}),
        Removal(f"{name}.other_id", KIND, "identity_links", other, {"other_id": "''"}),
        Removal(name, KIND, "past_persons", f"id_key IN ({keys})"),
        Removal(name, KIND, "bindings", f"anonymous_key IN ({keys}) AND {stored}"),
        Removal(name, KIND, "rulings", f"subject_key IN ({keys}) AND {stored}"),
        Removal(f"{name}.login_id", KIND, "bindings", blanked, {"login_id": "''"}),
        Removal(f"{name}.login_id", KIND, "rulings", blanked, {"login_id": "''"}),
        Removal(name, KIND, "binding_decisions", f"{both} AND {stored}"),
        Removal(name, KIND, "profile_operations", f"id_key IN ({keys}) AND {stored}"),
        Removal(name, KIND, "profiles", f"user_key IN ({keys})"),
        Removal(name, KIND, "overrides", f"id_key IN ({keys})"),
    ]


def listed(keys: Collection[int]) -> str:
    """For `IN (...)`."""
    return ", ".join(str(int(key)) for key in keys)
