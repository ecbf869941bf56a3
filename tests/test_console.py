"""The console in a browser: what is drawn, what a click lists, hostile names, both languages, narrow, dark.

Runs where a Chromium is found (tests/browsers.py). Elsewhere it is skipped; with REQUIRE_CHROMIUM set, as in
CI, it fails.
"""

from __future__ import annotations

import json
import re
import socket
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser, ConsoleMessage, Page, Route, expect

from footfall.storage.store import Store
from footfall.treatment.policy import Policies
from query_api.app import build_app
from tests.browsers import opened_browser
from tests.query_world import SECRET, WRITE, Event, World

pytestmark = pytest.mark.browser

PROJECT = "console_page"
HTML = "<img src=x onerror=\"document.title='pwned'\">"
SCRIPT = "</script><script>document.title='pwned'</script>"
MARKUP = "{b|x} ${y} __proto__"
STRANGER = 'x"><svg/onload="document.title=1">/?&#'
VIEWS = ("funnel", "retention", "paths", "person")
WAIT_MS = 60_000  # generous: the machine may be busy


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with opened_browser() as opened:
        yield opened


def told_events() -> list[Event]:
    """Five people open an account on November 26, three go on a day later, one buys."""
    people = ["u1", "u2", "u3", "u4", STRANGER]
    score = 12345678901234567890
    opened = [
        Event(
            "open_account",
            user,
            f"2026-11-26T12:0{number}:00+08:00",
            {"channel": HTML if number else "plain"},
        )
        for number, user in enumerate(people)
    ]
    return [
        *opened,
        Event("scored", STRANGER, "2026-11-26T12:30:00+08:00", {SCRIPT: SCRIPT, "score": score}),
        *(Event(HTML, user, "2026-11-26T12:20:00+08:00", {SCRIPT: SCRIPT}) for user in people[:3]),
        *(Event(MARKUP, user, "2026-11-27T12:00:00+08:00") for user in people[:3]),
        Event("buy", "u1", "2026-11-28T12:00:00+08:00", {"amount": 1500.5}),
    ]


@pytest.fixture(scope="module")
def served(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a query API listens that has the events above in project PROJECT, by a clock of November 30."""
    with (
        closing(World(store, PROJECT, tmp_path_factory.mktemp("console"))) as world,
        socket.socket() as listening,
    ):
        world.put(*told_events())
        app = build_app(
            store,
            world.workspace,
            world.log,
            lambda: world.now,
            world.keyed_hash,
            policy_of=Policies(world.workspace, b"k" * 32),
            clock=lambda: world.now,
        )
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, loop="asyncio", log_level="warning"))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join()


Open = Callable[..., Page]


@pytest.fixture
def open_page(served: str, browser: Browser) -> Iterator[Open]:
    """Opens the console at an address after #; afterwards nothing may have gone wrong or astray."""
    pages: list[Page] = []
    wrong: list[str] = []
    asked: list[tuple[str, str]] = []

    def note(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            wrong.append(message.text)

    def opened(
        address: str = "",
        *,
        signed_in: bool = True,
        width: int = 1280,
        locale: str = "en",
        dark: bool = False,
    ) -> Page:
        scheme: Any = "dark" if dark else "light"
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            locale=locale,
            color_scheme=scheme,
            reduced_motion="reduce",
        )
        context.set_default_timeout(WAIT_MS)
        page = context.new_page()
        page.on("console", note)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: asked.append((request.method, request.url)))
        page.goto(served)
        if signed_in:
            page.evaluate("key => sessionStorage.setItem('footfall.key', key)", SECRET)
        page.goto(f"{served}/{address}")
        page.reload()
        pages.append(page)
        return page

    expect.set_options(timeout=WAIT_MS)
    yield opened
    for page in pages:
        assert "pwned" not in page.title()
        page.context.close()
    assert wrong == []
    for method, url in asked:
        assert url.startswith(served)
        assert SECRET not in url
        assert method == "GET" or "/api/v1/query/" in url, f"{method} {url}: the console only reads"


def funnel_address(*steps: str, **others: str) -> str:
    return address_of("funnel", [("step", step) for step in steps], **others)


def address_of(view: str, several: list[tuple[str, str]] | None = None, **others: str) -> str:
    return f"#/{view}?" + urllib.parse.urlencode(
        [*(several or []), ("project", PROJECT), ("last", "7"), *others.items()]
    )


