"""What privacy costs an event at a door, on its way from judged records to the log.

Unit: CPU time an event, in this process, of `treatment.treat`. Medians over interleaved rounds. The budget is
10 us an event for detection: records without anything to hide.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from bench.records import draw_events
from bench.results import Row, Section, Target
from footfall.events.log_record import Header
from footfall.privacy.privacy import Privacy
from footfall.privacy.settings import PrivacySettings, Rule
from footfall.sealing import Sealer
from footfall.treatment.policy import Policy
from footfall.treatment.treatment import treat

_A_REQUEST: Final = 20
_KEY: Final = b"an installation key of 32 bytes!"
_BUDGET_US: Final = 10
_SECRETS: Final[Mapping[str, Any]] = {
    "contact": "手机 13800138000",
    "link": "https://x.cn/?m=zhang%40bank.cn",
}


@dataclass(frozen=True, slots=True)
class Effort:
    """How much to treat."""

    rounds: int = 9
    requests: int = 1_000

    @classmethod
    def of(cls, quick: bool) -> Effort:
        return cls(rounds=1, requests=20) if quick else cls()


def measure(effort: Effort) -> Section:
    """Events with nothing to hide, with one hit each, and with a rule for one property each."""
    by_rule = PrivacySettings(rules=(Rule("$title", "tokenise"),))
    by_pattern = PrivacySettings(rules=(Rule("nothing_*", "drop"),))
    cases = {
        "nothing to hide": (PrivacySettings(), {}, 1),
        "nothing to hide, 20 a request": (PrivacySettings(), {}, _A_REQUEST),
        "a phone in one property, 20 a request": (PrivacySettings(), {"contact": "13800138000"}, _A_REQUEST),
        "a phone in a text and an address in a URL": (PrivacySettings(), _SECRETS, _A_REQUEST),
        "one property tokenised": (by_rule, {}, _A_REQUEST),
        "a rule with a pattern that fits nothing": (by_pattern, {}, _A_REQUEST),
    }
    works = {name: _work(effort, *case) for name, case in cases.items()}
    spent: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(effort.rounds):
        for name, work in works.items():
            spent[name].append(_cpu_seconds(work))
    rows = []
    for name, (_, _, each) in cases.items():
        micros = statistics.median(spent[name]) / (effort.requests * each) * 1e6
        budget = Target("<=", 1) if name.startswith("nothing") else None
        limit = f"{_BUDGET_US} us"
        rows.append(Row(f"privacy, an event: {name}", f"{micros:.2f} us", limit, micros / _BUDGET_US, budget))
    return Section("Privacy at the door", rows, ["the limit is the budget of detection; events of 550 bytes"])


def _work(
    effort: Effort, settings: PrivacySettings, extra: Mapping[str, Any], each: int
) -> Callable[[], None]:
    policy = Policy("bench", privacy=Privacy("bench", settings, _KEY), sealer=Sealer(_KEY))
    events = draw_events(effort.requests * each, 1)
    arrays = []
    for _ in range(effort.requests):
        batch = [next(events) for _ in range(each)]
        arrays.append(orjson.dumps([one | {"properties": {**one["properties"], **extra}} for one in batch]))
    header = Header("bench", "native", 0, each, ["0" * 32] * each, ip="203.0.113.7", user_agent="Mozilla/5.0")

    def work() -> None:
        for array in arrays:
            treat(header, array, policy)

    return work


def _cpu_seconds(work: Callable[[], None]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began
