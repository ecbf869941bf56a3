"""What the nodes of paths are called: a row's own name as a hash, and the label that the name becomes.

A name is the event's or a property's value; a label is the name cleaned and grouped. Rows carry the name's
hash; labels are made once for each different name, however many rows have it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from query_api.spec.paths import PathsSpec
from query_api.spec.selector import Selector
from query_api.sql.events import EventSql

MIDDLE = "..."
"""The node between both points that stands for those left out."""


@dataclass(frozen=True, slots=True)
class NodeNameSql:
    """Writes SQL of names and labels, for one query over events.

    `by_label`: rows carry their label's hash instead, where there are too many names to tell apart.
    `known`: all names that rows can have, if that can be told without reading them.
    """

    sql: EventSql
    spec: PathsSpec
    by_label: bool = False
    known: tuple[str, ...] | None = None

    def hash(self) -> str:
        """UInt64, never 0: the hash of a row's name."""
        if self.by_label:
            return f"CAST({hash_of(self.name())}, 'UInt64')"
        # Value and event are hashed each for itself: a column of few texts is hashed by text, not by row.
        return f"CAST({self._choose(hash_of)}, 'UInt64')"

    def name(self) -> str:
        """String: a row's name; its label, if rows carry that."""
        name = self._choose(lambda text: text)
        return self._labelled(name) if self.by_label else name

    def label(self, name: str) -> str:
        """String: the label of a name."""
        return name if self.by_label else self._labelled(name)

    def _labelled(self, name: str) -> str:
        """Cleaning comes first, then the first group that the result contains."""
        parameters, label = self.sql.parameters, name
        for rule in self.spec.clean:
            pattern, replacement = parameters.text(rule.pattern), parameters.text(rule.replace)
            label = f"replaceRegexpAll({label}, {pattern}, {replacement})"
        if not self.spec.groups:
            return label
        choices = [
            f"cleaned LIKE {parameters.text(contains(group))}, {parameters.text(group)}"
            for group in self.spec.groups
        ]
        return f"arrayMap(cleaned -> multiIf({', '.join(choices)}, cleaned), [{label}])[1]"

    def _choose(self, write: Callable[[str], str]) -> str:
        """What is written of the property's value where that names the node, else of the event's name."""
        node = self.spec.node
        if node is None:
            return write("event")
        found = self.sql.property(node.property)
        value = write(without_slash(f"ifNull({found.canonical}, '')"))
        tests = [found.present]
        if node.for_ is not None:
            tests.append(self.sql.taken(Selector(event=node.for_)))
        return f"if({' AND '.join(tests)}, {value}, {write('event')})"


def hash_of(text: str) -> str:
    """The hash of a text; 0 is none."""
    return f"greatest(sipHash64({text}), 1)"


def without_slash(value: str) -> str:
    """A value without the one slash at its end, unless that is all of it.

    One function of the value: where a column has few texts, the engine applies it to texts instead of rows.
    """
    return rf"replaceRegexpOne({value}, '(\\C)/\\z', '\\1')"


def contains(group: str) -> str:
    """The LIKE pattern of texts that contain a group, whose `*` are any characters.

    >>> contains("/a_b/*")
    '%/a\\\\_b/%%'
    """
    escaped = "".join(f"\\{letter}" if letter in "\\%_" else letter for letter in group)
    return f"%{escaped.replace('*', '%')}%"


def point_names(point: str | None) -> Sequence[str]:
    """What a start or an end may be called: itself, or without the slash that names of nodes do not have."""
    if point is None:
        return ()
    return (point, point[:-1]) if len(point) > 1 and point.endswith("/") else (point,)
