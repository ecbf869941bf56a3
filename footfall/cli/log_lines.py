"""Log lines: readable on a terminal, JSON elsewhere; ours and the libraries' alike, to stderr."""

from __future__ import annotations

import logging
import sys

import structlog
from structlog.typing import Processor


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
    if sys.stderr.isatty():
        return [drop_marks, structlog.dev.ConsoleRenderer()]
    return [drop_marks, structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
