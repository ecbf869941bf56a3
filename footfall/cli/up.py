"""`footfall up`: everything on this machine, supervised."""

from __future__ import annotations

import shutil
import signal
import socket
import sys
from types import FrameType

from rich.console import Console

from footfall.cli.child import SupervisorLink, footfall_command
from footfall.cli.collect import ENDING_SECONDS, collectors
from footfall.cli.first_keys import make_first_keys
from footfall.cli.home import hold_home
from footfall.cli.log_lines import set_up_logging
from footfall.cli.ready import base_of
from footfall.cli.sockets import listen
from footfall.cli.supervisor import ChildSpec, Supervisor
from footfall.cli.tls import certificate_of
from footfall.settings import Settings, read_installation_key


def run_up(settings: Settings, owner: SupervisorLink) -> None:
    """Returns after an orderly end; StartFailed, HomeUnusable, PortUnavailable, InvalidSettings at the start.

    Ends, too, when `owner`, a program that started this one for itself, is gone.
    """
    set_up_logging()
    certificate_of(settings)  # in time to say what is wrong with it
    home = hold_home(settings.home, patience_seconds=settings.drain_seconds + ENDING_SECONDS)
    shutil.rmtree(settings.home / "metrics", ignore_errors=True)  # of workers that may be no more
    collect = listen(settings.host, settings.collect_port, "FOOTFALL_COLLECT_PORT")
    query = listen(settings.host, settings.query_port, "FOOTFALL_QUERY_PORT")
    read_installation_key(settings)  # made now, by one process
    make_first_keys(settings)  # now: should the start fail, they would never be seen
    supervisor = Supervisor(_children(settings, collect, query, home.descriptor))

    def stop(_number: int, _frame: FrameType | None) -> None:
        supervisor.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    owner.watch(supervisor.stop)
    supervisor.start()
    _announce(settings)
    supervisor.run()
    collect.close()  # with the workers' copies closed, too, new connections are refused
    supervisor.end()
    query.close()
    home.release()


def _children(settings: Settings, collect: socket.socket, query: socket.socket, lock: int) -> list[ChildSpec]:
    """Collectors first: when they have ended, what the engine finds in the log is all there will be."""
    engine = ChildSpec(
        name="engine",
        command=footfall_command("engine", f"--listen-fd={query.fileno()}"),
        inherited=(query.fileno(), lock),
        end_seconds=settings.drain_seconds + ENDING_SECONDS,
    )
    return [*collectors(settings, collect, lock), engine]


def _announce(settings: Settings) -> None:
    console = Console(highlight=False, soft_wrap=True)
    collect_url = base_of(settings, settings.collect_port)
    query_url = base_of(settings, settings.query_port)
    console.print("[bold]Footfall is up[/bold]")
    console.print(f"  send events   {collect_url}/v1/events")
    console.print(f"  look          {query_url}/")
    console.print(f"  ask           {query_url}/api/v1/query/funnel")
    console.print(f"  OpenAPI       {query_url}/openapi.json")
    console.print(f"  data          {settings.home}")
    console.print("Ctrl-C ends it in order.")
    sys.stdout.flush()
