"""The simulated bank: the same from the same seed, true to what was drawn, and delivered as devices do."""

from __future__ import annotations

import itertools
import json
from collections import Counter, defaultdict
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from footfall.simulator import FUNNEL, Bank, Event, Plan, draw_truth, plan_requests, simulate
from footfall.simulator.delivery import sensors_record
from footfall.simulator.files import write_bank
from footfall.simulator.reference import (
    Range,
    count_events,
    count_funnel,
    count_links,
    count_retention,
    resolve_persons,
    sum_property,
)
from footfall.simulator.region import chi_square_99, compare_with_drawn
from footfall.simulator.truth import DAY_MS, WINDOW_DAYS

END_MS = 1_795_000_000_000
WINDOW_MS = WINDOW_DAYS * DAY_MS


@pytest.fixture(scope="module")
def bank() -> Bank:
    return simulate(draw_truth(Plan(seed=11, end_ms=END_MS)), customers=1500)


@pytest.fixture(scope="module")
def counted(bank: Bank) -> Range:
    return Range(bank.truth.plan.start_ms, END_MS)


def tell(
    person: str, event: str, time_ms: int, *, device: str = "", login: str | None = None, **properties: object
) -> Event:
    """An event of a hand-made history."""
    anonymous_id = device or f"dev-{person}"
    return Event(
        person=person,
        device=anonymous_id,
        type="track",
        event=event,
        time_ms=time_ms,
        event_id=f"{person}-{event}-{time_ms}",
        distinct_id=login or anonymous_id,
        anonymous_id=anonymous_id,
        login_id=login,
        properties=dict(properties),
    )


def test_the_same_seed_gives_the_same_bank(bank: Bank) -> None:
    again = simulate(draw_truth(Plan(seed=11, end_ms=END_MS)), customers=1500)
    assert again == bank
    assert plan_requests(again) == plan_requests(bank)


def test_another_seed_gives_another_bank(bank: Bank) -> None:
    other = draw_truth(Plan(seed=12, end_ms=END_MS))
    assert other.rates != bank.truth.rates


def test_a_customer_is_the_same_however_many_there_are(bank: Bank) -> None:
    few = simulate(bank.truth, customers=10)
    assert few.histories == bank.histories[:10]


def test_simulates_at_least_as_many_events_as_asked(bank: Bank) -> None:
    assert 5000 <= simulate(bank.truth, events=5000).event_count < 5400


def test_events_lie_in_the_history_but_for_the_ancient_ones(bank: Bank, counted: Range) -> None:
    outside = [event for event in bank.events() if event.time_ms not in counted]
    assert outside
    assert all(event.time_free or event.refused == "too_old" for event in outside)
    assert {event.refused for event in outside} == {"", "too_old"}


def test_every_customer_with_a_login_is_one_person_by_the_records_alone(bank: Bank) -> None:
    owners = resolve_persons(bank.events())
    person_of: dict[str, set[str]] = defaultdict(set)
    for event in bank.events():
        person_of[owners.get(event.distinct_id, event.distinct_id)].add(event.person)
    assert all(len(persons) == 1 for persons in person_of.values())
    used = {(event.person, owners.get(event.distinct_id, event.distinct_id)) for event in bank.events()}
    several = [person for person, ids in Counter(person for person, _ in used).items() if ids > 1]
    assert len(several) < 0.01 * len(bank.histories)  # whose sign-up was lost and who never came back


def test_some_sign_ups_are_lost_and_made_up_for_by_later_events(bank: Bank) -> None:
    lost = [h for h in bank.histories if h.customer.registers and h.customer.loses_first_signup]
    assert lost
    owners = resolve_persons(bank.events())
    assert any(h.customer.devices[0].anonymous_id in owners for h in lost)


def test_the_reference_counts_as_deep_as_customers_really_went(bank: Bank, counted: Range) -> None:
    counts = count_funnel(list(bank.events()), FUNNEL, WINDOW_MS, counted)
    true = [sum(history.depth > step for history in bank.histories) for step in range(len(FUNNEL))]
    assert counts == {(): true}


