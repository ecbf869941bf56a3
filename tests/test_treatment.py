"""What a project's policy does to records at the door."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from collector.options import CollectorOptions
from footfall.privacy.privacy import Privacy
from footfall.privacy.settings import PrivacySettings
from footfall.sealing import Sealer
from footfall.tracking_plan import Plan, PlannedEvent
from footfall.tracking_plan.batches import ActivePlan
from footfall.treatment.policy import Policy
from tests.collector_worker import NOW, Worker, event

NO_FUNDS = Plan("enforce", "refuse", "allow", events={"pay": PlannedEvent()})


def plans_for_the_bank(project: str) -> Policy:
    return Policy(project, ActivePlan(3, NO_FUNDS) if project == "bank" else None)


async def test_what_a_project_turns_away_is_answered_kept_and_only_its_own():
    worker = Worker(policy_of=plans_for_the_bank)
    records = [event(project="default"), event(project="bank"), event(project="bank", event="pay")]
    answer = (await worker.post("/v1/events?key=sk-all", records)).json()
    message = "the tracking plan has no event 'view_fund'"
    refused = {"index": 1, "reason": "plan_unknown_event", "field": "event", "message": message}
    assert answer == {"accepted": 2, "rejected": [refused]}
    kept = {stored.header.project: stored for stored in worker.stored()}
    assert kept["default"].reasons == []
    assert kept["bank"].reasons == ["plan_unknown_event"]
    assert [bool(event_id) for event_id in kept["bank"].header.event_ids] == [False, True]
    validated = (await worker.post("/v1/validate?key=sk-all", records)).json()
    assert validated == {**answer, "violations": [refused]}


async def test_nothing_is_taken_while_a_projects_policy_cannot_be_known():
    def away(project: str) -> Policy:
        raise OSError("the workspace is gone")

    worker = Worker(options=CollectorOptions(), now=NOW, policy_of=away)
    assert (await worker.track([event()])).status_code == 503
    assert not worker.stored()


def private(project: str) -> Policy:
    return Policy(project, privacy=Privacy(project, PrivacySettings(), b"k" * 32), sealer=Sealer(b"k" * 32))


@pytest.mark.parametrize(
    "body",
    [
        {"events": [], "Zhang San` 482913": 1},
        event(time=482913),
        event(time=482913.5),
        event(time="482913 Zhang San"),
        event(event='Zhang San\'s "482913"'),
        event(type="Zhang San 482913"),
        event(project="Zhang San 482913"),
        event(**{"Zhang San 482913": 1}),
        event(properties={"Zhang San 482913": 1}),
        event(properties={"a": {"Zhang San": "482913"}}),
        event(identities={"Zhang San 482913": 5}),
        event(lib={"Zhang San 482913": []}),
    ],
)
async def test_why_something_was_refused_rests_without_its_words_and_numbers(body: object) -> None:
    worker = Worker(policy_of=private)
    answer = await worker.post("/v1/events?key=wk-default", body)
    assert b"Zhang" in answer.content or b"482913" in answer.content or b"an object" in answer.content
    [stored] = worker.stored()
    [refusal] = stored.header.refusals
    assert refusal.message
    for words in ("Zhang", "482913"):
        assert words not in refusal.field + refusal.message
        assert words.encode() not in stored.events


@pytest.mark.parametrize(("version", "rests"), [(55, "pkv 55:"), ("55", "pkv 55:"), ("Zhang's", "pkv '…':")])
async def test_the_number_of_a_missing_key_rests_and_no_other_text(version: object, rests: str) -> None:
    worker = Worker(policy_of=private)
    envelope = [{"pkv": version, "ekey": "QUFB", "flush_time": NOW, "payloads": ["QUFB"]}]
    await worker.post("/sa?project=open", b"gzip=9&data_list=" + quote(json.dumps(envelope)).encode())
    [stored] = worker.stored()
    [refusal] = stored.header.refusals
    assert rests in refusal.message
