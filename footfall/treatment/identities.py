"""Under the strategy `global` a record with an identity key that its project does not declare is refused
whole: who it is of could be told only in part, and would be told otherwise once the key is declared.
"""

from __future__ import annotations

from difflib import get_close_matches

from footfall.events.identity_keys import IdentityKeys, undeclared
from footfall.events.log_record import Refusal
from footfall.events.reasons import Reason
from footfall.events.verdicts import Verdicts
from footfall.tracking_plan.judging import shown_name


def undeclared_identities(verdicts: Verdicts, keys: IdentityKeys) -> list[Refusal]:
    """A refusal for each accepted record that names a key which is not declared."""
    return [
        Refusal(index, Reason.UNDECLARED_IDENTITY.value, f"identities.{name}", _explain(name, keys))
        for index, record in enumerate(verdicts.records)
        if record is not None and record.identities
        if (name := undeclared(record.identities, keys)) is not None
    ]


def _explain(name: str, keys: IdentityKeys) -> str:
    near = get_close_matches(name[:100], keys.names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"{shown_name(name)!r} is not among the identity keys that the project declares{hint}"
