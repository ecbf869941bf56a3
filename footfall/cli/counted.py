"""How many of what, in words."""

from __future__ import annotations


def counted(number: int, things: str) -> str:
    """`things` begins with a plural in -s.

    >>> counted(1, "rows derived again"), counted(2000, "rows")
    ('1 row derived again', '2,000 rows')
    """
    if number == 1:
        noun, space, rest = things.partition(" ")
        things = f"{noun.removesuffix('s')}{space}{rest}"
    return f"{number:,} {things}"
