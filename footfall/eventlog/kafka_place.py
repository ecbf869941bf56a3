"""Which Kafka a URL means, and how its clients are set up.

    kafka://host:9092,host:9092/topic?partitions=12&tls=yes&sasl=scram-sha-512

Passwords come from the settings or from the URL; no text made here shows them.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any
from urllib.parse import parse_qsl, unquote

RETENTION_HOURS = 72
_PORT = 9092
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,200}")
_SASL = ("plain", "scram-sha-256", "scram-sha-512")
_COMPRESSIONS = ("zstd", "gzip", "none")


class InvalidKafkaUrl(ValueError):  # noqa: N818 - reads as what it is
    """The URL of a Kafka log that cannot be; the text says what to write, without the URL's password."""


@dataclass(frozen=True, slots=True)
class KafkaAccess:
    """Who we are for the brokers, and how we know them. Files are PEM."""

    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    key_password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class KafkaPlace:
    """A topic and everything that clients must know to use it."""

    servers: tuple[str, ...]
    topic: str
    group: str = "footfall"
    partitions: int | None = None  # of each lane; None: what is there, else 12
    replication: int | None = None  # None: what is there, else 3, or as many as there are brokers
    retention_hours: int = RETENTION_HOURS
    compression: str = "zstd"
    client: str = "kafka-python"  # that appends
    tls: bool = False
    sasl: str | None = None
    truncate: bool = False
    timeout_seconds: float = 10.0
    max_record_bytes: int = 48 << 20
    access: KafkaAccess = KafkaAccess()

    def client_config(self) -> dict[str, Any]:
        """What every client of kafka-python is given."""
        timeout_ms = int(self.timeout_seconds * 1000)
        config: dict[str, Any] = {
            "bootstrap_servers": list(self.servers),
            "client_id": "footfall",
            "security_protocol": ("SASL_" if self.sasl else "") + ("SSL" if self.tls else "PLAINTEXT"),
            "request_timeout_ms": timeout_ms // 2,
            "bootstrap_timeout_ms": timeout_ms,
            "reconnect_backoff_max_ms": 1_000,
            "receive_message_max_bytes": 100_000_000 + self.max_record_bytes,
        }
        if self.sasl:
            config["sasl_mechanism"] = self.sasl.upper()
            config["sasl_plain_username"] = self.access.username
            config["sasl_plain_password"] = self.access.password
        if self.tls:
            config["ssl_context"] = self._ssl_context()
        return config

    def __str__(self) -> str:
        return f"Kafka topic {self.topic} at {','.join(self.servers)}"

    def _ssl_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.access.ca_file)
        if self.access.cert_file is not None:
            context.load_cert_chain(self.access.cert_file, self.access.key_file, self.access.key_password)
        return context


def parse_kafka_url(rest: str, access: KafkaAccess = KafkaAccess()) -> KafkaPlace:
    """What stands behind kafka://. InvalidKafkaUrl."""
    rest, _, query = rest.partition("?")
    authority, _, topic = rest.partition("/")
    user, at, hosts = authority.rpartition("@")
    if at:
        name, _, password = user.partition(":")
        access = _with(access, unquote(name), unquote(password) or None)
    servers = tuple(_server(host) for host in hosts.split(",") if host)
    if not servers:
        raise InvalidKafkaUrl("write kafka://host:9092,host:9092/topic: no host is named")
    if not _TOPIC.fullmatch(topic) or topic in (".", ".."):
        raise InvalidKafkaUrl(
            f"write kafka://host:9092/topic: {topic!r} is no topic (letters, digits, dot, dash, underscore)"
        )
    return KafkaPlace(servers, topic, access=access, **_read_query(query, access))


def _with(access: KafkaAccess, username: str, password: str | None) -> KafkaAccess:
    return KafkaAccess(
        username,
        password or access.password,
        access.ca_file,
        access.cert_file,
        access.key_file,
        access.key_password,
    )


def _server(host: str) -> str:
    if re.search(r":\d+$", host):
        return host
    return f"{host}:{_PORT}"


def _read_query(query: str, access: KafkaAccess) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        read = _PARAMETERS.get(name)
        if read is None:
            near = get_close_matches(name, [*_PARAMETERS], n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(_PARAMETERS)}"
            raise InvalidKafkaUrl(f"?{name}=: there is no such parameter; {hint}")
        found[name] = read(name, value)
    if found.pop("acks", "all") not in ("all", "-1"):
        raise InvalidKafkaUrl("?acks=: only all is possible: what was accepted must survive a broker's end")
    if found.get("sasl") is None and access.username is not None:
        found["sasl"] = "scram-sha-512"
    if found.get("sasl") and not (access.username and access.password):
        raise InvalidKafkaUrl(
            "?sasl=: also set FOOTFALL_KAFKA_USERNAME and FOOTFALL_KAFKA_PASSWORD, or write "
            "kafka://user:password@host:9092/topic"
        )
    if access.ca_file or access.cert_file:
        found.setdefault("tls", True)
    return found


def _number(least: int, most: int) -> Any:
    def read(name: str, value: str) -> int:
        if not value.isascii() or not value.isdigit() or not least <= int(value) <= most:
            raise InvalidKafkaUrl(f"?{name}={value}: write a number from {least} to {most}")
        return int(value)

    return read


def _one_of(*allowed: str) -> Any:
    def read(name: str, value: str) -> str:
        if value.lower() not in allowed:
            raise InvalidKafkaUrl(f"?{name}={value}: write one of {', '.join(allowed)}")
        return value.lower()

    return read


def _yes_or_no(name: str, value: str) -> bool:
    return bool(_one_of("no", "yes")(name, value) == "yes")


def _group(name: str, value: str) -> str:
    if not _TOPIC.fullmatch(value):
        raise InvalidKafkaUrl(f"?{name}={value}: write letters, digits, dots, dashes, underscores")
    return value


_PARAMETERS: Mapping[str, Any] = {
    "partitions": _number(1, 999),
    "replication": _number(1, 9),
    "group": _group,
    "retention_hours": _number(RETENTION_HOURS, 24 * 365),
    "compression": _one_of(*_COMPRESSIONS),
    "client": _one_of("kafka-python", "confluent"),
    "tls": _yes_or_no,
    "sasl": _one_of(*_SASL),
    "truncate": _yes_or_no,
    "timeout_seconds": _number(1, 300),
    "acks": _one_of("all", "-1", "0", "1"),
}
