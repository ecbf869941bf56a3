"""What a project's rules drop, and what legal holds keep, made out for the pass that drops."""

from __future__ import annotations

from footfall.rights.person import find_person
from footfall.storage.store import Store
from footfall.workspace import Workspace
from processor.thinning import Held, Thinned


def thinned_by_rules(workspace: Workspace) -> list[Thinned]:
    """Every rule of every project: a grade's with the properties and the events that the tracking plan gives
    this grade now.
    """
    found = []
    for project in workspace.projects():
        rules = workspace.keep_rules.of_project(project.name)
        saved = workspace.plans.current(project.name) if rules else None
        for rule in rules:
            told = f"{rule.kind} {rule.name}"
            if rule.kind == "event":
                found.append(Thinned(project.name, told, rule.keep_days, events=(rule.name,)))
            elif saved is not None:
                grades = saved.plan.grades("event")
                properties = tuple(sorted(name for name, grade in grades.items() if grade == rule.name))
                events = tuple(
                    sorted(name for name, event in saved.plan.events.items() if event.grade == rule.name)
                )
                found.append(Thinned(project.name, told, rule.keep_days, events, properties))
    return found


def held_by(store: Store, workspace: Workspace) -> Held:
    """All legal holds, persons with all their ids now. StoreError."""
    projects: set[str] = set()
    keys: dict[str, frozenset[int]] = {}
    for hold in workspace.holds.all():
        project = workspace.project(hold.project)
        if hold.id_key == 0 or project is None:
            projects.add(hold.project)
        else:
            person = find_person(store, project, hold.id_key)
            keys[hold.project] = keys.get(hold.project, frozenset()) | {*person.keys}
    return Held(frozenset(projects), keys)
