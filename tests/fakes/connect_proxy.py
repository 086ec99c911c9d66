"""HTTP proxy that makes tunnels (CONNECT), and records what it was asked for."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class ConnectProxy:
    """A proxy; with `answer`, it sends that text and makes no tunnel.

    All tunnels lead to this host: to the port `to`, else to the requested one.
    """

    def __init__(self, answer: bytes = b"", to: int | None = None) -> None:
        self.heads: list[str] = []
        self._to = to
        self._answer = answer
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Stop the proxy."""
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(4096)
            self.heads.append(head.decode())
            if self._answer:
                client.sendall(self._answer)
                return
            port = self._to or int(head.split()[1].rpartition(b":")[2])
            with socket.create_connection(("127.0.0.1", port)) as target:
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                _join(client, target)


def _join(one: socket.socket, other: socket.socket) -> None:
    while True:
        for ready in select.select([one, other], [], [])[0]:
            data = ready.recv(65536)
            if not data:
                return
            (other if ready is one else one).sendall(data)


@contextmanager
def connect_proxy(answer: bytes = b"", to: int | None = None) -> Iterator[ConnectProxy]:
    """Run a proxy."""
    proxy = ConnectProxy(answer, to)
    try:
        yield proxy
    finally:
        proxy.close()
