"""How long a project keeps events of a name, and values of properties of a grade."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Final, Literal

from sqlalchemy import Engine, delete, insert, select

from footfall.workspace.projects import MAX_KEEP_DAYS
from footfall.workspace.tables import keep_rules
from footfall.workspace.writing import writing

Kind = Literal["event", "grade"]
GRADES: Final = ("C1", "C2", "C3")
MOST_RULES: Final = 200


class InvalidKeepRule(ValueError):  # noqa: N818 - reads as what it is
    """A rule that cannot be: `field` is its path, `message` what can."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


@dataclass(frozen=True, slots=True)
class KeepRule:
    """Events of a name are dropped, or event properties of a grade blanked, by whole months that
    are over for so many days.
    """

    kind: Kind
    name: str  # an event's, or a grade
    keep_days: int


class KeepRules:
    """Safe to use from several threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def of_project(self, project: str) -> list[KeepRule]:
        mine = (
            select(keep_rules)
            .where(keep_rules.c.project == project)
            .order_by(keep_rules.c.kind, keep_rules.c.name)
        )
        with self._engine.connect() as connection:
            return [
                KeepRule(row["kind"], row["name"], row["keep_days"])
                for row in connection.execute(mine).mappings()
            ]

    def replace(self, project: str, rules: Collection[KeepRule]) -> None:
        """From now on these and no others. InvalidKeepRule."""
        check_rules(rules)
        with writing(self._engine) as connection:
            connection.execute(delete(keep_rules).where(keep_rules.c.project == project))
            if rules:
                rows = [{"project": project, **asdict(rule)} for rule in rules]
                connection.execute(insert(keep_rules), rows)


def check_rules(rules: Collection[KeepRule]) -> None:
    """Raises InvalidKeepRule for the first that is wrong."""
    if len(rules) > MOST_RULES:
        raise InvalidKeepRule("rules", f"use at most {MOST_RULES} rules")
    seen: set[tuple[str, str]] = set()
    for number, rule in enumerate(rules):
        if not 1 <= rule.keep_days <= MAX_KEEP_DAYS:
            raise InvalidKeepRule(f"rules[{number}].keep_days", f"use 1 to {MAX_KEEP_DAYS} days")
        if rule.kind == "grade" and rule.name not in GRADES:
            raise InvalidKeepRule(f"rules[{number}].name", f"{rule.name!r} is none of {', '.join(GRADES)}")
        if not rule.name.strip():
            raise InvalidKeepRule(f"rules[{number}].name", "name an event, as it was sent")
        if (rule.kind, rule.name) in seen:
            raise InvalidKeepRule(f"rules[{number}].name", f"the {rule.kind} {rule.name!r} comes twice")
        seen.add((rule.kind, rule.name))
