"""Whether digits are an identity card, a phone or a bank card: dates, regions, prefixes, check digits."""

from __future__ import annotations

from datetime import date
from typing import Final

# Administrative regions of the resident identity card: first two digits (GB/T 2260), 81 to 83 for residents
# of Hong Kong, Macao and Taiwan, 91 for foreigners' permits of the new form.
_REGIONS: Final = frozenset(
    map(
        str,
        (*range(11, 16), *range(21, 24), *range(31, 38), *range(41, 47), *range(50, 55), *range(61, 66)),
    )
) | {"71", "81", "82", "83", "91"}
_WEIGHTS: Final = tuple(pow(2, 17 - place, 11) for place in range(17))
_CHECKS: Final = "10X98765432"


def is_id_card(text: str) -> bool:
    """A resident identity card of 18 characters: region, date of birth, check digit of ISO 7064 MOD 11-2.

    >>> is_id_card("11010519491231002X"), is_id_card("110105194912310021")
    (True, False)
    """
    if len(text) != 18 or text[:2] not in _REGIONS or not text[:17].isdecimal():
        return False
    year = int(text[6:10])
    if not 1880 <= year < 2100:
        return False
    try:
        date(year, int(text[10:12]), int(text[12:14]))
    except ValueError:
        return False
    total = sum(int(digit) * weight for digit, weight in zip(text, _WEIGHTS, strict=False))
    return _CHECKS[total % 11] == text[17].upper()


def is_mobile(digits: str) -> bool:
    """A mobile number of mainland China, with or without its country code.

    >>> is_mobile("13800138000"), is_mobile("8613800138000"), is_mobile("12800138000")
    (True, True, False)
    """
    digits = digits.removeprefix("00") if len(digits) == 15 else digits
    digits = digits.removeprefix("86") if len(digits) == 13 else digits
    return len(digits) == 11 and digits[0] == "1" and "3" <= digits[1] <= "9"


_ISSUERS: Final[tuple[tuple[int, int, frozenset[int]], ...]] = tuple(
    (first, last, frozenset(lengths))
    for first, last, lengths in (
        (620000, 629999, range(16, 20)),  # UnionPay
        (810000, 817199, range(16, 20)),  # UnionPay
        (600000, 609999, range(16, 20)),  # UnionPay of several banks, Discover
        (690000, 690999, (16, 18, 19)),  # older cards of Chinese banks
        (955800, 955999, (16, 18, 19)),  # ICBC, older
        (103000, 103999, (19,)),  # ABC, older
        (400000, 499999, (13, 16, 18, 19)),  # Visa, and Chinese banks' own
        (510000, 559999, (16, 18, 19)),  # Mastercard, and Chinese banks' own
        (222100, 272099, (16,)),  # Mastercard
        (340000, 349999, (15,)),  # American Express
        (370000, 379999, (15,)),
        (300000, 305999, (14,)),  # Diners
        (360000, 369999, (14,)),
        (380000, 399999, (14,)),
        (352800, 358999, range(16, 20)),  # JCB
        (644000, 659999, range(16, 20)),  # Discover
        (500000, 509999, range(16, 20)),  # Maestro
        (560000, 589999, range(16, 20)),
    )
)


def is_bank_card(digits: str) -> bool:
    """A card number: length and prefix of an issuer, and Luhn's check digit. Luhn alone passes every tenth.

    >>> is_bank_card("6222021001116245702"), is_bank_card("6222021001116245703")
    (True, False)
    """
    if not 13 <= len(digits) <= 19:
        return False
    prefix = int(digits[:6])
    if not any(first <= prefix <= last and len(digits) in lengths for first, last, lengths in _ISSUERS):
        return False
    return _luhn(digits)


def _luhn(digits: str) -> bool:
    """
    >>> _luhn("79927398713"), _luhn("79927398710")
    (True, False)
    """
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (doubled + sum(int(digit) for digit in digits[-1::-2])) % 10 == 0
