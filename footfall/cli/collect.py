"""`footfall collect`: collector processes alone, supervised; as many of these services as needed."""

from __future__ import annotations

import signal
import socket
from types import FrameType

from footfall.cli.apart import check_apart
from footfall.cli.child import SupervisorLink, footfall_command
from footfall.cli.disk import measure
from footfall.cli.first_keys import make_first_keys
from footfall.cli.home import share_home
from footfall.cli.log_lines import set_up_logging
from footfall.cli.sockets import listen
from footfall.cli.supervisor import ChildSpec, Supervisor
from footfall.cli.tls import certificate_of
from footfall.cli.upkeep_thread import UpkeepThread
from footfall.settings import Settings, read_installation_key

ENDING_SECONDS = 10.0
"""For a child that was told to end, beside the time that it drains."""


def collectors(settings: Settings, listener: socket.socket, lock: int) -> list[ChildSpec]:
    """The workers, which share a listening socket and hold the home by its lock."""
    return [
        ChildSpec(
            name=f"collector-{worker}",
            command=footfall_command(
                "collect-worker", f"--worker={worker}", f"--listen-fd={listener.fileno()}"
            ),
            inherited=(listener.fileno(), lock),
            end_seconds=ENDING_SECONDS,
        )
        for worker in range(settings.collect_workers)
    ]


def run_collect(settings: Settings, owner: SupervisorLink) -> None:
    """Returns once all that was accepted is durable. What `run_up` raises."""
    set_up_logging()
    check_apart(settings, with_store=False)
    certificate_of(settings)  # in time to say what is wrong with it
    home = share_home(settings.home)
    for counts in (settings.home / "metrics").glob("collector-*"):
        counts.unlink(missing_ok=True)  # of workers that may be no more
    listener = listen(settings.host, settings.collect_port, "FOOTFALL_COLLECT_PORT")
    read_installation_key(settings)  # made now, by one process
    make_first_keys(settings, "collect")
    supervisor = Supervisor(collectors(settings, listener, home.descriptor))

    def stop(_number: int, _frame: FrameType | None) -> None:
        supervisor.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    owner.watch(supervisor.stop)
    upkeep = UpkeepThread(lambda: measure(settings), lambda _: None)
    supervisor.start()
    upkeep.start()
    supervisor.run()
    listener.close()  # with the workers' copies closed, too, new connections are refused
    supervisor.end()
    upkeep.stop()
    home.release()
