"""Which address a request came from, when proxies of ours stand before the collector.

Each proxy adds the address that it was asked from to the end of X-Forwarded-For; what stands before that, the
client may have invented. So the list is read from its end, as far as the addresses are our own proxies'.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

LOOPBACK: Final[tuple[Network, ...]] = (IPv4Network("127.0.0.1"), IPv6Network("::1"))

_MOST_HOPS: Final = 50
_REMEMBERED: Final = 1_000


class TrustedProxies:
    """The addresses whose X-Forwarded-For is believed. For one event loop."""

    def __init__(self, networks: Iterable[Network] = LOOPBACK) -> None:
        self._networks = tuple(networks)
        self._judged: dict[str, bool] = {}  # peers, which are few where they are proxies

    def trusts(self, peer: str) -> bool:
        """Whether the peer of a connection, as the socket names it, is a proxy of ours."""
        trusted = self._judged.get(peer)
        if trusted is None:
            if len(self._judged) >= _REMEMBERED:
                self._judged.clear()
            address = _address(peer)
            trusted = self._judged[peer] = address is not None and self._has(address)
        return trusted

    def client_of(self, peer: str, forwarded: Iterable[bytes]) -> str:
        """The client behind the proxy `peer`; `forwarded`: all X-Forwarded-For headers, in their order.

        It is the last address that is no proxy of ours. Where that is no address ("unknown"), or there is
        none, it is the farthest proxy that we know: what lies beyond could be anybody's word.
        """
        nearest = peer
        hops = b",".join(forwarded).rsplit(b",", _MOST_HOPS)[-_MOST_HOPS:]
        for hop in reversed(hops):
            text = hop.decode("latin-1").strip()
            if not text:
                continue
            address = _address(text)
            if address is None:
                break
            nearest = str(address)
            if not self._has(address):
                break
        return nearest

    def _has(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


def _address(text: str) -> Address | None:
    """Of `1.2.3.4`, `1.2.3.4:5678`, `2001:db8::1`, `[2001:db8::1]:5678`. An IPv4 address in IPv6 is that."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
