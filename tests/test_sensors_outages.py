"""What Sensors' SDKs lose when the collector is away, and what it prevents: what docs/sensors.md says, run.

Every SDK lives through the same day: a disk that is full for a second, one that stays full, a server that is
gone, one that is restarted by systemd, which keeps its port open meanwhile, and the end of it all.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.browsers import opened_browser
from tests.live_sdks import NodeProgram, WebPage, profile_folder, site, until
from tests.restartable import Restartable
from tests.sdk_packages import sdks_or_skip
from tests.wiretap import Wiretap, wiretap

sensorsanalytics = pytest.importorskip("sensorsanalytics")

pytestmark = [
    pytest.mark.network_sdk,
    # The Python package leaves sockets to the garbage collector, and its thread dies of a mistake.
    pytest.mark.filterwarnings("ignore:isSet:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]

PATIENT_MS = 60_000
"""How long SDKs wait for an answer here. Of themselves 3 to 10 s; a busy machine starts slower than that."""

DAY = ("calm", "full_for_a_second", "full", "gone", "restarted", "after")
NEVER_AGAIN = {"full", "gone"}

LOST: Mapping[str, set[str]] = {
    "web image": NEVER_AGAIN,
    "web ajax": NEVER_AGAIN,
    "web beacon": NEVER_AGAIN,
    "web batch": set(),
    "miniprogram batch": set(),
    "miniprogram once": NEVER_AGAIN,
    "node Submitter": NEVER_AGAIN,
    "node NWConsumer": set(),  # once the program is started again
    "python Default": NEVER_AGAIN,
    "python Batch": set(),
    "python AsyncBatch": {"full", "gone", "restarted", "after"},  # its thread is dead from then on
}
"""By SDK and mode: what is not there in the end. docs/sensors.md says the same."""

Track = Callable[[str], None]
"""Has an SDK track the event of this name, and returns at once."""


class PythonApp:
    """Calls the SDK in threads, as a server's requests would; keeps what it raises."""

    def __init__(self, consumer: Any) -> None:
        self.sdk = sensorsanalytics.SensorsAnalytics(consumer)
        self.raised: list[str] = []
        self._threads: list[threading.Thread] = []

    def __call__(self, event: str) -> None:
        self._threads.append(threading.Thread(target=self._track, args=(event,)))
        self._threads[-1].start()

    def _track(self, event: str) -> None:
        try:
            self.sdk.track("cookie-1", event)
        except Exception as error:
            self.raised.append(type(error).__name__)

    def join(self) -> None:
        for thread in self._threads:
            thread.join()


