"""Which log a URL means: one table from scheme to factory."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from footfall.eventlog.kafka_place import InvalidKafkaUrl, KafkaAccess, parse_kafka_url
from footfall.eventlog.log import Log
from footfall.eventlog.memory_log import MemoryLog
from footfall.eventlog.sqlite_log import SqliteLog


class UnknownLog(ValueError):  # noqa: N818 - reads as what it is
    """A URL that names no log we have."""


def open_log(url: str, *, max_bytes: int, kafka: KafkaAccess | None = None) -> Log:
    """Opens the log that `url` names; `max_bytes` bounds the stored records of each partition of a log of
    ours, `kafka` is who we are for Kafka's brokers.

    sqlite:///relative/dir, sqlite:////absolute/dir   files in a directory, which is created
    memory://                                         in this process only
    kafka://host:9092,host:9092/topic                 on Apache Kafka (docs/kafka.md)

    Raises UnknownLog for any other scheme, or where Kafka cannot be used as it is; LogError where no broker
    answers.
    """
    scheme, separator, rest = url.partition("://")
    if scheme == "kafka" and separator:
        return _open_kafka(rest, kafka or KafkaAccess())
    factory = _FACTORIES.get(scheme)
    if factory is None or not separator:
        schemes = sorted([*_FACTORIES, "kafka"])
        raise UnknownLog(f"log URL {url!r}: the scheme must be one of {', '.join(schemes)}")
    return factory(url, rest, max_bytes)


def _open_kafka(rest: str, access: KafkaAccess) -> Log:
    needed = {"kafka": "kafka", "crc32c": "kafka"}
    if "client=confluent" in rest:
        needed["confluent_kafka"] = "kafka-confluent"
    for module, extra in needed.items():
        if find_spec(module) is None:
            raise UnknownLog(
                f"a log on Kafka needs the module {module}, which is not installed: "
                f"pip install 'footfall[{extra}]'"
            )
    from footfall.eventlog.kafka_log import KafkaLog  # noqa: PLC0415 - only here is there need of the client

    try:
        return KafkaLog(parse_kafka_url(rest, access))
    except InvalidKafkaUrl as error:
        raise UnknownLog(f"the log on Kafka: {error}") from error


def _open_sqlite(url: str, rest: str, max_bytes: int) -> Log:
    directory = rest.removeprefix("/")
    if not directory or not rest.startswith("/"):
        raise UnknownLog(f"log URL {url!r}: write sqlite:///dir or sqlite:////absolute/dir")
    return SqliteLog(Path(directory), max_bytes=max_bytes)


def _open_memory(url: str, rest: str, max_bytes: int) -> Log:
    if rest:
        raise UnknownLog(f"log URL {url!r}: write memory://, a log in memory has no place")
    return MemoryLog(max_bytes=max_bytes)


_FACTORIES: dict[str, Callable[[str, str, int], Log]] = {"memory": _open_memory, "sqlite": _open_sqlite}
