"""A network that can fail: every connection to a server on this machine goes through it.

with Network(server_port) as network:
    client(f"http://127.0.0.1:{network.port}")
    network.cut()               connections are reset, new ones are refused
    network.restore()
    network.reset_after(5_000)  each connection is reset once so many bytes went up; None: no longer
    network.replace(b"a", b"b") what goes up is damaged on its way
        network.lose_answers(3)     the next three answers are lost: the request arrived, the connection is reset
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from typing import Self

_CHUNK = 16 << 10


class Network:
    """Carries bytes between clients and a server, and counts the connections that it severed.

    Parameters
    ----------
    target
        Port of the server.
    bytes_per_s
        How fast bytes go up, of all connections together; ``None`` for as fast as they can.
    """

    def __init__(self, target: int, *, bytes_per_s: float | None = None) -> None:
        self.target, self.bytes_per_s = target, bytes_per_s
        self.severed = 0
        self._lock = threading.Lock()
        self._limit: int | None = None
        self._answers_to_lose = 0
        self._damage = b"", b""
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._listener = self._listen(0)
        self.port = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()

    @property
    def url(self) -> str:
        """Address of the server through this network."""
        return f"http://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Reset all connections and refuse new ones."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            pairs = list(self._pairs)
        for pair in pairs:
            self._sever(pair)

    def restore(self) -> None:
        """Take connections again, at the same port."""
        self._listener = self._listen(self.port)

    def reset_after(self, size: int | None) -> None:
        """Reset each connection once so many bytes went up from now on; ``None`` ends it."""
        self._limit = size

    def lose_answers(self, count: int) -> None:
        """Deliver the next requests and reset their connections instead of bringing the answers."""
        with self._lock:
            self._answers_to_lose = count

    def replace(self, old: bytes, new: bytes) -> None:
        """Damage what goes up: of the same length, and within one piece."""
        self._damage = old, new

    def _listen(self, port: int) -> socket.socket:
        listener = socket.create_server(("127.0.0.1", port), backlog=128)
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        return listener

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:  # closed by a cut
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                client.close()
                continue
            pair = (client, server)
            with self._lock:
                self._pairs.add(pair)
            threading.Thread(target=self._carry_up, args=(pair,), daemon=True).start()
            threading.Thread(target=self._carry_down, args=(pair,), daemon=True).start()

    def _carry_up(self, pair: tuple[socket.socket, socket.socket]) -> None:
        client, server = pair
        passed = 0
        with contextlib.suppress(OSError):
            while data := client.recv(_CHUNK):
                passed += len(data)
                if self._limit is not None and passed > self._limit:
                    break
                if self.bytes_per_s:
                    time.sleep(len(data) * len(self._pairs) / self.bytes_per_s)
                server.sendall(data.replace(*self._damage) if self._damage[0] else data)
            else:
                self._part(pair)
                return
        self._sever(pair)

    def _carry_down(self, pair: tuple[socket.socket, socket.socket]) -> None:
        client, server = pair
        with contextlib.suppress(OSError):
            while data := server.recv(_CHUNK):
                with self._lock:
                    is_lost = self._answers_to_lose > 0
                    self._answers_to_lose -= is_lost
                if is_lost:
                    break
                client.sendall(data)
            else:
                self._part(pair)
                return
        self._sever(pair)

    def _sever(self, pair: tuple[socket.socket, socket.socket]) -> None:
        """Reset both ends, as a router does that forgot the connection."""
        with self._lock:
            if pair not in self._pairs:
                return
            self._pairs.discard(pair)
            self.severed += 1
        for end in pair:
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RD)
            end.close()

    def _part(self, pair: tuple[socket.socket, socket.socket]) -> None:
        """One end is done: so is the other."""
        with self._lock:
            self._pairs.discard(pair)
        for end in pair:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
