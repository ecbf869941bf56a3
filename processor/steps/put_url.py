"""Step: `$url` of a web page -> `$url_path`, `$url_host`, `$utm_*`."""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import parse_qsl, urlsplit

from processor.event_block import EventBlock, put_derived

UTM = ("utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term")


def put_url(block: EventBlock) -> EventBlock:
    """Only http and https: an app's `$url` is the name of a screen."""
    return put_derived(block, "$url", read_url)


@lru_cache(maxsize=50_000)
def read_url(url: str) -> dict[str, str]:
    """The properties that an address gives; nothing if it is none.

    >>> read_url("https://bank.example/fund?id=7&utm_source=wechat")
    {'$url_host': 'bank.example', '$url_path': '/fund', '$utm_source': 'wechat'}
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return {}
    if parts.scheme not in ("http", "https") or not host:
        return {}
    entries = {"$url_host": host, "$url_path": parts.path or "/"}
    query = parts.query
    if "utm_" not in query and "utm_" in parts.fragment:  # pages that route by what follows the #
        query = parts.fragment.partition("?")[2]
    if "utm_" in query:
        sent = dict(reversed(_pairs(query)))  # the first of equal names wins
        entries |= {f"${name}": sent[name] for name in UTM if sent.get(name)}
    return entries


def _pairs(query: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query, max_num_fields=200)
    except ValueError:
        return []
