"""What may go wrong with any question to the workspace."""

from __future__ import annotations


class WorkspaceUnavailable(Exception):  # noqa: N818 - reads as what it is
    """The database cannot be asked now: away, starting, full, or busy for too long. Asking again may help.

    The text names the database without its password, and what it said.
    """


class WorkspaceTooNew(ValueError):  # noqa: N818 - reads as what it is
    """A newer Footfall made the tables: this one would not know what they mean."""
