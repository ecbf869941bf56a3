"""Step: `$referrer` -> `$referrer_host`."""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import urlsplit

from processor.event_block import EventBlock, put_derived


def put_referrer(block: EventBlock) -> EventBlock:
    """The host of the page before this one, where it was a web page."""
    return put_derived(block, "$referrer", read_referrer)


@lru_cache(maxsize=50_000)
def read_referrer(referrer: str) -> dict[str, str]:
    """
    >>> read_referrer("https://www.baidu.com/link?url=x")
    {'$referrer_host': 'www.baidu.com'}
    """
    try:
        parts = urlsplit(referrer)
        host = parts.hostname
    except ValueError:
        return {}
    return {"$referrer_host": host} if parts.scheme in ("http", "https") and host else {}
