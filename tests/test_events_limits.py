"""docs/limits.md says what the code does."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path

import pytest

from collector import aside
from collector.options import CollectorOptions
from footfall.events import batch, limits
from footfall.events.names import RESERVED
from footfall.events.reasons import Reason
from footfall.tracking_plan import limits as plan_limits

PAGE = (Path(__file__).parent.parent / "docs" / "limits.md").read_text()
NOT_LIMITS = {
    "drain_seconds",
    "key_seconds",
    "limits",
    "metrics_dir",
    "project_seconds",
    "strict_sensors",
    "trusted_proxies",
    "unknown_seconds",
    "worker",
}


def limits_of_the_code() -> dict[str, float]:
    constants = {name: value for name, value in vars(limits).items() if name.isupper()}
    options = {name: value for name, value in asdict(CollectorOptions()).items() if name not in NOT_LIMITS}
    constants |= {name: value for name, value in vars(plan_limits).items() if name.isupper()}
    return constants | asdict(limits.BodyLimits()) | options


def test_the_page_lists_every_limit_with_its_value():
    rows = re.findall(r"^\| `(\w+)` [^|]*\| (\d+) \|", PAGE, re.MULTILINE)
    assert {name: float(value) for name, value in rows} == limits_of_the_code()


def test_the_page_says_which_requests_are_heavy():
    what = (
        f"Heavy is what has, as it came or unpacked, more than {aside.LIGHT_BYTES // 1024} KiB or "
        f"{aside.LIGHT_BRACES} `{{`; records that are not as usual, over {batch.QUICK_RECORDS} of them or "
        f"{batch.QUICK_BYTES // 1024} KiB; encrypted batches of more than {aside.LIGHT_COMMAS:,} commas, or "
        f"{aside.LIGHT_RECORDS} records inside."
    )
    assert what in " ".join(PAGE.split())


def test_the_page_explains_every_reason():
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", PAGE, re.MULTILINE))
    assert rows == {reason.value: reason.about for reason in Reason}


def test_the_page_names_every_reserved_name():
    assert all(f"`{name}`" in PAGE for name in RESERVED)


def test_body_limits_must_make_sense():
    with pytest.raises(ValueError, match="body_bytes"):
        limits.BodyLimits(body_bytes=10, decompressed_bytes=9)
