"""How many files and connections a process may have open."""

from __future__ import annotations

import resource

_ENOUGH = 65_536


def allow_descriptors() -> None:
    """Raises the limit as far as the system allows, to 65,536.

    Many systems begin at 1,024, for the sake of programs that use select(); ours do not. chDB keeps three
    files open for each thread, of which a busy engine has hundreds, and each client of a collector is a
    connection.
    """
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if most == resource.RLIM_INFINITY else min(most, _ENOUGH)
    if now < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
