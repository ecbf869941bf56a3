"""How something found is shown afterwards: enough to tell two apart on a screen, too little to use."""

from __future__ import annotations

from footfall.privacy.kinds import Kind, Match

HIDDEN = "***"
"""Stands for what is shown in no part."""


def mask_match(match: Match, text: str) -> str:
    """What stands in the text instead. Digits and letters are hidden, what was put between them stays."""
    if match.kind == "email":
        return f"{match.plain[0]}{HIDDEN}@{match.plain.rpartition('@')[2]}"
    if match.kind in ("never_collect", "one_time_code"):
        return HIDDEN
    original = text[match.start : match.end]
    hidden = _hide(match.plain, *_SHOWN[match.kind])
    if len(original) == len(match.plain):
        return hidden
    return hidden.replace("-", "").replace(" ", "")  # it was written in code or with invisible characters


_SHOWN: dict[Kind, tuple[int, int]] = {"phone": (3, 4), "bank_card": (6, 4), "id_card": (6, 0)}
"""Digits that stay at the beginning and at the end."""


def _hide(number: str, first: int, last: int) -> str:
    """
    >>> _hide("138-0013-8000", 3, 4), _hide("6222021001116245702", 6, 4)
    ('138-****-8000', '622202*********5702')
    """
    if number.isalnum():
        country = len(number) - 11 if first == 3 else 0  # 86, 0086: shown too
        end = len(number) - last
        return f"{number[: country + first]}{'*' * (end - country - first)}{number[end:]}"
    places = [index for index, character in enumerate(number) if character not in " -"]
    country = len(places) - 11 if first == 3 else 0
    hidden = set(places[country + first : len(places) - last])
    return "".join(["*" if index in hidden else character for index, character in enumerate(number)])


def mask_value(text: str) -> str:
    """A text that a rule masks as a whole: the first and last characters of long ones.

    >>> mask_value("张三"), mask_value("Beijing Road 12"), mask_value("12345678")
    ('***', 'B***2', '1***8')
    """
    return f"{text[0]}{HIDDEN}{text[-1]}" if len(text) >= 6 else HIDDEN


def mask_name(match: Match, text: str) -> str:
    """As `mask_match` for names of events and properties, which hold letters, digits and _ only."""
    return mask_match(match, text).replace("*", "x").replace("-", "_")
