"""Tracking plans of projects: the one that counts, and those before it with who made them.

A version, once written, never changes: what was judged and typed by it can be told for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Engine, func, insert, select
from sqlalchemy.exc import IntegrityError

from footfall.tracking_plan.plan import Plan, PropertyType, Source
from footfall.tracking_plan.writing import plan_of_text, write_plan
from footfall.workspace.tables import plan_versions
from footfall.workspace.writing import writing

NO_PLAN = 0
"""The version of a project that has no plan yet."""


class PlanConflict(ValueError):  # noqa: N818 - reads as what it is
    """Somebody else has changed the plan since: `version` is the one that counts now."""

    def __init__(self, version: int) -> None:
        super().__init__(
            f"the plan is at version {version} now: read it again, and send your change with that version"
        )
        self.version = version


@dataclass(frozen=True, slots=True)
class PlanVersion:
    """A version's number and its history; `changed_at` in epoch milliseconds."""

    version: int
    changed_at: int
    changed_by: str


@dataclass(frozen=True, slots=True)
class SavedPlan:
    """A version with its plan."""

    project: str
    version: int
    plan: Plan
    changed_at: int
    changed_by: str


class Plans:
    """Safe to use from several threads and processes."""

    def __init__(self, engine: Engine) -> None:
        """`engine`'s tables exist; see opening.open_workspace."""
        self._engine = engine

    def current_version(self, project: str) -> int:
        """The version that counts, NO_PLAN without one: cheap, for those that know the plan of a version."""
        newest = select(func.max(plan_versions.c.version)).where(plan_versions.c.project == project)
        with self._engine.connect() as connection:
            return connection.scalar(newest) or NO_PLAN

    def current(self, project: str) -> SavedPlan | None:
        """The plan that counts; None for a project without one."""
        mine = select(plan_versions).where(plan_versions.c.project == project)
        newest = mine.order_by(plan_versions.c.version.desc()).limit(1)
        with self._engine.connect() as connection:
            row = connection.execute(newest).mappings().first()
        return None if row is None else SavedPlan(**{**row, "plan": plan_of_text(row["plan"])})

    def version(self, project: str, version: int) -> SavedPlan | None:
        """A version of the plan, also one that counts no more."""
        found = select(plan_versions).where(
            plan_versions.c.project == project, plan_versions.c.version == version
        )
        with self._engine.connect() as connection:
            row = connection.execute(found).mappings().first()
        return None if row is None else SavedPlan(**{**row, "plan": plan_of_text(row["plan"])})

    def types(self, project: str, version: int) -> Mapping[Source, Mapping[str, PropertyType]]:
        """The types that a version of the plan declares, by source and property; none where it is not known:
        a workspace that was put back from an older backup.
        """
        saved = self.version(project, version)
        if saved is None:
            return {}
        sources: tuple[Source, ...] = ("event", "user", "item")
        return {source: saved.plan.types(source) for source in sources}

    def history(self, project: str, limit: int) -> list[PlanVersion]:
        """The latest versions, newest first."""
        columns = (plan_versions.c.version, plan_versions.c.changed_at, plan_versions.c.changed_by)
        found = select(*columns).where(plan_versions.c.project == project)
        with self._engine.connect() as connection:
            rows = connection.execute(found.order_by(plan_versions.c.version.desc()).limit(limit)).all()
        return [PlanVersion(*row) for row in rows]

    def save(self, project: str, plan: Plan, *, base: int, by: str, now: int) -> SavedPlan:
        """Makes `plan` the one that counts from now (epoch ms) on. `project` exists.

        `base` is the version that the change was made on (NO_PLAN: none). PlanConflict where that is not the
        one that counts. A plan that is the same as the one before makes no version.
        """
        current = self.current(project)
        version = current.version if current is not None else NO_PLAN
        if version != base:
            raise PlanConflict(version)
        if current is not None and write_plan(current.plan) == write_plan(plan):
            return current
        saved = SavedPlan(project, base + 1, plan, now, by)
        values = {
            "project": project,
            "version": saved.version,
            "plan": write_plan(plan),
            "changed_at": now,
            "changed_by": by,
        }
        try:
            with writing(self._engine) as connection:
                connection.execute(insert(plan_versions).values(values))
        except IntegrityError as error:
            raise PlanConflict(base + 1) from error
        return saved
