"""The requests that the load sends: events as an app's SDK writes them, some 550 bytes, 13 properties.

All are built beforehand, as the bytes that go over the wire, so that sending costs next to nothing.
"""

from __future__ import annotations

import gzip
import json
import random
import time
from collections.abc import Iterator
from typing import Any

_CITIES = ("上海", "北京", "深圳", "成都", "杭州", "西安", "武汉", "苏州")
_CHANNELS = ("app_store", "huawei", "xiaomi", "oppo", "vivo", "branch")
_NAMES = ("view_fund", "purchase_fund", "transfer", "login", "product_view", "$AppViewScreen", "$AppClick")


def draw_events(count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Events of the last hour, all different."""
    draw = random.Random(seed)
    now = round(time.time() * 1000)
    for _ in range(count):
        person = draw.randrange(max(2, count // 20))
        yield {
            "type": "track",
            "event": draw.choice(_NAMES),
            "distinct_id": f"cif_{person:010}",
            "time": now - draw.randrange(3_600_000),
            "_track_id": draw.randrange(1 << 31),
            "_flush_time": now,
            "lib": {"$lib": "Android", "$lib_version": "6.8.4", "$lib_method": "code"},
            "properties": {
                "$device_id": f"{draw.getrandbits(64):016x}",
                "$event_session_id": f"{draw.getrandbits(64):016x}",
                "$app_version": draw.choice(("8.2.0", "8.1.3", "8.0.9")),
                "$os": "Android",
                "$os_version": draw.choice(("12", "13", "14")),
                "$manufacturer": "HUAWEI",
                "$model": draw.choice(("ALN-AL00", "BRA-AL00", "MNA-AL00")),
                "$network_type": draw.choice(("WIFI", "5G")),
                "$screen_name": "com.bank.fund.FundDetailActivity",
                "$title": "基金详情",
                "city": draw.choice(_CITIES),
                "channel": draw.choice(_CHANNELS),
                "amount": draw.randrange(1, 5_000_000) / 100,
            },
        }


def build_requests(count: int, events_each: int, write_key: str, seed: int = 1) -> list[bytes]:
    """`count` HTTP/1.1 requests: one event as plain JSON, or several as a gzipped array."""
    events = draw_events(count * events_each, seed)
    return [build_request([next(events) for _ in range(events_each)], write_key) for _ in range(count)]


def build_request(events: list[dict[str, Any]], write_key: str) -> bytes:
    """One HTTP/1.1 request with these events."""
    if len(events) == 1:
        body, encoding = _json(events[0]), ""
    else:
        body, encoding = gzip.compress(_json(events), 6), "Content-Encoding: gzip\r\n"
    return (
        "POST /v1/events HTTP/1.1\r\n"
        "Host: 127.0.0.1\r\n"
        f"Authorization: Bearer {write_key}\r\n"
        "Content-Type: application/json\r\n"
        "User-Agent: Mozilla/5.0 (Linux; Android 14; ALN-AL00) AppleWebKit/537.36 Chrome/120.0 Mobile\r\n"
        f"{encoding}"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
