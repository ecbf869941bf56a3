"""Keys and projects are remembered for seconds, and questions about unknown ones are bounded."""

from __future__ import annotations

import asyncio

from collector.answers import Overloaded
from collector.keys import Keys
from collector.options import CollectorOptions
from footfall.envelopes.keys import no_keys
from footfall.treatment.policy import Policy
from tests.collector_worker import FewProjects, Worker, event


async def test_asks_once_for_what_it_then_knows():
    workspace = FewProjects()
    keys = Keys(workspace, Policy, no_keys, CollectorOptions())
    grants = await asyncio.gather(*[keys.grant("wk-bank") for _ in range(50)])
    assert {grant.project for grant in grants if grant} == {"bank"}
    await keys.grant("wk-bank")
    assert workspace.asked == ["wk-bank"]


async def test_asks_again_when_the_answer_is_old():
    workspace = FewProjects()
    keys = Keys(workspace, Policy, no_keys, CollectorOptions(key_seconds=0.0))
    await keys.grant("wk-bank")
    del workspace.grants["wk-bank"]
    assert await keys.grant("wk-bank") is None


async def test_believes_in_an_unknown_key_only_for_a_moment():
    workspace = FewProjects()
    keys = Keys(workspace, Policy, no_keys, CollectorOptions(unknown_seconds=60.0))
    assert await keys.grant("new") is None
    assert await keys.grant("new") is None
    assert workspace.asked == ["new"]


async def test_guessing_keys_does_not_become_load_on_the_workspace():
    workspace = FewProjects()
    keys = Keys(workspace, Policy, no_keys, CollectorOptions(lookups_per_second=10, key_seconds=0.0))
    await keys.grant("wk-bank")
    guesses = [keys.grant(f"guess-{number}") for number in range(100)]
    answers = await asyncio.gather(*guesses, return_exceptions=True)
    assert any(isinstance(answer, Overloaded) for answer in answers)
    assert len(workspace.asked) < 30
    assert await keys.grant("wk-bank") is not None, "a good key is asked for all the same"


async def test_an_absurd_key_is_not_even_looked_up():
    workspace = FewProjects()
    assert await Keys(workspace, Policy, no_keys, CollectorOptions()).grant("x" * 5000) is None
    assert not workspace.asked


async def test_goes_on_with_what_it_knew_while_the_workspace_is_gone():
    worker = Worker(CollectorOptions(key_seconds=0.0))
    assert (await worker.track(event())).status_code == 200
    worker.workspace.broken = True
    assert (await worker.track(event())).status_code == 200
    assert (await worker.post("/v1/events?key=wk-bank", event())).status_code == 503
