"""Which names events and properties may have: the rule of Sensors Analytics' SDKs, with their longer limit.

>>> name_fault("purchase_fund"), name_fault("$pageview")
(None, None)
>>> name_fault("user_id")
<Reason.INVALID_NAME: 'invalid_name'>
"""

from __future__ import annotations

import re
from typing import Final

from footfall.events.limits import NAME_LENGTH
from footfall.events.reasons import Reason

RESERVED: Final = (
    "distinct_id",
    "original_id",
    "time",
    "properties",
    "id",
    "first_id",
    "second_id",
    "users",
    "events",
    "event",
    "user_id",
    "date",
    "datetime",
)
"""Names that nothing may have, in whatever case; nor may a name begin with `user_tag` or `user_group`."""

HOISTED: Final = frozenset({"$project", "$token", "$time", "$is_login_id"})
"""Properties that speak about the record and are never stored as properties of the event."""

_RULE = re.compile(
    rf"(?!(?:{'|'.join(RESERVED)})\Z)(?!user_tag|user_group)[a-z_$][a-z0-9_$]*\Z",
    re.IGNORECASE | re.ASCII,
)


def name_fault(name: str) -> Reason | None:
    """What is wrong with a name, if anything."""
    if len(name) > NAME_LENGTH:
        return Reason.NAME_TOO_LONG
    if _RULE.match(name) is None:
        return Reason.INVALID_NAME
    return None


def explain_name(name: str) -> str:
    """A sentence for the sender of a bad name."""
    shown = repr(name if len(name) <= 60 else name[:57] + "...")
    if name_fault(name) is Reason.NAME_TOO_LONG:
        return f"{shown} has {len(name)} characters, at most {NAME_LENGTH} are allowed"
    lowered = name.lower()
    if lowered in RESERVED or lowered.startswith(("user_tag", "user_group")):
        return f"{shown} is a reserved name"
    return f"{shown} is no name: letters, digits, _ and $ only, and no digit first"


class KnownNames:
    """Good names seen before, so that a usual name costs one set lookup. Bounded: clients choose names.

    Hoisted names are never among them: a record that has one is no usual record.
    """

    def __init__(self, capacity: int = 20_000) -> None:
        self.names: set[str] = set()
        self._capacity = capacity

    def fault(self, name: str) -> Reason | None:
        """As `name_fault`; remembers good names while there is room."""
        if name in self.names:
            return None
        fault = name_fault(name)
        if fault is None and len(self.names) < self._capacity and name not in HOISTED:
            self.names.add(name)
        return fault
