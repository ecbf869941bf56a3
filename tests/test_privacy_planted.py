"""Secrets planted in every field of everything that can be sent: none of them rests anywhere readable."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import apsw
import httpx
import pytest
import structlog
import zstandard

from footfall.importing.importer import Importer
from query_api.plan_proposal import OFTEN, PERSONS
from tests.collector_worker import wrapped
from tests.importing import importer_of
from tests.system import WRITE_KEY, System, open_system

PHONE, LOGIN_PHONE = "13800138000", "18612345678"
ID_CARD = "11010519491231002X"
CARD = "6222021001116245702"
EMAIL = "zhang.san@bank.example"
PASSWORD = "hunter2-and-more"
SECRETS = (PHONE, LOGIN_PHONE, ID_CARD, CARD, EMAIL, PASSWORD)
STACK = f"java.lang.IllegalState: card {CARD} of {PHONE}\n\tat com.bank.Pay.run(Pay.java:42)"


def record(**fields: Any) -> dict[str, Any]:
    """A record with something in each of its fields."""
    properties = {
        "note": f"call {PHONE} or {EMAIL}", "phones": [PHONE, f"+86 {LOGIN_PHONE}", "none"],
        "number": int(PHONE), "card": int(CARD), "float": float(PHONE), "password": PASSWORD,
        "Pay_Password": PASSWORD,
        "$url": f"https://bank.example/p?mobile={PHONE}&mail=zhang.san%40bank.example&password={PASSWORD}",
        "$element_content": f"尊敬的客户{PHONE}", "$title": f"{ID_CARD} 的账户",
        "$referrer": f"https://x.cn/?id={ID_CARD}",
        "app_crashed_reason": STACK, "wide": PHONE.translate({48 + n: 0xFF10 + n for n in range(10)}),
        f"of_{PHONE}": 1, "json": json.dumps({"password": PASSWORD, "card": CARD}), "$ip": "203.0.113.77",
    }  # fmt: skip
    return {
        "type": "track", "event": f"pay_{PHONE}", "distinct_id": PHONE, "login_id": LOGIN_PHONE,
        "anonymous_id": EMAIL, "event_id": f"{PHONE}-{CARD}",
        "lib": {"$lib": "js", "$app_version": PHONE, "pin": PASSWORD},
        "identities": {"$identity_mobile": PHONE, "$identity_email": [EMAIL]}, "properties": properties,
    } | fields  # fmt: skip


RECORDS: list[dict[str, Any]] = [
    record(),
    record(type="track_signup", event="$SignUp", original_id=EMAIL, event_id="x1"),
    record(type="profile_set", event=None, event_id="x2"),
    record(type="profile_increment", event=None, properties={"visits": 1, "n": int(PHONE)}, event_id="x3"),
    record(type="profile_append", event=None, properties={"phones": [PHONE]}, event_id="x4"),
    record(type="item_set", item_type="fund", item_id=PHONE, event=None, event_id="x5"),
    record(type=PASSWORD, event_id="x6"),  # from here on they are refused
    record(event=f"没有 {PHONE}", event_id="x7"),
    record(properties={f"{PHONE} {EMAIL}": 1}),
    record(properties={"deep": {"card": CARD}}),
    record(**{f"field {ID_CARD}": 1}),
    record(time=f"at {PHONE}"),
    record(project=f"p{PHONE}"),
]


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """Everything that is logged, as text."""
    lines: list[str] = []

    class Keeper(logging.Handler):
        def emit(self, entry: logging.LogRecord) -> None:
            lines.append(entry.getMessage() + str(entry.exc_info or ""))

    keeper = Keeper()
    logging.getLogger().addHandler(keeper)
    structlog.configure(processors=[lambda _logger, _name, entry: lines.append(repr(entry)) or ""])
    yield lines
    structlog.reset_defaults()
    logging.getLogger().removeHandler(keeper)


@pytest.fixture
async def system_on_disk(store_url: str, tmp_path: Path) -> AsyncIterator[System]:
    """A whole Footfall whose log is a file, too."""
    home = tmp_path / "home"
    home.mkdir()
    async with open_system(
        f"{store_url}?database=planted_{uuid4().hex}", home, log_url=f"sqlite:///{home}/log"
    ) as opened:
        yield opened


async def send_everything(system: System) -> None:
    headers = {"Authorization": f"Bearer {WRITE_KEY}", "User-Agent": f"Mozilla/5.0 ({PHONE}; {EMAIL})"}
    collector = system.collector
    for each in RECORDS:
        await collector.post(
            f"/v1/events?key={WRITE_KEY}&x={PHONE}", json=each, headers={"User-Agent": PHONE}
        )
    answer = await collector.post("/v1/events", json=RECORDS, headers=headers)
    assert answer.json()["accepted"] == 6
    for body in (f"not JSON {PHONE} {PASSWORD}".encode(), f'[{{"a": "{CARD}"'.encode(), CARD.encode()):
        await collector.post("/v1/events", content=body, headers=headers)
        await collector.post(f"/sa?token={WRITE_KEY}", content=b"data=" + body, headers=headers)
        await collector.post("/sa?project=nobody", content=body, headers=headers)
        await collector.post("/v1/validate", content=body, headers=headers)
    await ask_everything(collector)
    fields = {"extractor": {"a": PHONE, "n": int(CARD)}, f"e{PHONE}": EMAIL, "_track_id": int(PHONE)}
    for each in RECORDS:
        sensors = {**each, **fields, "event_id": None, "time": None}
        await collector.post(
            f"/sa?token={WRITE_KEY}", content=b"data_list=" + wrapped([sensors]), headers=headers
        )


async def ask_everything(collector: httpx.AsyncClient) -> None:
    """Secrets in questions, of which nothing is to be stored; and in an envelope that waits for its key."""
    asked = {
        "project": "default",
        "app_id": PHONE,
        "v": EMAIL,
        "code": PASSWORD,
        "info_id": CARD,
        "token": PHONE,
    }
    for path in (
        "/config/Android.conf", "/config/iOS.conf", "/config/visualized/Web.conf", "/mp_login", "/debug",
        f"/{PHONE}", f"/sa/{PASSWORD}",
    ):  # fmt: skip
        await collector.get(path, params=asked)
    for about in ({"Dry-Run": "true"}, {"Dry-Run": "false"}, {"Dry-Run": PHONE}):
        body = b"data=" + wrapped(record(type="track"))
        await collector.post(f"/debug?token={WRITE_KEY}&phone={PHONE}", content=body, headers=about)
    scanned = {"info_id": PHONE, "distinct_id": PHONE, "mail": EMAIL}
    await collector.post(f"/debug?token={WRITE_KEY}&info_id={PHONE}", json=scanned)
    envelope = {
        "pkv": 77, "ekey": f"{PHONE}{EMAIL}", "payloads": f"{CARD} {PASSWORD}", "flush_time": int(PHONE),
        "distinct_id": PHONE,
    }  # fmt: skip
    for sealed in ([envelope], envelope, [envelope | {"pkv": PHONE}]):
        await collector.post(f"/sa?token={WRITE_KEY}", content=b"gzip=9&data_list=" + wrapped(sealed))
        await collector.post(f"/sa?token={WRITE_KEY}&gzip=9", content=b"data_list=" + wrapped(sealed))


async def ask_about_people(system: System) -> AsyncIterator[str]:
    """What an administrator does with secrets as the ids of people: all of it is in the audit log, too."""
    for _ in range(OFTEN):
        await system.send(
            *(
                {"event": "paid", "distinct_id": f"payer-{n}", "properties": {"via": PHONE, "$url": EMAIL}}
                for n in range(PERSONS + 1)
            )
        )
    await system.settle()
    project = "/api/v1/projects/default"
    for id_ in (PHONE, EMAIL, CARD):
        await system.query_api.get(f"/api/v1/users/{id_}", params={"project": "default"})
        for action, body in (("erase", {"id": id_, "dry_run": True}), ("export", {"id": id_})):
            await system.query_api.post(f"{project}/persons/{action}", json=body)
    for path in (f"{project}/plan/propose", f"{project}/plan/propose?format=yaml"):
        proposed = await system.query_api.post(path)
        assert proposed.status_code == 200, proposed.text
        yield proposed.text
    for path in ("/api/v1/audit", f"{project}/audit"):
        told = await system.query_api.get(path)
        assert "plan.propose" in told.text
        assert "person" in told.text
        yield told.text


def readable_of(path: Path) -> Iterator[bytes]:
    """A file's bytes, and those of its values that are compressed: log records."""
    data = path.read_bytes()
    yield data
    if data.startswith(b"SQLite format 3"):
        with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
            tables = [
                name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")
            ]
            for table in tables:
                for row in connection.execute(f'SELECT * FROM "{table}"'):
                    yield from (_unpacked(value) for value in row if isinstance(value, bytes | str))


