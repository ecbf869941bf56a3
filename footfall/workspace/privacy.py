"""What projects have set about privacy."""

from __future__ import annotations

import json
from dataclasses import dataclass

from sqlalchemy import Engine, delete, insert, select

from footfall.privacy.settings import PrivacySettings, read_settings
from footfall.workspace.tables import privacy_settings
from footfall.workspace.writing import writing


@dataclass(frozen=True, slots=True)
class SavedPrivacy:
    """Settings, and who made them so; `changed_at` in epoch milliseconds."""

    settings: PrivacySettings
    changed_at: int
    changed_by: str


class PrivacyRules:
    """Safe to use from several threads and processes."""

    def __init__(self, engine: Engine) -> None:
        """`engine`'s tables exist; see opening.open_workspace."""
        self._engine = engine
        self._read: dict[str, PrivacySettings] = {}  # by text: most projects say the same, every second

    def saved(self, project: str) -> SavedPrivacy | None:
        """What was set; None for a project that goes with the defaults."""
        found = select(privacy_settings).where(privacy_settings.c.project == project)
        with self._engine.connect() as connection:
            row = connection.execute(found).mappings().first()
        if row is None:
            return None
        return SavedPrivacy(self._settings(row["settings"]), row["changed_at"], row["changed_by"])

    def settings(self, project: str) -> PrivacySettings:
        """What counts for a project now."""
        found = select(privacy_settings.c.settings).where(privacy_settings.c.project == project)
        with self._engine.connect() as connection:
            text = connection.scalar(found)
        return self._settings(text or "{}")

    def _settings(self, text: str) -> PrivacySettings:
        known = self._read.get(text)
        if known is None:
            known = read_settings(json.loads(text))
            if len(self._read) >= 1_000:
                self._read.clear()
            self._read[text] = known
        return known

    def save(self, project: str, settings: PrivacySettings, *, by: str, now: int) -> None:
        """Makes these settings count from now (epoch ms) on. `project` exists."""
        text = json.dumps(settings.as_json(), ensure_ascii=False, separators=(",", ":"))
        values = {"project": project, "settings": text, "changed_at": now, "changed_by": by}
        with writing(self._engine) as connection:
            connection.execute(delete(privacy_settings).where(privacy_settings.c.project == project))
            connection.execute(insert(privacy_settings).values(values))
