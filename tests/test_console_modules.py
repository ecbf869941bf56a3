"""The console's pure modules, run by the JavaScript engine that comes with the browser driver's wheel."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import playwright
import pytest

APP = Path(__file__).parents[1] / "web" / "app"
NODE = Path(playwright.__file__).parent / "driver" / "node"


def evaluate(module: str, expression: str) -> Any:
    """The value of an expression with the module's exports as `m`."""
    script = (
        f"import * as m from {json.dumps((APP / module).as_uri())};\n"
        f"const value = {expression};\nconsole.log(JSON.stringify(value));"
    )
    command = [str(NODE), "--no-warnings", "--input-type=module", "--eval", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_numbers_keep_every_digit_there_and_back() -> None:
    text = '{"id":12345678901234567890,"amount":0.12345678901234567891,"rate":0.3333333333333333,"none":null}'
    quoted = json.dumps(text)
    assert evaluate("exact.js", f"JSON.stringify(m.parseExact({quoted}))") == text
    assert evaluate("exact.js", f"String(m.parseExact({quoted}).id)") == "12345678901234567890"
    assert evaluate("exact.js", f"m.parseExact({quoted}).amount > 0.12") is True


@pytest.mark.parametrize(
    ("tags", "language"),
    [
        (["zh-CN", "en"], "zh"),
        (["zh-Hant-TW"], "zh"),
        (["en-GB", "zh"], "en"),
        (["fr-FR", "zh-CN"], "zh"),
        (["fr"], "en"),
        ([], "en"),
        (["constructor"], "en"),
    ],
)
def test_the_browsers_languages_choose_ours(tags: list[str], language: str) -> None:
    assert evaluate("language.js", f"m.preferred({json.dumps(tags)})") == language


def test_texts_take_values_and_forms_for_one() -> None:
    assert evaluate("language.js", 'm.translator("en")("people.total", {count: 1})') == "1 person"
    assert (
        evaluate("language.js", 'm.translator("en", () => "1,000")("people.total", {count: 1000})')
        == "1,000 people"
    )
    assert evaluate("language.js", 'm.translator("zh")("people.total", {count: 1})') == "共 1 人"
    # A value is put in as it is, even one that looks like a place of the text.
    assert evaluate("language.js", 'm.translator("en")("picker.remove", {name: "{count} $& <b>"})') == (
        "Remove {count} $& <b>"
    )


@pytest.mark.parametrize(
    ("locale", "seconds", "text"),
    [
        ("en", 0, "0 sec"),
        ("en", 0.25, "0.3 sec"),
        ("en", 59.9, "59.9 sec"),
        ("en", 60, "1 min"),
        ("en", 119.6, "2 min"),
        ("en", 59.96, "1 min"),
        ("en", 3_599.9, "1 hr"),
        ("en", 12_000, "3 hr 20 min"),
        ("en", 90_000, "1 day 1 hr"),
        ("zh-CN", 12_000, "3小时 20分钟"),
        ("en", None, "–"),
    ],
)
def test_durations_have_their_two_largest_units(locale: str, seconds: float | None, text: str) -> None:
    assert evaluate("format.js", f"m.formats({json.dumps(locale)}).duration({json.dumps(seconds)})") == text


def test_numbers_and_times_are_written_as_the_language_does() -> None:
    assert evaluate("format.js", 'm.formats("en").count(1234567)') == "1,234,567"
    assert evaluate("format.js", 'm.formats("de").rate(0.1234)') == "12,3\u00a0%"
    shown = evaluate("format.js", 'm.formats("en", "Asia/Shanghai").moment("2026-11-22T20:00:00.000Z")')
    assert shown.replace("\u202f", " ") == "Nov 23, 2026, 4:00:00 AM"


@pytest.mark.parametrize(
    ("bucket", "interval", "text"),
    [
        ("2026-10-01", "day", "Oct 1"),
        ("2026-10-01", "month", "Oct 2026"),
        ("2026-10-25T02:00+02:00", "hour", "Oct 25, 02 AM"),
        ("2026-10-25T02:00:00-11:00", "hour", "Oct 25, 02:00 AM"),
        ("soon", "day", "soon"),
    ],
)
def test_buckets_keep_their_own_clock(bucket: str, interval: str, text: str) -> None:
    call = f'm.formats("en").bucket({json.dumps(bucket)}, {json.dumps(interval)})'
    found = evaluate("format.js", call).replace("\u202f", " ")
    assert found.replace(":00 AM", " AM") == text.replace(":00 AM", " AM")


CHOSEN: dict[str, dict[str, Any]] = {
    "funnel": {
        "steps": ["a&b=c", "<b>", "#?", "中文"],
        "window": {"value": 3, "unit": "hour"},
        "breakdown": {"of": "user", "property": "a:b"},
    },
    "retention": {
        "start": "$AppStart",
        "return": None,
        "interval": "week",
        "periods": 12,
        "entry": "first_ever",
        "mode": "on_or_after",
        "breakdown": None,
    },
    "paths": {
        "events": ["x y", "+"],
        "property": "$url",
        "at": "$pageview",
        "start": "/?a=1&b",
        "end": "%2F",
        "steps": 10,
    },
    "person": {"id": 'a/b?c#d&"<'},
}


@pytest.mark.parametrize("view", CHOSEN)
@pytest.mark.parametrize("dates", [{"last": 7}, {"from": "2026-10-01", "to": "2026-10-31"}])
def test_what_is_chosen_comes_back_from_its_address(view: str, dates: dict[str, Any]) -> None:
    choices = json.dumps({"view": view, "project": "p&1", "range": dates, view: CHOSEN[view]})
    expression = f"m.readAddress(m.writeAddress({{...m.startChoices(), ...{choices}}}), m.startChoices())"
    found = evaluate("address.js", expression)
    assert found["view"] == view
    assert found["project"] == "p&1"
    assert found[view] == CHOSEN[view]
    if view != "person":
        assert found["range"] == dates


@pytest.mark.parametrize(
    "hash_",
    [
        "#/nothing?step=a",
        "#/__proto__?step=a",
        "#/retention?interval=fortnight&periods=-1&entry=x&mode=&by=item:x&last=1e9&from=2026-13-01&to=x",
        "#/retention?periods=1.5&last=0",
        "#/retention?%E0%A4%A",
        "#",
    ],
)
def test_a_wrong_address_changes_nothing(hash_: str) -> None:
    found = evaluate("address.js", f"m.readAddress({json.dumps(hash_)}, m.startChoices())")
    start = evaluate("address.js", "m.startChoices()")
    assert found | {"view": ""} == start | {"view": ""}


def test_bodies_say_what_is_chosen_and_nothing_else() -> None:
    start = evaluate("address.js", "m.startChoices()") | {"project": "p"}
    assert body_of(start) is None
    days = {"project": "p", "range": {"last": {"value": 30, "unit": "day"}}}
    assert body_of(start | {"view": "funnel", "funnel": CHOSEN["funnel"]}) == days | {
        "steps": [{"event": event} for event in CHOSEN["funnel"]["steps"]],
        "window": {"value": 3, "unit": "hour"},
        "trend": {"interval": "day"},
        "breakdown": {"properties": [{"of": "user", "property": "a:b"}], "attribution": "first_touch"},
    }
    assert body_of(start | {"view": "retention"}) == days | {
        "start": {"event": None},
        "return": {"event": None},
        "interval": "day",
        "periods": 7,
        "entry": "recurring",
        "mode": "on",
    }
    assert body_of(start | {"view": "paths", "paths": CHOSEN["paths"]}) == days | {
        "events": [{"event": "x y"}, {"event": "+"}],
        "node": {"property": "$url", "for": ["$pageview"]},
        "start": "/?a=1&b",
        "end": "%2F",
        "max_steps": 10,
        "limit": 80,
    }
    assert set(body_of(start | {"view": "paths"})) == {"project", "range", "max_steps", "limit"}


def body_of(choices: dict[str, Any]) -> Any:
    return evaluate("queries.js", f"m.bodyOf({json.dumps(choices)})")


def test_a_long_period_has_longer_buckets() -> None:
    ranges = [{"last": 92}, {"last": 93}, {"from": "2026-01-01", "to": "2026-12-31"}, {"last": 400}]
    found = evaluate("queries.js", f"{json.dumps(ranges)}.map(m.intervalOf)")
    assert found == ["day", "week", "week", "month"]


def test_the_largest_loss_is_of_persons_not_of_rates() -> None:
    steps = [
        {"dropped": 0, "step_conversion_rate": 1},
        {"dropped": 50, "step_conversion_rate": 0.5},
        {"dropped": 45, "step_conversion_rate": 0.1},
    ]
    found = evaluate("queries.js", f"m.largestLoss({json.dumps(steps)})")
    assert found == {"step": 1, "dropped": 50, "rate": 0.5}
    assert evaluate("queries.js", f"m.largestLoss({json.dumps(steps[:1])})") is None


def test_a_sankey_goes_by_numbers_and_shows_who_left() -> None:
    def node(step: int, name: str, sessions: int, exits: int) -> dict[str, Any]:
        figures = {"sessions": sessions, "continuing": sessions - exits, "exits": exits, "users": sessions}
        return {"id": f"{step}_{name}", "name": name, "step": step, **figures}

    nodes = [node(1, "__proto__", 5, 1), node(2, "__proto__", 3, 3), node(2, "x1", 1, 1)]
    links = [
        {"source": "1___proto__", "target": "2___proto__", "count": 3, "users": 2, "average_seconds": 1},
        {"source": "1___proto__", "target": "2_x1", "count": 1, "users": 1, "average_seconds": 1},
    ]
    result = json.dumps({"nodes": nodes, "links": links, "sessions": 5, "other": 0})
    graph = evaluate("queries.js", f"m.pathGraph({result}, 2)")
    assert [(each["name"], each["depth"]) for each in graph["nodes"]] == [
        ("n0", 0),
        ("n1", 1),
        ("n2", 1),
        ("x1", 1),
    ]
    assert [(each["source"], each["target"], each["value"]) for each in graph["links"]] == [
        ("n0", "n1", 3),
        ("n0", "n2", 1),
        ("n0", "x1", 1),  # behind the last position nobody is said to have left: it was cut there
    ]
    assert (graph["depth"], graph["widest"]) == (2, 3)


def test_properties_that_somebody_named_come_first() -> None:
    names = json.dumps([{"of": "event", "property": name} for name in ("$os", "channel", "$app", "amount")])
    found = evaluate("queries.js", f"m.sortProperties({names}).map((each) => each.property)")
    assert found == ["amount", "channel", "$app", "$os"]
