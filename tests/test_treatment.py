"""What a project's policy does to records at the door."""

from __future__ import annotations

from collector.options import CollectorOptions
from footfall.events.log_record import Refusal
from footfall.events.verdicts import Verdicts
from footfall.treatment.policy import Policy
from tests.collector_worker import NOW, Worker, event


class NoFunds:
    """A tracking plan that takes no event called view_fund."""

    def refusals(self, verdicts: Verdicts) -> list[Refusal]:
        return [
            Refusal(index, "not_in_plan", "event", "not planned")
            for index, record in enumerate(verdicts.records)
            if record is not None and record.event == "view_fund"
        ]


def plans_for_the_bank(project: str) -> Policy:
    return Policy(project, NoFunds() if project == "bank" else None)


async def test_what_a_project_turns_away_is_answered_kept_and_only_its_own():
    worker = Worker(policy_of=plans_for_the_bank)
    records = [event(project="default"), event(project="bank"), event(project="bank", event="pay")]
    answer = (await worker.post("/v1/events?key=sk-all", records)).json()
    assert answer == {
        "accepted": 2,
        "rejected": [{"index": 1, "reason": "not_in_plan", "field": "event", "message": "not planned"}],
    }
    kept = {stored.header.project: stored for stored in worker.stored()}
    assert kept["default"].reasons == []
    assert kept["bank"].reasons == ["not_in_plan"]
    assert [bool(event_id) for event_id in kept["bank"].header.event_ids] == [False, True]
    assert (await worker.post("/v1/validate?key=sk-all", records)).json() == answer


async def test_nothing_is_taken_while_a_projects_policy_cannot_be_known():
    def away(project: str) -> Policy:
        raise OSError("the workspace is gone")

    worker = Worker(options=CollectorOptions(), now=NOW, policy_of=away)
    assert (await worker.track([event()])).status_code == 503
    assert not worker.stored()
