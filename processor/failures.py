"""What a failure was, without what the records hold: errors quote the values that they are about, and neither
log lines nor the messages of dead letters may show those.
"""

from __future__ import annotations

from pathlib import Path
from traceback import extract_tb
from typing import Final

_MOST_FRAMES: Final = 12


def what_failed(error: BaseException) -> str:
    """The kind of the error, and where it was raised: "KeyError in pipeline.py, line 88 (name_pages)".

    >>> try:
    ...     int("6222021001116245702 of Zhang San")
    ... except ValueError as error:
    ...     print(what_failed(error).partition(",")[0])
    ValueError in <doctest processor.failures.what_failed[0]>
    """
    places = where_it_failed(error)
    return f"{type(error).__name__} in {places[-1]}" if places else type(error).__name__


def where_it_failed(error: BaseException) -> list[str]:
    """The calls that led to it, the outermost first, at most twelve; without values or message."""
    return [
        f"{Path(frame.filename).name}, line {frame.lineno} ({frame.name})"
        for frame in extract_tb(error.__traceback__)[-_MOST_FRAMES:]
    ]
