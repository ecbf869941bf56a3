"""How long to wait before the next try: doubling, with jitter: many clients must not return at once."""

from __future__ import annotations

import random


class Backoff:
    """Seconds between half of and a full `first * 2^n`, at most `longest`."""

    def __init__(self, first_seconds: float, longest_seconds: float) -> None:
        self._first = first_seconds
        self._longest = longest_seconds
        self._failures = 0

    def next_seconds(self) -> float:
        ceiling = min(self._longest, self._first * 2.0 ** min(self._failures, 30))
        self._failures += 1
        return ceiling * random.uniform(0.5, 1.0)  # noqa: S311 - not a secret

    def reset(self) -> None:
        self._failures = 0
