"""Everything that can be set, read from FOOTFALL_* variables once, at start: see docs/settings.md."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from difflib import get_close_matches
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

_PREFIX = "FOOTFALL_"
_NO_SETTINGS = ("FOOTFALL_SDK_", "FOOTFALL_FAULT")  # the Python SDK's, in whatever process it runs; tests'

# What several processes can share: the log in memory is for tests, in one process.
_URLS: dict[str, tuple[str, ...]] = {
    "log_url": ("sqlite:////absolute/directory", "kafka://host:9092/topic"),
    "store_url": ("chdb:///absolute/directory", "clickhouse://user:password@host:8123/database"),
    "workspace_url": ("sqlite:////absolute/file", "postgresql://user:password@host:5432/database"),
}

IN_FILES = (
    "write_key",
    "secret_key",
    "installation_key",
    "log_url",
    "store_url",
    "workspace_url",
    "kafka_password",
)
"""Settings that may hold a secret: each may also come in a file, which FOOTFALL_X_FILE names."""

Network = IPv4Network | IPv6Network
Port = Annotated[int, Field(ge=1, le=65535)]
MIB = 1 << 20


class InvalidSettings(ValueError):  # noqa: N818 - reads as what it is
    """One or more FOOTFALL_* variables that cannot be; the text has a line for each."""


class Settings(BaseSettings):
    """Frozen; paths are absolute; URLs that were not given point into `home`."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, extra="forbid", env_ignore_empty=True)

    home: Path = Field(
        default=Path("footfall-data"), description="Directory for all data, absolute or from where you start."
    )
    host: str = Field(default="127.0.0.1", description="Address that both ports listen on.")
    collect_port: Port = Field(default=8106, description="Port that takes events.")
    query_port: Port = Field(default=8107, description="Port that answers questions.")
    tls_cert: Path | None = Field(
        default=None, description="PEM file with our ports' certificate and its chain: HTTPS instead of HTTP."
    )
    tls_key: Path | None = Field(default=None, description="PEM file with its private key.")
    process_port: Port = Field(
        default=8108, description="Port on which `footfall process` shows health and metrics."
    )
    collect_workers: int = Field(
        default=1, ge=1, le=64, description="Collector processes; each has its own log file."
    )
    write_key: str | None = Field(
        default=None, repr=False, description="Key for sending to the project `default`; else generated."
    )
    secret_key: str | None = Field(
        default=None, repr=False, description="Key for asking and administration; else generated."
    )
    suite: Literal["intl", "gm"] = Field(
        default="intl",
        description="Algorithms for what is sealed, hashed and tokenised: AES and SHA-256, or SM4 and SM3. "
        "A project may choose its own. Choose before the first event: pseudonyms of ids change with it.",
    )
    installation_key: str | None = Field(
        default=None,
        repr=False,
        description="64 hex digits that key all ids; else the file `installation.key` in the home.",
    )
    log_url: str = Field(default="", repr=False, description="Where events wait.")
    store_url: str = Field(default="", repr=False, description="Where events rest.")
    workspace_url: str = Field(default="", repr=False, description="Where projects and keys are kept.")
    kafka_username: str | None = Field(
        default=None, description="Who we are for Kafka's brokers (SASL); else as the log's URL says."
    )
    kafka_password: str | None = Field(default=None, repr=False, description="The password for that.")
    kafka_ca: Path | None = Field(
        default=None, description="PEM file of who signs the brokers' certificates (TLS); else the system's."
    )
    kafka_cert: Path | None = Field(default=None, description="PEM file of our own certificate for brokers.")
    kafka_cert_key: Path | None = Field(default=None, description="PEM file of its private key.")
    log_max_bytes: int = Field(
        default=8 << 30, ge=MIB, description="Bytes that may wait in the log before 503."
    )
    log_keep_bytes: int = Field(
        default=64 * MIB, ge=0, description="Bytes of processed events that stay in each log file."
    )
    spool_max_bytes: int = Field(
        default=2 << 30,
        ge=MIB,
        description="Bytes that may wait on a collector's own disk while a log on other machines is away.",
    )
    spool_after_seconds: float = Field(
        default=1.0, gt=0, le=30, description="Without an answer of that log for so long, records wait there."
    )
    disk_budget_bytes: int = Field(
        default=0, ge=0, description="Bytes that the home may take before 503; 0: all of its disk."
    )
    dedup_days: int = Field(
        default=7, ge=1, le=365, description="Days within which a repeated event is recognised."
    )
    restamp_share: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="Share of one thread's time for giving rows to the person behind their id now; 0: never.",
    )
    restamp_overrides: int = Field(
        default=10_000, ge=1, description="That begins when so many ids are corrected in queries,"
    )
    restamp_seconds: float = Field(default=3600.0, gt=0, description="or the first of them for so long.")
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode] = Field(
        default=(IPv4Network("127.0.0.1"), IPv6Network("::1")),
        description="Proxies whose X-Forwarded-For is believed: addresses and networks, or `none`.",
    )
    max_body_bytes: int = Field(
        default=8 * MIB, ge=1024, le=1 << 30, description="Biggest request body, as it comes."
    )
    max_decompressed_bytes: int = Field(
        default=16 * MIB, ge=1024, le=1 << 30, description="Biggest body, unpacked."
    )
    key_records_per_second: float = Field(
        default=0, ge=0, description="Records that one key may send a second; beyond it 503. 0: any number."
    )
    key_bytes_per_second: float = Field(
        default=0, ge=0, description="Bytes of bodies that one key may send a second. 0: any number."
    )
    address_records_per_second: float = Field(
        default=0, ge=0, description="Records that one address may send a second. 0: any number."
    )
    address_bytes_per_second: float = Field(
        default=0, ge=0, description="Bytes of bodies that one address may send a second. 0: any number."
    )
    query_seconds: float = Field(default=60.0, gt=0, le=3600, description="Time limit of one question.")
    query_memory_bytes: int | None = Field(
        default=None,
        ge=64 * MIB,
        description="Memory limit of one question; else a share of the machine's, 4 GiB at most.",
    )
    query_rows: int = Field(
        default=2_000_000_000, ge=0, description="Rows that one question may read; 0 for any number."
    )
    query_disk_bytes: int = Field(
        default=16 << 30, ge=0, description="What one question may put aside on disk; 0 for any size."
    )
    query_concurrency: int = Field(default=4, ge=1, le=256, description="Questions that run at once.")
    query_project_concurrency: int = Field(
        default=3, ge=1, le=256, description="Questions of one project that run at once."
    )
    query_queue: int = Field(default=64, ge=0, le=100_000, description="Questions that may wait.")
    query_project_queue: int = Field(
        default=32, ge=0, le=100_000, description="Questions of one project that may wait."
    )
    hold_seconds: float = Field(
        default=2.0,
        ge=0,
        le=10,
        description="How long a Sensors SDK's request waits for room on the disk before 503.",
    )
    backup_days: int = Field(
        default=30, ge=0, le=36_500, description="Days after which a backup is to be deleted; 0: never."
    )
    drain_seconds: float = Field(
        default=20.0, gt=0, le=600, description="Time to process what waits when stopped."
    )

    @field_validator("home")
    @classmethod
    def _make_absolute(cls, home: Path) -> Path:
        return home.expanduser().absolute()

    @field_validator("write_key", "secret_key")
    @classmethod
    def _check_key(cls, key: str | None) -> str | None:
        if key is not None and not (key.isascii() and key.isprintable() and " " not in key):
            raise ValueError("a key is of printable ASCII characters without spaces")
        return key

    @field_validator("installation_key")
    @classmethod
    def _check_installation_key(cls, key: str | None) -> str | None:
        if key is not None:
            _parse_installation_key(key)
        return key

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _read_networks(cls, given: object) -> object:
        if not isinstance(given, str):
            return given
        if given.strip().lower() == "none":
            return ()
        return tuple(_parse_network(part.strip()) for part in given.split(",") if part.strip())

    @field_validator("log_url", "store_url", "workspace_url")
    @classmethod
    def _check_scheme(cls, url: str, field: ValidationInfo) -> str:
        examples = _URLS[field.field_name or ""]
        schemes = [urlsplit(example).scheme for example in examples]
        if urlsplit(url).scheme not in schemes:
            raise ValueError(f"the scheme must be one of {', '.join(schemes)}, as in {' or '.join(examples)}")
        return url

    @model_validator(mode="before")
    @classmethod
    def _point_urls_into_home(cls, values: dict[str, Any]) -> dict[str, Any]:
        home = Path(values.get("home") or cls.model_fields["home"].default).expanduser().absolute()
        defaults = {
            "log_url": f"sqlite:///{home}/log",
            "store_url": f"chdb://{home}/store",
            "workspace_url": f"sqlite:///{home}/workspace.db",
        }
        return defaults | values

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.collect_port == self.query_port:
            raise ValueError(f"FOOTFALL_COLLECT_PORT and FOOTFALL_QUERY_PORT are both {self.query_port}")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("FOOTFALL_TLS_CERT and FOOTFALL_TLS_KEY go together: give both, or none")
        if self.max_decompressed_bytes < self.max_body_bytes:
            raise ValueError("FOOTFALL_MAX_DECOMPRESSED_BYTES is less than FOOTFALL_MAX_BODY_BYTES")
        if self.write_key is not None and self.write_key == self.secret_key:
            raise ValueError(
                "FOOTFALL_WRITE_KEY and FOOTFALL_SECRET_KEY are equal: the write key is in every app"
            )
        return self

    @property
    def scratch(self) -> Path:
        """For temporary files of this installation; emptied at start."""
        return self.home / "scratch"


