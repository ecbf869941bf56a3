"""Step: what the browser's User-Agent says of browser, system, device, and whether it is a robot.

Only browsers and robots are read: the User-Agent of a native or server SDK says nothing of the user's device
(and native SDKs send these properties themselves).
"""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np
from ua_parser import parse

from processor.event_block import EventBlock, mark

GROUPS = (
    ("$browser", "$browser_version"),
    ("$os", "$os_version"),
    ("$model",),
    ("$device_type",),
    ("$is_bot",),
)
"""Properties that are put together or not at all: a sent `$os` with a derived version would be a lie."""

_LONGEST = 512
_ROBOT = re.compile(r"bot\b|spider|crawler|headless", re.IGNORECASE)
_TABLETS = re.compile(r"ipad|tablet|\btab\b|sm-t\d|matepad|mipad", re.IGNORECASE)
_DESKTOPS = ("Windows", "Mac OS X", "Linux", "Ubuntu", "Chrome OS", "Fedora", "Debian")
_PHONES = ("iOS", "Android", "HarmonyOS", "OpenHarmony", "Windows Phone", "KaiOS")


def put_user_agent(block: EventBlock) -> EventBlock:
    """Puts GROUPS on the rows that have nothing of the group."""
    derived = [read_user_agent(request.header.user_agent) for request in block.requests]
    for group in GROUPS:
        lacking = block.rows_without(group)
        for name in group:
            having = [index for index, entries in enumerate(derived) if name in entries]
            if not having:
                continue
            wanted = mark(np.array(having, np.int32), len(derived))[block.request_of] & lacking
            rows = np.flatnonzero(wanted).astype(np.int32)
            values = [derived[request][name] for request in block.request_of[rows].tolist()]
            block = block.put(name, rows, values)
    return block


@lru_cache(maxsize=20_000)
def read_user_agent(text: str) -> dict[str, str | bool]:
    """The properties that a User-Agent gives; nothing for an SDK's own.

    >>> read_user_agent("SensorsAnalytics iOS SDK")
    {}
    """
    robot = _ROBOT.search(text) is not None
    if not (text.startswith(("Mozilla/", "Opera/")) or robot):
        return {}
    parsed = parse(text[:_LONGEST])
    entries: dict[str, str | bool] = {"$is_bot": robot}
    if parsed.user_agent is not None:
        entries["$browser"] = parsed.user_agent.family
        entries |= _version("$browser_version", parsed.user_agent.major, parsed.user_agent.minor)
    if parsed.os is not None:
        entries["$os"] = parsed.os.family
        entries |= _version("$os_version", parsed.os.major, parsed.os.minor)
        if (kind := _device_type(text, parsed.os.family)) is not None:
            entries["$device_type"] = kind
    device = parsed.device
    if device is not None and not robot and device.family not in ("Spider", "Other"):
        entries["$model"] = device.model or device.family
    return entries


def _version(name: str, major: str | None, minor: str | None) -> dict[str, str | bool]:
    return {name: f"{major}.{minor}" if minor else major} if major else {}


def _device_type(text: str, system: str) -> str | None:
    if _TABLETS.search(text) or (system == "Android" and "Mobile" not in text):
        return "tablet"
    if system in _PHONES:
        return "mobile"
    return "desktop" if system in _DESKTOPS else None
