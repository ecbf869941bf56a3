"""Dead letters that are encrypted envelopes, opened with the keys that a project has by now."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from prometheus_client import Counter

from footfall.envelopes.keys import KeyRing, RingOf
from footfall.envelopes.opening import Asked, Element, Inner, Room, read_element, unwrap, wanted

_MOST_BYTES: Final = 64 << 20
"""What may come out of one envelope."""

_MOST_SESSIONS: Final = 10_000


class LetterEnvelopes:
    """For the letters of one replay of one project: session keys are opened once."""

    def __init__(self, project: str, ring_of: RingOf, uses: Counter) -> None:
        """`uses` counts what private keys are used for, by project, key and outcome."""
        self._project = project
        self._ring: KeyRing = ring_of(project)
        self._uses = uses
        self._sessions: OrderedDict[tuple[str, bytes], bytes | None] = OrderedDict()

    def open(self, raw: bytes) -> list[Inner] | None:
        """The records inside, and what could not be opened; None for a letter that is no envelope."""
        element = read_element(raw)
        if element.sealed is None and element.fault is None:
            return None
        return unwrap(element, self._ring, self._open_sessions(element), Room(_MOST_BYTES))

    def _open_sessions(self, element: Element) -> dict[tuple[str, bytes], bytes | None]:
        return {(asked.key.name, asked.ekey): self._session(asked) for asked in wanted([element], self._ring)}

    def _session(self, asked: Asked) -> bytes | None:
        name = (asked.key.name, asked.ekey)
        if name not in self._sessions:
            session = asked.key.open_session(asked.ekey)
            outcome = "refused" if session is None else "opened"
            self._uses.labels(self._project, asked.key.name, outcome).inc()
            self._sessions[name] = session
            if len(self._sessions) > _MOST_SESSIONS:
                self._sessions.popitem(last=False)
            return session
        return self._sessions[name]
