"""What must hold whatever bytes come: each target takes any bytes, and raises AssertionError (or anything
else) where it does not. None needs a fuzzer: a test runs them on seeds and on what was once found.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from typing import Any, Final

import zstandard

from collector.answers import BodyTooLarge, UnreadableBody
from collector.bodies import gunzip
from collector.envelopes import open_envelope, read_fields
from footfall.eventlog.log import LogRecord
from footfall.events.batch import TooManyRecords, Unreadable, read_batch
from footfall.events.event_ids import event_ids
from footfall.events.keys import KeyedHash
from footfall.events.names import KnownNames
from footfall.events.record import read_records, split_array
from footfall.events.verdicts import NATIVE, SENSORS, SENSORS_EXPORT, Judge, Verdicts
from footfall.tracking_plan.batches import ActivePlan
from footfall.tracking_plan.faults import InvalidPlan
from footfall.tracking_plan.plan import Plan, PlannedEvent, PlannedProperty
from footfall.tracking_plan.yaml_form import read_yaml, write_yaml
from processor.id_keys import IdKeys
from processor.intake import open_record, take_in
from query_api.body import read_json
from query_api.fixes import FixDoesNotFit, InvalidFix, parse_fix
from query_api.problems import BodyTooLarge as BodyTooLong
from query_api.problems import MalformedBody
from tests.collector_worker import NOW
from tests.envelopes import aes, cbc, form
from tests.fuzzing.doors import SEALER, Doors, Heard, check_log_records

LONGEST: Final = 64 * 1024
_ENCODINGS: Final = (b"", b"gzip", b"zstd", b"identity", b"br")
_NEVER_ON_SENSORS: Final = {204, 400, 401, 413, 429} | set(range(300, 400))


@cache
def the_doors() -> Doors:
    """One for all targets of a process."""
    return Doors()


def _check_heard(heard: Heard) -> tuple[int, int]:
    assert heard.status < 500, (heard.status, heard.body[:300])
    if b"content-length" in heard.headers:
        assert int(heard.headers[b"content-length"]) == len(heard.body)
    if b"json" in heard.headers.get(b"content-type", b""):
        json.loads(heard.body)
    return check_log_records(heard.gained)


def native(data: bytes) -> None:
    """`POST /v1/events`: the first byte says how the rest is encoded; a verdict on every record."""
    if not data:
        return
    kind, body = data[0], data[1:]
    encoding = _ENCODINGS[kind % len(_ENCODINGS)]
    if kind & 0x80:  # honestly encoded, so that the search gets past the decoder
        body = gzip.compress(body, 1) if encoding == b"gzip" else body
        body = zstandard.compress(body, 1) if encoding == b"zstd" else body
    headers = [(b"authorization", b"Bearer sk-all"), (b"content-encoding", encoding)]
    heard = the_doors().ask("POST", "/v1/events", b"", headers, body)
    held, refused = _check_heard(heard)
    if heard.status == 200:
        said = json.loads(heard.body)
        assert said["accepted"] + len(said["rejected"]) == held
        assert len(said["rejected"]) == refused
    checked = the_doors().ask("POST", "/v1/validate", b"", headers, body)
    assert (checked.status, checked.gained) == (heard.status, [])


def sensors(data: bytes) -> None:
    """`POST /sa` with the rest wrapped as SDKs do: whatever it is, it is kept, and answered 200."""
    if not data:
        return
    kind, text = data[0], data[1:]
    if kind & 1:
        text = gzip.compress(text, 1)
    code = (b"", b"&gzip=1", b"&gzip=9", b"&gzip=13")[(kind >> 1) & 3]
    encoded = base64.b64encode(text).replace(b"+", b"%2B")
    if kind & 8:
        encoded = _percent(data[1:])  # plain, as envelopes come
    body = (b"data_list=" if kind & 16 else b"data=") + encoded + code
    heard = the_doors().ask("POST", "/x/sa", b"project=open", [], body)
    held, _ = _check_heard(heard)
    assert heard.status == 200
    assert heard.body == b""
    assert held or not text.strip() or _is_empty_array(data[1:])
    again = the_doors().ask("POST", "/x/sa", b"project=open", [], body)
    assert _ids(again) == _ids(heard), "the same event sent again has the same id"
    debugged = the_doors().ask("POST", "/debug", b"project=open", [(b"dry-run", b"true")], body)
    assert debugged.status in (200, 400)
    assert not debugged.gained


def encrypted(data: bytes) -> None:
    """Envelopes of every form around the rest, sealed rightly or not: opened or kept, and answered 200."""
    if not data:
        return
    kind, text, doors = data[0], data[1:], the_doors()
    sealed = gzip.compress(text, 1) if kind & 1 else text
    key = doors.shared_key if kind & 8 else doors.phone.session
    payload = base64.b64encode(text if kind & 2 else cbc(aes(key), sealed)).decode()
    payloads = payload if kind & 4 else [payload, payload]
    envelope: dict[str, Any] = {"ekey": doors.ekey, "pkv": 1, "flush_time": NOW, "payloads": payloads}
    if kind & 8:
        envelope = {"key_id": 7, "key_hash": "h", "nc": 1, "payload" if kind & 4 else "payloads": payloads}
    body = form([envelope] if kind & 64 else envelope, (9, 13, None, 0)[(kind >> 4) & 3])
    heard = doors.ask("POST", "/sa", b"project=open", [], body)
    held, _ = _check_heard(heard)
    assert heard.status == 200
    assert held or _is_empty_array(text)
    again = doors.ask("POST", "/sa", b"project=open", [], body)
    assert _ids(again) == _ids(heard), "the same event sent again has the same id"


def _percent(text: bytes) -> bytes:
    return b"".join(b"%%%02X" % byte for byte in text)


def _is_empty_array(text: bytes) -> bool:
    try:
        return json.loads(text) in ([], {"events": []})
    except (ValueError, RecursionError):
        return False


def _ids(heard: Heard) -> list[Any]:
    opened = [open_record(record) for record in heard.gained]
    return [each.header.event_ids for each in opened if each.header is not None]


def forms(data: bytes) -> None:
    """Raw forms in body and query, every path and method of the Sensors door, headers of all kinds."""
    if len(data) < 2:
        return
    kind, more, rest = data[0], data[1], data[2:]
    query, _, body = rest.partition(b"\n")
    path = ("/sa", "/sa.gif", "/debug", "/a/b/sa", "/collect/sa.gif", "/x/debug")[kind % 6]
    method = ("POST", "GET", "HEAD", "PUT", "OPTIONS")[more % 5]
    headers = [
        (b"content-type", (b"", b"text/plain", b"multipart/form-data", b"application/json")[more >> 6])
    ]
    if kind & 0x80:
        headers.append((b"dry-run", b"true"))
    if kind & 0x40:
        headers.append((b"origin", body[:40]))
    if more & 0x20:
        query = b"project=open&" + query
    heard = the_doors().ask(method, path, query, headers, body)
    _check_heard(heard)
    if "debug" not in path and method in ("GET", "POST", "HEAD"):
        assert heard.status not in _NEVER_ON_SENSORS, heard.status
    if b"\r" in b"".join(heard.headers.values()) or b"\n" in b"".join(heard.headers.values()):
        raise AssertionError("a header with a line break in it")


def polls(data: bytes) -> None:
    """Questions for configuration: nothing is stored, and nothing of the question is in the answer."""
    if not data:
        return
    query = data[1:]
    path = (
        "/config/Android.conf", "/x/config/iOS.conf", "/config/visualized/Android.conf",
        "/config/visualized/Web.conf", "/p/config/visualized/Web.conf", "/mp_login",
    )[data[0] % 6]  # fmt: skip
    heard = the_doors().ask("GET", path, query)
    _check_heard(heard)
    assert not heard.gained
    assert heard.status in (200, 205, 304, 400)
    if path.endswith("Web.conf") and heard.status == 200:
        assert heard.body == b"saJSSDKVtrackCollectConfig(205)"


def batches(data: bytes) -> None:
    """Decoders of all doors, new and of experience: the same verdicts, a verdict each, the same ids again."""
    for door in (NATIVE, SENSORS, SENSORS_EXPORT):
        told = [
            _verdicts(data, judge) for judge in (_experienced(door.name, door), Judge(door, KnownNames()))
        ]
        assert told[0] == told[1]
        if told[0] is None:
            continue
        verdicts = read_batch(data, Judge(door, KnownNames()), NOW)
        _check_verdicts(verdicts)


@cache
def _experienced(_: str, door: Any) -> Judge:
    judge = Judge(door, KnownNames())
    for seed in (b'[{"event":"a","distinct_id":"u","time":%d,"properties":{"x":1}}]' % NOW,) * 20:
        read_batch(seed, judge, NOW)
    return judge


def _verdicts(data: bytes, judge: Judge) -> Any:
    try:
        verdicts = read_batch(data, judge, NOW)
    except (Unreadable, TooManyRecords):
        return None
    return (
        [record is None for record in verdicts.records],
        verdicts.refusals,
        verdicts.claims,
        verdicts.events,
    )


def _check_verdicts(verdicts: Verdicts) -> None:
    refused = {refusal.index for refusal in verdicts.refusals}
    assert len(refused) == len(verdicts.refusals), "one verdict a record"
    assert [record is None for record in verdicts.records] == [
        index in refused for index in range(len(verdicts.records))
    ]
    elements = split_array(verdicts.events)
    assert len(elements) == len(verdicts.records)
    again = read_records(verdicts.events, refused)
    assert [record is None for record in again] == [record is None for record in verdicts.records]
    ids = _event_ids(verdicts, elements)
    assert ids == _event_ids(verdicts, elements)
    assert all(
        len(event_id) == (32 if record else 0) for event_id, record in zip(ids, verdicts.records, strict=True)
    )


def _event_ids(verdicts: Verdicts, elements: Sequence[Any]) -> list[str]:
    return event_ids("p", verdicts.records, lambda: elements, KeyedHash(b"k" * 32))


def envelopes(data: bytes) -> None:
    """Forms, base64, gzip: JSON's bytes, or one of two documented errors; never more bytes than the limit."""
    limit = 1 << 20
    try:
        opened = open_envelope(read_fields(data), limit)
    except (UnreadableBody, BodyTooLarge):
        return
    assert opened is None or len(opened.text) <= max(limit, len(data))


