"""Declared identity keys of a project under the strategy `global`, and the ids that a record carries by them.

An id is a key and a value. Its text, which stands for it everywhere, is `key+value`, as Sensors Analytics'
SDKs write it; the plain ids (`login_id`, `distinct_id`, `anonymous_id`) are those of `$identity_login_id` and
`$identity_anonymous_id` and stand for themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

from footfall.events.nobody import IsNobody
from footfall.events.record import Record, telling

LOGIN: Final = "$identity_login_id"
ANONYMOUS: Final = "$identity_anonymous_id"

PLAIN: Final = (LOGIN, ANONYMOUS)
"""Keys whose ids are plain: `login_id` and the like name the same."""

Values = Literal["one", "many"]
Overflow = Literal["refuse", "replace"]


class IdentityKey(NamedTuple):
    """A kind of id that a person may have."""

    name: str
    values: Values = "many"  # of a person
    parent: str | None = None  # whose unbinding takes along the ids of this key that came with it
    most: int | None = None  # values of a person, for `many`; None: any number
    overflow: Overflow = "refuse"  # one value too many: it is refused, or takes the place of the oldest

    @property
    def limit(self) -> int | None:
        """How many values a person may have."""
        return 1 if self.values == "one" else self.most


DEFAULT_KEYS: Final = (
    IdentityKey(LOGIN, "one"),
    IdentityKey("$identity_mobile", "one"),
    IdentityKey("$identity_email", "one"),
    IdentityKey("$identity_mp_unionid"),
    IdentityKey("$identity_mp_openid", parent="$identity_mp_unionid"),
    IdentityKey(ANONYMOUS),
    IdentityKey("$identity_cookie_id"),
    IdentityKey("$identity_android_id"),
    IdentityKey("$identity_android_uuid"),
    IdentityKey("$identity_ios_uuid"),
    IdentityKey("$identity_idfv"),
    IdentityKey("$identity_harmony_uuid"),
    IdentityKey("$identity_mp_id"),
)
"""What a project has that declares none: the names that Sensors Analytics' SDKs send."""


class Node(NamedTuple):
    """An id: the name of its key, and its text."""

    name: str
    id: str


class IdentityKeys:
    """A project's keys, the one with the highest priority first."""

    def __init__(self, keys: Sequence[IdentityKey] = DEFAULT_KEYS) -> None:
        self.keys = tuple(keys)
        self._by_name = {key.name: key for key in self.keys}
        self._place = {key.name: place for place, key in enumerate(self.keys)}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IdentityKeys) and self.keys == other.keys

    def __hash__(self) -> int:
        return hash(self.keys)

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def __getitem__(self, name: str) -> IdentityKey:
        return self._by_name[name]

    @property
    def names(self) -> Sequence[str]:
        return [key.name for key in self.keys]

    def priority(self, name: str) -> int:
        """The least is the highest; what is not declared comes last."""
        return self._place.get(name, len(self.keys))

    def limit(self, name: str) -> int | None:
        """How many values of a key a person may have."""
        key = self._by_name.get(name)
        return None if key is None else key.limit

    def parent(self, name: str) -> str | None:
        key = self._by_name.get(name)
        return None if key is None else key.parent

    def node(self, name: str, value: str) -> Node:
        """The id that a declared key and a value make."""
        return self.plain(value, name) if name in PLAIN else Node(name, f"{name}+{value}")

    def plain(self, text: str, name: str = ANONYMOUS) -> Node:
        """The id that a plain text is: of a declared key where it is `key+value`, else one of key `name`."""
        found, plus, value = text.partition("+")
        if plus and value and found in self._by_name and found not in PLAIN:
            return Node(found, text)
        return Node(name, text)


def nodes_of(record: Record, keys: IdentityKeys, is_nobody: IsNobody) -> list[Node]:
    """All ids that a record carries, each once, the main one first: whose record it is.

    An unbinding names the ids that are taken off somebody; it is the record of its `distinct_id`.
    """
    found: dict[str, str] = {}
    for node in _told(record, keys, is_nobody):
        known = found.get(node.id)
        if known is None or node.name == LOGIN:
            found[node.id] = node.name
    nodes = [Node(name, text) for text, name in found.items()]
    nodes.sort(key=lambda node: keys.priority(node.name))  # stable: of equal ones the first told
    if record.type == "track_id_unbind" and (own := telling(record.distinct_id, is_nobody)):
        main = keys.plain(own).id
        nodes.sort(key=lambda node: node.id != main)
    return nodes


def _told(record: Record, keys: IdentityKeys, is_nobody: IsNobody) -> Iterator[Node]:
    values: dict[str, str] = {}
    for name, value in told_identities(record.identities, keys):
        if telling(value, is_nobody):
            values.setdefault(value, name)
            yield keys.node(name, value)
    if login := telling(record.login_id, is_nobody):
        yield keys.plain(login, LOGIN)
    for plain in (record.anonymous_id, record.original_id):
        if told := telling(plain, is_nobody):
            yield keys.plain(told)
    if own := telling(record.distinct_id, is_nobody):
        is_login = record.type == "track_signup" or record.properties.get("$is_login_id") is True
        same = values.get(own)
        if is_login or same is None or keys[same].values == "many" or same in PLAIN:
            yield keys.plain(own, LOGIN if is_login else ANONYMOUS)


def told_identities(identities: Mapping[str, Any] | None, keys: IdentityKeys) -> Iterable[tuple[str, str]]:
    """(key, value) for each entry under a declared key; of a list each."""
    for name, told in (identities or {}).items():
        if name in keys:
            for value in told if isinstance(told, list) else [told]:
                if isinstance(value, str):
                    yield name, value


def undeclared(identities: Mapping[str, Any] | None, keys: IdentityKeys) -> str | None:
    """The first name of `identities` that the project does not declare."""
    return next((name for name in identities or () if name not in keys), None)
