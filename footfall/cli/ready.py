"""`footfall ready`: whether a service on this machine is ready, for health checks."""

from __future__ import annotations

import json
from typing import Final, Literal
from urllib.error import HTTPError
from urllib.request import urlopen

from footfall.cli.sockets import url_of
from footfall.cli.tls import trusting_ourselves
from footfall.settings import Settings

Part = Literal["up", "collect", "process", "query"]

_PORTS: Final[dict[Part, tuple[str, ...]]] = {
    "up": ("collect_port", "query_port"),
    "collect": ("collect_port",),
    "process": ("process_port",),
    "query": ("query_port",),
}
_PATIENCE_SECONDS: Final = 5.0


def unready(settings: Settings, part: Part) -> str | None:
    """Why it is not ready; None if it is."""
    for field in _PORTS[part]:
        why = _ask(f"{base_of(settings, getattr(settings, field))}/readyz", settings)
        if why is not None:
            return why
    return None


def base_of(settings: Settings, port: int) -> str:
    """The address of one of our ports, as this machine sees it."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 - compared
    base = url_of(host, port)
    return base if settings.tls_cert is None else base.replace("http:", "https:", 1)


def _ask(url: str, settings: Settings) -> str | None:
    try:
        with urlopen(url, timeout=_PATIENCE_SECONDS, context=trusting_ourselves(settings.tls_cert)):  # noqa: S310
            return None
    except HTTPError as error:
        with error:
            body = error.read()
    except OSError as error:
        return f"{url}: {error}"
    try:
        answer = json.loads(body)
        return f"{url}: {answer.get('reason') or answer.get('detail')}"
    except (ValueError, AttributeError):
        return f"{url}: {body[:200]!r}"
