"""What a log line says of an error says nothing of a person, on a terminal neither."""

from __future__ import annotations

import asyncio
import io
import logging
import sys
import threading
from collections.abc import Callable, Iterator

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
    for owner, hook in ((sys, "excepthook"), (sys, "unraisablehook"), (threading, "excepthook")):
        monkeypatch.setattr(owner, hook, getattr(owner, hook))  # put back afterwards
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


def fail_with_secrets() -> None:
    raise ValueError(f"no number: {PHONE} of {EMAIL}")


class FailsWhenItGoes:
    def __del__(self) -> None:
        fail_with_secrets()


def fail_in_thread() -> None:
    thread = threading.Thread(target=fail_with_secrets, name="upkeep")
    thread.start()
    thread.join()


def fail_in_process() -> None:
    try:
        fail_with_secrets()
    except ValueError as error:
        sys.excepthook(ValueError, error, error.__traceback__)  # as Python does before it ends


def fail_in_finalizer() -> None:
    FailsWhenItGoes()


def fail_in_event_loop() -> None:
    async def fail_in_callback() -> None:
        asyncio.get_running_loop().call_soon(fail_with_secrets)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    asyncio.run(fail_in_callback())


@pytest.mark.parametrize("fail", [fail_in_thread, fail_in_process, fail_in_finalizer, fail_in_event_loop])
def test_what_nobody_catches_is_logged_without_what_it_quotes(
    screen: Screen, fail: Callable[[], None]
) -> None:
    fail()
    lines = screen.getvalue()
    assert "fail_with_secrets" in lines  # its trace
    assert "138****8000" in lines
    assert PHONE not in lines
    assert EMAIL not in lines


def test_a_thread_may_end_with_system_exit_in_silence(screen: Screen) -> None:
    thread = threading.Thread(target=sys.exit)
    thread.start()
    thread.join()
    assert screen.getvalue() == ""
