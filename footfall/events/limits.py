"""How big things may be: every limit of the doors, once. docs/limits.md shows them to users; a test compares.

They are generous: whatever a Sensors Analytics SDK can legally send fits (its longest string is a crash
stack of 16,383 characters, its biggest batch 1,000 records). Lengths are characters (Unicode code points)
unless the name says bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

NAME_LENGTH: Final = 255
"""Event and property names."""

ID_LENGTH: Final = 1_024
"""distinct_id, login_id, anonymous_id, original_id, item_id, event_id and each identity."""

STRING_LENGTH: Final = 16_384
"""A string property, and each string of a list."""

LIST_LENGTH: Final = 1_000
"""Strings in a list property."""

PROPERTY_COUNT: Final = 1_000
"""Properties of a record."""

FIELD_ENTRIES: Final = 100
"""Entries of `lib` and of `identities`."""

IDENTITY_KEYS: Final = 50
"""That a project declares, under the strategy `global`."""

IDENTITY_KEY_LENGTH: Final = 100
"""Of the name of one."""

IDENTITY_VALUES: Final = 1_000
"""Of a key, that a person may have at most: what `most` may say."""

IDENTITY_NEIGHBOURS: Final = 1_000
"""An id that more ids than this were bound to stands for itself: so many is no person, and costs no more."""

NESTING_DEPTH: Final = 32
"""Brackets inside one another in a record."""

INTEGER_DIGITS: Final = 4_300
"""Digits of an integer; beyond 64 bits it is kept as text."""

RECORD_BYTES: Final = 1024 * 1024
"""One record, as JSON in UTF-8."""

BATCH_RECORDS: Final = 10_000
"""Records of a request."""

SESSION_KEYS: Final = 100
"""Different session keys that the encrypted envelopes of a request may need."""

FORM_FIELDS: Final = 1_000
"""Fields of a form, where records come in forms."""

BATCH_COMMAS: Final = 2_000_000
"""Commas in a body: more than any batch needs, so that no body costs seconds to take apart."""

SALVAGE_BYTES: Final = 1024 * 1024
"""An array with a syntax error in it is taken apart record by record up to this size, else refused whole."""

OLDEST_MS: Final = 365 * 86_400_000
"""How far `time` may lie behind the moment of arrival, after clock correction."""

FARTHEST_AHEAD_MS: Final = 3 * 86_400_000
"""How far `time` may lie ahead of it."""

CLOCK_SKEW_MS: Final = 60_000
"""A device clock further off than this is corrected."""


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """What a request may weigh; an installation may change these."""

    body_bytes: int = 8 * 1024 * 1024
    """As sent, so compressed if it was compressed."""

    decompressed_bytes: int = 16 * 1024 * 1024
    """After base64 and decompression."""

    def __post_init__(self) -> None:
        if not 0 < self.body_bytes <= self.decompressed_bytes:
            raise ValueError(
                f"body_bytes ({self.body_bytes}) must be positive and at most "
                f"decompressed_bytes ({self.decompressed_bytes})"
            )
