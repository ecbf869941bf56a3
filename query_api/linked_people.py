"""Who is behind an id where ids become persons by declared keys (strategy `global`): as the processor has it,
from the same links by the same rules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from footfall.events.components import resolve_graph
from footfall.events.identity_graph import NodeTies, reach
from footfall.events.identity_keys import IdentityKeys
from footfall.storage.links import StoredLinks
from footfall.storage.ties import StoredTies
from footfall.workspace.projects import Project
from query_api.store_reader import StoreReader


@dataclass(frozen=True, slots=True)
class LinkedIds:
    """The ids of some persons, and the keys that their rows may be stamped with."""

    ties: Mapping[int, NodeTies]  # of their ids, by key
    person_of: Mapping[int, int]
    stamps: set[int]


def find_linked_person(reader: StoreReader, project: Project, key: int) -> int:
    """The key of the person behind the id with this key, known or not."""
    rules = project.identity.resolution
    component = resolve_graph(reach([key], StoredLinks(reader.rows), rules), rules).persons[key]
    return StoredTies(reader.rows).merges(project.name).root(component)


def read_linked_ids(reader: StoreReader, project: Project, keys: Sequence[int]) -> LinkedIds:
    """All ids of the persons with these keys."""
    rules, stored = project.identity.resolution, StoredLinks(reader.rows)
    merges = StoredTies(reader.rows).merges(project.name)
    logins = {login: person for person in keys for login in merges.logins_of(person)}
    reached = reach(logins, stored, rules)
    components = resolve_graph(reached, rules).persons
    person_of = {key: logins[component] for key, component in components.items() if component in logins}
    person_of |= {login: person for login, person in logins.items() if login not in components}
    stamps = {*keys, *person_of, *stored.past_persons(project.name, person_of.keys())}
    return LinkedIds({key: reached.ties[key] for key in person_of if key in reached.ties}, person_of, stamps)


def identities_of(
    ids: Sequence[NodeTies], others: Sequence[str], project: Project, keys: IdentityKeys
) -> dict[str, list[str]]:
    """A person's ids by the name of their key, the highest priority first; `others` are plain ids that
    nothing links.
    """
    rules = project.identity.resolution
    nodes = [(ties.name_in(rules), ties.id) for ties in ids if ties.id]
    nodes += [(keys.plain(text).name, text) for text in others]
    found: dict[str, list[str]] = {}
    for name, text in sorted(nodes, key=lambda node: (keys.priority(node[0]), node)):
        found.setdefault(name, []).append(text.removeprefix(f"{name}+"))
    return found
