"""Step: IP address -> `$country` (ISO 3166 code, from the registries' allocations), and what may stay of it.

A server SDK's own address says nothing about its user; such an SDK may send the user's as `$ip`. Addresses
come here as their project's privacy rule left them at the door, with the country behind them; those from
before there were rules go.
"""

from __future__ import annotations

import numpy as np

from footfall.events.addresses import country_of
from footfall.events.log_record import Header
from processor.event_block import EventBlock, put_derived, select_sparse

SERVER_LIBS = frozenset(
    {"python", "Java", "Node", "Golang", "PHP", "Ruby", "CSharp", "C", "C++", "footfall-python"}
)
"""Values of `$lib` whose requests come from a bank's own machines."""


def put_country(block: EventBlock) -> EventBlock:
    """From `$ip`, else from the request; a request's address that may be kept becomes `$ip`."""
    block = _without_untreated(put_derived(block, "$ip", _country_entries))
    block = _put_of_requests(block, "$country", [_country(request.header) for request in block.requests])
    kept = [request.header.ip if request.header.treated else "" for request in block.requests]
    return _put_of_requests(block, "$ip", kept)


def _country_entries(ip: str) -> dict[str, str | bool]:
    country = country_of(ip)
    return {"$country": country} if country else {}


def _country(header: Header) -> str:
    return header.country if header.treated else country_of(header.ip)


def _without_untreated(block: EventBlock) -> EventBlock:
    """The block without the `$ip` of requests that no privacy rule has seen."""
    sparse = block.properties.get("$ip")
    if sparse is None:
        return block
    treated = np.array([bool(request.header.treated) for request in block.requests])
    return block.with_property("$ip", select_sparse(sparse, treated[block.request_of[sparse.rows]].tolist()))


def _put_of_requests(block: EventBlock, name: str, values: list[str]) -> EventBlock:
    """Gives the property to the rows of requests that have a value; "" is none."""
    known = np.array([bool(value) for value in values])
    if not known.any():
        return block
    rows = np.flatnonzero(known[block.request_of] & ~_from_servers(block)).astype(np.int32)
    return block.put(name, rows, [values[request] for request in block.request_of[rows].tolist()])


def _from_servers(block: EventBlock) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    servers = np.zeros(block.count, np.bool_)
    if (sparse := block.properties.get("$lib")) is not None:
        servers[sparse.rows] = [type(lib) is str and lib in SERVER_LIBS for lib in sparse.values]
    return servers
