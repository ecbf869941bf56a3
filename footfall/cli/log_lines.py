"""Log lines: readable on a terminal, JSON elsewhere; ours and the libraries' alike, to stderr."""

from __future__ import annotations

import logging
import sys
from typing import Final

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from footfall.privacy.hiding import hidden


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