def test_some_purchases_come_after_the_window(bank: Bank, counted: Range) -> None:
    events = list(bank.events())
    in_window = count_funnel(events, FUNNEL, WINDOW_MS, counted)[()]
    ever = count_funnel(events, FUNNEL, 300 * DAY_MS, counted)[()]
    assert in_window[-1] < ever[-1]


def test_milestones_stay_clear_of_what_a_clocks_correction_could_change(bank: Bank) -> None:
    for history in bank.histories:
        times = {e.event: e.time_ms for e in history.events if e.event in FUNNEL}
        path = [times[step] for step in FUNNEL[: history.depth]]
        assert all(later - earlier > 60_000 for earlier, later in itertools.pairwise(path))
        if history.registered_ms is not None and "purchase_fund" in times:
            assert abs(times["purchase_fund"] - history.registered_ms - WINDOW_MS) >= 3_600_000


@pytest.mark.parametrize("seed", range(3))
def test_counts_are_such_as_the_drawn_rates_give(seed: int) -> None:
    bank = simulate(draw_truth(Plan(seed=seed, end_ms=END_MS)), customers=2000)
    counts = count_funnel(
        list(bank.events()),
        FUNNEL,
        WINDOW_MS,
        Range(bank.truth.plan.start_ms, END_MS),
        ("channel", "$app_version"),
    )
    observed = {(channel, version): reached for (channel, version), reached in counts.items()}
    assert compare_with_drawn(bank, observed).contains
    shifted = {cell: [reached[0], *(n * 0.85 for n in reached[1:])] for cell, reached in observed.items()}
    assert not compare_with_drawn(bank, shifted).contains


@pytest.mark.parametrize(("degrees", "quantile"), [(5, 15.086), (20, 37.566), (60, 88.379), (100, 135.807)])
def test_the_quantile_is_that_of_the_tables(degrees: int, quantile: float) -> None:
    assert chi_square_99(degrees) == pytest.approx(quantile, rel=3e-3)


def test_incidents_show_in_the_counts(bank: Bank, counted: Range) -> None:
    wave = bank.truth.crash_wave
    sessions = [e for e in bank.events() if e.event in ("$AppEnd", "AppCrashed") and e.time_ms in counted]
    during = [e for e in sessions if wave.covers(e.properties["$app_version"], e.time_ms)]
    crashed = sum(e.event == "AppCrashed" for e in during)
    assert crashed / len(during) > 5 * bank.truth.crash_rate
    crashes = count_events(bank.events(), "AppCrashed", counted, "$app_version")
    assert max(crashes, key=lambda version: crashes[version][0]) == wave.where


def test_nobody_binds_a_card_where_and_while_the_drop_off_is_total(bank: Bank) -> None:
    total = replace(bank.truth.drop_off, size=0.0)
    hit, spared = Counter[bool](), Counter[bool]()
    for history in simulate(replace(bank.truth, drop_off=total), customers=1500).histories:
        if history.registered_ms is not None and history.depth >= 2:  # identity verified
            falls = total.covers(history.customer.channel, history.registered_ms)
            (hit if falls else spared)[history.depth > 2] += 1
    assert hit[True] == 0 < hit[False]
    assert spared[True] > spared[False]


def test_the_campaign_brings_more_customers_and_marks_their_first_visit(bank: Bank) -> None:
    campaign = bank.truth.campaign
    in_channel = [h for h in bank.histories if h.customer.channel == campaign.where]
    during = [h for h in in_channel if campaign.covers(campaign.where, h.customer.arrival_ms)]
    share_of_days = (campaign.to_ms - campaign.from_ms) / (bank.truth.plan.days * DAY_MS)
    assert len(during) / len(in_channel) > 1.5 * share_of_days
    marked = {event.person for event in bank.events() if "$utm_campaign" in event.properties}
    assert marked == {history.customer.person for history in during}


def test_customers_come_back_on_the_days_that_retention_says(bank: Bank) -> None:
    only_the_second_day = replace(bank.truth, retention=(0.0, 1.0, *[0.0] * 27))
    quiet = 6 * 3_600_000  # a session lies up to so much beside its day
    for history in simulate(only_the_second_day, customers=300).histories:
        arrival = history.customer.arrival_ms
        starts = [e.time_ms - arrival for e in history.events if e.event == "$AppStart"]
        if arrival + 2 * DAY_MS + 2 * quiet < END_MS:
            first, second = starts
            assert first == 0
            assert abs(second - 2 * DAY_MS) <= quiet


