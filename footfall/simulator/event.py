"""What a simulated customer did, as it truly was."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """One record: a track event, a sign-up or a profile operation. Times are true, in epoch milliseconds."""

    person: str  # who it really was; nothing of it goes over the wire
    device: str  # the anonymous id of the device that it happened on
    type: str
    event: str | None
    time_ms: int
    event_id: str
    distinct_id: str
    anonymous_id: str | None = None
    login_id: str | None = None
    properties: dict[str, Any] = field(default_factory=dict)
    time_free: bool = False
    refused: str = ""  # the reason for which a collector must turn it away

    @property
    def original_id(self) -> str | None:
        """Of a sign-up: the anonymous id that becomes the login."""
        return self.anonymous_id if self.type == "track_signup" else None
