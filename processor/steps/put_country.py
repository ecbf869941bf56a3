"""Step: IP address -> `$country` (ISO 3166 code, from the registries' allocations). Then the address is gone.

A server SDK's own address says nothing about its user; such an SDK may send the user's as `$ip`.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from iptocc import country_code

from processor.event_block import EventBlock, put_derived

SERVER_LIBS = frozenset(
    {"python", "Java", "Node", "Golang", "PHP", "Ruby", "CSharp", "C", "C++", "footfall-python"}
)
"""Values of `$lib` whose requests come from a bank's own machines."""


def put_country(block: EventBlock) -> EventBlock:
    """From `$ip`, else from the request; removes `$ip`."""
    block = put_derived(block, "$ip", read_country).with_property("$ip", None)
    countries = [read_country(request.header.ip).get("$country") for request in block.requests]
    known = np.array([country is not None for country in countries])
    if not known.any():
        return block
    rows = np.flatnonzero(known[block.request_of] & ~_from_servers(block)).astype(np.int32)
    return block.put("$country", rows, [countries[request] for request in block.request_of[rows].tolist()])


@lru_cache(maxsize=50_000)
def read_country(ip: str) -> dict[str, str]:
    """
    >>> read_country("8.8.8.8"), read_country("10.0.0.1")
    ({'$country': 'US'}, {})
    """
    country = country_code(ip) if ip else None
    return {} if country is None else {"$country": country}


def _from_servers(block: EventBlock) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    servers = np.zeros(block.count, np.bool_)
    if (sparse := block.properties.get("$lib")) is not None:
        servers[sparse.rows] = [type(lib) is str and lib in SERVER_LIBS for lib in sparse.values]
    return servers
