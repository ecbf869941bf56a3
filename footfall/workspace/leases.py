"""Leases: what must run once in an installation of many processes, and who runs it now.

A lease ends by itself when its holder does not renew it, so that a killed process is followed by another.
Each holding has a fencing number that is higher than all before it: what is written under a lease somewhere
else can carry it, and refuse a lower one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Engine,
    Executable,
    cast,
    func,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from footfall.workspace.errors import WorkspaceUnavailable
from footfall.workspace.tables import leases


class LeaseLost(Exception):  # noqa: N818 - reads as what it is
    """It ended, or somebody else has it: what was done since may have been done twice."""


@dataclass(frozen=True, slots=True)
class Lease:
    """Of one holding. `until` in epoch milliseconds of the workspace's clock."""

    name: str
    holder: str
    until: int
    fence: int


class Leases:
    """Safe to use from several threads and processes. With PostgreSQL its clock counts, not the machines'."""

    def __init__(self, engine: Engine) -> None:
        """`engine`'s tables exist; see opening.open_workspace."""
        self._engine = engine

    def take(self, name: str, holder: str, seconds: float) -> Lease | None:
        """The lease for so long from now; None while somebody else has it.

        `holder` is one process and no other ("host:pid:random"). Who has it already gets it for longer,
        under the same number.
        """
        try:
            with self._engine.begin() as connection:
                return self._renewed(connection, name, holder, seconds) or self._taken(
                    connection, name, holder, seconds
                )
        except IntegrityError:  # another process inserted the name's first row meanwhile
            return None

    def renew(self, lease: Lease, seconds: float) -> Lease:
        """For so long from now. LeaseLost if it has ended: it is not taken back, others may have acted."""
        with self._engine.begin() as connection:
            renewed = self._renewed(connection, lease.name, lease.holder, seconds, lease.fence)
        if renewed is None:
            raise LeaseLost(f"the lease {lease.name!r} of {lease.holder} has ended")
        return renewed

    def check(self, lease: Lease) -> None:
        """LeaseLost unless it is still held."""
        mine = _held(lease.name, lease.holder, self._now()) & (leases.c.fence == lease.fence)
        with self._engine.connect() as connection:
            if connection.scalar(select(leases.c.fence).where(mine)) is None:
                raise LeaseLost(f"the lease {lease.name!r} of {lease.holder} has ended")

    def release(self, lease: Lease) -> None:
        """Others may have it at once. Nothing happens if it has ended."""
        mine = (leases.c.name == lease.name) & (leases.c.holder == lease.holder)
        with self._engine.begin() as connection:
            connection.execute(update(leases).where(mine & (leases.c.fence == lease.fence)).values(until=0))

    def find(self, name: str) -> Lease | None:
        """Whoever has it now."""
        held = (leases.c.name == name) & (leases.c.until > self._now())
        with self._engine.connect() as connection:
            row = connection.execute(select(leases).where(held)).first()
        return None if row is None else Lease(row.name, row.holder, row.until, row.fence)

    def _renewed(
        self, connection: Connection, name: str, holder: str, seconds: float, fence: int | None = None
    ) -> Lease | None:
        mine = _held(name, holder, self._now())
        if fence is not None:
            mine &= leases.c.fence == fence
        changed = update(leases).where(mine).values(until=self._now() + _milliseconds(seconds))
        return _lease(connection, changed.returning(*leases.c))

    def _taken(self, connection: Connection, name: str, holder: str, seconds: float) -> Lease | None:
        values = {"holder": holder, "until": self._now() + _milliseconds(seconds)}
        free = (leases.c.name == name) & (leases.c.until <= self._now())
        changed = update(leases).where(free).values({**values, "fence": leases.c.fence + 1})
        if (lease := _lease(connection, changed.returning(*leases.c))) is not None:
            return lease
        if connection.scalar(select(leases.c.name).where(leases.c.name == name)) is not None:
            return None
        return _lease(
            connection, insert(leases).values({"name": name, "fence": 1, **values}).returning(*leases.c)
        )

    def _now(self) -> ColumnElement[int]:
        """Epoch milliseconds."""
        if self._engine.dialect.name == "postgresql":
            return cast(func.floor(func.extract("epoch", func.clock_timestamp()) * 1000), BigInteger)
        return literal(time.time_ns() // 1_000_000)


class LeaseKeeper:
    """Keeps one lease as long as it is asked for it: for a loop that does something once, wherever it runs.

    Of one thread.
    """

    def __init__(
        self,
        leases: Leases,
        name: str,
        holder: str,
        seconds: float,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """The holder is followed by another `seconds` after it was last asked. `clock` in seconds."""
        self._leases = leases
        self._name = name
        self._holder = holder
        self._seconds = seconds
        self._lease: Lease | None = None
        self._clock = clock
        self._asked = 0.0  # on this machine's clock, before the workspace was asked

    def mine(self) -> Lease | None:
        """The lease, renewed when a third of its time is over; None while another has it.

        While the workspace cannot be asked it holds for the rest of its time, and then no more.
        """
        if self._lease is not None and self._clock() < self._asked + self._seconds / 3:
            return self._lease
        asked = self._clock()
        try:
            self._lease = self._leases.take(self._name, self._holder, self._seconds)
            self._asked = asked
        except WorkspaceUnavailable:
            if self._clock() >= self._asked + self._seconds:
                self._lease = None
        return self._lease

    def release(self) -> None:
        """Others may have it at once. WorkspaceUnavailable."""
        lease, self._lease = self._lease, None
        if lease is not None:
            self._leases.release(lease)


def _held(name: str, holder: str, now: ColumnElement[int]) -> ColumnElement[bool]:
    return (leases.c.name == name) & (leases.c.holder == holder) & (leases.c.until > now)


def _lease(connection: Connection, changed: Executable) -> Lease | None:
    row = connection.execute(changed).first()
    return None if row is None else Lease(row.name, row.holder, row.until, row.fence)


def _milliseconds(seconds: float) -> int:
    return math.ceil(seconds * 1000)
