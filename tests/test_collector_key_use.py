"""Secret and private keys that the collector used are in the audit log: once an hour and address each."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from collector.key_use import MOST_USES, KeyUses
from tests.collector_worker import FewProjects, Worker, event, wrapped
from tests.encrypted_worker import BROWSER, PHONE, worker_with
from tests.envelopes import form

ADDRESS = {"address": "127.0.0.1", "door": "native"}


def row(action: str, project: str, subject: str, detail: Any) -> tuple[Any, ...]:
    return ("footfall", action, project, subject, detail)


def worker_of_keys() -> Worker:
    worker = worker_with()
    for key, grant in worker.workspace.grants.items():
        object.__setattr__(grant, "fingerprint", f"fingerprint of {key}")
    return worker


async def recorded(worker: Worker, *requests: tuple[str, Any], **headers: str) -> list[tuple[Any, ...]]:
    """Rows from a worker's start to its end."""
    async with worker.app.router.lifespan_context(worker.app):
        for path, body in requests:
            answer = await worker.post(path, body, headers=headers)
            assert answer.status_code == 200, answer.text
    return worker.workspace.recorded


async def test_a_secret_key_at_either_door_is_a_row_a_write_key_is_none() -> None:
    one = b"data=" + wrapped(event())
    named = b"data=" + wrapped(event(token="sk-bank", project="bank"))
    rows = await recorded(
        worker_of_keys(),
        ("/v1/events?key=sk-bank", event()),
        ("/v1/events?key=sk-bank", event()),
        ("/v1/events?key=wk-bank", event()),
        ("/sa?token=sk-all&project=bank", one),
        ("/sa?token=wk-bank", one),
        ("/sa?project=open", one),
        ("/sa?project=open", named),
    )
    assert rows == [
        row("key.use", "", "key fingerprint of sk-bank", ADDRESS),
        row("key.use", "", "key fingerprint of sk-all", ADDRESS | {"door": "sensors"}),
    ]


async def test_a_token_within_a_record_and_another_address_are_rows_too() -> None:
    worker = worker_of_keys()
    named = b"data=" + wrapped(event(token="sk-bank", project="bank"))
    await recorded(worker, ("/sa?project=open", named))
    rows = await recorded(worker, ("/sa?project=open", named), **{"X-Forwarded-For": "8.8.8.8"})
    assert [each[4]["address"] for each in rows] == ["127.0.0.1", "8.8.8.8"]


async def test_a_private_key_that_opened_envelopes_is_a_row() -> None:
    opened = form([PHONE.events(event()), BROWSER.events(event())])
    rows = await recorded(worker_with(), ("/sa?project=open", opened), ("/sa?project=open_too", opened))
    door = {"door": "sensors"}
    assert sorted(rows) == [
        row("envelope_keys.use", project, key, door)
        for project in ("open", "open_too")
        for key in ("rsa-1", "sm2-3")
    ]


async def test_what_cannot_be_written_waits_and_costs_no_request() -> None:
    worker = worker_of_keys()
    worker.workspace.grants["sk-all"] = worker.workspace.grants["sk-bank"]
    await worker.post("/v1/events?key=sk-bank", event())
    worker.workspace.broken = True
    assert await recorded(worker, ("/v1/events?key=sk-bank", event())) == []
    worker.workspace.broken = False
    assert len(await recorded(worker)) == 1


def test_each_hour_has_its_rows_and_no_more_than_so_many() -> None:
    workspace, now = FewProjects(), 1_795_000_000.0
    uses = KeyUses(lambda: workspace.audit, clock=lambda: now)
    for number in range(MOST_USES + 5):
        uses.secret_key("one", "native", str(number))
    uses.write()
    assert len(workspace.recorded) == MOST_USES
    now += 3600
    uses.secret_key("one", "native", "0")
    uses.secret_key("one", "sensors", "0")
    uses.write()
    assert len(workspace.recorded) == MOST_USES + 1


def test_a_row_that_fails_is_written_again_and_no_other_twice() -> None:
    rows: list[Any] = []

    def record(*row: Any) -> None:
        if len(rows) == 1 and "away" not in told:
            told.append("away")
            raise OSError("no space left on the device")
        rows.append(row[3])

    told: list[str] = []
    uses = KeyUses(lambda: SimpleNamespace(record=record))  # type: ignore[arg-type, return-value]
    for key in "abc":
        uses.secret_key(key, "native", "1.1.1.1")
    uses.write()
    uses.write()
    assert rows == ["key a", "key b", "key c"]