def ids_listed(page: Page) -> set[str]:
    """Whose names the open list has, once it is whole."""
    dialog = page.get_by_role("dialog")
    expect(dialog.locator(".total")).to_be_visible()
    total = int(re.findall(r"\d+", dialog.locator(".total").inner_text())[0])
    expect(dialog.locator("tbody tr")).to_have_count(total)
    return set(dialog.locator("tbody th").all_inner_texts())


def test_asks_for_the_key_once_and_keeps_it_in_the_tab(open_page: Open) -> None:
    page = open_page(signed_in=False)
    field = page.get_by_label("Secret key")
    expect(field).to_be_focused()
    field.fill("ff_sk_wrong")
    field.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("this key opens nothing")
    field.fill(WRITE)
    field.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("a write key sends events")
    field.fill(SECRET)
    field.press("Enter")
    expect(page.get_by_role("heading", name="Funnel")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="Funnel")).to_be_visible()
    kept = page.evaluate("JSON.stringify([{...sessionStorage}, {...localStorage}, document.cookie])")
    assert json.loads(kept) == [{"footfall.key": SECRET}, {}, ""]
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Secret key")).to_be_visible()
    assert page.evaluate("sessionStorage.length") == 0


def test_a_key_that_ends_is_asked_for_again(open_page: Open) -> None:
    page = open_page(funnel_address("open_account"))
    expect(page.locator(".bars")).to_be_visible()
    page.evaluate("sessionStorage.setItem('footfall.key', 'ff_sk_gone')")
    page.reload()
    expect(page.get_by_role("alert")).to_contain_text("this key opens nothing")
    assert page.evaluate("sessionStorage.length") == 0


def test_a_click_on_a_funnels_bar_lists_the_people_lost(open_page: Open) -> None:
    page = open_page(funnel_address("open_account", HTML, "buy", unit="day", window="7"))
    expect(page.locator(".bars .figures b")).to_have_text(["5", "3", "1"])
    assert page.locator(".bars .name").all_inner_texts() == ["open_account", HTML, "buy"]
    assert page.locator(".tiles dd").all_inner_texts()[:3] == ["5", "1", "20.0%"]
    page.locator(".track .lost").first.click()
    assert ids_listed(page) == {"u4", STRANGER}
    page.get_by_role("dialog").get_by_role("button", name="Reached").click()
    expect(page.get_by_role("dialog").locator(".total")).to_have_text("3 people")
    assert ids_listed(page) == {"u1", "u2", "u3"}
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator(".track .lost").first).to_be_focused()


def test_from_a_list_into_a_persons_profile_and_timeline(open_page: Open) -> None:
    page = open_page(funnel_address("open_account", HTML))
    page.locator(".track .lost").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("link", name=STRANGER).click()
    expect(dialog.locator(".timeline b")).to_have_text(["scored", "open_account"])
    dialog.locator(".timeline summary").first.click()
    expect(dialog.locator(".timeline .facts").first).to_contain_text(SCRIPT)
    expect(dialog.locator(".timeline .facts").first).to_contain_text("12345678901234567890")
    dialog.get_by_role("button", name="All people").click()
    expect(dialog.locator("tbody tr")).to_have_count(2)
    target = dialog.get_by_role("link", name=STRANGER).get_attribute("href")
    assert target is not None
    alone = open_page(target)
    expect(alone.locator(".person h3.id")).to_have_text(STRANGER)
    expect(alone.locator(".timeline b")).to_have_text(["scored", "open_account"])
    alone.get_by_label("Any id of theirs").fill("nobody-of-that-id")
    alone.get_by_role("button", name="Find").click()
    expect(alone.get_by_role("alert")).to_contain_text("nobody in project")


def test_a_groups_cell_lists_its_own_people(open_page: Open) -> None:
    page = open_page(funnel_address("open_account", HTML, by="event:channel"))
    rows = page.locator(".heat tbody tr")
    expect(rows).to_have_count(2)
    assert rows.nth(0).locator("th").inner_text() == HTML
    rows.nth(0).locator("td button").nth(1).click()
    assert ids_listed(page) == {"u4", STRANGER}


