"""Listening sockets, opened once by the supervisor and inherited: a port survives the process behind it."""

from __future__ import annotations

import errno
import socket

_BACKLOG = 2048


class PortUnavailable(Exception):  # noqa: N818 - reads as what it is
    """An address that cannot be listened on; the text names the setting to change."""


def listen(host: str, port: int, setting: str) -> socket.socket:
    """A socket that listens on host:port; PortUnavailable names `setting` if it cannot."""
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
