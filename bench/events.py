"""Fills the real events table with a bank's traffic, generated inside the engine from seeded hashes.

60 days of sessions of 1 to 40 events, about 15 s apart; few users have many sessions (the density falls with
the square root of a user's rank), 52 events a user on average; 60 event names whose frequencies follow Zipf's
law. Properties are constant for a user (device, city, channel), a session (app version, network) or depend on
the event, as in an app's real traffic; what is random there (event_key, session ids) is random here too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate

from footfall.storage.store import Query, Store

SEED = 20261101
START = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = 60
EVENTS_PER_USER = 52
EVENTS_PER_SESSION = 13.5  # 1 to 40, the shorter the likelier
SESSIONS_PER_INSERT = 40_000
EVENTS_PER_REQUEST = 20

FUNNELS = {
    3: ("login", "transfer_start", "transfer"),
    6: ("app_start", "login", "product_view", "fund_detail_view", "purchase_fund_start", "purchase_fund"),
}

_RANKED = {
    3: "product_view", 6: "app_end", 7: "fund_detail_view", 9: "app_start", 14: "purchase_fund_start",
    15: "login", 17: "transfer_start", 28: "transfer", 30: "purchase_fund",
}  # fmt: skip
EVENT_NAMES = tuple(_RANKED.get(rank, f"screen_{rank:02}_view") for rank in range(1, 61))
_LOOKUP_SIZE = 4096
_CHANNELS = ("app_store", "huawei", "xiaomi", "oppo", "vivo", "branch", "web", "wechat")
_LOGIN = "concat('cif_', toString(100000000 + user))"


@dataclass(frozen=True, slots=True)
class Traffic:
    """One project's events."""

    project: str
    events: int  # about as many

    @property
    def sessions(self) -> int:
        return max(1, round(self.events / EVENTS_PER_SESSION))

    @property
    def users(self) -> int:
        return max(1, self.events // EVENTS_PER_USER)


def fill(store: Store, traffic: Sequence[Traffic]) -> Iterator[float]:
    """Inserts what is not there yet, then merges all parts; yields the share that is done."""
    there = {project for (project,) in store.rows(Query("SELECT DISTINCT project FROM events")).rows}
    todo = [wanted for wanted in traffic if wanted.project not in there]
    total, done = sum(wanted.sessions for wanted in todo), 0
    for wanted in todo:
        for first in range(0, wanted.sessions, SESSIONS_PER_INSERT):
            count = min(SESSIONS_PER_INSERT, wanted.sessions - first)
            store.command(insert_statement(wanted, first, count))
            done += count
            yield done / total
        for statement in _CATALOGUES:
            store.command(statement.format(project=wanted.project))
    if todo:
        store.command("OPTIMIZE TABLE events FINAL SETTINGS max_threads = 2")


def time_range(days: int) -> tuple[datetime, datetime]:
    """The last `days` days of the data: [from, to)."""
    end = START + timedelta(days=DAYS)
    return end - timedelta(days=days), end


def insert_statement(wanted: Traffic, first: int, count: int) -> str:
    """SQL that inserts `count` sessions from number `first` on."""
    columns = _columns(wanted.project)
    names = ", ".join(f"`{name}`" for name in columns)
    values = ",\n    ".join(f"{sql} AS `out_{name}`" for name, sql in columns.items())
    start = round(START.timestamp() * 1000)
    span = DAYS * 86_400_000
    return f"""
INSERT INTO events ({names})
SETTINGS max_insert_threads = 1, max_threads = 1, max_block_size = 16384
SELECT
    {values}
FROM
(
    SELECT
        number AS session,
        toUInt64({wanted.users} * pow({_draw("user", "number")}, 2)) AS user,
        {start} + toInt64({span} * {_draw("start", "number")}) AS session_start,
        arrayJoin(range(1 + toUInt32(40 * pow({_draw("length", "number")}, 2.2)))) AS i,
        toUInt64(session_start) + i * 15000 + cityHash64({SEED}, 'gap', number, i) % 15000 AS at,
        cityHash64({SEED}, 'event', number, i) AS random,
        [{_quoted(EVENT_NAMES)}][{_event_index()}] AS name,
        cityHash64({SEED}, 'of user', user) AS of_user
    FROM numbers({first}, {count})
)"""


def _columns(project: str) -> dict[str, str]:
    """Each column of `events` that gets values, and the SQL that draws them."""
    request_ms = f"(session_start + (intDiv(i, {EVENTS_PER_REQUEST}) + 1) * {EVENTS_PER_REQUEST * 15_000})"
    amount = "name IN ('transfer', 'transfer_start', 'purchase_fund', 'purchase_fund_start')"
    return {
        "project": f"'{project}'",
        "event": "name",
        "type": "'track'",
        "time": "fromUnixTimestamp64Milli(toInt64(at), 'UTC')",
        "user_key": f"cityHash64({SEED}, '{project}', user)",
        # One session in twenty came before the login was known: its rows carry the device's id.
        "alias_key": f"if(session % 20 = 0, cityHash64({SEED}, 'device key', user), 0)",
        "seq": f"i % {EVENTS_PER_REQUEST}",
        "event_key": f"toUInt32(sipHash64({SEED}, session, i))",
        "distinct_id": f"if(session % 20 = 0, {_device('user')}, {_LOGIN})",
        "anonymous_id": _device("user"),
        "login_id": f"if(session % 20 = 0, '', {_LOGIN})",
        "received_at": f"fromUnixTimestamp64Milli(toInt64({request_ms} + 900 + of_user % 90), 'UTC')",
        "door": "'sensors'",
        "log_partition": "session % 2",
        "log_offset": f"intDiv({request_ms} - {round(START.timestamp() * 1000)}, 50)",
        "p_channel": _one_of("of_user", _CHANNELS),
        "p_$app_version": _one_of("session", ("8.2.0", "8.1.3", "8.1.2", "8.0.9", "7.9.5"), offset=1),
        "p_$os": "if(of_user % 3 = 0, 'iOS', 'Android')",
        "p_$os_version": _one_of("of_user", ("14", "13", "15", "12", "17.4", "16.6", "18.1")),
        "p_$lib": "if(of_user % 3 = 0, 'iOS', 'Android')",
        "p_$lib_version": _one_of("of_user", ("6.8.4", "6.8.1", "4.5.19")),
        "p_$manufacturer": _one_of("of_user", ("Apple", "HUAWEI", "Xiaomi", "OPPO", "vivo", "HONOR")),
        "p_$model": "concat('model-', toString(intDiv(of_user, 64) % 200))",
        "p_$network_type": _one_of("session", ("WIFI", "5G", "4G"), offset=2),
        "p_$carrier": _one_of("of_user", ("中国移动", "中国联通", "中国电信")),
        "p_$country": "'中国'",
        "p_$province": "concat('province-', toString(intDiv(of_user, 4096) % 31))",
        "p_$city": "concat('city-', toString(intDiv(of_user, 4096) % 330))",
        "p_$screen_name": "concat('com.bank.', name)",
        "p_$title": "concat('页面 ', name)",
        "p_platform": "if(of_user % 3 = 0, 'ios', 'android')",
        "p_product_id": "if(name = 'product_view', concat('product-', toString(random % 300)), NULL)",
        "p_fund_id": "if(name LIKE '%fund%', concat('fund-', toString(random % 800)), NULL)",
        "p_$event_session_id": f"lower(hex(sipHash128({SEED}, session)))",
        # Times 0 where it is NULL: a NULL keeps the value under it, which would be stored, too.
        "p_event_duration": "if(name = 'app_end', (name = 'app_end') * (random % 600000) / 1000, NULL)",
        "p_amount": f"if({amount}, toDecimal128((random % 5000000) / 100, 6), NULL)",
        "p_$is_first_day": "of_user % 40 = 0",
        "properties": "map('entrance', " + _one_of("session", ("home", "search", "push", "banner", "menu"))
        + ", 'position', toString(intDiv(random, 8) % 12)"
        + ", 'ab_group', " + _one_of("of_user", ("a", "b", "c")) + ")",
    }  # fmt: skip


def _event_index() -> str:
    """1-based. A session begins with app_start, often followed by login; the rest follows Zipf's law."""
    weights = [1 / rank for rank in range(1, len(EVENT_NAMES) + 1)]
    bounds = [round(_LOOKUP_SIZE * total / sum(weights)) for total in accumulate(weights)]
    lookup = [next(k for k, bound in enumerate(bounds, 1) if place < bound) for place in range(_LOOKUP_SIZE)]
    app_start, login = (EVENT_NAMES.index(name) + 1 for name in ("app_start", "login"))
    return (
        f"multiIf(i = 0, {app_start}, i = 1 AND random % 2 = 0, {login}, "
        f"{lookup}[1 + intDiv(random, 16) % {_LOOKUP_SIZE}])"
    )


def _draw(what: str, of: str) -> str:
    """A number in [0, 1) that depends on `of` alone."""
    return f"(cityHash64({SEED}, '{what}', {of}) / 18446744073709551616.)"


def _one_of(of: str, values: tuple[str, ...], offset: int = 0) -> str:
    """One of the values, the first ones likelier, the same for the same `of`."""
    drawn = f"(cityHash64({of}, {len(values)}, {offset}) / 18446744073709551616.)"
    return f"[{_quoted(values)}][1 + toUInt8({len(values)} * pow({drawn}, 2))]"


def _device(of: str) -> str:
    return f"lower(hex(sipHash128({SEED}, 'device', {of})))"


def _quoted(texts: tuple[str, ...]) -> str:
    return ", ".join(f"'{text}'" for text in texts)


_CATALOGUES = (
    """INSERT INTO event_catalogue SELECT project, event, type, count(), min(time), max(time)
    FROM events WHERE project = '{project}' GROUP BY project, event, type""",
    """INSERT INTO property_catalogue SELECT '{project}', 'event',
    arrayJoin(['entrance', 'position', 'ab_group']), 'string', now64(3), 0, 0, 0""",
)
