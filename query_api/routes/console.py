"""GET / and /console/...: the console's page and its files. Without a key: they hold no data.

Our own files lie under a digest of them all, what others made under names with versions: browsers may keep
both for ever, and only the page itself is asked for again.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from html import escape
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from footfall import __version__

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Nothing inline, nothing from elsewhere, nobody's frame."""

_HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_MEDIA_TYPES: Final = {
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
}
"""By the end of the name; files of other kinds, such as licences, are not served."""


@dataclass(frozen=True)
class Asset:
    """A file as it is sent."""

    content: bytes
    media_type: str

    @cached_property
    def gzipped(self) -> bytes:
        return gzip.compress(self.content, mtime=0)


def build_console_routes() -> APIRouter:
    """The page and everything that it loads, read once."""
    router = APIRouter(include_in_schema=False)
    web = files("web")
    assets = _read_assets(web)
    own = f"/console/{_digest(web)}"
    page = (web / "index.html").read_text("utf-8").replace("{version}", escape(__version__))
    page = page.replace("{app}", own)

    @router.api_route("/", methods=["GET", "HEAD"])
    async def console() -> Response:
        headers = {**_HEADERS, "Cache-Control": "no-cache"}
        return Response(page, headers=headers, media_type="text/html; charset=utf-8")

    @router.api_route("/console/{path:path}", methods=["GET", "HEAD"])
    async def asset(request: Request, path: str) -> Response:
        found = assets.get(path)
        if found is None:
            raise HTTPException(404)
        headers = {**_HEADERS, "Cache-Control": _FOR_EVER, "Vary": "Accept-Encoding"}
        if "gzip" not in request.headers.get("accept-encoding", ""):
            return Response(found.content, headers=headers, media_type=found.media_type)
        headers["Content-Encoding"] = "gzip"
        return Response(found.gzipped, headers=headers, media_type=found.media_type)

    return router


def _read_assets(web: Traversable) -> dict[str, Asset]:
    """Every file that is served, by its path below /console/."""
    places = {_digest(web): web / "app", "vendor": web / "vendor"}
    return {
        f"{place}/{name}": Asset(file.read_bytes(), _MEDIA_TYPES[ending])
        for place, folder in places.items()
        for name, file in _walk(folder)
        if (ending := name.rpartition(".")[2]) in _MEDIA_TYPES
    }


def _digest(web: Traversable) -> str:
    """Changes with any file of ours."""
    digest = hashlib.sha256()
    for name, file in _walk(web / "app"):
        content = file.read_bytes()
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:16]


def _walk(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, Traversable]]:
    """Files below a folder, with their paths in it, in a fixed order."""
    for child in sorted(folder.iterdir(), key=lambda child: child.name):
        if child.is_dir():
            yield from _walk(child, f"{prefix}{child.name}/")
        else:
            yield prefix + child.name, child
