"""Masking: what has no secret keeps its bytes, twice is once, and which event it is stays."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from footfall.events.event_ids import event_ids
from footfall.events.keys import KeyedHash
from footfall.events.record import read_records, split_array
from footfall.privacy.detection import find
from footfall.privacy.privacy import Privacy
from footfall.privacy.settings import InvalidPrivacy, PrivacySettings, Rule, read_settings
from footfall.privacy.stand_ins import NoToken, StandIns
from footfall.privacy.suites import SUITES, SuiteName
from footfall.privacy.values import Masked
from footfall.sealing import CannotUnseal, Sealer
from tests.collector_worker import Worker, event
from tests.privacy_texts import HIDDEN, PHONES, PLAIN_TEXTS, SECRETS, TEXTS

KEY = b"an installation key of 32 bytes!"
PRIVACY = Privacy("p", PrivacySettings(), KEY)
VALUES = st.one_of(
    TEXTS, PLAIN_TEXTS, st.integers(), st.booleans(), st.none(),
    st.floats(allow_nan=False, allow_infinity=False), PHONES.map(int), st.lists(TEXTS, max_size=3),
)  # fmt: skip
RECORDS = st.builds(
    lambda id_, properties: {"event": "pay", "distinct_id": id_, "properties": properties},
    st.one_of(TEXTS, SECRETS),
    st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), VALUES, max_size=5),
)


def array_of(records: list[Any]) -> bytes:
    return json.dumps(records, ensure_ascii=False).encode("utf-8", "replace")


@given(SECRETS)
def test_finds_what_is_somebodys(secret: str) -> None:
    assert find(secret)
    assert secret not in PRIVACY.text(f"call {secret}, please")


def test_what_looks_like_a_phone_in_a_uuid_is_none() -> None:
    assert not find("order 0a1b2c3d-1111-4222-8333-a13800138000 is paid")
    assert find("0a1b2c3d-1111-4222-8333-a1380013800, 13800138000")


@given(st.one_of(TEXTS, PLAIN_TEXTS))
def test_masking_twice_is_masking_once(text: str) -> None:
    once = PRIVACY.text(text)
    assert PRIVACY.text(once) == once


@given(st.lists(RECORDS, max_size=3))
@settings(max_examples=50)
def test_an_array_treated_twice_is_treated_once_and_keeps_clean_values(records: list[Any]) -> None:
    array = array_of(records)
    once = PRIVACY.array(array, (), Masked())
    assert PRIVACY.array(once, (), Masked()) == once
    for before, after in zip(json.loads(array), json.loads(once), strict=True):
        for name, value in before["properties"].items():
            shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            if not find(shown) and not (isinstance(value, list) and any(map(find, value))):
                kept = after["properties"].get(name, value)
                assert kept == value or (isinstance(value, float) and find(f"{value:.0f}"))


def test_without_secrets_the_bytes_are_the_very_same() -> None:
    array = b'[ {"event":"pay", "properties":{"a":1.50,"b":"\\u4e2d","c":["x"]}} ]'
    assert PRIVACY.array(array, (), Masked()) is array
    mixed = b'[{"a":1.50,"properties":{"x":1.500,"y":"\\u4e2d","z":"13800138000"}}]'
    assert PRIVACY.array(mixed, (), Masked()) == (
        b'[{"a":1.50,"properties":{"x":1.500,"y":"\\u4e2d","z":"138****8000"}}]'
    )


def test_what_is_there_twice_hides_nothing() -> None:
    array = b'[{"properties":{"a":"13800138000","a":"x"},"event":"13800138000","event":"e"}]'
    assert b"13800138000" not in PRIVACY.array(array, (), Masked())


@given(st.lists(RECORDS, min_size=2, max_size=4))
@settings(max_examples=50)
def test_ids_of_events_are_made_before(records: list[Any]) -> None:
    """Events that differ in what is hidden stay different; the collector's order is held by the next test."""
    array = array_of(records)
    ids = event_ids("p", read_records(array), lambda: split_array(array), KeyedHash(b"k" * 32))
    assert len(set(ids)) == len(ids)


async def test_a_retry_is_a_repeat_and_different_events_stay_different() -> None:
    from footfall.treatment.policy import Policy

    worker = Worker(policy_of=lambda project: Policy(project, privacy=PRIVACY, sealer=Sealer(KEY)))
    one, other = ({"phone": f"1380013{n}"} for n in ("8000", "8001"))
    for sent in (one, one, other):
        await worker.track([event(properties=sent)])
    first, again, different = (stored.header.event_ids for stored in worker.stored())
    assert first == again != different
    assert worker.stored()[0].plain[0]["properties"] == {"phone": "138****8000"}


@pytest.mark.parametrize("suite", SUITES)
@given(text=st.text(max_size=40).filter(lambda text: text.isprintable()))
@settings(max_examples=30)
def test_tokens_are_read_again_by_their_project_alone(suite: SuiteName, text: str) -> None:
    mine, others = StandIns(KEY, "p", suite), StandIns(KEY, "q", suite)
    token = mine.token(text)
    assert mine.reveal(token) == text
    assert mine.token(token) == token
    assert not find(token)
    with pytest.raises(NoToken):
        others.reveal(token)
    changed = token[:-1] + ("b" if token[-1] == "a" else "a")
    with pytest.raises(NoToken):
        mine.reveal(changed)


