"""The requests captured from Sensors SDKs, and what is in them, decoded without any code of ours."""

from __future__ import annotations

import base64
import gzip
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

FIXTURES = Path(__file__).parent / "fixtures" / "sensors"


@dataclass(frozen=True)
class Captured:
    """One request, byte for byte."""

    path: Path

    @property
    def name(self) -> str:
        return f"{self.path.parent.name}/{self.path.stem}"

    @cached_property
    def request(self) -> bytes:
        return self.path.read_bytes()

    @property
    def head(self) -> bytes:
        return self.request.partition(b"\r\n\r\n")[0]

    @property
    def body(self) -> bytes:
        return self.request.partition(b"\r\n\r\n")[2]

    @property
    def is_dry_run(self) -> bool:
        return b"\r\ndry-run: true" in self.head.lower()

    @property
    def is_debug(self) -> bool:
        return self.request.split(b" ")[1].startswith(b"/debug")

    @cached_property
    def records(self) -> list[dict[str, Any]]:
        """What the SDK wrapped, in its order."""
        form = self.body or self.request.split(b" ")[1].partition(b"?")[2]
        return decode_form(form.decode())

    def with_plus_as(self, text: bytes) -> bytes:
        """The request with every escaped '+' of its data replaced."""
        if self.body:
            return self.with_body(self.body.replace(b"%2B", text))
        return self.request.replace(b"%2B", text)

    def with_body(self, body: bytes) -> bytes:
        lines = [line for line in self.head.split(b"\r\n") if not line.lower().startswith(b"content-length:")]
        return b"\r\n".join([*lines, b"Content-Length: %d" % len(body), b"", body])

    def without_content_type(self) -> bytes:
        lines = [line for line in self.head.split(b"\r\n") if not line.lower().startswith(b"content-type:")]
        return b"\r\n".join([*lines, b"", self.body])


def decode_form(form: str) -> list[dict[str, Any]]:
    """The records in a request's body, or in its query."""
    fields = parse_qs(form, strict_parsing=True)
    text = base64.b64decode(fields.get("data_list", fields.get("data", []))[0], validate=True)
    text = gzip.decompress(text) if fields.get("gzip") == ["1"] else text
    # The mini-program's SDK writes each half of a surrogate pair by itself.
    characters = text.decode(errors="surrogatepass").encode("utf-16", "surrogatepass").decode("utf-16")
    value = json.loads(characters)
    return value if isinstance(value, list) else [value]


def captured_requests() -> list[Captured]:
    """All but the encrypted ones and the poll for configuration."""
    paths = sorted(FIXTURES.glob("*/*.http"))
    return [
        Captured(path) for path in paths if not path.parent.name.endswith("_sm") and "config" not in path.name
    ]


def capture_time(folder: str) -> int:
    """When the requests of a folder were captured: the latest time any of them mentions, in epoch ms."""
    requests = [request for request in captured_requests() if request.path.parent.name == folder]
    return max(
        record.get("_flush_time", record["time"]) for request in requests for record in request.records
    )
