"""The topics of a log: made where they are missing, and refused where they could lose what was accepted.

<topic>  <topic>.backfill  <topic>.overflow    the lanes, each of the same number of partitions
<topic>.tallies                                what was appended in ranges of offsets (kafka_tallies.py)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import TopicAlreadyExistsError

from footfall.eventlog.kafka_connection import Control
from footfall.eventlog.kafka_place import RETENTION_HOURS, InvalidKafkaUrl, KafkaPlace
from footfall.eventlog.lanes import BACKFILL, MAIN, OVERFLOW

_log = structlog.get_logger(__name__)

_PARTITIONS = 12
_REPLICAS = 3
_HOUR_MS = 3_600_000
_SEGMENT_MS = _HOUR_MS
"""What was deleted leaves the brokers' disks only with its whole segment."""

_LANES: Mapping[int, str] = {MAIN: "", BACKFILL: ".backfill", OVERFLOW: ".overflow"}


def lane_topics(place: KafkaPlace) -> dict[int, str]:
    """The topic of each lane, by the number of its first partition."""
    return {lane: place.topic + suffix for lane, suffix in _LANES.items()}


def tallies_topic(place: KafkaPlace) -> str:
    return f"{place.topic}.tallies"


def prepare_topics(place: KafkaPlace, control: Control) -> int:
    """Makes the topics that are missing; how many partitions each lane has.

    InvalidKafkaUrl says what to change where a topic is not fit, LogError where the cluster cannot be asked.
    """
    names = [*lane_topics(place).values(), tallies_topic(place)]
    topics = _describe(control, names)
    lanes = {name: topics[name] for name in names[:-1] if name in topics}
    partitions = _agreed_partitions(place, {name: len(each["partitions"]) for name, each in lanes.items()})
    if len(topics) < len(names):
        brokers = len(
            control.ask("cannot ask for the brokers", lambda admin: admin.describe_cluster()["brokers"])
        )
        replication = place.replication or min(_REPLICAS, brokers)
        missing = {
            name: {
                "num_partitions": 1 if name == names[-1] else partitions,
                "replication_factor": replication,
                "configs": _tally_config() if name == names[-1] else _lane_config(place, replication),
            }
            for name in names
            if name not in topics
        }
        _create(control, missing)
        topics = _describe(control, names)
    _check(place, control, topics, names)
    return partitions


def _create(control: Control, missing: Mapping[str, Any]) -> None:
    def order(admin: KafkaAdminClient) -> None:
        for name, options in missing.items():
            try:
                admin.create_topics({name: options})
                _log.info(
                    "kafka.topic_made", topic=name, **{k: v for k, v in options.items() if k != "configs"}
                )
            except TopicAlreadyExistsError:
                pass  # another process was faster
        admin.wait_for_topics(list(missing))

    control.ask("cannot make the topics " + ", ".join(missing), order)


def _agreed_partitions(place: KafkaPlace, found: Mapping[str, int]) -> int:
    wanted = place.partitions or next(iter(found.values()), _PARTITIONS)
    for name, count in found.items():
        if count != wanted:
            told = f"the URL says {wanted}" if place.partitions else f"another lane has {wanted}"
            raise InvalidKafkaUrl(
                f"topic {name} has {count} partitions, but {told}: all lanes need the same number, or "
                "repeats of an event would not be found. The number cannot change: use a new topic name"
            )
    return wanted


def _lane_config(place: KafkaPlace, replication: int) -> dict[str, str]:
    return {
        "cleanup.policy": "delete",
        "retention.ms": str(place.retention_hours * _HOUR_MS),
        "retention.bytes": "-1",
        "segment.ms": str(_SEGMENT_MS),
        "max.message.bytes": str(place.max_record_bytes),
        "min.insync.replicas": str(min(2, replication)),
        "message.timestamp.type": "LogAppendTime",  # or a collector's wrong clock would decide on retention
        "unclean.leader.election.enable": "false",
    }


def _tally_config() -> dict[str, str]:
    return {
        "cleanup.policy": "compact",
        "min.compaction.lag.ms": str(RETENTION_HOURS * _HOUR_MS),
        "unclean.leader.election.enable": "false",
    }


def _describe(control: Control, names: list[str]) -> dict[str, Any]:
    found = control.ask("cannot ask for the topics", lambda admin: admin.describe_topics(names))
    return {topic["name"]: topic for topic in found if topic["error_code"] == 0}


def _check(place: KafkaPlace, control: Control, topics: Mapping[str, Any], names: list[str]) -> None:
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    configs = control.ask(
        "cannot ask for the topics' settings",
        lambda admin: admin.describe_configs(resources, config_filter="all")["topic"],
    )
    for name in names:
        values = {key: str(each["value"]) for key, each in configs[name].items()}
        replicas = len(topics[name]["partitions"][0]["replica_nodes"])
        if name != names[-1]:
            _refuse_lossy(place, name, values)
        _warn(name, values, replicas)


def _refuse_lossy(place: KafkaPlace, name: str, values: Mapping[str, str]) -> None:
    wanted = place.retention_hours * _HOUR_MS
    kept = int(values["retention.ms"])
    faults: dict[str, str] = {}
    if values["cleanup.policy"] != "delete":
        faults["cleanup.policy=delete"] = "compaction would drop records"
    if 0 <= kept < wanted:
        faults[f"retention.ms={wanted}"] = (
            f"records are kept for {kept / _HOUR_MS:g} hours, {place.retention_hours} are needed"
        )
    if int(values["max.message.bytes"]) < place.max_record_bytes:
        faults[f"max.message.bytes={place.max_record_bytes}"] = (
            f"a record may have {place.max_record_bytes} bytes, the topic takes {values['max.message.bytes']}"
        )
    if faults:
        change = ",".join(faults)
        raise InvalidKafkaUrl(
            f"topic {name}: {'; '.join(faults.values())}. Change it: kafka-configs.sh --bootstrap-server "
            f"{place.servers[0]} --alter --topic {name} --add-config {change}"
        )


def _warn(name: str, values: Mapping[str, str], replicas: int) -> None:
    insync = int(values["min.insync.replicas"])
    if insync == 1 and replicas > 1:
        _log.warning(
            "kafka.topic",
            topic=name,
            problem="min.insync.replicas is 1: one broker alone may acknowledge",
            change="2",
        )
    if insync > replicas or (insync == replicas and replicas > 1):
        _log.warning(
            "kafka.topic", topic=name, problem="no broker may fail: min.insync.replicas is that of all"
        )
    if values.get("unclean.leader.election.enable") == "true":
        _log.warning(
            "kafka.topic",
            topic=name,
            problem="an unclean election may lose records",
            change="unclean.leader.election.enable=false",
        )
    if int(values.get("retention.bytes", -1)) >= 0:
        _log.warning("kafka.topic", topic=name, problem="retention.bytes may delete what waits", change="-1")
