"""Keys of ids, remembered: the same ids, and records with the same ids, come again and again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from footfall.events.identity_keys import IdentityKeys, Node, nodes_of
from footfall.events.keys import NOBODY, KeyedHash
from footfall.events.nobody import IsNobody, identifies_nobody
from footfall.events.record import Record, carried_id
from processor.recent import Recent

_NodesPlace = tuple[
    str, str, str | None, str | None, str | None, str | None, bool, tuple[tuple[str, str], ...]
]


class IdKeys:
    """KeyedHash.id_key with a memory; NOBODY for ids that identify nobody."""

    def __init__(
        self,
        keyed_hash: KeyedHash,
        capacity: int = 200_000,
        nobody_of: Callable[[str], IsNobody] = lambda _: identifies_nobody,
        keys_of: Callable[[str], IdentityKeys | None] = lambda _: None,
    ) -> None:
        """`nobody_of` a project says which of its ids identify nobody, `keys_of` its declared identity keys,
        if ids become persons by them; each is asked once a project.
        """
        self._hash = keyed_hash
        self._nobody_of = nobody_of
        self._keys_of = keys_of
        self._tests: dict[str, IsNobody] = {}
        self._keys: dict[str, IdentityKeys | None] = {}
        self._recent: Recent[tuple[str, str], int] = Recent(capacity)
        self._carried: Recent[tuple[str, str | None, str | None, str | None], int] = Recent(capacity)
        self._nodes: Recent[_NodesPlace, tuple[Node, ...]] = Recent(capacity)

    def key(self, project: str, distinct_id: str) -> int:
        """The 64-bit key of an id within a project."""
        key = self._recent.get((project, distinct_id))
        if key is None:
            nobody = self.nobody_in(project)(distinct_id)
            key = NOBODY if nobody else self._hash.id_key(project, distinct_id)
            self._recent[project, distinct_id] = key
        return key

    def carried(self, project: str, records: Sequence[Record]) -> list[int]:
        """The keys of the ids that records carry."""
        if self.has_identity_keys(project):
            return [self._main_key(project, record) for record in records]
        return [self._carried_key(project, record) for record in records]

    def _carried_key(self, project: str, record: Record) -> int:
        ids = (project, record.distinct_id, record.login_id, record.anonymous_id)
        key = self._carried.get(ids)
        if key is None:
            key = self._carried[ids] = self.key(project, carried_id(record, self.nobody_in(project)))
        return key

    def _main_key(self, project: str, record: Record) -> int:
        nodes = self.nodes(project, record)
        return self.node_key(project, nodes[0]) if nodes else NOBODY

    def carried_id(self, project: str, record: Record) -> str:
        """The id that a record carries."""
        if self.has_identity_keys(project):
            nodes = self.nodes(project, record)
            return nodes[0].id if nodes else ""
        return carried_id(record, self.nobody_in(project))

    def nodes(self, project: str, record: Record) -> tuple[Node, ...]:
        """All declared ids that a record carries, the main one first."""
        told: list[tuple[str, str]] = []
        is_plain = True
        for name, value in (record.identities or {}).items():
            is_plain = is_plain and isinstance(value, str)
            told.append((name, value))
        kind = record.type if record.type in ("track_signup", "track_id_unbind") else ""
        place = (
            project, kind, record.distinct_id, record.login_id, record.anonymous_id, record.original_id,
            record.properties.get("$is_login_id") is True, tuple(told),
        )  # fmt: skip
        nodes = self._nodes.get(place) if is_plain else None
        if nodes is None:
            nodes = tuple(nodes_of(record, self.identity_keys(project), self.nobody_in(project)))
            if is_plain:
                self._nodes[place] = nodes
        return nodes

    def node_key(self, project: str, node: Node) -> int:
        """The key of a declared id: that of its text, whose value was found to identify somebody."""
        key = self._recent.get((project, node.id))
        if key is None or key == NOBODY:
            key = self._hash.id_key(project, node.id)
            self._recent[project, node.id] = key
        return key

    def nobody_in(self, project: str) -> IsNobody:
        """Which ids of a project identify nobody."""
        test = self._tests.get(project)
        if test is None:
            test = self._tests[project] = self._nobody_of(project)
        return test

    def has_identity_keys(self, project: str) -> bool:
        """Whether the project's ids become persons by declared keys."""
        if project not in self._keys:
            self._keys[project] = self._keys_of(project)
        return self._keys[project] is not None

    def identity_keys(self, project: str) -> IdentityKeys:
        """The keys of a project that has some."""
        keys = self._keys[project] if self.has_identity_keys(project) else None
        assert keys is not None, f"project {project!r} declares no identity keys"
        return keys
