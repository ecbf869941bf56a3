"""Names whose values are dropped whatever a project says: nobody analyses a password.

JR/T 0171 calls them C3: what proves who somebody is. The list is closed, and written out in docs/privacy.md.
"""

from __future__ import annotations

import re
from typing import Final

NAMES: Final = frozenset(
    """
    password passwd pwd passcode passphrase pass_word login_password user_password pay_password
    payment_password trade_password trading_password transaction_password withdraw_password query_password
    card_password account_password new_password old_password confirm_password password_confirm
    repeat_password password2 login_pwd user_pwd pay_pwd trade_pwd new_pwd old_pwd card_pwd atm_pwd
    pin pin_code pin_block card_pin atm_pin pay_pin
    otp otp_code one_time_password one_time_code sms_code sms_otp sms_verify_code sms_captcha
    verify_code verification_code auth_code validate_code captcha_code dynamic_code dynamic_password
    security_code cvv cvv2 cvc cvc2 cvn cvn2 cid2 card_cvv card_cvc
    track1 track2 track3 track_data magnetic_track mag_stripe chip_data
    private_key secret_key client_secret api_secret access_secret security_answer secret_answer
    fingerprint_data fingerprint_template face_data face_image face_feature iris_data voice_print
    biometric_data biometric_template
    密码 登录密码 支付密码 交易密码 查询密码 取款密码 验证码 短信验证码 动态码 动态密码 校验码 安全码
    """.split()  # noqa: SIM905 - a list to be read
)
"""As people write them. Case, `_`, `-` and `$` do not count."""

_PLAIN: Final = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz", "_-$")


def plain_name(name: str) -> str:
    """A name without what does not count.

    >>> plain_name("$SMS-Code")
    'smscode'
    """
    return name.translate(_PLAIN)


PLAIN_NAMES: Final = frozenset(map(plain_name, NAMES))


def is_never_collected(name: str) -> bool:
    """
    >>> is_never_collected("PayPassword"), is_never_collected("has_password")
    (True, False)
    """
    return plain_name(name) in PLAIN_NAMES


_NAMED: Final = re.compile(
    r"""(?<![0-9A-Za-z_$-])([0-9A-Za-z_$-]++)
    (?:\\*["']\s*[:=]\s*|\s*=\s*)           # behind a name in quotes also a colon
    (\\*["'](?:[^"'\\]|\\+[^"'\\])*|[^\s&,;"'<>)}\]\\]+)""",
    re.VERBOSE,
)
_CODES: Final = (
    re.compile(r"(?:密码|验证码|动态码|校验码|安全码)[^0-9\n]{0,8}(?<![0-9])([0-9]{4,8})(?![0-9])"),
    re.compile(
        r"""(?:密码|验证码|动态码|校验码|安全码)[\\"']*\s*[:=：]\s*[\\"']*([^\s,，;；。&"'\\]{1,64})"""
    ),
)


def secrets_in(text: str) -> list[tuple[int, int]]:
    """Where a text holds the value of such a name: `password=...` in a URL, `"otp": "..."` in quoted JSON.

    >>> [text[a:b] for text in ("/pay?pin=1234&x=1",) for a, b in secrets_in(text)]
    ['1234']
    """
    found = []
    for match in _NAMED.finditer(text):
        value = match[2]
        opening = len(value) - len(value.lstrip("\\\"'"))
        start, end = match.start(2) + opening, match.end(2)
        if is_never_collected(match[1]) and text[start:end].strip("*"):
            found.append((start, end))
    return found


def codes_in(text: str) -> list[tuple[int, int]]:
    """Where a text holds a code that was sent to somebody.

    >>> [text[a:b] for text in ("您的验证码是 483920，请勿泄露",) for a, b in codes_in(text)]
    ['483920']
    """
    return [match.span(1) for code in _CODES for match in code.finditer(text) if match[1].strip("*")]