def read_settings() -> Settings:
    """Settings from the environment. InvalidSettings names every variable that is wrong, and what it may be.

    A FOOTFALL_* variable that means nothing is wrong, too: a typo must not go unnoticed.
    """
    problems = _unknown_variables(os.environ)
    told, unread = _read_files(os.environ)
    problems += unread
    if problems:
        raise InvalidSettings("\n".join(problems))
    try:
        return Settings(**told)
    except ValidationError as error:
        raise InvalidSettings("\n".join(_describe(problem) for problem in error.errors())) from error


def variable_of(field: str) -> str:
    """The environment variable of a setting."""
    return _PREFIX + field.upper()


def read_installation_key(settings: Settings) -> bytes:
    """The 32 bytes that key all ids: from the setting, else from the home's file, made at the first start.

    Whoever has lost it can no longer recognise old ids: back it up with the data.
    """
    if settings.installation_key is not None:
        return _parse_installation_key(settings.installation_key)
    path = settings.home / "installation.key"
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        return _parse_installation_key(path.read_text().strip())
    except FileNotFoundError:
        return _create_installation_key(path)
    except (ValueError, OSError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise InvalidSettings(
            f"{path}: {why}. Restore it from a backup; a new key would not know old ids"
        ) from error


def _create_installation_key(path: Path) -> bytes:
    """Written in whole under another name first, so that a kill leaves no half of a key."""
    key = secrets.token_bytes(32)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(key.hex() + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)  # unlike a rename, it fails if another process was faster
    except FileExistsError:
        return _parse_installation_key(path.read_text().strip())
    finally:
        draft.unlink()
    return key


def _parse_installation_key(text: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise ValueError("an installation key is 64 hexadecimal digits")
    return key


def _parse_network(text: str) -> Network:
    try:
        network = ip_network(text)
    except ValueError:
        example = "write addresses and networks such as 10.0.0.5, 10.1.0.0/16 or fd00::/8, or none"
        raise ValueError(f"{text!r} is neither an address nor a network; {example}") from None
    if network.prefixlen == 0:
        raise ValueError(f"{text!r} is everybody: any client could claim any address")
    return network


def _read_files(environment: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """What FOOTFALL_X_FILE variables name, by field; and what is wrong with them."""
    told, problems = {}, []
    for field in IN_FILES:
        variable = variable_of(field)
        name = environment.get(f"{variable}_FILE", "")
        if not name:
            continue
        if environment.get(variable):
            problems.append(f"{variable} and {variable}_FILE are both given: give one of them")
            continue
        try:
            told[field] = Path(name).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            problems.append(f"{variable}_FILE: {name}: {why}")
    return told, problems


def _unknown_variables(environment: Mapping[str, str]) -> list[str]:
    known = [variable_of(field) for field in Settings.model_fields]
    known += [f"{variable_of(field)}_FILE" for field in IN_FILES]
    problems = []
    for name in sorted(environment):
        if name.startswith(_PREFIX) and not name.startswith(_NO_SETTINGS) and name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"settings are {', '.join(known)}"
            problems.append(f"{name}: there is no such setting; {hint}")
    return problems


def _describe(problem: Any) -> str:
    message = str(problem["msg"]).removeprefix("Value error, ")
    if not problem["loc"]:
        return message
    field = str(problem["loc"][0])
    is_secret = "key" in field or "url" in field or "password" in field  # a URL may hold a password
    given = "" if is_secret else f", not {problem['input']!r}"
    return f"{variable_of(field)}: {message}{given}"
