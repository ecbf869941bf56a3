"""`footfall doctor`: looks at the machine and the installation, one check a function, and says what to do."""

from __future__ import annotations

import socket
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from footfall.cli.disk import look, refusal
from footfall.cli.doctor_files import is_ours, look_at_files
from footfall.cli.doctor_running import ask_running
from footfall.cli.finding import Finding
from footfall.cli.home import HomeInUse, HomeUnusable, hold_home
from footfall.cli.sockets import PortUnavailable, listen
from footfall.settings import InvalidSettings, Settings, read_installation_key

_ENOUGH_DISK_BYTES = 2 << 30
_NEARLY = 0.9
_BROKEN_PARTS = "SELECT count() FROM system.detached_parts WHERE reason LIKE 'broken%'"
_EARLIEST_SANE_CLOCK = 1_760_000_000  # October 2025: an older clock was never set


def examine(settings: Settings) -> list[Finding]:
    """All checks. Those that need the installation to be stopped look at the running one instead."""
    findings = [_check_python(), _check_scanner(), _check_clock(), _check_home(settings)]
    if not findings[-1].ok:
        return findings  # whatever else is asked of the home would fail for the same reason
    findings.append(_check_disk(settings))
    if not settings.home.exists():
        return [*findings, *_check_ports(settings)]
    findings += [_check_installation_key(settings), *look_at_files(settings)]
    if not is_ours(settings.home):
        return findings
    try:
        home = hold_home(settings.home)
    except HomeInUse:
        return [*findings, *ask_running(settings)]
    except HomeUnusable as error:
        seen, _, remedy = str(error).rpartition(": ")
        return [*findings, Finding("home's lock", False, seen, remedy)]
    try:
        return [*findings, *_check_ports(settings), *_check_engines(settings)]
    finally:
        home.release()


def report(findings: Sequence[Finding]) -> None:
    """A line a check; what to do under those that failed."""
    console = Console(highlight=False, soft_wrap=True)
    for finding in findings:
        mark = "[green]ok  [/green]" if finding.ok else "[red]FAIL[/red]"
        console.print(f"{mark} {finding.check}: {_escape(finding.seen)}")
        if not finding.ok:
            console.print(f"     -> {_escape(finding.remedy)}")
    failed = sum(not finding.ok for finding in findings)
    console.print("All is well." if not failed else f"{failed} of {len(findings)} checks failed.")


def _escape(text: str) -> str:
    return text.replace("[", r"\[")


def _check_python() -> Finding:
    seen = f"{sys.version.split()[0]}, {64 if sys.maxsize > 2**32 else 32} bit, {sys.platform}"
    ok = sys.version_info >= (3, 11) and sys.maxsize > 2**32 and sys.platform in ("linux", "darwin")
    return Finding("Python", ok, seen, "Footfall needs Python 3.11 or newer, 64 bit, on Linux or macOS")


def _check_scanner() -> Finding:
    from query_api.scan.native import ScannerMissing, load_library

    try:
        load_library()
    except ScannerMissing as error:
        seen, _, remedy = str(error).partition(". ")
        return Finding("scanner", False, seen, remedy)
    return Finding("scanner", True, "the compiled part of funnels loads")


def _check_home(settings: Settings) -> Finding:
    """Looks without making it: whoever examines may not be who will run."""
    place = _nearest_existing(settings.home)
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"x")
    except OSError as error:
        remedy = (
            "run this as the user that Footfall runs as; else give this user the right to write there, or "
            "set FOOTFALL_HOME to another directory"
        )
        return Finding("home", False, f"{place}: {error.strerror}", remedy)
    new = "" if place == settings.home else ", the first `footfall up` makes it"
    return Finding("home", True, f"{settings.home} can be written{new}")


def _nearest_existing(path: Path) -> Path:
    return next(place for place in (path, *path.parents) if place.exists())


def _check_disk(settings: Settings) -> Finding:
    room, budget = look(settings), settings.disk_budget_bytes
    seen = f"{room.free / (1 << 30):.1f} GiB free"
    if room.taken is not None:
        seen += f", the home takes {room.taken / (1 << 30):.1f}"
    remedy = "free some space, let projects keep events for fewer days (keep_days), or take a bigger disk"
    if (why := refusal(room, budget)) is not None:
        return Finding("disk", False, f"{seen}: no more events are taken", f"{why}")
    near = room.free < _ENOUGH_DISK_BYTES or (
        budget > 0 and room.taken is not None and room.taken > _NEARLY * budget
    )
    return Finding("disk", not near, f"{seen}: soon no more events are taken" if near else seen, remedy)


