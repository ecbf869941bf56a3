"""Sensors' Apache-2.0 SDKs, unchanged, against a real Footfall: what they sent is stored, field by field.

A relay that changes nothing notes what each of them puts on the wire; what they were told to send is known
beside it. Where Node.js, the packages or a Chromium are missing, these tests are skipped and say so;
REQUIRE_SENSORS_SDKS and REQUIRE_CHROMIUM, as in CI, forbid that.
"""

from __future__ import annotations

import re
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from playwright.sync_api import Browser
from sdk_server import unused_port

from footfall.cli.demo_system import RunningSystem
from tests.browsers import opened_browser
from tests.captured import FIXTURES
from tests.live_sdks import NodeProgram, WebPage, profile_folder, site, until
from tests.live_system import Live, assert_all_stored, assert_told, is_config, profile_of
from tests.sdk_packages import DRIVERS, sdks_or_skip
from tests.wiretap import wiretap

sensorsanalytics = pytest.importorskip("sensorsanalytics")

pytestmark = [
    pytest.mark.network_sdk,
    # The Python package leaves sockets to the garbage collector and calls Event.isSet.
    pytest.mark.filterwarnings("ignore:isSet:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

PROPERTIES: Mapping[str, Any] = {
    "fund_id": "F001",
    "name": '稳健理财 🏦 "A" & <b> % + = \' \\',
    "amount": 1234.56,
    "shares": 3,
    "huge": 9007199254740991,
    "vip": True,
    "tags": ["low risk", "债券"],
    "bought_at": "2026-01-02 03:04:05.678",
}


@pytest.fixture(scope="module")
def live(footfall: RunningSystem, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    sdks_or_skip()
    headers = {"Authorization": f"Bearer {footfall.secret_key}"}
    with (
        wiretap(footfall.collect_port) as tap,
        site() as address,
        httpx.Client(base_url=footfall.query_url, headers=headers, timeout=60) as query,
    ):
        yield Live(footfall, tap, address, tmp_path_factory.mktemp("sdks"), query)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with opened_browser() as opened:
        yield opened


# Node.js


NODE_PROPERTIES = dict(PROPERTIES)


def drive_node(sa: NodeProgram) -> None:
    sa.call("track", "cookie-1", "ViewFund", NODE_PROPERTIES)
    sa.call("trackSignup", "cust-1", "cookie-1", {"channel": "web"})
    sa.call("profileSet", "cust-1", {"level": "gold", "age": 40})
    sa.call("profileSetOnce", "cust-1", {"first_channel": "web"})
    sa.call("profileIncrement", "cust-1", {"age": 1})
    sa.call("profileAppend", "cust-1", {"likes": ["bonds"]})
    sa.call("profileUnset", "cust-1", ["level"])
    sa.call("itemSet", "fund", "F001", {"risk": "R2"})


@pytest.mark.parametrize("kind", ["submitter", "nw"])
def test_node(live: Live, kind: str) -> None:
    project = f"node_{kind}"
    options = {"url": live.url(project), "cachePath": profile_folder(live.home / project)}
    with NodeProgram("node.cjs", kind, orjson.dumps(options).decode()) as sa:
        drive_node(sa)
        live.wait_for(project, "ViewFund", "$SignUp", "profile_unset", "item_set")
        assert (sa.close(), sa.errors) == (0, [])
    stored = assert_all_stored(live, project)
    assert_told(stored, "ViewFund", NODE_PROPERTIES)
    profile = profile_of(live, project, "cust-1")
    assert {name: profile[name] for name in ("age", "first_channel", "likes")} == {
        "age": 41,
        "first_channel": "web",
        "likes": ["bonds"],
    }
    assert "level" not in profile
    (item,) = live.stored(project, "items")
    assert (item["item_type"], item["item_id"], item["properties"]["risk"]) == ("fund", "F001", "R2")


@pytest.mark.parametrize("kind", ["submitter", "nw"])
@pytest.mark.parametrize("mode", ["debug", "dryRun"])
def test_node_in_debug_mode(live: Live, kind: str, mode: str) -> None:
    project = f"node_{kind}_{mode}"
    options = {"url": live.url(project), "mode": mode, "cachePath": profile_folder(live.home / project)}
    with NodeProgram("node.cjs", kind, orjson.dumps(options).decode()) as sa:
        sa.call("track", "cookie-1", "ViewFund", NODE_PROPERTIES)
        until(lambda: live.requests(project))
        assert (sa.close(), sa.errors) == (0, [])
    (asked,) = live.requests(project)
    assert (asked.path, asked.status, asked.answer) == ("/debug", 200, b"{}")
    stored = assert_all_stored(live, project)
    assert [each["event"] for each in stored] == (["ViewFund"] if mode == "debug" else [])


# The mini-program


@pytest.mark.parametrize("batch", [True, False], ids=["batch", "once"])
def test_mini_program(live: Live, batch: bool) -> None:
    project = f"miniprogram_{'batch' if batch else 'once'}"
    para = {"server_url": live.url(project), "batch_send": {"send_timeout": 200} if batch else False}
    with NodeProgram("miniprogram.cjs", orjson.dumps({"para": para}).decode()) as sa:
        sa.call("app.show")
        sa.call("track", "ViewFund", PROPERTIES)
        sa.call("login", "cust-1")
        sa.call("setProfile", {"level": "gold", "age": 40})
        sa.call("setOnceProfile", {"first_channel": "mini"})
        sa.call("incrementProfile", {"age": 1})
        sa.call("appendProfile", {"likes": "bonds", "lost": ["a list"]})  # a mistake of 1.17.9: lists go
        sa.call("app.hide")
        live.wait_for(project, "$MPLaunch", "$MPShow", "ViewFund", "$SignUp", "$MPHide")
        assert (sa.close(), sa.errors) == (0, [])
    assert {request.method for request in live.requests(project)} == {"POST" if batch else "GET"}
    stored = assert_all_stored(live, project)
    assert_told(stored, "ViewFund", PROPERTIES)
    profile = profile_of(live, project, "cust-1")
    assert (profile["level"], profile["age"], profile["likes"]) == ("gold", 41, ["bonds"])
    assert "lost" not in profile, "the SDK drops lists; were it mended, docs/sensors.md is out of date"


def test_mini_program_that_was_closed_before_it_could_send(live: Live) -> None:
    """What waited in its storage is sent at the next start, as what it was."""
    project = "miniprogram_closed"
    nowhere = {"server_url": f"http://127.0.0.1:{unused_port()}/sa", "batch_send": {"send_timeout": 200}}
    with NodeProgram("miniprogram.cjs", orjson.dumps({"para": nowhere}).decode()) as sa:
        sa.call("track", "ViewFund", PROPERTIES)
        until(lambda: b"ViewFund" in orjson.dumps(sa.storage()))
        storage = sa.storage()
    assert live.requests(project) == []
    again = {"para": {**nowhere, "server_url": live.url(project)}, "stored": storage}
    with NodeProgram("miniprogram.cjs", orjson.dumps(again).decode()):
        live.wait_for(project, "ViewFund")
    assert_told(assert_all_stored(live, project), "ViewFund", PROPERTIES)


@pytest.mark.parametrize("batch", [True, False], ids=["batch", "once"])
def test_mini_program_with_the_aes_plugin(live: Live, batch: bool) -> None:
    project = f"miniprogram_{'batch' if batch else 'once'}_aes"
    live.add_key(project, "AES", 7, AES_KEY)
    para = {"server_url": live.url(project), "batch_send": {"send_timeout": 200} if batch else False}
    plugin = {"k": b64encode(AES_KEY).decode(), "kid": 7, "khash": "h4sh"}
    with NodeProgram("miniprogram.cjs", orjson.dumps({"para": para, "aes": plugin}).decode()) as sa:
        sa.call("app.show")
        sa.call("track", "ViewFund", PROPERTIES)
        sa.call("login", "cust-1")
        sa.call("app.hide")
        live.wait_for(project, "$MPLaunch", "$MPShow", "ViewFund", "$SignUp", "$MPHide")
        assert (sa.close(), sa.errors) == (0, [])
    assert_told(assert_all_stored(live, project), "ViewFund", PROPERTIES)


# The Web


WEB_MODES: Mapping[str, Mapping[str, Any]] = {
    "image": {"send_type": "image"},
    "ajax": {"send_type": "ajax"},
    "beacon": {"send_type": "beacon"},
    "batch": {"send_type": "ajax", "batch_send": {"send_interval": 500, "datasend_timeout": 6000}},
}
WEB_EVENTS = ("$pageview", "ViewFund", "$SignUp", "$WebClick", "profile_set", "item_set")


def drive_page(page: WebPage) -> None:
    page.call("quick", "autoTrack")
    page.call("track", "ViewFund", PROPERTIES)
    page.page.click("#buy")
    page.call("login", "cust-1")
    page.call("setProfile", {"level": "gold", "age": 40})
    page.call("setOnceProfile", {"first_channel": "web"})
    page.call("incrementProfile", {"age": 1})
    page.call("appendProfile", {"likes": ["bonds"]})
    page.call("setItem", "fund", "F001", {"risk": "R2"})


@pytest.mark.parametrize("mode", WEB_MODES)
def test_web(live: Live, browser: Browser, mode: str) -> None:
    """The page is the bank's web server's, the collector another origin."""
    project = f"web_{mode}"
    with WebPage(browser, live.site, {"server_url": live.url(project), **WEB_MODES[mode]}) as page:
        drive_page(page)
        live.wait_for(project, *WEB_EVENTS)
        stored = assert_all_stored(live, project)
        assert page.wrong == []
    assert_told(stored, "ViewFund", PROPERTIES)
    profile = profile_of(live, project, "cust-1")
    assert (profile["level"], profile["age"], profile["likes"]) == ("gold", 41, ["bonds"])
    (seen,) = [each["properties"] for each in stored if each["event"] == "$pageview"]
    assert (seen["$title"], seen["$url_path"]) == ("理财 · Bank", "/fund/F001")
    assert {request.method for request in live.requests(project)} == {"GET" if mode == "image" else "POST"}


SM2_KEY = orjson.loads((FIXTURES / "sm2-test-key.json").read_bytes())
AES_KEY = bytes(range(16))


@pytest.mark.parametrize("mode", ["image", "ajax", "beacon"])
def test_web_with_the_sm_plugin(live: Live, browser: Browser, mode: str) -> None:
    project = f"web_{mode}_sm"
    live.add_key(project, "SM2", 3, bytes.fromhex(SM2_KEY["private_key"]))
    plugin = ["sm-encryption", {"pkv": 3, "pub_key": SM2_KEY["public_key"]}]
    assert_web_encrypted(live, browser, project, {"send_type": mode}, plugin)


@pytest.mark.parametrize("mode", ["image", "ajax"])
def test_web_with_the_aes_plugin(live: Live, browser: Browser, mode: str) -> None:
    project = f"web_{mode}_aes"
    live.add_key(project, "AES", 7, AES_KEY)
    plugin = ["aes-encryption", {"k": b64encode(AES_KEY).decode(), "kid": 7, "khash": "h4sh"}]
    assert_web_encrypted(live, browser, project, {"send_type": mode}, plugin)


def assert_web_encrypted(
    live: Live, browser: Browser, project: str, para: Mapping[str, Any], plugin: list[Any]
) -> None:
    with WebPage(browser, live.site, {"server_url": live.url(project), **para}, plugin) as page:
        drive_page(page)
        live.wait_for(project, *WEB_EVENTS)
        stored = assert_all_stored(live, project)
        assert page.wrong == []
    assert_told(stored, "ViewFund", PROPERTIES)
    assert profile_of(live, project, "cust-1")["age"] == 41


def test_web_in_debug_mode(live: Live, browser: Browser) -> None:
    """Preflights with credentials, then a question; what is not answered {} it shows as an error."""
    project = "web_debug"
    with WebPage(browser, live.site, {"server_url": live.url(project), "debug_mode": True}) as page:
        page.call("track", "ViewFund", PROPERTIES)
        until(lambda: page.page.wait_for_timeout(20) or page.dialogs)  # it hears of nothing by itself
        assert page.wrong == []
    (shown,) = page.dialogs
    assert shown.startswith("debug数据发送成功")
    asked = live.requests(project)
    assert [(each.method, each.path, each.status) for each in asked] == [
        ("OPTIONS", "/debug", 204),
        ("GET", "/debug", 200),
    ]
    assert asked[1].headers["dry-run"] == "false"
    assert_told(assert_all_stored(live, project), "ViewFund", PROPERTIES)


def test_web_asks_for_its_visual_configuration(live: Live, browser: Browser) -> None:
    project = "web_config"
    para = {"server_url": live.url(project), "heatmap": {"clickmap": "default", "get_vtrack_config": True}}
    with WebPage(browser, live.site, para) as page:
        page.call("quick", "autoTrack")
        live.wait_for(project, "$pageview")
        until(lambda: any(is_config(each) for each in live.requests(project)))
        assert page.wrong == []
    (asked,) = [each for each in live.requests(project) if is_config(each)]
    assert asked.path == "/config/visualized/Web.conf"
    assert (asked.status, asked.answer) == (200, b"saJSSDKVtrackCollectConfig(205)")
    assert_all_stored(live, project)


# Python


WHEN = datetime(2026, 1, 2, 3, 4, 5, 6000)  # noqa: DTZ001 - the SDK knows no zones
PYTHON_CONSUMERS: Mapping[str, Callable[[str], Any]] = {
    "default": sensorsanalytics.DefaultConsumer,
    "batch": lambda url: sensorsanalytics.BatchConsumer(url, max_size=4),
    "async": lambda url: sensorsanalytics.AsyncBatchConsumer(url, flush_max_time=0.2, flush_size=4),
    "debug": lambda url: sensorsanalytics.DebugConsumer(url, write_data=True),
    "debug_only": lambda url: sensorsanalytics.DebugConsumer(url, write_data=False),
}


@pytest.mark.parametrize("kind", PYTHON_CONSUMERS)
def test_python(live: Live, kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Under a path prefix, of which Python's debug mode keeps all but the end."""
    project = f"python_{kind}"
    sa = sensorsanalytics.SensorsAnalytics(PYTHON_CONSUMERS[kind](live.url(project, "/collect/sa")))
    sa.track("cookie-1", "ViewFund", {**PROPERTIES, "opened_at": WHEN})
    sa.track_signup("cust-1", "cookie-1", {"channel": "web"})
    sa.track("cust-1", "Buy", {"amount": 0.1}, is_login_id=True)
    sa.profile_set("cust-1", {"level": "gold", "age": 40}, is_login_id=True)
    sa.profile_set_once("cust-1", {"first_channel": "web"}, is_login_id=True)
    time.sleep(0.002)  # what happens to a profile within a millisecond has no order
    sa.profile_increment("cust-1", {"age": 1}, is_login_id=True)
    sa.profile_append("cust-1", {"likes": ["bonds"]}, is_login_id=True)
    sa.profile_unset("cust-1", ["level"], is_login_id=True)
    sa.item_set("fund", "F001", {"risk": "R2"})
    sa.close()
    capfd.readouterr()  # the debug consumer prints
    requests = live.requests(project)
    path = "/collect/debug" if kind.startswith("debug") else "/collect/sa"
    assert {(each.path, each.status) for each in requests} == {(path, 200)}
    if kind == "debug_only":
        assert live.stored(project, "events") == []
        return
    stored = assert_all_stored(live, project)
    assert_told(stored, "ViewFund", PROPERTIES)
    assert_told(stored, "Buy", {"amount": 0.1})
    profile = profile_of(live, project, "cust-1")
    assert (profile["age"], profile["first_channel"], profile["likes"]) == (41, "web", ["bonds"])
    assert "level" not in profile
    (item,) = live.stored(project, "items")
    assert item["properties"]["risk"] == "R2"


def test_the_page_names_what_was_run() -> None:
    page = (Path(__file__).parent.parent / "docs" / "sensors.md").read_text()
    run = [
        *(f"test_web[{mode}]" for mode in WEB_MODES),
        *(f"test_python[{kind}]" for kind in PYTHON_CONSUMERS),
    ]
    run += ["test_node[submitter]", "test_node[nw]", "test_mini_program[batch]", "test_mini_program[once]"]
    run += [
        "test_web_with_the_sm_plugin",
        "test_web_with_the_aes_plugin",
        "test_mini_program_with_the_aes_plugin",
    ]
    run += ["test_mini_program_that_was_closed_before_it_could_send"]
    run += ["test_web_in_debug_mode", "test_web_asks_for_its_visual_configuration", "test_node_in_debug_mode"]
    assert sorted(re.findall(r"`(test_\w+(?:\[\w+\])?)`", page)) == sorted(run)
    assert {name.partition("[")[0] for name in run} <= set(globals())
    packages = orjson.loads((DRIVERS / "package.json").read_bytes())["dependencies"]
    for row, package in (("Web", "javascript"), ("Node.js", "node"), ("Mini-program", "miniprogram")):
        assert f"| {row} | {packages[f'sa-sdk-{package}']}" in page
