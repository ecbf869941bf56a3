"""The slow, obvious model of the strategy `global`: everything at once, from the rules of docs/identity.md as
they are written.

Shares no code with the processor. An id is written as its text: `key+value`, a plain id as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tests.reference.identity import Word, follow, merged

LOGIN, PLAIN = "login", "plain"


class Key(NamedTuple):
    """A declared key; the first of a list has the highest priority."""

    name: str
    limit: int | None = None  # values of a person
    parent: str | None = None
    replaces: bool = False


class Told(NamedTuple):
    """What a record says: `link` and `bind` of all its ids, `unbind` of an id, or of pairs with the first."""

    kind: str
    ids: tuple[str, ...]
    logins: frozenset[str]  # those of them that it names as logins
    trusted: bool
    received_at: int
    seq: int
    event_id: int

    @property
    def when(self) -> tuple[int, int, int]:
        return (self.received_at, self.seq, self.event_id)


class Link(NamedTuple):
    """Two ids that a record linked."""

    one: str
    other: str
    trusted: bool
    when: tuple[int, int, int]
    place: int  # of the other id's key

    @property
    def ends(self) -> set[str]:
        return {self.one, self.other}


class Model:
    """One project."""

    def __init__(
        self, keys: Sequence[Key], said: Iterable[Told], *, only_trusted: bool = False, limit: int = 3
    ) -> None:
        self.keys = {key.name: key for key in keys}
        self.priority = [key.name for key in keys]
        self.said = list(said)
        self.only_trusted = only_trusted
        self.limit = limit
        self.logins = {id_ for told in self.said if told.trusted or not only_trusted for id_ in told.logins}
        self.all_links = [link for told in self.said if told.kind != "unbind" for link in self.links(told)]

    def key(self, id_: str) -> Key:
        if "+" in id_:
            return self.keys[id_.partition("+")[0]]
        return self.keys[LOGIN if id_ in self.logins else PLAIN]

    def links(self, told: Told) -> list[Link]:
        """The main id with each other one; a child with its parent, if that is there."""
        named = {id_: self.told_name(id_, told) for id_ in told.ids}
        ids = sorted(told.ids, key=lambda id_: self.priority.index(named[id_]))
        found = []
        for id_ in ids[1:]:
            parents = [each for each in ids if named[each] == self.keys[named[id_]].parent]
            place = self.priority.index(named[id_])
            found.append(Link((parents or ids)[0], id_, told.trusted, told.when, place))
        return found

    def first(self, one: str, other: str) -> tuple[int, int, int]:
        return min(link.when for link in self.all_links if link.ends == {one, other})

    def is_taken_back(self, link: Link) -> bool:
        """Of the words against the pair one counts that nothing outweighed later."""
        first = self.first(link.one, link.other)
        for told in self.said:
            if told.kind != "unbind" or not told.when > first:
                continue
            if not told.trusted and (link.trusted or self.only_trusted):
                continue
            if not self.is_against(told, link):
                continue
            again = [
                each
                for each in self.said
                if each.kind == "bind"
                and each.when > told.when
                and (each.trusted or not told.trusted)
                and any(bound.ends == link.ends for bound in self.links(each))
            ]
            if not again:
                return True
        return False

    def is_against(self, told: Told, link: Link) -> bool:
        if len(told.ids) > 1:
            ids = sorted(told.ids, key=lambda id_: self.priority.index(self.told_name(id_, told)))
            return any(link.ends == {ids[0], other} for other in ids[1:])
        gone = told.ids[0]
        for own, partner in ((link.one, link.other), (link.other, link.one)):
            if own == gone and self.key(partner).parent != self.key(own).name:
                return True
            is_child = self.key(own).parent == self.key(gone).name and gone in self.neighbours(own)
            if is_child and partner != gone and told.when > self.first(own, gone):
                return True
        return False

    def told_name(self, id_: str, told: Told) -> str:
        return LOGIN if id_ in told.logins else id_.partition("+")[0] if "+" in id_ else PLAIN

    def counted(self) -> list[Link]:
        return [link for link in self.all_links if link.trusted or not self.only_trusted]

    def neighbours(self, id_: str) -> set[str]:
        return {each for link in self.counted() if id_ in link.ends for each in link.ends - {id_}}

    def is_shared(self, id_: str) -> bool:
        """More values than the limit of some key that takes one were bound to it."""
        if self.key(id_).limit == 1:
            return False
        standing = {
            each
            for link in self.counted()
            if id_ in link.ends and not self.is_taken_back(link)
            for each in link.ends - {id_}
        }
        names = [self.key(each).name for each in standing if self.key(each).limit == 1]
        return any(names.count(name) > self.limit for name in names)

    def persons(self, ids: Iterable[str], words: Iterable[Word] = ()) -> dict[str, str]:
        """For each id the id that stands for its person."""
        into = merged(list(words))
        accepted = self.accepted()
        return {
            id_: follow(self.representative(self.component(id_, accepted), accepted), into) for id_ in ids
        }

    def accepted(self) -> list[Link]:
        """The links that count, taken up one by one."""
        earliest: dict[tuple[frozenset[str], bool], Link] = {}
        for link in sorted(self.counted(), key=lambda each: each.when):
            earliest.setdefault((frozenset(link.ends), link.trusted), link)
        standing = [
            link
            for link in earliest.values()
            if not self.is_shared(link.one)
            and not self.is_shared(link.other)
            and not self.is_taken_back(link)
        ]
        accepted: list[Link] = []
        for link in sorted(standing, key=rank):
            accepted = self.take_up(link, accepted)
        return accepted

    def take_up(self, link: Link, accepted: list[Link]) -> list[Link]:
        one, other = self.component(link.one, accepted), self.component(link.other, accepted)
        if one == other:
            return [*accepted, link]
        pushed_out: set[str] = set()
        for key in self.keys.values():
            values = [id_ for id_ in one | other if self.key(id_).name == key.name]
            own = [id_ for id_ in values if id_ in one]
            if key.limit is None or len(values) <= key.limit or len(own) in (0, len(values)):
                continue
            found = self.push_out(key, values, link, [*accepted, link])
            if found is None:
                return accepted
            pushed_out |= found
        return [each for each in [*accepted, link] if not each.ends & pushed_out]

    def push_out(self, key: Key, values: list[str], link: Link, links: list[Link]) -> set[str] | None:
        if not key.replaces:
            return None
        joined = {
            id_: min((rank(each) for each in links if id_ in each.ends), default=None) for id_ in values
        }
        if not link.trusted:  # what a server bound a client does not push out
            values = [id_ for id_ in values if joined[id_] is not None and joined[id_][0]]  # type: ignore[index]
        excess = len(joined) - (key.limit or 0)
        oldest = sorted(values, key=lambda id_: (*(joined[id_] or (True, (1 << 64,)))[1:], id_))
        return set(oldest[:excess]) if len(oldest) >= excess else None

    def component(self, id_: str, accepted: list[Link]) -> set[str]:
        found = {id_}
        while more := {each for link in accepted if link.ends & found for each in link.ends} - found:
            found |= more
        return found

    def representative(self, component: set[str], accepted: list[Link]) -> str:
        """Of the key with the highest priority the first that was linked."""

        def place(id_: str) -> tuple[int, object, str]:
            ranks = [rank(link) for link in accepted if id_ in link.ends]
            return (self.priority.index(self.key(id_).name), min(ranks, default=()), id_)

        return min(component, key=place)


def rank(link: Link) -> tuple[bool, tuple[int, int, int], int, str, str]:
    return (not link.trusted, link.when, link.place, link.other, link.one)