def bombs(data: bytes) -> None:
    """gzip: at most the limit comes out, or one of two documented errors."""
    limit = 100_000
    try:
        text = gunzip(data, limit)
    except (UnreadableBody, BodyTooLarge):
        return
    assert len(text) <= limit


def log_records(data: bytes) -> None:
    """Whatever lies in the log, each of its records is processed or becomes a dead letter."""
    opened = open_record(LogRecord(0, 7, data))
    intake = take_in([opened], IdKeys(KeyedHash(b"k" * 32)), NOW, SEALER)
    assert intake.requests
    assert len(intake.rows.records) + len(intake.dead_letters) >= (1 if opened.header is None else 0)


def query_bodies(data: bytes) -> None:
    """Bodies of the query API: a value, or one of two problems of the client's."""
    with suppress(MalformedBody, BodyTooLong):
        read_json(data)


def fixes(data: bytes) -> None:
    """The language that mends dead letters: a program, a line break, a record."""
    program, _, raw = data.partition(b"\n")
    with suppress(InvalidFix, FixDoesNotFit):
        parse_fix(program.decode(errors="replace")).apply(raw)


def plans(data: bytes) -> None:
    """Tracking plans as files: a plan that comes back as it is, or what is wrong with it, by line."""
    try:
        plan = read_yaml(data)
    except InvalidPlan:
        return
    text = write_yaml(plan)
    again = read_yaml(text.encode())
    assert again == plan
    assert write_yaml(again) == text


def judging(data: bytes) -> None:
    """A tracking plan finds the same in a batch however a door decoded it."""
    said = []
    for judge in (_experienced("plan", NATIVE), Judge(NATIVE, KnownNames())):
        try:
            said.append(_PLAN.judge(read_batch(data, judge, NOW), tell=True))
        except (Unreadable, TooManyRecords):
            said.append(None)
    assert said[0] == said[1]


_PLAN: Final = ActivePlan(
    1,
    Plan(
        "enforce",
        common_properties={"x": PlannedProperty("number", required=True, allowed=(1, 2.5))},
        events={
            "a": PlannedEvent(
                {"t": PlannedProperty("datetime"), "l": PlannedProperty("list", allowed=("b",))}
            )
        },
        user_properties={"x": PlannedProperty("decimal")},
    ),
)

TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    each.__name__: each
    for each in (
        native, sensors, encrypted, forms, polls, batches, envelopes, bombs, log_records, query_bodies,
        fixes, plans, judging,
    )
}  # fmt: skip
