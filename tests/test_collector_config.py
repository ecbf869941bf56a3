"""What apps and pages ask beside sending: remote and visual configuration, open ids."""

from __future__ import annotations

from typing import Any

import pytest

from collector.options import CollectorOptions
from footfall.envelopes.keys import Algorithm
from footfall.workspace.envelope_keys import EnvelopeKey
from footfall.workspace.remote_config import RemoteConfig, publish
from tests.collector_worker import Worker, converse

ANDROID = "/config/Android.conf"
REMOTE = [
    f"{prefix}/config/{name}.conf" for prefix in ("", "/collect", "/a/b/c") for name in ("Android", "iOS")
]
CALLBACK = "saJSSDKVtrackCollectConfig"


def changed(**fields: Any) -> Worker:
    """A worker whose project `bank` has this configuration, for every app; it remembers nothing."""
    worker = Worker(CollectorOptions(project_seconds=0.0, unknown_seconds=0.0))
    worker.workspace.configs["bank"] = {"": RemoteConfig(**fields)}
    return worker


@pytest.mark.parametrize("path", REMOTE)
@pytest.mark.parametrize("query", ["", "?", "?v=3&nv=7&project=bank&app_id=com.bank.app", "?project=nosuch"])
async def test_nothing_is_new_unless_an_operator_set_something(path, query):
    answer = await Worker().get(path + query)
    assert (answer.status_code, answer.content) == (304, b"")


@pytest.mark.parametrize("path", REMOTE)
async def test_what_an_operator_set_is_told_once(path):
    worker = changed(auto_track_mode=12, event_blacklist=("$AppClick",), effect_mode=1)
    first = await worker.get(f"{path}?project=bank&app_id=com.bank.app")
    assert first.status_code == 200
    assert first.headers["content-type"] == "application/json"
    version = first.json()["v"]
    assert first.json() == {
        "v": version,
        "configs": {
            "nv": version,
            "disableDebugMode": False,
            "disableSDK": False,
            "autoTrackMode": 12,
            "event_blacklist": ["$AppClick"],
            "effect_mode": 1,
            "supportTransportEncrypt": False,
        },
    }
    again = await worker.get(f"{path}?project=bank&app_id=com.bank.app&v={version}&nv={version}")
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("told", ["v=3", "v=3&nv=3", "v=2&nv={version}", "v=&nv=", "nv=2"])
async def test_who_has_another_version_is_told(told):
    worker = changed(disable_debug_mode=True)
    version = publish(RemoteConfig(disable_debug_mode=True), {}).version
    answer = await worker.get(f"{ANDROID}?project=bank&{told.format(version=version)}")
    assert answer.json()["configs"]["disableDebugMode"] is True


@pytest.mark.parametrize("told", ["v={version}", "v={version}&nv=6.8.2", "v=&nv={version}"])
async def test_who_has_the_current_version_is_not_told_whatever_else_it_says(told):
    worker = changed(disable_debug_mode=True)
    version = publish(RemoteConfig(disable_debug_mode=True), {}).version
    answer = await worker.get(f"{ANDROID}?project=bank&{told.format(version=version)}")
    assert (answer.status_code, answer.content) == (304, b"")


async def test_what_was_taken_back_is_told_too():
    worker = changed(disable_sdk=True)
    version = (await worker.get(f"{ANDROID}?project=bank")).json()["v"]
    worker.workspace.configs["bank"] = {"": RemoteConfig()}
    answer = await worker.get(f"{ANDROID}?project=bank&v={version}&nv={version}")
    assert answer.json()["configs"]["disableSDK"] is False


async def test_a_change_reaches_clients_within_a_second_or_so():
    worker = Worker(CollectorOptions(project_seconds=0.0, unknown_seconds=0.0))
    assert (await worker.get(f"{ANDROID}?project=bank")).status_code == 304
    worker.workspace.configs["bank"] = {"": RemoteConfig(effect_mode=1)}
    assert (await worker.get(f"{ANDROID}?project=bank")).status_code == 200