def test_retention_falls_from_day_to_day(bank: Bank) -> None:
    rates = bank.truth.retention
    assert all(later < earlier for earlier, later in itertools.pairwise(rates))
    assert 0.3 < rates[0] < 0.5


def test_every_session_ends_once_with_its_screens_in_between(bank: Bank) -> None:
    sessions: dict[str, list[Event]] = defaultdict(list)
    for event in bank.events():
        if "$event_session_id" in event.properties:
            sessions[event.properties["$event_session_id"]].append(event)
    assert len(sessions) > len(bank.histories)
    for first, *screens, last in sessions.values():
        assert first.event == "$AppStart"
        assert {screen.event for screen in screens} == {"$AppViewScreen"}
        assert all(first.time_ms < screen.time_ms < last.time_ms for screen in screens)
        assert last.event in ("$AppEnd", "AppCrashed")


def test_customers_transfer_after_binding_a_card_and_apply_for_loans_after_registering(bank: Bank) -> None:
    for event, needed in (("transfer", "bind_card"), ("apply_loan", "register")):
        who = [h for h in bank.histories if any(e.event == event for e in h.events)]
        assert len(who) > 10
        for history in who:
            names = [e.event for e in history.events]
            assert needed in names[: names.index(event)]


def test_ancient_events_say_whether_they_are_free_of_the_limit(bank: Bank, counted: Range) -> None:
    device = bank.histories[0].customer.devices[0]
    ancient = [event for event in bank.events() if event.time_ms not in counted]
    records = [sensors_record(event, device, END_MS) for event in ancient]
    assert [record.get("time_free", False) for record in records] == [not event.refused for event in ancient]


def test_requests_carry_every_event_once_and_some_twice(bank: Bank) -> None:
    requests = plan_requests(bank)
    sent = Counter(e.event_id for request in requests for e in request.events)
    assert set(sent) == {event.event_id for event in bank.events()}
    repeats = Counter(e.event_id for request in requests if request.repeat for e in request.events)
    assert sent - repeats == Counter(event.event_id for event in bank.events())
    assert repeats


def test_some_events_arrive_after_later_ones_of_their_device(bank: Bank) -> None:
    newest: dict[str, int] = {}
    late = 0
    for request in plan_requests(bank):
        for event in request.events if not request.repeat else ():
            late += event.time_ms < newest.get(event.device, 0)
            newest[event.device] = max(newest.get(event.device, 0), event.time_ms)
    assert late > 0.02 * bank.event_count


def test_a_wrong_clock_shows_in_the_time_and_in_the_time_of_sending_alike(bank: Bank) -> None:
    devices = [device for history in bank.histories for device in history.customer.devices]
    skewed = [device for device in devices if device.skew_ms]
    assert skewed
    assert all(abs(device.skew_ms) > 60_000 for device in skewed)
    request = next(request for request in plan_requests(bank) if request.device in skewed)
    record = sensors_record(request.events[0], request.device, END_MS)
    assert record["_flush_time"] - record["time"] == END_MS - request.events[0].time_ms
    assert record["_flush_time"] == END_MS + request.device.skew_ms


def test_writes_what_was_drawn_and_what_was_emitted(bank: Bank, tmp_path: Path) -> None:
    small = simulate(bank.truth, customers=20)
    paths = write_bank(small, tmp_path)
    assert [path.name for path in paths] == [
        "truth.json",
        "emitted.jsonl",
        "bindings.jsonl",
        "requests.jsonl",
    ]
    truth, emitted, bindings, requests = (
        [json.loads(line) for line in path.read_text().splitlines()]
        if path.suffix == ".jsonl"
        else json.loads(path.read_text())
        for path in paths
    )
    assert truth["drop_off"]["where"] == bank.truth.drop_off.where
    assert len(truth["rates"]) == 15
    assert len(emitted) == small.event_count
    assert {line["person"] for line in emitted} == {history.customer.person for history in small.histories}
    assert {line["anonymous_id"] for line in bindings} <= {line["device"] for line in emitted}
    assert sum(map(len, requests)) >= len(emitted)


