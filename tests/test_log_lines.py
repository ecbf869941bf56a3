"""What a log line says of an error says nothing of a person, on a terminal neither."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterator

import pytest
import structlog

from footfall.cli.log_lines import set_up_logging

PHONE, EMAIL = "13800138000", "zhang.san@bank.example"


class Screen(io.StringIO):
    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@pytest.fixture(params=[True, False])
def screen(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Screen]:
    """Standard error, a terminal or a file, to which everything is logged."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    shown = Screen(request.param)
    monkeypatch.setattr(sys, "stderr", shown)
    set_up_logging()
    yield shown
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()


def test_errors_that_quote_what_was_sent_are_logged_without_it(screen: Screen) -> None:
    def read(record: dict[str, str]) -> int:
        secret = record["card_of_somebody"]  # a variable: no line may show it
        return int(record["phone"]) if secret else 0

    try:
        read({"phone": f"x{PHONE}", "card_of_somebody": "6222021001116245702"})
    except ValueError as error:
        logging.getLogger("collector.doors").exception("POST /v1/events/%s failed", PHONE)
        structlog.get_logger("processor").warning("processor.block_failed", error=repr(error), of=EMAIL)
    lines = screen.getvalue()
    assert "ValueError" in lines
    assert "processor.block_failed" in lines
    assert "138****8000" in lines
    for secret in (PHONE, EMAIL, "6222021001116245702"):
        assert secret not in lines
