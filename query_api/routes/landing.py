"""GET /: what a browser shows at the query API's address. Static, without scripts, nothing from elsewhere."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from html import escape
from pathlib import Path

from fastapi import APIRouter
from starlette.responses import Response

from footfall import __version__

_TEMPLATE = Path(__file__).with_name("landing.html").read_text("utf-8")


def build_landing_routes() -> APIRouter:
    """One page, in Chinese and English."""
    router = APIRouter(include_in_schema=False)
    page = _TEMPLATE.replace("{version}", escape(__version__))
    headers = {
        "Content-Security-Policy": _policy(page),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }

    @router.api_route("/", methods=["GET", "HEAD"])
    async def landing() -> Response:
        return Response(page, headers=headers, media_type="text/html; charset=utf-8")

    return router


def _policy(page: str) -> str:
    """Allows this page's own style, by its hash, and nothing else."""
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
