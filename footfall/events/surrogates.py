"""Characters beyond U+FFFF that arrive as two halves: some encoders write each UTF-16 unit by itself.

Sensors' mini-program SDK does: without this an emoji in a nickname would cost the whole record.
"""

from __future__ import annotations

import re

_PAIR = re.compile(rb"\xed[\xa0-\xaf][\x80-\xbf]\xed[\xb0-\xbf][\x80-\xbf]")


def join_surrogates(text: bytes) -> bytes:
    """UTF-8, if `text` is that but for pairs of surrogates that are encoded one by one (CESU-8).

    Nothing that is UTF-8 changes, and half a pair stays what it is.

    >>> join_surrogates(b"\\xed\\xa0\\xbc\\xed\\xbf\\xa6").decode()
    '🏦'
    """
    return _PAIR.sub(_joined, text) if b"\xed" in text else text


def _joined(pair: re.Match[bytes]) -> bytes:
    return (
        pair[0].decode("utf-8", "surrogatepass").encode("utf-16", "surrogatepass").decode("utf-16").encode()
    )