def test_a_project_that_changes_its_suite_still_reads_its_tokens() -> None:
    token = StandIns(KEY, "p", "intl").token("13800138000")
    assert StandIns(KEY, "p", "gm").reveal(token) == "13800138000"


@given(HIDDEN)
def test_ids_get_one_pseudonym_that_stays(id_: str) -> None:
    pseudonym = PRIVACY.id(id_)
    assert PRIVACY.id(pseudonym) == pseudonym
    assert not find(pseudonym)


def test_ids_that_say_nobody_stay_and_keys_before_an_id_too() -> None:
    assert PRIVACY.id("guest") == "guest"
    assert PRIVACY.id("u1") == "u1"
    assert PRIVACY.id("$identity_mobile+13800138000") == f"$identity_mobile+{PRIVACY.id('13800138000')}"
    everything = Privacy("p", PrivacySettings(ids="all"), KEY)
    assert everything.id("u1").startswith("pid_")
    assert everything.id("guest") == "guest"


def test_rules_for_identities_count_for_keys_before_an_id_too() -> None:
    rules = (Rule("identities.$identity_mobile", "keep"), Rule("identities.wechat", "hash"))
    privacy = Privacy("p", PrivacySettings(rules=rules), KEY, id_keys=("wechat",))
    for key, value in (
        ("$identity_mobile", "13800138000"),
        ("wechat", "abc"),
        ("$identity_x", "13800138000"),
    ):
        sent = array_of([{"event": "e", "distinct_id": f"{key}+{value}", "identities": {key: value}}])
        [rests] = json.loads(privacy.array(sent, (), Masked()))
        assert rests["distinct_id"] == f"{key}+{rests['identities'][key]}" == privacy.id(f"{key}+{value}")
        assert (rests["identities"][key] == value) is (key == "$identity_mobile")


def test_patterns_for_properties_never_reach_identities_nor_lib() -> None:
    privacy = Privacy("p", PrivacySettings(rules=(Rule("*mobile", "mask"), Rule("*", "drop"))), KEY)
    sent = {"event": "e", "distinct_id": "u1", "identities": {"$identity_mobile": "13800138000"}}
    [rests] = json.loads(privacy.array(array_of([sent | {"lib": {"$lib": "js"}}]), (), Masked()))
    assert rests["identities"] == {"$identity_mobile": privacy.id("13800138000")}
    assert rests["lib"] == {"$lib": "js"}


def test_a_rule_for_identities_of_some_events_is_refused() -> None:
    for narrow in ({"events": ["pay"]}, {"of": "user"}):
        rule = {"property": "identities.wechat", "action": "hash", **narrow}
        with pytest.raises(InvalidPrivacy):
            read_settings({"rules": [rule]})


def test_either_suite_seals_and_both_open() -> None:
    for suite in SUITES:
        sealed = Sealer(KEY, suite).seal(b"secret", "here")
        assert b"secret" not in sealed
        assert Sealer(KEY).unseal(sealed, "here") == Sealer(KEY, "gm").unseal(sealed, "here") == b"secret"
        for other, place in ((Sealer(b"x" * 32), "here"), (Sealer(KEY), "there")):
            with pytest.raises(CannotUnseal):
                other.unseal(sealed, place)


def test_never_collected_wins_over_rules_and_rules_over_grades_and_those_over_detection() -> None:
    rules = (Rule("kept", "keep"), Rule("c3_but_ruled", "mask"))
    grades = {"event": {"c3": "C3", "c2": "C2", "c1": "C1", "c3_but_ruled": "C3", "kept": "C2"}}
    privacy = Privacy("p", PrivacySettings(c2="tokenise", rules=rules), KEY, grades=grades)
    names = ("kept", "c3", "c2", "c1", "c3_but_ruled", "cvv2", "other")
    record = {"event": "e", "properties": dict.fromkeys(names, "13800138000")}
    kept = json.loads(privacy.array(array_of([record]), (), Masked()))[0]["properties"]
    assert privacy.stand_ins.reveal(kept.pop("c2")) == "13800138000"
    assert kept == {
        "kept": "13800138000",
        "c1": "138****8000",
        "c3_but_ruled": "138****8000",
        "other": "138****8000",
    }


def test_addresses_are_dropped_cut_or_kept() -> None:
    for rule, kept in (("drop", ""), ("truncate", "8.8.8.0"), ("keep", "8.8.8.8")):
        privacy = Privacy("p", read_settings({"ip": rule}), KEY)
        assert privacy.address("8.8.8.8") == (kept, "US")
        record = {"event": "e", "properties": {"$ip": "8.8.8.8"}}
        found = json.loads(privacy.array(array_of([record]), (), Masked()))[0]["properties"]
        assert found == ({"$ip": kept} if kept else {}) | ({} if rule == "keep" else {"$country": "US"})
