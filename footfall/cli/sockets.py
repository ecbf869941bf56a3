"""Listening sockets, opened once by the supervisor and inherited: a port survives the process behind it.

Where systemd hands them over (deploy/systemd/footfall.socket), they survive the supervisor, too: who connects
during a restart waits for it instead of being refused.
"""

from __future__ import annotations

import errno
import os
import socket

_BACKLOG = 2048
_FIRST_HANDED_OVER = 3  # as sd_listen_fds(3) has it


class PortUnavailable(Exception):  # noqa: N818 - reads as what it is
    """An address that cannot be listened on; the text names the setting to change."""


def listen(host: str, port: int, setting: str) -> socket.socket:
    """A socket that listens on host:port, or one for that port that systemd opened, whatever its address.

    PortUnavailable names `setting` if there can be none.
    """
    handed_over = _handed_over(port)
    if handed_over is not None:
        return handed_over
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise PortUnavailable(_explain(host, port, setting, error)) from error
    listener.set_inheritable(True)
    return listener


def _handed_over(port: int) -> socket.socket | None:
    """Of the sockets that this process, and no other, was started with: the one that listens there."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return None
    count = os.environ.get("LISTEN_FDS", "")
    for descriptor in range(_FIRST_HANDED_OVER, _FIRST_HANDED_OVER + int(count if count.isdigit() else 0)):
        try:
            listener = socket.socket(fileno=descriptor)
        except OSError:
            continue  # no socket, or taken and closed already
        if listener.family in (socket.AF_INET, socket.AF_INET6) and listener.getsockname()[1] == port:
            listener.set_inheritable(True)
            return listener
        listener.detach()
    return None


def url_of(host: str, port: int) -> str:
    """The address of a server that listens there."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _explain(host: str, port: int, setting: str, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is in use by another program: stop that, or set {setting} to a free port"
    if error.errno == errno.EACCES:
        return f"port {port} needs privileges that this user lacks: set {setting} to a port above 1023"
    why = error.strerror or str(error)
    return f"cannot listen on {host} port {port} ({why}): set FOOTFALL_HOST to an address of this machine"
