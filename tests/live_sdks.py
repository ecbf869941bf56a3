"""Sensors' SDKs, unchanged, driven from tests: in a browser, in Node.js, on a mock of WeChat, in Python."""

from __future__ import annotations

import functools
import http.server
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from playwright.sync_api import Browser, Page

from tests.sdk_packages import DRIVERS, installed, node

PATIENCE_SECONDS = 60


def until(condition: Callable[[], Any], what: Callable[[], Any] = lambda: "") -> None:
    """Waits; `what` says at the end how far it came."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.02)


class NodeProgram:
    """A driver of tests/sensors_sdks in a process of its own: calls go in as lines, lines come back."""

    def __init__(self, driver: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [node(), "--no-deprecation", str(DRIVERS / driver), str(installed()), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.errors: list[str] = []
        self._said: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read, name=driver)
        self._reader.start()
        self._await("start")

    def call(self, method: str, *args: Any) -> None:
        """Calls a method of the SDK and returns when it has returned."""
        self.tell(method, *args)
        self._await(method)

    def tell(self, method: str, *args: Any) -> None:
        """Calls it without waiting."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"method": method, "args": args}) + "\n")
        self._process.stdin.flush()

    def storage(self) -> dict[str, Any]:
        """What a mini-program has in its storage."""
        self.call("app.storage")
        return next(each["storage"] for each in reversed(self._said) if "storage" in each)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self.close()

    def close(self) -> int:
        """Ends its input and waits for its own end: Node.js ends when nothing is on its way any more."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        code = self._process.wait(PATIENCE_SECONDS)
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()
        return code

    def _await(self, method: str) -> None:
        done = {"done": method}
        until(lambda: done in self._said or self._process.poll() is not None, lambda: (method, self._said))
        assert done in self._said, (method, self._said)
        self._said.remove(done)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said = json.loads(line)
            if "done" not in said and "storage" not in said:
                self.errors.append(str(said))
            else:
                self._said.append(said)


@contextmanager
def site() -> Iterator[str]:
    """A bank's web server: the page, and the SDK under /sdk. Its address."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def translate_path(self, path: str) -> str:
            name = path.partition("?")[0]
            if name.startswith("/sdk/"):
                return str(installed() / "sa-sdk-javascript" / name.removeprefix("/sdk/"))
            return str(DRIVERS / "page.html")

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=functools.partial(server.serve_forever, 0.05), name="site")
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class WebPage:
    """The page with the Web SDK set up by `para`, in a browser profile of its own."""

    def __init__(
        self, browser: Browser, address: str, para: Mapping[str, Any], plugin: list[Any] | None = None
    ) -> None:
        self.context = browser.new_context(locale="zh-CN", viewport={"width": 1280, "height": 800})
        self.page: Page = self.context.new_page()
        self.wrong: list[str] = []
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("dialog", self._told)
        self.dialogs: list[str] = []
        setup = quote(json.dumps({"para": para, "plugin": plugin}))
        self.page.goto(f"{address}/fund/F001?utm_source=wechat&utm_campaign=autumn#{setup}")
        self.page.wait_for_function("window.sensors !== undefined")

    def _told(self, dialog: Any) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def call(self, method: str, *args: Any) -> None:
        self.page.evaluate("([method, args]) => { sensors[method](...args) }", [method, list(args)])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()


def profile_folder(folder: Path) -> str:
    """Where an NWConsumer keeps what it could not send."""
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder)
