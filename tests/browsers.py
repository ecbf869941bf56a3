"""A Chromium for tests: the one named in CHROMIUM, or one of NAMES on the path."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


def find_chromium() -> str | None:
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def opened_browser() -> Iterator[Browser]:
    """Where there is none the test is skipped, or fails if REQUIRE_CHROMIUM is set."""
    path = find_chromium()
    if path is None:
        missing = f"no Chromium: install one ({', '.join(NAMES)}), or name it in CHROMIUM"
        if os.environ.get("REQUIRE_CHROMIUM"):
            pytest.fail(missing)
        pytest.skip(missing)
    with sync_playwright() as driver:
        # Without its own sandbox, which root and containers cannot have; it opens nothing but our pages.
        opened = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield opened
        opened.close()