async def test_an_app_may_have_a_configuration_of_its_own():
    worker = changed(effect_mode=1)
    worker.workspace.configs["bank"]["com.bank.card"] = RemoteConfig(auto_track_mode=0)
    own = await worker.get(f"{ANDROID}?project=bank&app_id=com.bank.card")
    other = await worker.get(f"{ANDROID}?project=bank&app_id=com.bank.app")
    assert (own.json()["configs"]["autoTrackMode"], own.json()["configs"]["effect_mode"]) == (0, 0)
    assert (other.json()["configs"]["autoTrackMode"], other.json()["configs"]["effect_mode"]) == (-1, 1)


async def test_only_one_app_s_configuration_leaves_the_others_alone():
    worker = Worker()
    worker.workspace.configs["bank"] = {"com.bank.card": RemoteConfig(effect_mode=1)}
    assert (await worker.get(f"{ANDROID}?project=bank&app_id=com.bank.app")).status_code == 304


def key(algorithm: Algorithm, version: str, public_key: str) -> EnvelopeKey:
    return EnvelopeKey(algorithm, version, public_key, True, 1, 1, None)


async def test_keys_for_encrypted_uploads_are_published_and_a_new_one_is_told():
    worker = Worker(CollectorOptions(project_seconds=0.0, unknown_seconds=0.0))
    published = worker.workspace.published_keys
    published["bank"] = [key(Algorithm.RSA, "1", "MIIB"), key(Algorithm.SM2, "3", "04ab")]
    first = (await worker.get(f"{ANDROID}?project=bank")).json()
    assert first["configs"]["key"] == {"pkv": 1, "public_key": "MIIB"}
    assert first["configs"]["key_v2"] == {"pkv": 3, "type": "SM2+SM4", "public_key": "04ab"}
    assert first["configs"]["autoTrackMode"] == -1
    same = await worker.get(f"{ANDROID}?project=bank&v={first['v']}&nv={first['v']}")
    assert same.status_code == 304
    published["bank"] = [key(Algorithm.RSA, "2", "MIIC")]
    after = await worker.get(f"{ANDROID}?project=bank&v={first['v']}&nv={first['v']}")
    assert after.json()["configs"]["key"]["pkv"] == 2


async def test_without_a_project_the_default_one_is_meant():
    worker = Worker()
    worker.workspace.configs["default"] = {"": RemoteConfig(effect_mode=1)}
    assert (await worker.get(ANDROID)).status_code == 200


async def test_clients_keep_what_they_have_while_the_workspace_is_away():
    worker = changed(disable_sdk=True)
    worker.workspace.broken = True
    assert (await worker.get(f"{ANDROID}?project=bank&v=3")).status_code == 304


async def test_what_was_known_is_told_on_while_the_workspace_is_away():
    worker = Worker(CollectorOptions(project_seconds=0.0))
    worker.workspace.configs["bank"] = {"": RemoteConfig(effect_mode=1)}
    assert (await worker.get(f"{ANDROID}?project=bank&v=3")).status_code == 200
    worker.workspace.broken = True
    assert (await worker.get(f"{ANDROID}?project=bank&v=3")).status_code == 200


async def test_the_kill_switch_works_while_the_disk_is_full():
    worker = changed(disable_sdk=True)
    worker.full = "the disk is full"
    assert (await worker.get(f"{ANDROID}?project=bank")).json()["configs"]["disableSDK"] is True


async def test_asking_for_projects_nobody_knows_is_no_load_on_the_workspace():
    worker = Worker(CollectorOptions(lookups_per_second=10))
    for number in range(100):
        assert (await worker.get(f"{ANDROID}?project=p{number}")).status_code == 304
    assert len(worker.workspace.asked) < 30


