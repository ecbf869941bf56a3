"""The directory FOOTFALL_HOME: made, and held by one `footfall up` at a time, or shared by services apart."""

from __future__ import annotations

import fcntl
import os
import time
from dataclasses import dataclass
from pathlib import Path


class HomeUnusable(Exception):  # noqa: N818 - reads as what it is
    """The directory cannot be made or written; the text says what to do."""


class HomeInUse(HomeUnusable):
    """Another Footfall runs on this home."""


@dataclass(frozen=True, slots=True)
class HeldHome:
    """A lock that lasts until the last process that has inherited `descriptor` has ended."""

    descriptor: int

    def release(self) -> None:
        os.close(self.descriptor)


def make_home(home: Path) -> None:
    """Makes the directory, for this user alone. HomeUnusable if that cannot be."""
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise _unusable(home, error) from error


def hold_home(home: Path, *, patience_seconds: float = 0.0) -> HeldHome:
    """Makes and locks the directory. HomeUnusable if that cannot be, HomeInUse if it is held.

    It waits for `patience_seconds` if only what a killed supervisor left holds it, which ends by itself.
    """
    make_home(home)
    try:
        descriptor = os.open(home / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise _unusable(home, error) from error
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode().strip()
            if not holder or _runs(holder) or time.monotonic() >= deadline:
                os.close(descriptor)
                raise HomeInUse(_explain(home, holder)) from None
            time.sleep(0.1)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return HeldHome(descriptor)


def share_home(home: Path) -> HeldHome:
    """Makes the directory, for one of several services. HomeUnusable; HomeInUse while `up` holds it."""
    make_home(home)
    return _take(home, "lock", fcntl.LOCK_SH)


def hold_role(home: Path, role: str) -> HeldHome:
    """For what only one process of a home may be. HomeInUse if there is one."""
    return _take(home, f"{role}.lock", fcntl.LOCK_EX)


def _take(home: Path, name: str, how: int) -> HeldHome:
    try:
        descriptor = os.open(home / name, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise _unusable(home, error) from error
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 32, 0).decode().strip()
        os.close(descriptor)
        raise HomeInUse(_explain(home, holder)) from None
    os.ftruncate(descriptor, 0)
    if how == fcntl.LOCK_EX:
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return HeldHome(descriptor)


def is_held(home: Path) -> bool:
    """Whether a Footfall runs on this home."""
    try:
        descriptor = os.open(home / "lock", os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _runs(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True


def _unusable(home: Path, error: OSError) -> HomeUnusable:
    remedy = "give this user the right to write there, or set FOOTFALL_HOME to another directory"
    return HomeUnusable(f"{home}: {error.strerror}: {remedy}")


def _explain(home: Path, holder: str) -> str:
    if not holder:
        who = "services of its own (footfall collect, process or query)"
    elif _runs(holder):
        who = f"process {holder}"
    else:
        who = "processes that a killed Footfall left, which are ending"
    return f"{home} is in use by {who}: stop it first, or set FOOTFALL_HOME to another directory"