def _check_clock() -> Finding:
    now = time.time()
    seen = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    remedy = "set the clock (NTP): the time of arrival corrects the clocks of devices"
    return Finding("clock", now > _EARLIEST_SANE_CLOCK, seen, remedy)


def _check_installation_key(settings: Settings) -> Finding:
    what, path = "installation key", settings.home / "installation.key"
    if settings.installation_key is not None:
        return Finding(what, True, "from FOOTFALL_INSTALLATION_KEY")
    if not path.exists():
        return Finding(what, True, "not there yet, the first `footfall up` makes it")
    try:
        read_installation_key(settings)
    except InvalidSettings as error:
        remedy = "restore the file from a backup: with another key, all people and events would be new ones"
        return Finding(what, False, str(error), remedy)
    private = path.stat().st_mode & 0o077 == 0
    return Finding(what, private, f"{path}, back it up", f"others can read it: chmod 600 {path}")


def _check_ports(settings: Settings) -> list[Finding]:
    return [
        _check_port(settings, settings.collect_port, "FOOTFALL_COLLECT_PORT"),
        _check_port(settings, settings.query_port, "FOOTFALL_QUERY_PORT"),
    ]


def _check_engines(settings: Settings) -> list[Finding]:
    """Footfall does not run on this home: open what it would open."""
    return [
        _attempt(
            "workspace",
            _look_at_workspace,
            settings,
            "check FOOTFALL_WORKSPACE_URL, and the file's owner or the server",
        ),
        _attempt(
            "log", _look_at_log, settings, "check FOOTFALL_LOG_URL and the files' owner; do not delete them"
        ),
        _attempt("store", _look_at_store, settings, "check FOOTFALL_STORE_URL and the files' owner"),
    ]


def _check_port(settings: Settings, port: int, setting: str) -> Finding:
    try:
        listener: socket.socket = listen(settings.host, port, setting)
    except PortUnavailable as error:
        seen, _, remedy = str(error).partition(": ")
        return Finding(f"port {port}", False, seen, remedy)
    listener.close()
    return Finding(f"port {port}", True, "free")


def _attempt(check: str, look: Callable[[Settings], str], settings: Settings, remedy: str) -> Finding:
    try:
        return Finding(check, True, look(settings))
    except Exception as error:  # noqa: BLE001 - whatever it is, the report shows it
        what = str(error).partition("\n")[0]  # SQLAlchemy adds its SQL and a link in lines of their own
        return Finding(check, False, f"{type(error).__name__}: {what}", remedy)


def _look_at_workspace(settings: Settings) -> str:
    from footfall.cli.engines import opened_workspace

    file = settings.workspace_url.removeprefix("sqlite:///")
    if file != settings.workspace_url and not Path(file).exists():
        return "not there yet: the first `footfall up` makes it"
    with opened_workspace(settings, upgrade=False) as workspace:
        about = workspace.about()
        seen = f"{about.product}, tables of version {about.version or 'none'}"
        if about.version != about.newest:
            return f"{seen}; the next start brings them to {about.newest}"
        names = [project.name for project in workspace.projects()]
    known = f"projects: {', '.join(names)}" if names else "no project yet: the first `footfall up` makes one"
    return f"{seen}; {known}"


def _look_at_log(settings: Settings) -> str:
    from footfall.cli.engines import opened_log

    with opened_log(settings) as log:
        positions = [(partition, log.position(partition)) for partition in log.partitions()]
    if not positions:
        return "empty"
    return "; ".join(f"partition {number}: {at.end} records, {at.lag} wait" for number, at in positions)


def _look_at_store(settings: Settings) -> str:
    from footfall.cli.engines import opened_store
    from footfall.storage.migrate import pending
    from footfall.storage.store import Query, StoreError
    from footfall.storage.topology import topology_of

    with opened_store(settings) as store:
        names = [migration.name for migration in pending(store, topology_of(settings.store_url))]
        broken = store.rows(Query(_BROKEN_PARTS)).rows
    if broken[0][0]:
        raise StoreError(
            f"{broken[0][0]} parts of tables were damaged and put aside (detached): restore the home from a "
            "backup, then run `footfall verify`, which names what is missing"
        )
    return f"opens; the next start will apply {', '.join(names)}" if names else "opens, up to date"