@pytest.mark.parametrize("prefix", ["", "/collect", "/a/b"])
@pytest.mark.parametrize("name", ["Android", "iOS"])
async def test_visual_tracking_is_off_and_what_clients_keep_of_it_is_cleared(prefix, name):
    answer = await Worker().get(f"{prefix}/config/visualized/{name}.conf?project=default&app_id=a&v=1")
    assert (answer.status_code, answer.content) == (205, b"")


@pytest.mark.parametrize("prefix", ["", "/collect"])
async def test_pages_are_told_so_by_the_one_function_they_have_for_it(prefix):
    path = f"{prefix}/config/visualized/Web.conf?project=default&callbackName={CALLBACK}&app_id=127.0.0.1"
    answer = await Worker().get(path)
    assert (answer.status_code, answer.text) == (200, f"{CALLBACK}(205)")
    assert answer.headers["content-type"] == "application/javascript; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "query",
    [
        "",
        "callbackName=",
        "callbackName=alert",
        "callbackName=alert(document.cookie)//",
        f"callbackName={CALLBACK}%3Balert(1)",
        f"callbackName={CALLBACK}.x",
        f"callbackName={CALLBACK}%0d%0aX-Evil:%201",
        "callbackName=%3Cscript%3Ealert(1)%3C/script%3E",
        f"callbackName={CALLBACK}&callbackName=alert",
        f"callbackname={CALLBACK}",
        "callback=alert&jsonp=alert",
    ],
)
async def test_no_other_function_is_called_or_repeated(query):
    answer = await Worker().get(f"/config/visualized/Web.conf?project=default&{query}")
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "alert" not in answer.text
    assert "Evil" not in answer.text + str(answer.headers)
    assert f"{CALLBACK}(" not in answer.text


@pytest.mark.parametrize("path", ["/mp_login", "/x/mp_login"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_mini_program_learns_no_open_id(path, method):
    worker = Worker()
    async with worker.client() as client:
        answer = await client.request(method, f"{path}?code=secret-code&appid=wx1")
    assert (answer.status_code, answer.json()) == (200, {})
    assert not worker.stored()


@pytest.mark.parametrize("path", [ANDROID, "/config/visualized/iOS.conf", "/mp_login"])
async def test_browsers_of_other_origins_may_ask(path):
    async with Worker().client() as client:
        preflight = await client.options(path, headers={"Origin": "https://bank.example"})
        answer = await client.get(path, headers={"Origin": "https://bank.example"})
    assert preflight.status_code == 204
    for each in (preflight, answer):
        assert each.headers["access-control-allow-origin"] == "https://bank.example"


async def test_other_methods_and_other_files_are_refused():
    worker = Worker()
    async with worker.client() as client:
        assert (await client.delete(ANDROID)).status_code == 405
    for path in ("/config/Windows.conf", "/configs/Android.conf", "/Android.conf", "/visualized/Web.conf"):
        assert (await worker.get(path)).status_code == 404


def test_over_a_socket_answers_without_a_body_leave_the_connection_usable():
    worker = changed(effect_mode=1)
    head = "GET /config/Android.conf?project={} HTTP/1.1\r\nHost: c\r\n\r\n"
    with worker.listening() as port:
        sent = (head.format("none") + head.format("bank")).encode()
        first = converse(port, sent)
        assert first.startswith(b"HTTP/1.1 304 ")
        visual = b"GET /config/visualized/iOS.conf HTTP/1.1\r\nHost: c\r\n\r\n"
        assert converse(port, visual).startswith(b"HTTP/1.1 205 ")
        headed = converse(
            port, b"HEAD /config/Android.conf?project=bank HTTP/1.1\r\nHost: c\r\nConnection: close\r\n\r\n"
        )
        assert headed.startswith(b"HTTP/1.1 200 ")
        assert headed.endswith(b"\r\n\r\n")


async def test_polls_are_counted_apart():
    worker = Worker()
    await worker.get(ANDROID)
    metrics = (await worker.get("/metrics")).text
    assert 'footfall_collector_requests_total{door="config",status="304",worker="0"} 1.0' in metrics
