"""Members of a log on Kafka own each number once, whoever comes and goes."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing

from footfall.eventlog.kafka_log import KafkaLog
from processor.ownership import Ownership
from tests.kafka_broker import Broker
from tests.log_engines import KafkaEngine


def eventually(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    give_up_at = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < give_up_at
        time.sleep(0.05)


def test_numbers_are_shared_out_and_taken_over(broker: Broker) -> None:
    log = KafkaEngine(broker.bootstrap, None).open()
    assert isinstance(log, KafkaLog)
    first, second = Ownership(), Ownership()
    with closing(log), closing(log.join(first, "one")):
        eventually(lambda: first.owned() == {0, 1, 2})
        member = log.join(second)
        with closing(member):
            eventually(lambda: len(second.owned()) >= 1 and first.owned() | second.owned() == {0, 1, 2})
            assert not first.owned() & second.owned()
        assert second.owned() == frozenset()
        eventually(lambda: first.owned() == {0, 1, 2})
    assert first.owned() == frozenset()
