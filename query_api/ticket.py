"""A query's ticket: what it is known by in the store, and whether somebody still wants it."""

from __future__ import annotations

import secrets
import threading


class Ticket:
    """Cancelled from one thread while another works for it."""

    def __init__(self, beside: int = 1) -> None:
        """`beside`: how many queries ran, this one too, when it began: they share the cores."""
        self.beside = beside
        self.tag = secrets.token_hex(8)
        self._cancelled = threading.Event()

    @property
    def is_cancelled(self) -> bool:
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Nobody wants the answer any more."""
        self._cancelled.set()