class Day:
    """A Footfall behind a relay, and one app with each SDK and mode, all of them running."""

    def __init__(self, home: Path, stack: ExitStack) -> None:
        self._stack = stack
        self.world = Restartable(home)
        stack.callback(self.world.close)
        self.world.start()
        self.tap: Wiretap = stack.enter_context(wiretap(self.world.collect_port))
        self.cached = {
            "url": self._url("node NWConsumer"),
            "cachePath": profile_folder(home / "cache"),
            "timeout": PATIENT_MS,
        }
        self.python = self._python()
        self.sdks: dict[str, Track] = {**self._web(), **self._mini(), **self._node(), **self.python}
        stack.callback(self._end_async_batch)

    def track(self, event: str) -> None:
        for sdk in self.sdks.values():
            sdk(event)

    def wait_for(self, event: str, but: Collection[str] = ()) -> None:
        """Until every SDK but those had an answer to it, good or bad."""
        wanted = {project_of(name) for name in self.sdks if name not in but}
        until(lambda: wanted <= self._answered(event), lambda: (event, wanted - self._answered(event)))

    def start_again_with_the_cache(self) -> None:
        """The program with the NWConsumer, which looks into its cache when it is started."""
        self._program("node.cjs", "nw", self.cached)

    def lost(self) -> dict[str, set[str]]:
        return {name: set(DAY) - set(self.stored(name)) for name in self.sdks}

    def stored(self, name: str) -> list[str]:
        address = f"/api/v1/projects/{project_of(name)}/export"
        answer = self.world.query.get(address, params={"subject": "events"})
        assert answer.status_code == 200, answer.text
        return [orjson.loads(line)["event"] for line in answer.text.splitlines()]

    def _answered(self, event: str) -> set[str]:
        return {
            each.query["project"]
            for each in self.tap.answered()
            if each.method != "OPTIONS" and any(record.get("event") == event for record in each.records)
        }

    def _url(self, name: str) -> str:
        project = project_of(name)
        answer = self.world.query.post("/api/v1/projects", json={"name": project, "keyless": True})
        assert answer.status_code == 201, answer.text
        return self.tap.url(f"/sa?project={project}")

    def _web(self) -> dict[str, Track]:
        address = self._stack.enter_context(site())
        browser = self._stack.enter_context(opened_browser())
        batch = {"send_interval": 300, "datasend_timeout": PATIENT_MS}
        modes: Mapping[str, dict[str, Any]] = {
            "web image": {"send_type": "image"},
            "web ajax": {"send_type": "ajax"},
            "web beacon": {"send_type": "beacon"},
            "web batch": {"send_type": "ajax", "batch_send": batch},
        }
        sdks: dict[str, Track] = {}
        for name, mode in modes.items():
            para = {"server_url": self._url(name), "datasend_timeout": PATIENT_MS, **mode}
            page = self._stack.enter_context(WebPage(browser, address, para))
            sdks[name] = partial(page.call, "track")
        return sdks

    def _mini(self) -> dict[str, Track]:
        sdks: dict[str, Track] = {}
        for name, batch in (("miniprogram batch", {"send_timeout": 100}), ("miniprogram once", False)):
            para = {"server_url": self._url(name), "batch_send": batch, "datasend_timeout": PATIENT_MS}
            sdks[name] = partial(self._program("miniprogram.cjs", {"para": para}).tell, "track")
        return sdks

    def _node(self) -> dict[str, Track]:
        submitted = {"url": self._url("node Submitter"), "timeout": PATIENT_MS}
        return {
            "node Submitter": partial(
                self._program("node.cjs", "submitter", submitted).tell, "track", "cookie-1"
            ),
            "node NWConsumer": partial(
                self._program("node.cjs", "nw", self.cached).tell, "track", "cookie-1"
            ),
        }

    def _python(self) -> dict[str, PythonApp]:
        consumers = {
            "python Default": sensorsanalytics.DefaultConsumer,
            "python Batch": lambda url: sensorsanalytics.BatchConsumer(url, max_size=1),
            "python AsyncBatch": lambda url: sensorsanalytics.AsyncBatchConsumer(url, flush_max_time=0.1),
        }
        return {name: PythonApp(consumer(self._url(name))) for name, consumer in consumers.items()}

    def _program(self, driver: str, *arguments: Any) -> NodeProgram:
        texts = [each if isinstance(each, str) else orjson.dumps(each).decode() for each in arguments]
        return self._stack.enter_context(NodeProgram(driver, *texts))

    def _end_async_batch(self) -> None:
        """Its own `close` waits for ever for the thread that is dead."""
        for app in self.python.values():
            app.join()


def project_of(name: str) -> str:
    return name.replace(" ", "_")


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    sdks_or_skip()
    dead = {"python AsyncBatch"}
    with ExitStack() as stack:
        day = Day(tmp_path_factory.mktemp("day"), stack)
        world = day.world
        day.track("calm")
        day.wait_for("calm")
        with world.full_disk():
            day.track("full_for_a_second")
            time.sleep(1)
        day.wait_for("full_for_a_second")
        with world.full_disk():
            day.track("full")
            day.wait_for("full", {"miniprogram batch", "miniprogram once"})  # they get no answer
        world.stop()
        day.track("gone")
        time.sleep(0.5)  # for their connections to fail
        world.hold_ports()
        day.track("restarted")
        world.start()
        day.wait_for("restarted", dead)
        day.track("after")
        day.wait_for("after", dead)
        day.start_again_with_the_cache()
        until(
            lambda: day.lost() == LOST,
            lambda: {name: lost for name, lost in day.lost().items() if lost != LOST[name]},
        )
        yield day


def test_each_sdk_loses_what_it_never_sends_again(day: Day) -> None:
    assert day.lost() == LOST


def test_what_was_sent_again_is_stored_once(day: Day) -> None:
    """Also by the NWConsumer, which caches, and sends, each of its failures twice."""
    for name in day.sdks:
        stored = day.stored(name)
        assert len(stored) == len(set(stored)), name


def test_python_raises_in_the_app_but_for_the_consumer_that_dies_in_silence(day: Day) -> None:
    for name in ("python Default", "python Batch"):
        answered, unanswered = day.python[name].raised
        assert answered == "SensorsAnalyticsNetworkException"
        assert unanswered in ("RemoteDisconnected", "URLError"), "and no exception of the SDK's own"
    assert day.python["python AsyncBatch"].raised == []
    assert not day.python["python AsyncBatch"].sdk._consumer._flushing_thread.is_alive()


def test_the_page_says_what_each_loses() -> None:
    page = (Path(__file__).parent.parent / "docs" / "sensors.md").read_text()
    told = {}
    for name, *cells in re.findall(
        r"^\| ((?:web|miniprogram|node|python) \w+)" + r" \| (kept|lost)" * 4, page, re.M
    ):
        told[name] = {event for event, cell in zip(DAY[1:5], cells, strict=True) if cell == "lost"}
    assert told == {name: lost - {"after"} for name, lost in LOST.items()}