def _unpacked(value: bytes | str) -> bytes:
    if isinstance(value, str):
        return value.encode()
    try:
        return zstandard.ZstdDecompressor().decompress(value, max_output_size=1 << 24)
    except zstandard.ZstdError:
        return value


def assert_clean(text: bytes, where: object) -> None:
    for secret in SECRETS:
        at = text.find(secret.encode())
        assert at < 0, f"{where}: {text[max(0, at - 100) : at + 60]!r}"


def store_values(system: System) -> Iterator[tuple[str, str]]:
    """Every value of every table, as text."""
    database = system.rows("SELECT currentDatabase()")[0][0]
    tables = system.rows(
        "SELECT name FROM system.tables WHERE database = {d:String} AND engine NOT IN ('Dictionary')",
        d=database,
    )
    for (table,) in tables:
        yield table, json.dumps(system.rows(f"SELECT * FROM `{table}`"), default=str, ensure_ascii=False)


async def test_no_secret_rests_anywhere(
    system_on_disk: System, tmp_path: Path, store_url: str, logged: list[str]
) -> None:
    system = system_on_disk
    await send_everything(system)
    import_records(system, tmp_path)
    await system.settle()
    letters = await system.query_api.get("/api/v1/projects/default/dead-letters?limit=100")
    assert letters.status_code == 200
    assert_clean(letters.content, "the list of dead letters")
    replay = {"reason": "unknown_type", "fix": 'set /type = "track"'}
    told = await system.query_api.post("/api/v1/projects/default/dead-letters/replay", json=replay)
    assert told.status_code == 200, told.text
    await system.settle()
    assert system.rows("SELECT count() FROM events")[0][0] >= 2
    async for text in ask_about_people(system):
        assert_clean(text.encode(), "a plan's proposal, or the audit log")
    for table, text in store_values(system):
        assert_clean(text.encode(), table)
    homes = [*tmp_path.rglob("*"), *Path(store_url.removeprefix("chdb://")).rglob("*")]
    files = [path for path in homes if path.is_file() and path.parent.name != "sources"]
    assert any(path.name.startswith("partition-") for path in files)
    for path in files:
        with suppress(FileNotFoundError):  # a part that was merged meanwhile: its rows were read above
            for text in readable_of(path):
                assert_clean(text, path)
    for line in logged:
        assert_clean(line.encode(), "a log line")
    for text in (
        (await system.collector.get("/metrics")).content,
        (await system.query_api.get("/metrics")).content,
    ):
        assert_clean(text, "metrics")


def import_records(system: System, directory: Path) -> None:
    source = directory / "sources" / "records.jsonl"
    source.parent.mkdir()
    lines = [json.dumps({**each, "event_id": None, "time": 1_700_000_000_000}) for each in RECORDS]
    source.write_text("\n".join([*lines, f"no JSON {PHONE} {PASSWORD}"]))
    importer: Importer = importer_of(system, source)
    with closing(importer):
        importer.run()
