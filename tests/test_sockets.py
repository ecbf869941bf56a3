"""Listening sockets that systemd hands over."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from footfall.cli import sockets
from footfall.cli.sockets import PortUnavailable, listen


@pytest.fixture
def handed_over(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A socket at the place where the first one is looked for, which is 3 in a process of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setattr(sockets, "_FIRST_HANDED_OVER", listener.fileno())
        monkeypatch.setenv("LISTEN_FDS", "1")
        monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
        yield listener


def test_a_socket_for_the_port_is_taken_whatever_its_address(handed_over: socket.socket) -> None:
    port = handed_over.getsockname()[1]
    taken = listen("0.0.0.0", port, "FOOTFALL_COLLECT_PORT")
    assert (taken.fileno(), taken.getsockname()) == (handed_over.fileno(), ("127.0.0.1", port))
    assert taken.get_inheritable()
    taken.detach()


def test_a_socket_for_another_port_is_left_alone(handed_over: socket.socket) -> None:
    with closing(listen("127.0.0.1", 0, "FOOTFALL_COLLECT_PORT")) as own:
        assert own.fileno() != handed_over.fileno()
    assert handed_over.getsockname()[1] > 0


@pytest.mark.parametrize(("name", "text"), [("LISTEN_PID", "1"), ("LISTEN_FDS", "x")])
def test_what_was_handed_to_another_process_is_not_ours(
    handed_over: socket.socket, monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    monkeypatch.setenv(name, text)
    with pytest.raises(PortUnavailable, match="in use"):
        listen("127.0.0.1", handed_over.getsockname()[1], "FOOTFALL_COLLECT_PORT")
