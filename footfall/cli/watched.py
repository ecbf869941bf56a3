"""GET /healthz, /readyz and /metrics of a service that has no other routes. No key is needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Response
from prometheus_client import generate_latest

from footfall import __version__
from footfall.eventlog.data_until import DataUntil
from footfall.storage.store import Query, QueryLimits
from processor.loop import wall_clock
from query_api.answers import instant

if TYPE_CHECKING:
    from footfall.cli.parts import Parts

_QUICK = QueryLimits(seconds=5.0, memory_bytes=1 << 28, threads=1)
_EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"


def build_watched(parts: Parts) -> FastAPI:
    """`/readyz` asks store, workspace and log."""
    app = FastAPI(title="Footfall processor", version=__version__, docs_url=None, redoc_url=None)
    data_until = DataUntil(parts.log, wall_clock)

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        """Whether the process lives."""
        return {"status": "ok"}

    @app.get("/readyz", response_model=None)
    def readyz(response: Response) -> dict[str, str | None]:
        """Whether it can go on: 200, or 503 with the reason."""
        asked: dict[str, Callable[[], Any]] = {
            "store": lambda: parts.store.rows(Query("SELECT 1"), _QUICK),
            "workspace": parts.workspace.projects,
            "log": data_until,
        }
        for what, ask in asked.items():
            try:
                ask()
            except Exception as error:  # noqa: BLE001 - whatever it raises, nothing can be done without it
                response.status_code = 503
                return {"status": "not ready", "reason": f"the {what} cannot be asked: {error}"}
        return {"status": "ready", "data_until": instant(data_until())}

    @app.get("/metrics", response_class=Response)
    def metrics() -> Response:
        """For Prometheus."""
        return Response(generate_latest(parts.registry), media_type=_EXPOSITION)

    return app
