"""IP addresses: the country behind one, and as much of one as names no household."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address, ip_network

from iptocc import country_code


@lru_cache(maxsize=50_000)
def country_of(ip: str) -> str:
    """ISO 3166 code from the registries' allocations; "" for what has none.

    >>> country_of("8.8.8.8"), country_of("10.0.0.1")
    ('US', '')
    """
    return (country_code(ip) if ip else None) or ""


def truncated(ip: str) -> str:
    """The network: /24 of IPv4, /48 of IPv6; "" for what is no address.

    >>> truncated("203.0.113.77"), truncated("2001:db8:1:2::3"), truncated("x")
    ('203.0.113.0', '2001:db8:1::', '')
    """
    try:
        address = ip_address(ip.partition("%")[0])
    except ValueError:
        return ""
    mapped = getattr(address, "ipv4_mapped", None)
    address = mapped or address
    return str(ip_network((address, 24 if address.version == 4 else 48), strict=False).network_address)
