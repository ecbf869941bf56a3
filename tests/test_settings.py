"""Settings: what they default to, that mistakes are named, and that each is documented."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from footfall.settings import (
    InvalidSettings,
    Settings,
    read_installation_key,
    read_settings,
    variable_of,
)


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith("FOOTFALL_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_nothing_needs_to_be_set(tmp_path: Path) -> None:
    settings = read_settings()
    assert settings.home == tmp_path / "footfall-data"
    assert (settings.host, settings.collect_port, settings.query_port) == ("127.0.0.1", 8106, 8107)
    assert settings.log_url == f"sqlite:///{tmp_path}/footfall-data/log"
    assert settings.store_url == f"chdb://{tmp_path}/footfall-data/store"
    assert settings.workspace_url == f"sqlite:///{tmp_path}/footfall-data/workspace.db"


def test_the_urls_follow_the_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOOTFALL_HOME", "/srv/footfall")
    monkeypatch.setenv("FOOTFALL_STORE_URL", "clickhouse://host/bank")
    settings = read_settings()
    assert settings.log_url == "sqlite:////srv/footfall/log"
    assert settings.store_url == "clickhouse://host/bank"


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOOTFALL_WRITE_KEY", "")
    monkeypatch.setenv("FOOTFALL_LOG_URL", "")
    settings = read_settings()
    assert settings.write_key is None
    assert settings.log_url.startswith("sqlite:///")


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        read_settings().collect_port = 1  # type: ignore[misc]


def test_a_misspelt_variable_is_named_with_the_right_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOOTFALL_COLLECTPORT", "9000")
    with pytest.raises(InvalidSettings, match=r"FOOTFALL_COLLECTPORT.*did you mean FOOTFALL_COLLECT_PORT\?"):
        read_settings()


def test_the_sdks_variables_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOOTFALL_SDK_QUEUE", "/tmp")
    read_settings()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("FOOTFALL_COLLECT_PORT", "99999", "FOOTFALL_COLLECT_PORT: .*65535.*not '99999'"),
        ("FOOTFALL_COLLECT_WORKERS", "many", "FOOTFALL_COLLECT_WORKERS: .*integer.*not 'many'"),
        ("FOOTFALL_DEDUP_DAYS", "0", "FOOTFALL_DEDUP_DAYS: .*greater than or equal to 1"),
        ("FOOTFALL_QUERY_PORT", "8106", "FOOTFALL_COLLECT_PORT and FOOTFALL_QUERY_PORT are both 8106"),
        ("FOOTFALL_INSTALLATION_KEY", "abc", "64 hexadecimal digits"),
        (
            "FOOTFALL_LOG_URL",
            "/var/log/footfall",
            "FOOTFALL_LOG_URL: .* as in sqlite:////absolute/directory or kafka://",
        ),
    ],
)
def test_a_wrong_value_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InvalidSettings, match=message):
        read_settings()


def test_every_wrong_value_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOOTFALL_COLLECT_PORT", "x")
    monkeypatch.setenv("FOOTFALL_QUERY_PORT", "y")
    with pytest.raises(InvalidSettings) as caught:
        read_settings()
    assert [line.partition(":")[0] for line in str(caught.value).splitlines()] == [
        "FOOTFALL_COLLECT_PORT",
        "FOOTFALL_QUERY_PORT",
    ]


def test_keys_appear_in_no_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOOTFALL_SECRET_KEY", "a secret")
    with pytest.raises(InvalidSettings, match="FOOTFALL_SECRET_KEY") as caught:
        read_settings()
    assert "a secret" not in str(caught.value)
    monkeypatch.setenv("FOOTFALL_SECRET_KEY", "hush-hush")
    assert "hush-hush" not in repr(read_settings())


def test_the_write_key_cannot_be_the_secret_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOOTFALL_WRITE_KEY", "same")
    monkeypatch.setenv("FOOTFALL_SECRET_KEY", "same")
    with pytest.raises(InvalidSettings, match="are equal"):
        read_settings()


def test_the_installation_key_is_made_once_and_kept_private(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read_settings()
    key = read_installation_key(settings)
    assert len(key) == 32
    assert read_installation_key(settings) == key
    files = list(settings.home.iterdir())
    assert [file.name for file in files] == ["installation.key"]
    assert files[0].stat().st_mode & 0o777 == 0o600


def test_a_damaged_installation_key_is_not_replaced() -> None:
    settings = read_settings()
    read_installation_key(settings)
    (settings.home / "installation.key").write_text("half a ke")
    with pytest.raises(InvalidSettings, match="Restore it from a backup"):
        read_installation_key(settings)
    assert (settings.home / "installation.key").read_text() == "half a ke"


def test_an_installation_key_that_cannot_be_read_is_an_error() -> None:
    settings = read_settings()
    (settings.home / "installation.key").mkdir(parents=True)
    with pytest.raises(InvalidSettings, match=r"installation.key: Is a directory. Restore it from a backup"):
        read_installation_key(settings)


def test_an_installation_key_may_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOOTFALL_INSTALLATION_KEY", "ab" * 32)
    settings = read_settings()
    assert read_installation_key(settings) == b"\xab" * 32
    assert not settings.home.exists()


def test_every_setting_is_documented() -> None:
    text = (Path(__file__).parent.parent / "docs" / "settings.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| `FOOTFALL_")]
    assert [row.split("`")[1] for row in rows] == [variable_of(field) for field in Settings.model_fields]


@pytest.mark.parametrize(
    ("given", "networks"),
    [
        ("10.0.0.5", ["10.0.0.5/32"]),
        (" 10.1.0.0/16 , fd00::/8,", ["10.1.0.0/16", "fd00::/8"]),
        ("none", []),
        ("", ["127.0.0.1/32", "::1/128"]),
    ],
)
def test_proxies_are_addresses_and_networks(
    monkeypatch: pytest.MonkeyPatch, given: str, networks: list[str]
) -> None:
    monkeypatch.setenv("FOOTFALL_TRUSTED_PROXIES", given)
    assert [str(network) for network in read_settings().trusted_proxies] == networks


@pytest.mark.parametrize(
    "given", ["proxy.bank.example", "10.0.0.1/8", "10.0.0.0/33", "0.0.0.0/0", "::/0", "*"]
)
def test_what_cannot_be_a_proxy_is_named(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("FOOTFALL_TRUSTED_PROXIES", f"10.0.0.5,{given}")
    with pytest.raises(InvalidSettings, match=r"FOOTFALL_TRUSTED_PROXIES: ") as caught:
        read_settings()
    assert given in str(caught.value)


def test_secrets_may_come_in_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from a file\n".replace(" ", "-"))
    (tmp_path / "url").write_text("clickhouse://me:secret@host/bank\n")
    monkeypatch.setenv("FOOTFALL_SECRET_KEY_FILE", str(tmp_path / "key"))
    monkeypatch.setenv("FOOTFALL_STORE_URL_FILE", str(tmp_path / "url"))
    monkeypatch.setenv("FOOTFALL_WRITE_KEY_FILE", "")
    settings = read_settings()
    assert settings.secret_key == "from-a-file"
    assert settings.store_url == "clickhouse://me:secret@host/bank"
    assert settings.write_key is None


def test_what_is_wrong_with_a_file_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FOOTFALL_SECRET_KEY_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("FOOTFALL_WRITE_KEY_FILE", str(tmp_path / "key"))
    monkeypatch.setenv("FOOTFALL_WRITE_KEY", "given")
    monkeypatch.setenv("FOOTFALL_HOME_FILE", str(tmp_path / "key"))
    with pytest.raises(InvalidSettings) as caught:
        read_settings()
    told = str(caught.value)
    assert f"FOOTFALL_SECRET_KEY_FILE: {tmp_path}/none: No such file or directory" in told
    assert "FOOTFALL_WRITE_KEY and FOOTFALL_WRITE_KEY_FILE are both given" in told
    assert "FOOTFALL_HOME_FILE: there is no such setting" in told


def test_a_certificate_needs_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOOTFALL_TLS_CERT", "/cert.pem")
    with pytest.raises(InvalidSettings, match="FOOTFALL_TLS_CERT and FOOTFALL_TLS_KEY go together"):
        read_settings()
