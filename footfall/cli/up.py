"""`footfall up`: everything on this machine, supervised."""

from __future__ import annotations

import shutil
import signal
import socket
import sys
from types import FrameType

from rich.console import Console

from footfall import __version__
from footfall.cli.child import SupervisorLink, footfall_command
from footfall.cli.engines import opened_workspace
from footfall.cli.home import hold_home
from footfall.cli.log_lines import set_up_logging
from footfall.cli.sockets import listen, url_of
from footfall.cli.supervisor import ChildSpec, Supervisor
from footfall.settings import Settings, read_installation_key
from footfall.workspace import COMMAND_LINE, Bootstrapped

_ENDING_SECONDS = 10.0


def run_up(settings: Settings, owner: SupervisorLink) -> None:
    """Returns after an orderly end; StartFailed, HomeUnusable, PortUnavailable, InvalidSettings at the start.

    Ends, too, when `owner`, a program that started this one for itself, is gone.
    """
    set_up_logging()
    home = hold_home(settings.home, patience_seconds=settings.drain_seconds + _ENDING_SECONDS)
    shutil.rmtree(settings.home / "metrics", ignore_errors=True)  # of workers that may be no more
    collect = listen(settings.host, settings.collect_port, "FOOTFALL_COLLECT_PORT")
    query = listen(settings.host, settings.query_port, "FOOTFALL_QUERY_PORT")
    read_installation_key(settings)  # made now, by one process
    _show_keys(settings, _bootstrap(settings))  # now: should the start fail, they would never be seen
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
    workers = [
        ChildSpec(
            name=f"collector-{worker}",
            command=footfall_command(
                "collect-worker", f"--worker={worker}", f"--listen-fd={collect.fileno()}"
            ),
            inherited=(collect.fileno(), lock),
            end_seconds=_ENDING_SECONDS,
        )
        for worker in range(settings.collect_workers)
    ]
    engine = ChildSpec(
        name="engine",
        command=footfall_command("engine", f"--listen-fd={query.fileno()}"),
        inherited=(query.fileno(), lock),
        end_seconds=settings.drain_seconds + _ENDING_SECONDS,
    )
    return [*workers, engine]


def _bootstrap(settings: Settings) -> Bootstrapped:
    with opened_workspace(settings) as workspace:
        keys = workspace.bootstrap(settings.write_key, settings.secret_key)
        workspace.audit.record(COMMAND_LINE, "footfall.start", "", __version__, {"new_keys": keys.generated})
        return keys


def _show_keys(settings: Settings, keys: Bootstrapped) -> None:
    if not keys.generated:
        return
    console = Console(highlight=False, soft_wrap=True)
    console.print("[bold]Keys, shown only now: keep them[/bold]")
    for variable, key, given in (
        ("FOOTFALL_WRITE_KEY ", keys.write_key, settings.write_key),
        ("FOOTFALL_SECRET_KEY", keys.secret_key, settings.secret_key),
    ):
        if key is not None and given is None:
            console.print(f"  {variable}  {key}", markup=False)
    sys.stdout.flush()


def _announce(settings: Settings) -> None:
    console = Console(highlight=False, soft_wrap=True)
    collect_url = url_of(settings.host, settings.collect_port)
    query_url = url_of(settings.host, settings.query_port)
    console.print("[bold]Footfall is up[/bold]")
    console.print(f"  send events   {collect_url}/v1/events")
    console.print(f"  look          {query_url}/")
    console.print(f"  ask           {query_url}/api/v1/query/funnel")
    console.print(f"  OpenAPI       {query_url}/openapi.json")
    console.print(f"  data          {settings.home}")
    console.print("Ctrl-C ends it in order.")
    sys.stdout.flush()
