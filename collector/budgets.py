"""How much one key and one address may send, and how a busy worker is shared between projects and addresses.

Two different things. A *budget* is a rate that an administrator sets: records and bytes a second, with bursts
of BURST_SECONDS. A *share* costs nothing until the worker is nearly full: then whoever holds more than their
part of it is turned away, and whoever holds less is let in, so that one who floods it leaves room for others.
Whoever is turned away hears 503 with Retry-After, on every door: SDKs keep their data then.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from ipaddress import IPv6Address, ip_address
from time import monotonic
from typing import Final, NamedTuple

from collector.answers import Overloaded
from collector.options import CollectorOptions

BURST_SECONDS: Final = 10
"""What was not used in so many seconds may be used at once."""

LONGEST_WAIT: Final = 60
"""Retry-After says at most so many seconds."""

_REMEMBERED: Final = 10_000
_CALM: Final = 0.75
"""Up to this part of a worker nobody is held to a share."""

_NEWCOMERS: Final = 1 / 8
"""This part is left for others, also where one is alone."""


class Budget:
    """So much a second, for each of many names. 0: as much as they like. For one event loop.

    A request is let in while its name owes nothing, and pays when its size is known: what it takes more than
    there is must be earned before the next one.
    """

    def __init__(self, per_second: float, what: str) -> None:
        """`what` is said to who is turned away: "records of this key"."""
        self._rate = per_second
        self._what = what
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # what is left, and when it was

    def check(self, name: str) -> None:
        """Raises Overloaded while the name owes something."""
        if self._rate and (left := self._now(name, monotonic())) < 0:
            wait = min(LONGEST_WAIT, math.ceil(-left / self._rate))
            raise Overloaded(
                f"over the budget of {self._rate:g} {self._what} a second", retry_after=max(1, wait)
            )

    def spend(self, name: str, amount: int) -> None:
        if not self._rate or not amount:
            return
        now = monotonic()
        self._left[name] = (self._now(name, now) - amount, now)
        self._left.move_to_end(name)
        if len(self._left) > _REMEMBERED:
            self._left.popitem(last=False)

    def _now(self, name: str, now: float) -> float:
        most = self._rate * BURST_SECONDS
        left, since = self._left.get(name, (most, now))
        return min(most, left + (now - since) * self._rate)


class Shares:
    """A capacity (requests, bytes) that many names hold parts of. For one event loop."""

    def __init__(self, capacity: int, what: str) -> None:
        """`what` is said to who is turned away: "requests of this project"."""
        self._capacity = capacity
        self._calm = capacity * _CALM
        self._what = what
        self._held: dict[str, int] = {}
        self._total = 0

    def take(self, name: str, amount: int = 1) -> None:
        """Raises Overloaded if there is no room, or the name has its share. Whoever took gives back."""
        total, held = self._total + amount, self._held.get(name, 0)
        if total > self._calm and (total > self._capacity or self._is_more_than_a_share(held, amount)):
            raise Overloaded(f"too many {self._what} at once")
        self._held[name] = held + amount
        self._total = total

    def check(self, amounts: Mapping[str, int]) -> None:
        """Raises Overloaded if there is no room for all of it."""
        taken: list[tuple[str, int]] = []
        try:
            for name, amount in amounts.items():
                self.take(name, amount)
                taken.append((name, amount))
        finally:
            for name, amount in taken:
                self.give_back(name, amount)

    def _is_more_than_a_share(self, held: int, amount: int) -> bool:
        """Something that is larger than a share may come alone."""
        active = len(self._held) + (not held)
        share = min(self._capacity / active, self._capacity * (1 - _NEWCOMERS))
        return bool(held) and held + amount > share

    def give_back(self, name: str, amount: int = 1) -> None:
        left = self._held[name] - amount
        if left:
            self._held[name] = left
        else:
            del self._held[name]
        self._total -= amount


class Visitor(NamedTuple):
    """Whom a request is counted for."""

    key: str
    project: str
    address: str


class Turnstile:
    """What a request passes on its way in, for its key, its project and its address."""

    def __init__(self, options: CollectorOptions) -> None:
        self._key_records = Budget(options.key_records_per_second, "records of this key")
        self._key_bytes = Budget(options.key_bytes_per_second, "bytes of this key")
        self._address_records = Budget(options.address_records_per_second, "records of this address")
        self._address_bytes = Budget(options.address_bytes_per_second, "bytes of this address")
        self._has_budgets = any(
            (
                options.key_records_per_second,
                options.key_bytes_per_second,
                options.address_records_per_second,
                options.address_bytes_per_second,
            )
        )
        self._of_projects = Shares(options.requests_at_once, "requests of this project")
        self._of_addresses = Shares(options.requests_at_once, "requests of this address")

    def enter(self, visitor: Visitor) -> None:
        """Raises Overloaded. Whoever entered leaves."""
        if self._has_budgets:
            self._key_records.check(visitor.key)
            self._key_bytes.check(visitor.key)
            self._address_records.check(visitor.address)
            self._address_bytes.check(visitor.address)
        self._of_projects.take(visitor.project)
        try:
            self._of_addresses.take(visitor.address)
        except Overloaded:
            self._of_projects.give_back(visitor.project)
            raise

    def leave(self, visitor: Visitor) -> None:
        self._of_projects.give_back(visitor.project)
        self._of_addresses.give_back(visitor.address)

    def pay(self, visitor: Visitor, *, size: int = 0, records: int = 0) -> None:
        """For what was read: bytes as they came, and records."""
        if not self._has_budgets:
            return
        self._key_bytes.spend(visitor.key, size)
        self._address_bytes.spend(visitor.address, size)
        self._key_records.spend(visitor.key, records)
        self._address_records.spend(visitor.address, records)


def neighbourhood(address: str) -> str:
    """What counts as one address: an IPv6 client has a whole /64."""
    if ":" not in address:
        return address
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return address
    if found.ipv4_mapped is not None:  # an IPv4 client, where the server listens on both
        return str(found.ipv4_mapped)
    return str(IPv6Address(int(found) >> 64 << 64))
