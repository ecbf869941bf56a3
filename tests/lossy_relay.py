"""A relay before a server that loses answers: what was asked arrives and is done, and nobody is told."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class LossyRelay:
    """Passes all bytes; `lose` says which answers it does not pass."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._losing: dict[bytes, int] = {}
        self.lost = 0
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self._begin(self._accept)

    def lose(self, asked: bytes, times: int = 1) -> None:
        """The next answers to requests that hold these bytes (in one packet) are lost."""
        with self._lock:
            self._losing[asked] = times

    def still_to_lose(self) -> set[bytes]:
        with self._lock:
            return {asked for asked, times in self._losing.items() if times}

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for each in self._sockets:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for each in self._sockets:
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self._target))
                except OSError:
                    client.close()
                    continue
                with self._lock:
                    self._sockets += [client, server]
                loses = threading.Event()
                self._begin(self._pass_requests, client, server, loses)
                self._begin(self._pass_answers, server, client, loses)

    def _pass_requests(self, client: socket.socket, server: socket.socket, loses: threading.Event) -> None:
        with suppress(OSError):
            while data := client.recv(1 << 16):
                if self._is_to_lose(data):
                    loses.set()
                server.sendall(data)
        _hang_up(client, server)

    def _pass_answers(self, server: socket.socket, client: socket.socket, loses: threading.Event) -> None:
        with suppress(OSError):
            while data := server.recv(1 << 16):
                if loses.is_set():
                    self.lost += 1
                    break
                client.sendall(data)
        _hang_up(client, server)

    def _is_to_lose(self, data: bytes) -> bool:
        with self._lock:
            for asked, times in self._losing.items():
                if times and asked in data:
                    self._losing[asked] = times - 1
                    return True
        return False

    def _begin(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()


def _hang_up(*sockets: socket.socket) -> None:
    for each in sockets:
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


@contextmanager
def lossy_relay(port: int) -> Iterator[LossyRelay]:
    relay = LossyRelay(port)
    try:
        yield relay
    finally:
        relay.close()
