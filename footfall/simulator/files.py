"""Writes a simulated bank to a directory, for other programs and for checking answers.

| file | a line or the whole |
|---|---|
| `truth.json` | what was drawn: rates, retention, incidents |
| `emitted.jsonl` | an event: true time, ids as carried, the id that it counts for (`person_id`), who it was |
| `bindings.jsonl` | an anonymous id and the login that it belongs to |
| `requests.jsonl` | a request, in the order of sending: an array of Sensors-format records |
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import orjson

from footfall.simulator.bank import Bank
from footfall.simulator.delivery import plan_requests, sensors_record
from footfall.simulator.reference import resolve_persons


def write_bank(bank: Bank, directory: Path) -> list[Path]:
    """The paths written; existing files of these names are replaced. OSError where that cannot be."""
    owners = resolve_persons(bank.events())
    truth, emitted, bindings, requests = (
        directory / name for name in ("truth.json", "emitted.jsonl", "bindings.jsonl", "requests.jsonl")
    )
    truth.write_bytes(orjson.dumps(bank.truth.as_json(), option=orjson.OPT_INDENT_2) + b"\n")
    with emitted.open("wb") as file:
        for event in bank.events():
            line = asdict(event) | {"person_id": owners.get(event.distinct_id, event.distinct_id)}
            file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
    with bindings.open("wb") as file:
        for anonymous_id, login_id in owners.items():
            line = {"anonymous_id": anonymous_id, "login_id": login_id}
            file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
    with requests.open("wb") as file:
        for request in plan_requests(bank):
            sent_ms = bank.truth.plan.end_ms
            records = [sensors_record(event, request.device, sent_ms) for event in request.events]
            file.write(orjson.dumps(records, option=orjson.OPT_APPEND_NEWLINE))
    return [truth, emitted, bindings, requests]