def test_a_history_has_a_sensible_length() -> None:
    with pytest.raises(ValueError, match="15 to 300 days, not 3"):
        Plan(seed=1, end_ms=END_MS, days=3)
    with pytest.raises(TypeError, match="how many"):
        simulate(draw_truth(Plan(seed=1, end_ms=END_MS)))


EVERYTHING = Range(0, 10**14)


def test_the_reference_follows_a_person_over_devices() -> None:
    events = [
        tell("p", "register", 0, device="phone"),
        tell("p", "verify_identity", 5, device="phone", login="cust"),
        tell("p", "bind_card", 10, device="tablet"),
        tell("p", "view_fund", 20, device="tablet", login="cust"),
    ]
    assert count_funnel(events, FUNNEL, 100, EVERYTHING) == {(): [1, 1, 1, 1, 0]}


def test_the_reference_takes_steps_at_one_instant_and_at_the_windows_end() -> None:
    events = [
        tell("p", "register", 0),
        tell("p", "verify_identity", 0),
        tell("p", "bind_card", 100),
        tell("q", "register", 0),
        tell("q", "verify_identity", 101),
    ]
    assert count_funnel(events, FUNNEL, 100, EVERYTHING) == {(): [2, 1, 1, 0, 0]}


def test_the_reference_takes_a_later_attempt_that_gets_deeper() -> None:
    events = [tell("p", "register", 0), tell("p", "register", 50), tell("p", "verify_identity", 140)]
    assert count_funnel(events, FUNNEL[:2], 100, EVERYTHING) == {(): [1, 1]}


def test_the_reference_counts_who_comes_back_by_interval() -> None:
    events = [
        tell("p", "register", 5, device="phone"),
        tell("p", "verify_identity", 6, device="phone", login="cust"),
        tell("p", "view_fund", 20, device="tablet", login="cust"),
        tell("p", "register", 15, device="phone"),
        tell("q", "register", 10),
        tell("q", "view_fund", 39),
        tell("r", "register", 30),
        tell("r", "view_fund", 31),
    ]
    cells = count_retention(events, "register", "view_fund", [0, 10, 20, 30, 40], 2)
    assert cells == [[1, 0, 1], [1, 0, 1]]


def test_the_reference_counts_links_of_paths_by_their_place() -> None:
    events = [
        tell("p", "register", 0),
        tell("p", "register", 5),
        tell("p", "view_fund", 10),
        tell("p", "register", 30),
        tell("p", "view_fund", 39),
        tell("q", "view_fund", 0),
        tell("q", "register", 1),
        tell("q", "bind_card", 2),
    ]
    links = count_links(events, ("register", "view_fund", "bind_card"), 20, 2, EVERYTHING)
    assert links == {("1_register", "2_view_fund"): (2, 1), ("1_view_fund", "2_register"): (1, 1)}


def test_the_reference_leaves_out_what_is_refused_or_out_of_range() -> None:
    events = [
        tell("p", "register", 5),
        replace(tell("q", "register", 7), refused="too_old"),
        tell("r", "register", 10),
    ]
    assert count_funnel(events, FUNNEL[:1], 100, Range(5, 10)) == {(): [1]}


def test_the_reference_groups_by_first_touch() -> None:
    events = [
        tell("p", "register", 0, channel="wechat"),
        tell("p", "verify_identity", 5, channel="huawei"),
        tell("q", "register", 0, channel="huawei"),
    ]
    assert count_funnel(events, FUNNEL[:2], 100, EVERYTHING, ("channel",)) == {
        ("wechat",): [1, 1],
        ("huawei",): [1, 0],
    }


def test_the_reference_sums_money_exactly() -> None:
    events = [tell(str(n), "purchase_fund", n, amount=0.1) for n in range(10)]
    assert sum_property(events, "purchase_fund", "amount", EVERYTHING) == Decimal("1.0")


def test_the_reference_refuses_a_device_of_two_logins() -> None:
    events = [
        tell("p", "register", 0, device="d", login="a"),
        tell("q", "register", 1, device="d", login="b"),
    ]
    with pytest.raises(ValueError, match="used by a and by b"):
        resolve_persons(events)
