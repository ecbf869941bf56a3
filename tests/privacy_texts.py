"""Texts for tests of privacy: numbers that are somebody's by construction, and texts that hide them."""

from __future__ import annotations

from datetime import date

from hypothesis import strategies as st

_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def with_id_check(first: str) -> str:
    """17 digits of an identity card and their check digit."""
    return first + "10X98765432"[sum(int(a) * b for a, b in zip(first, _WEIGHTS, strict=True)) % 11]


def with_luhn(first: str) -> str:
    """Digits of a card and their check digit."""
    for check in "0123456789":
        total = 0
        for place, digit in enumerate(reversed(first + check)):
            value = int(digit) * (1 + place % 2)
            total += value // 10 + value % 10
        if total % 10 == 0:
            return first + check
    raise AssertionError(first)


def digits(size: int) -> st.SearchStrategy[str]:
    return st.text("0123456789", min_size=size, max_size=size)


ID_CARDS = st.builds(
    lambda region, born, order: with_id_check(f"{region}{born:%Y%m%d}{order}"),
    st.sampled_from(["110105", "310115", "440305", "510104", "650102", "810000"]),
    st.dates(date(1930, 1, 1), date(2024, 12, 31)),
    digits(3),
)
PHONES = st.builds(lambda second, rest: f"1{second}{rest}", st.sampled_from("3456789"), digits(9))
BANK_CARDS = st.one_of(
    st.builds(with_luhn, st.builds(str.__add__, st.sampled_from(["622202", "621700"]), digits(12))),
    st.builds(with_luhn, st.builds(str.__add__, st.just("4"), digits(14))),
    st.builds(with_luhn, st.builds(str.__add__, st.just("4"), digits(11))),
    st.builds(with_luhn, st.builds(str.__add__, st.just("51"), digits(13))),
    st.builds(with_luhn, st.builds(str.__add__, st.just("37"), digits(12))),
)
EMAILS = st.builds(
    lambda name, host: f"{name}@{host}.cn",
    st.text("abcdefghijklmnop.-_0123456789", min_size=1, max_size=12),
    st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True),
)
SECRETS = st.one_of(ID_CARDS, PHONES, BANK_CARDS, EMAILS)


def grouped(number: str, sizes: tuple[int, ...], separator: str) -> str:
    parts, at = [], 0
    for size in sizes:
        parts.append(number[at : at + size])
        at += size
    return separator.join([*parts, number[at:]]) if at < len(number) else separator.join(parts)


def percented(text: str, rounds: int = 1) -> str:
    for _ in range(rounds):
        text = "".join(f"%{byte:02X}" for byte in text.encode())
    return text


def wide(text: str) -> str:
    return "".join(chr(ord(each) + 0xFEE0) if "!" <= each <= "~" else each for each in text)


HIDDEN = st.one_of(
    SECRETS,
    PHONES.map(lambda phone: grouped(phone, (3, 4), "-")),
    PHONES.map(lambda phone: "+86 " + grouped(phone, (3, 4), " ")),
    BANK_CARDS.filter(lambda card: len(card) >= 16).map(lambda card: grouped(card, (4, 4, 4), " ")),
    SECRETS.map(percented),
    SECRETS.map(lambda text: percented(text, 2)),
    SECRETS.map(wide),
    SECRETS.map("\u200b".join),
    st.sampled_from(["password", "pwd", "cvv2", "sms_code"]).map(lambda name: f"/x?{name}=hunter2&y=1"),
    st.sampled_from(["password", "PIN"]).map(lambda name: f'{{"{name}": "hunter2"}}'),
    digits(6).map(lambda code: f"您的验证码是{code}。"),
)
FILLERS = st.text(st.sampled_from("ab9 -_.:;/?&=%@\"'\\\n中文，码证１\u200bxXeE+0123456789"), max_size=12)
TEXTS = st.lists(st.one_of(FILLERS, HIDDEN), max_size=4).map("".join)
PLAIN_TEXTS = st.lists(st.one_of(st.text(max_size=10), HIDDEN), max_size=4).map(" ".join)
