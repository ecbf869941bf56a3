"""A Footfall before which SDKs are driven: what each put on the wire, what is stored, and both compared."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import orjson

from footfall.cli.demo_system import RunningSystem
from footfall.privacy.detection import find
from tests.envelopes import open_form
from tests.live_sdks import until
from tests.wiretap import Passed, Wiretap


@dataclass
class Live:
    """The system, the relay before it, and a project for each SDK and mode."""

    footfall: RunningSystem
    tap: Wiretap
    site: str
    home: Path
    query: httpx.Client
    keys: dict[str, str] = field(default_factory=dict)
    envelope_keys: dict[str, bytes] = field(default_factory=dict)
    _opened: dict[int, list[dict[str, Any]]] = field(default_factory=dict)

    def url(self, project: str, path: str = "/sa") -> str:
        """The server URL to give to an SDK; makes the project."""
        if project not in self.keys:
            answer = self.query.post("/api/v1/projects", json={"name": project})
            assert answer.status_code == 201, answer.text
            self.keys[project] = answer.json()["write_key"]
        return self.tap.url(f"{path}?project={project}&token={self.keys[project]}")

    def requests(self, project: str) -> list[Passed]:
        return [each for each in self.tap.answered() if each.query.get("project") == project]

    def wire(self, project: str) -> list[dict[str, Any]]:
        """Every record that was sent to be stored."""
        data = [each for each in self.requests(project) if not is_config(each) and each.method != "OPTIONS"]
        return [
            record
            for each in data
            if each.headers.get("dry-run") != "true"
            for record in self._records(project, each)
        ]

    def _records(self, project: str, request: Passed) -> list[dict[str, Any]]:
        key = self.envelope_keys.get(project)
        if key is None:
            return request.records
        if id(request) not in self._opened:
            self._opened[id(request)] = open_form(request.form, key)
        return self._opened[id(request)]

    def add_key(self, project: str, algorithm: str, version: int, key: bytes) -> None:
        """From now on all that the project is sent is encrypted with it."""
        self.url(project)
        body = {"algorithm": algorithm, "version": version, "private_key": key.hex()}
        answer = self.query.post(f"/api/v1/projects/{project}/envelope-keys", json=body)
        assert answer.status_code == 201, answer.text
        self.envelope_keys[project] = key

    def wait_for(self, project: str, *events: str) -> None:
        """Until records of all these events, or of these types, were answered."""
        until(lambda: set(events) <= names(self.wire(project)), lambda: names(self.wire(project)))

    def stored(self, project: str, subject: str) -> list[dict[str, Any]]:
        """Once all that was sent is processed."""
        until(
            lambda: self._settled(project),
            lambda: (len(self.wire(project)), self.ledger(project), self.footfall.log_tail()),
        )
        answer = self.query.get(f"/api/v1/projects/{project}/export", params={"subject": subject})
        assert answer.status_code == 200, answer.text
        return [orjson.loads(line) for line in answer.text.splitlines()]

    def ledger(self, project: str) -> dict[str, Any]:
        total: dict[str, Any] = self.query.get(f"/api/v1/projects/{project}/ledger").json()["total"]
        return total

    def _settled(self, project: str) -> bool:
        total = self.ledger(project)
        return total["queued"] == 0 and total["received"] == len(self.wire(project))


def is_config(request: Passed) -> bool:
    return "/config/" in request.path


def names(records: list[dict[str, Any]]) -> set[str]:
    return {record.get("event") or record["type"] for record in records}


TRACKS = {"track", "track_signup", "track_id_bind", "track_id_unbind"}
HOISTED = {"$is_login_id"}
SENTINELS = {"url的domain解析失败", "取值异常", "直接打开"}
UNPADDED = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\.(\d{1,3})$")


def assert_all_stored(live: Live, project: str) -> list[dict[str, Any]]:
    """Each record on the wire is there once, every field of it equal; the stored events by that order."""
    events = live.stored(project, "events")
    sent = live.wire(project)
    assert {each.status for each in live.requests(project) if not is_config(each)} <= {200, 204}
    ledger = live.ledger(project)
    assert (ledger["rejected"], ledger["duplicate"], ledger["received"]) == ({}, 0, len(sent))
    left = list(events)
    found = []
    for record in sent:
        if record["type"] in TRACKS:
            match = [each for each in left if not differences(record, each)]
            assert match, (record, [differences(record, each) for each in left if same_event(record, each)])
            left.remove(match[0])
            found.append(match[0])
    assert left == []
    return found


def same_event(record: Mapping[str, Any], stored: Mapping[str, Any]) -> bool:
    return bool(record.get("event", stored["event"]) == stored["event"])


def differences(record: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """What of a record that was sent is stored otherwise, or not at all."""
    wrong: dict[str, Any] = {}
    for name in ("type", "event", "distinct_id", "time", "login_id", "original_id"):
        if name in record and not equal(record[name], stored.get(name)):
            wrong[name] = (record[name], stored.get(name))
    for name, value in expected_properties(record).items():
        if not equal(value, stored["properties"].get(name)):
            wrong[f"properties.{name}"] = (value, stored["properties"].get(name))
    return wrong


def expected_properties(record: Mapping[str, Any]) -> dict[str, Any]:
    """All of them, but for what docs/enrichment.md takes or mends: sentinels, Python's milliseconds."""
    texts = {**record.get("lib", {}), **record["properties"]}
    if texts.get("$lib") == "python":
        texts = {
            name: UNPADDED.sub(_padded, text) if isinstance(text, str) else text
            for name, text in texts.items()
        }
    return {
        name: value
        for name, value in texts.items()
        if name not in HOISTED and value is not None and not (name.startswith("$") and value in SENTINELS)
    }


def _padded(found: re.Match[str]) -> str:
    return f"{found[1]}.{found[2]:0>3}"


def equal(sent: Any, stored: Any) -> bool:
    """Of 2,000 ids that SDKs draw, one holds digits that pass for a phone or a card: those are replaced."""
    if isinstance(sent, str) and find(sent):
        return isinstance(stored, str) and stored != sent
    if isinstance(sent, int | float) and not isinstance(sent, bool):
        return isinstance(stored, int | float) and Decimal(str(sent)) == Decimal(str(stored))
    return bool(sent == stored)


def profile_of(live: Live, project: str, user: str) -> dict[str, Any]:
    found = [each for each in live.stored(project, "profiles") if each["distinct_id"] == user]
    assert len(found) == 1, live.stored(project, "profiles")
    properties: dict[str, Any] = found[0]["properties"]
    return properties


def assert_told(stored: list[dict[str, Any]], event: str, properties: Mapping[str, Any]) -> None:
    """The event has what the app said, whatever the SDK made of it on its way."""
    (found,) = [each for each in stored if each["event"] == event]
    for name, value in properties.items():
        assert equal(value, found["properties"].get(name)), (name, value, found["properties"].get(name))
