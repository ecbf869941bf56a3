"""Apache Kafka from its jars, fetched once by Maven, outside git: a broker where there is Java but no Docker.

The version is pinned in tests/kafka/pom.xml. The jars and a storage directory that Kafka has formatted are
put into ~/.cache/footfall-kafka, or the folder that KAFKA_JARS names.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

POM = Path(__file__).parent / "kafka" / "pom.xml"
LOGGING = POM.with_name("log4j2.properties")
NODE_ID = 1
_LEAST_JAVA = 17
_TOOL_SECONDS = 60
_FETCH_SECONDS = 400


class KafkaMissing(Exception):  # noqa: N818 - reads as what it is
    """No broker can be had; the text says why."""


class Distribution(NamedTuple):
    """What runs a broker."""

    java: str
    class_path: str
    formatted: Path
    """A storage directory of one node that is broker and controller; each broker gets a copy."""


def distribution() -> Distribution:
    """It is fetched if it is not there: 45 MB. KafkaMissing."""
    java = _java()
    pom = POM.read_bytes()
    home = Path(os.environ.get("KAFKA_JARS") or Path.home() / ".cache" / "footfall-kafka")
    place = home / hashlib.sha256(pom).hexdigest()[:16]
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as lock_file:
        fcntl.flock(lock_file, fcntl.LOCK_EX)  # tests of several processes want it at once
        if not place.exists():
            with tempfile.TemporaryDirectory(dir=home) as draft:
                _fetch(java, Path(draft) / "kafka")
                (Path(draft) / "kafka").replace(place)
    return Distribution(java, _class_path(place), place / "formatted")


def version() -> str:
    found = re.search(r"<artifactId>kafka_2\.13</artifactId>\s*<version>([^<]+)<", POM.read_text())
    assert found is not None
    return found[1]


def node_properties(directory: Path, port: int, controller_port: int) -> dict[str, str]:
    """Of one node that is broker and controller, small and quick to start."""
    return {
        "process.roles": "broker,controller",
        "node.id": str(NODE_ID),
        "controller.quorum.voters": f"{NODE_ID}@127.0.0.1:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "log.dirs": str(directory),
        **SMALL,
    }


SMALL = {
    "auto.create.topics.enable": "false",
    "offsets.topic.num.partitions": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "broker.session.timeout.ms": "2000",  # what a restart after a kill waits for
    "broker.heartbeat.interval.ms": "500",
    "group.min.session.timeout.ms": "1000",
    "num.network.threads": "1",
    "num.io.threads": "2",
    "log.cleaner.dedupe.buffer.size": "4194304",
}
"""Settings of a broker for tests, however it is run."""


def _fetch(java: str, place: Path) -> None:
    jars = place / "jars"
    jars.mkdir(parents=True)
    shutil.copy(POM, place)
    command = ["mvn", "--quiet", "--batch-mode", "dependency:copy-dependencies", f"-DoutputDirectory={jars}"]
    _run(command, place, _FETCH_SECONDS, "Maven cannot fetch Kafka")
    properties = place / "format.properties"
    formatted = place / "formatted"
    write_properties(properties, node_properties(formatted, 9092, 9093))
    tool = [java, "-cp", _class_path(place), "kafka.tools.StorageTool", "format"]
    command = [*tool, "--config", str(properties), "--cluster-id", "footfall-tests-cluster"]
    _run(command, place, _TOOL_SECONDS, "Kafka cannot format its storage")


def write_properties(path: Path, properties: dict[str, str]) -> None:
    path.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))


def _class_path(place: Path) -> str:
    return f"{place}/jars/*"


def _java() -> str:
    java = shutil.which("java")
    if java is None:
        raise KafkaMissing(f"no Java: Kafka {version()} needs {_LEAST_JAVA} or newer")
    told = subprocess.run([java, "-version"], capture_output=True, text=True, check=False, timeout=30).stderr
    found = re.search(r'version "(\d+)', told)
    if found is None or int(found[1]) < _LEAST_JAVA:
        raise KafkaMissing(f"Kafka {version()} needs Java {_LEAST_JAVA} or newer, here is {told[:60]!r}")
    return java


def _run(command: list[str], folder: Path, seconds: int, complaint: str) -> None:
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=seconds, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise KafkaMissing(f"{complaint}: {error}") from error
    if done.returncode != 0:
        raise KafkaMissing(f"{complaint}: {(done.stdout + done.stderr).strip()[-500:]}")