def test_pickers_change_the_answer_and_the_address(open_page: Open) -> None:
    page = open_page(f"#/funnel?project={PROJECT}&last=7")
    expect(page.locator(".empty")).to_contain_text("Choose the steps")
    page.get_by_label("Add a step").select_option("open_account")
    expect(page.locator(".bars .figures b")).to_have_text(["5"])
    page.get_by_label("Add a step").select_option("buy")
    expect(page.locator(".bars .figures b")).to_have_text(["5", "1"])
    page.get_by_label("Group by").select_option("event:channel")
    expect(page.locator(".heat tbody tr")).to_have_count(2)
    assert page.url.endswith("step=open_account&step=buy&window=14&unit=day&by=event%3Achannel")
    page.get_by_role("button", name="Move buy forward").click()
    expect(page.locator(".bars .name")).to_have_text(["buy", "open_account"])
    page.get_by_role("button", name="Remove buy").click()
    expect(page.locator(".bars .name")).to_have_text(["open_account"])
    page.locator(".track .fill").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator(".bars .name")).to_have_text(["buy", "open_account"])
    page.get_by_label("Period").select_option("dates")
    page.get_by_role("textbox", name="From").fill("2020-01-01")
    page.get_by_role("textbox", name="To").fill("2020-01-31")
    expect(page.locator(".empty")).to_contain_text("Nothing in this period")


def test_everything_is_within_reach_of_the_keyboard(open_page: Open) -> None:
    page = open_page(funnel_address("open_account", HTML))
    expect(page.locator(".track .lost")).to_be_visible()
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.className") == "lost":
            break
    page.keyboard.press("Enter")
    assert ids_listed(page) == {"u4", STRANGER}
    assert page.evaluate("document.querySelector('dialog').contains(document.activeElement)")


def test_a_cell_of_the_heatmap_lists_the_people_lost(open_page: Open) -> None:
    page = open_page(address_of("retention", start="open_account", **{"return": MARKUP}))
    row = page.locator(".retention tbody tr:not(.mean)").filter(has_text="Nov 26")
    cells = row.locator("td")
    expect(cells.nth(0)).to_have_text("5")
    expect(cells.nth(1)).to_have_text("60.0%")
    expect(cells.nth(2)).to_have_text("0.0%")
    cells.nth(1).locator("button").click()
    assert ids_listed(page) == {"u4", STRANGER}
    page.get_by_role("dialog").get_by_role("button", name="Came back").click()
    expect(page.get_by_role("dialog").locator(".total")).to_have_text("3 people")
    page.keyboard.press("Escape")
    page.get_by_label("Group by").select_option("event:channel")
    page.get_by_role("button", name="plain", exact=True).click()
    expect(cells.nth(0)).to_have_text("1")
    expect(cells.nth(1)).to_have_text("100.0%")


LINKS_OF_THE_SANKEY = """() => {
    const chart = document.querySelector('.sankey')?.chart;
    const series = chart?.getModel?.()?.getSeriesByIndex?.(0);
    if (!series?.layoutInfo) return null;
    const name = (node) => series.getData().getRawDataItem(node.dataIndex).node?.name ?? 'left';
    return series.getGraph().edges.map(({ node1, node2, ...edge }) => {
        const [from, to] = [node1.getLayout(), node2.getLayout()];
        const { sy, ty, dy } = series.getData('edge').getItemLayout(edge.dataIndex);
        const x = series.layoutInfo.x + (from.x + from.dx + to.x) / 2;
        const y = series.layoutInfo.y + (from.y + sy + to.y + ty + dy) / 2;
        return [name(node1), name(node2), x, y];
    });
}"""
"""Source, target and middle of every link that is drawn, in pixels of the chart; null while it is not."""


def test_a_click_on_the_sankey_lists_who_took_a_link_or_left(open_page: Open) -> None:
    page = open_page(address_of("paths", [("event", name) for name in ("open_account", HTML, "buy")]))
    expect(page.locator(".answer > .total")).to_contain_text("6 sessions")
    links = page.wait_for_function(LINKS_OF_THE_SANKEY).json_value()
    places = {(source, target): {"x": x, "y": y} for source, target, x, y in links}
    assert {("open_account", HTML), ("open_account", "left"), (HTML, "left")} <= set(places)
    page.locator(".sankey").click(position=places["open_account", HTML])
    assert page.get_by_role("dialog").get_by_role("heading").first.inner_text() == f"open_account → {HTML}"
    assert ids_listed(page) == {"u1", "u2", "u3"}
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.locator(".sankey").click(position=places["open_account", "left"])
    expect(page.get_by_role("button", name="Left")).to_have_attribute("aria-pressed", "true")
    assert ids_listed(page) == {"u4", STRANGER}


