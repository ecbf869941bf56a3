"""Log lines: readable on a terminal, JSON elsewhere; ours and the libraries' alike, to stderr."""

from __future__ import annotations

import logging
import sys
import threading
from types import TracebackType
from typing import TYPE_CHECKING, Final

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from footfall.privacy.hiding import hidden

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

_log = structlog.get_logger(__name__)


def set_up_logging() -> None:
    """Once a process, before anything logs."""
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=_rendering())
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for chatty in ("uvicorn.access", "uvicorn.error", "clickhouse_connect", "httpx"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    _log_what_nobody_catches()


def _log_what_nobody_catches() -> None:
    """Python itself would print it as it is, with what the error quotes. (asyncio logs already.)"""
    sys.excepthook = _log_exception
    threading.excepthook = _log_exception_of_thread
    sys.unraisablehook = _log_unraisable


def _log_exception(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        _log.critical("process.failed", exc_info=(kind, error, trace))


def _log_exception_of_thread(args: threading.ExceptHookArgs) -> None:
    if not issubclass(args.exc_type, SystemExit):  # Python lets those pass in silence, too
        name = args.thread.name if args.thread else None
        _log.error("thread.failed", thread=name, exc_info=(args.exc_type, args.exc_value, args.exc_traceback))


def _log_unraisable(args: UnraisableHookArgs) -> None:
    _log.error(
        "finalizer.failed",
        of=repr(args.object),
        exc_info=(args.exc_type, args.exc_value, args.exc_traceback),
    )


def _rendering() -> list[Processor]:
    drop_marks = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    before: list[Processor] = [drop_marks, structlog.processors.format_exc_info, _without_personal_data]
    if sys.stderr.isatty():  # plain: the usual one would show the variables of every function, records too
        plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        return [*before, plain]
    return [*before, structlog.processors.JSONRenderer()]


def _without_personal_data(_logger: WrappedLogger, _method: str, entry: EventDict) -> EventDict:
    """Errors quote what was wrong: a value, the path of a request."""
    for name, value in entry.items():
        if isinstance(value, str) and name not in _OURS:
            entry[name] = hidden(value)
    return entry


_OURS: Final = frozenset({"timestamp", "level", "logger"})
