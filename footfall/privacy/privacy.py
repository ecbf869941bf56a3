"""A project's privacy, put together: from an array of records to the array that may rest."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from footfall.events.addresses import country_of, truncated
from footfall.events.nobody import identifies_nobody
from footfall.events.record import split_array
from footfall.privacy.native import scanners_for
from footfall.privacy.never_collect import plain_name
from footfall.privacy.records import Records
from footfall.privacy.rulebook import Grades, Rulebook
from footfall.privacy.settings import PrivacySettings
from footfall.privacy.splicing import Splicer
from footfall.privacy.stand_ins import StandIns
from footfall.privacy.suites import SuiteName
from footfall.privacy.values import Done, Masked, Place, Values

NO_GRADES: Final[Grades] = {}
NO_MONEY: Final[frozenset[str]] = frozenset()
_AGENTS: Final = 2_000


class Privacy:
    """Immutable in what it does. Safe to use from several threads.

    Event ids are made before it comes: masking must not merge different events.
    """

    def __init__(
        self,
        project: str,
        settings: PrivacySettings,
        installation_key: bytes,
        *,
        suite: SuiteName = "intl",
        grades: Grades = NO_GRADES,
        money: frozenset[str] = NO_MONEY,
        is_nobody: Callable[[str], bool] = identifies_nobody,
        id_keys: Collection[str] = (),
    ) -> None:
        """`suite`: the installation's. `grades`, `money` (what is declared decimal): the tracking plan's."""
        self.settings = settings
        self.stand_ins = StandIns(installation_key, project, settings.suite or suite)
        self._rulebook = rulebook = Rulebook(settings, grades)
        self._values = Values(settings, self.stand_ins, is_nobody, id_keys, rulebook.identity)
        self._records = Records(self._values, rulebook, settings.ip, money)
        names = rulebook.names() | {plain_name("$ip")} if settings.ip != "keep" else rulebook.names()
        self._may_hold, entries_of = scanners_for(names)
        self._splicer = Splicer(self._records, entries_of)
        self._looks_at_all = self._values.looks_at_all_ids or rulebook.concerns_any_name
        self._clean_agents: set[str] = set()

    def array(self, events: bytes, sealed: Collection[int], masked: Masked) -> bytes:
        """A JSON array of records as it may rest; those at the indexes `sealed` stay as they are.

        Where nothing is to be hidden, it is the very same bytes.
        """
        if not (self._looks_at_all or self._may_hold(events)):
            return events
        elements = [bytes(element) for element in split_array(events)]
        alone = len(elements) == 1
        for index, element in enumerate(elements):
            if index not in sealed and (alone or self._looks_at_all or self._may_hold(element)):
                elements[index] = self._splicer.rewritten(element, masked)
        return b"[" + b",".join(elements) + b"]"

    def user_agent(self, text: str, masked: Masked) -> str:
        """A request's User-Agent as it may rest."""
        if text in self._clean_agents:
            return text
        place = Place("", "user_agent")
        verdict = self._rulebook.verdict("event", "", "user_agent")
        if verdict is None:
            shown = self._values.text(text, place, masked)
        elif verdict.action == "keep":
            return text
        else:
            shown = self._values.whole(text, verdict.action) or ""
            masked[Done(*place, verdict.why, verdict.action)] += 1
        if shown is text:
            if len(self._clean_agents) >= _AGENTS:
                self._clean_agents.clear()
            self._clean_agents.add(text)
        return shown

    def address(self, ip: str) -> tuple[str, str]:
        """What of a request's address may rest, and the country behind it (ISO 3166, or "")."""
        rule = self.settings.ip
        kept = ip if rule == "keep" else truncated(ip) if rule == "truncate" else ""
        return kept, country_of(ip)

    def id(self, id_: str) -> str:
        """An id as records that carry it rest: what a look-up by the raw id must look for."""
        return self._values.id(id_, Place("", ""), Masked())

    def text(self, text: str) -> str:
        """Any text with what detection finds hidden, for messages."""
        return self._values.text(text, Place("", ""), Masked())

    def explain(self, record: bytes) -> tuple[bytes, Masked]:
        """What would become of a record (JSON object), whatever the scanner says of it."""
        masked = Masked()
        return self._records.rewritten(record, masked), masked
