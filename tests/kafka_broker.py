"""A real Apache Kafka for tests, one a test process, started when the first test wants it.

In this order:

1. the broker that KAFKA_BOOTSTRAP names (host:port): tests make topics of their own there and leave them;
2. a container, where Docker answers;
3. Kafka's jars on Java, fetched once by Maven (tests/kafka_jars.py);
4. none: tests are skipped and say why, or fail if REQUIRE_KAFKA is set, as CI does where 1 to 3 work.

    python -m tests.kafka_broker            runs one until Ctrl-C, says where it is
    python -m tests.kafka_broker --check    whether one can be had, and which
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NoReturn, Protocol

import pytest

from tests.kafka_jars import (
    LOGGING,
    SMALL,
    Distribution,
    KafkaMissing,
    distribution,
    node_properties,
    version,
    write_properties,
)

_START_SECONDS = 60
_STOP_SECONDS = 20
_HEAP = "-Xmx256m"


class Broker(Protocol):
    """One node, broker and controller, reached on `bootstrap` for all its life."""

    bootstrap: str

    def start(self) -> None:
        """Again, after `kill` or `stop`, with the same data on the same port."""
        ...

    def stop(self) -> None:
        """As an administrator would."""
        ...

    def kill(self) -> None:
        """SIGKILL."""
        ...

    def pause(self) -> None:
        """SIGSTOP: it accepts connections and never answers."""
        ...

    def resume(self) -> None: ...

    def close(self) -> None:
        """For good; its data is gone."""
        ...


class GivenBroker:
    """Somebody else's: it is left alone."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap

    def start(self) -> None:
        pytest.skip("the broker that KAFKA_BOOTSTRAP names is not ours to hurt")

    stop = kill = pause = resume = start

    def close(self) -> None:
        pass


class JarBroker:
    """A Java process of ours; `more` are properties beside those of tests/kafka_jars.py."""

    def __init__(self, kafka: Distribution, directory: Path, more: Mapping[str, str] | None = None) -> None:
        self._kafka = kafka
        self._directory = directory
        self.data = directory / "data"
        shutil.copytree(kafka.formatted, self.data)
        port, controller_port = unused_ports(2)
        self.bootstrap = f"127.0.0.1:{port}"
        self.properties = node_properties(self.data, port, controller_port) | dict(more or {})
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        properties = self._directory / "server.properties"
        write_properties(properties, self.properties)
        command = [
            *_dying_with_us(), self._kafka.java, _HEAP, "-Xms64m", "-XX:+UseSerialGC", "-XX:-UsePerfData",
            "-XX:TieredStopAtLevel=1", f"-Dlog4j2.configurationFile={LOGGING}", "-cp", self._kafka.class_path,
            "kafka.Kafka", str(properties),
        ]  # fmt: skip
        with (self._directory / "output.txt").open("ab") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
        _wait_until_open(self.bootstrap, self._check_alive)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        if self._process is not None:
            self.kill()
        shutil.rmtree(self.data)

    def said(self) -> str:
        """Its last words."""
        return (self._directory / "output.txt").read_text(errors="replace")[-2_000:]

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "the broker is not running"
        self._process.send_signal(number)

    def _end(self, number: signal.Signals) -> None:
        self._signal(number)
        assert self._process is not None
        self._process.wait(_STOP_SECONDS)
        self._process = None

    def _check_alive(self) -> None:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"Kafka ended at its start:\n{self.said()}")


class ContainerBroker:
    """The project's own image, through testcontainers."""

    _INSIDE = 9092

    def __init__(self) -> None:
        from testcontainers.core.container import DockerContainer

        (port,) = unused_ports(1)  # of our own choice, so that it stays over a restart
        self.bootstrap = f"127.0.0.1:{port}"
        listeners = f"PLAINTEXT://:{self._INSIDE},CONTROLLER://:9093"
        settings = node_properties(Path("/tmp/kafka-logs"), port, 9093) | {
            "controller.quorum.voters": "1@localhost:9093",
            "listeners": listeners,
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            **SMALL,
        }
        container = DockerContainer(f"apache/kafka:{version()}").with_bind_ports(self._INSIDE, port)
        for name, value in settings.items():
            container = container.with_env("KAFKA_" + name.upper().replace(".", "_"), value)
        self._container = container
        self._is_made = False

    def start(self) -> None:
        if self._is_made:
            self._container.get_wrapped_container().start()
        else:
            self._container.start()
            self._is_made = True
        _wait_until_open(self.bootstrap, lambda: None)

    def stop(self) -> None:
        self._container.get_wrapped_container().stop(timeout=_STOP_SECONDS)

    def kill(self) -> None:
        self._container.get_wrapped_container().kill()

    def pause(self) -> None:
        self._container.get_wrapped_container().pause()

    def resume(self) -> None:
        self._container.get_wrapped_container().unpause()

    def close(self) -> None:
        self._container.stop(force=True)


@contextmanager
def running_broker(directory: Path) -> Iterator[Broker]:
    """A broker that was started, by the first of the ways that works. KafkaMissing."""
    make, _ = _way(directory)
    broker = make()
    if not isinstance(broker, GivenBroker):
        broker.start()
    with closing(broker):
        yield broker


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """This process's broker; a test that hurts it leaves it running."""
    try:
        with running_broker(tmp_path_factory.mktemp("kafka")) as running:
            yield running
    except KafkaMissing as error:
        no_kafka(str(error))


def kafka_or_skip() -> Any:
    """The client's module."""
    try:
        import kafka
    except ImportError:
        no_kafka("the extra `kafka` is not installed: pip install footfall[kafka]")
    return kafka


def no_kafka(why: str) -> NoReturn:
    """Skips the test, or fails it where Kafka is required."""
    if os.environ.get("REQUIRE_KAFKA"):
        pytest.fail(why)
    pytest.skip(why)


def unused_ports(count: int) -> list[int]:
    """Different ports of this machine that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _way(directory: Path) -> tuple[Callable[[], Broker], str]:
    given = os.environ.get("KAFKA_BOOTSTRAP")
    if given:
        return lambda: GivenBroker(given), f"the broker at {given}"
    if _docker_answers():
        return ContainerBroker, f"Kafka {version()} in a container"
    kafka = distribution()
    return lambda: JarBroker(kafka, directory), f"Kafka {version()} from its jars"


def _docker_answers() -> bool:
    program = shutil.which("docker")
    if program is None:
        return False
    try:
        asked = subprocess.run([program, "info"], capture_output=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0


def _dying_with_us() -> list[str]:
    """On Linux the broker ends with the test process, however that ends."""
    setpriv = shutil.which("setpriv")
    return [] if setpriv is None else [setpriv, "--pdeathsig", "KILL"]


def _wait_until_open(bootstrap: str, check: Callable[[], None]) -> None:
    host, _, port = bootstrap.rpartition(":")
    give_up_at = time.monotonic() + _START_SECONDS
    while True:
        check()
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > give_up_at:
                raise AssertionError(f"Kafka does not listen on {bootstrap}") from None
            time.sleep(0.05)


def _main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        try:
            _, what = _way(Path(directory))
            if "--check" in sys.argv:
                print(what)
                return
            with running_broker(Path(directory)) as running:
                print(f"{what}, until Ctrl-C\nexport KAFKA_BOOTSTRAP={running.bootstrap}", flush=True)
                signal.pause()
        except KafkaMissing as error:
            sys.exit(str(error))
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    _main()