def test_the_sankeys_numbers_stand_in_tables_too(open_page: Open) -> None:
    page = open_page(
        address_of("paths", [("event", name) for name in ("open_account", HTML)], start="open_account")
    )
    page.get_by_text("All nodes").click()
    rows = page.locator("details[open] tbody tr")
    expect(rows).to_have_text([re.compile("^1open_account532$"), re.compile(f"^2{re.escape(HTML)}303$")])
    rows.first.get_by_role("button").last.click()
    assert ids_listed(page) == {"u4", STRANGER}


def test_names_of_the_data_are_text_everywhere(open_page: Open) -> None:
    page = open_page(funnel_address(HTML, MARKUP, SCRIPT, by=f"event:{SCRIPT}"))
    expect(page.locator(".warnings")).to_contain_text("<script>")  # a name never seen: the API's own warning
    assert page.locator(".bars .name").all_inner_texts() == [HTML, MARKUP, SCRIPT]
    assert page.locator("img, svg, main script").count() == 0
    page.goto(page.url.split("#")[0] + address_of("retention", start=HTML, by=f"event:{SCRIPT}"))
    expect(page.locator(".switch button")).to_have_text(["Everybody", SCRIPT])
    assert page.locator("img, svg, main script").count() == 0


def test_the_policy_stops_scripts_that_are_not_files_of_ours(open_page: Open, browser: Browser) -> None:
    page = browser.new_context().new_page()
    page.goto(open_page().url)
    page.evaluate(
        """() => {
            const script = document.createElement('script');
            script.textContent = 'window.ran = 1';
            document.body.append(script);
            document.body.insertAdjacentHTML('beforeend', '<img src=x onerror="window.ran=1">');
        }"""
    )
    assert page.evaluate("window.ran") is None
    page.context.close()


@pytest.mark.parametrize(
    ("locale", "title"), [("zh-CN", "漏斗分析"), ("zh-TW", "漏斗分析"), ("en-GB", "Funnel"), ("fr", "Funnel")]
)
def test_the_browsers_language_chooses_ours(open_page: Open, locale: str, title: str) -> None:
    expect(open_page(locale=locale).get_by_role("heading", level=1)).to_have_text(title)


def test_a_language_that_was_chosen_stays(open_page: Open) -> None:
    page = open_page()
    page.get_by_role("button", name="中文").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("漏斗分析")
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("漏斗分析")
    assert page.evaluate("document.documentElement.lang") == "zh-CN"


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("view", VIEWS)
def test_nothing_is_wider_than_the_window(open_page: Open, view: str, width: int) -> None:
    several = [("step", step) for step in ("open_account", HTML, MARKUP, "buy")] if view == "funnel" else []
    person = {"id": STRANGER} if view == "person" else {"by": "event:channel"}
    page = open_page(address_of(view, several, **person), width=width, locale="zh-CN", dark=True)
    expect(page.locator(".person, .answer, .problem")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_what_the_api_refuses_is_shown_with_its_place(open_page: Open) -> None:
    page = open_page(f"#/funnel?project={PROJECT}&last=7")
    fault = {
        "field": "steps[0].event",
        "code": "unknown_value",
        "message": "no <b>",
        "nearest": "open_account",
    }
    problem = {"status": 422, "code": "unknown_value", "detail": "steps[0].event: no <b>", "errors": [fault]}

    def refuse(route: Route) -> None:
        route.fulfill(status=422, body=json.dumps(problem), content_type="application/problem+json")

    page.route("**/api/v1/query/funnel", refuse)
    page.get_by_label("Add a step").select_option("open_account")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("422")
    expect(alert.locator("code").first).to_have_text("steps[0].event")
    expect(alert).to_contain_text("no <b>")
    page.unroute("**/api/v1/query/funnel")
    page.route("**/api/v1/query/funnel", lambda route: route.abort())
    alert.get_by_role("button").click()
    expect(alert).to_contain_text("cannot be reached")
    page.unroute("**/api/v1/query/funnel")
    alert.get_by_role("button").click()
    expect(page.locator(".bars")).to_be_visible()


def test_a_slow_answer_shows_that_it_is_loading_and_gives_way_to_a_newer_question(open_page: Open) -> None:
    page = open_page(f"#/funnel?project={PROJECT}&last=7")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)  # and never answers it

    page.route("**/api/v1/query/funnel", hold)
    page.get_by_label("Add a step").select_option("open_account")
    expect(page.locator("main .loading")).to_be_visible()
    page.unroute("**/api/v1/query/funnel")
    page.get_by_label("Add a step").select_option("buy")
    expect(page.locator(".bars .figures b")).to_have_text(["5", "1"])
    assert len(held) == 1
