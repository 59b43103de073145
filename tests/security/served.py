"""The web server on a free port of this machine, and requests that no well-behaved client sends."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx
import uvicorn

from flows.settings import Settings
from flows.status import read_status
from flows.web.app import make_app
from flows.web.service import OPTIONS
from imaging.store import Store

LIMIT_S = 60.0
TOKEN = "0123456789abcdef0123456789abcdef"


@dataclass(frozen=True)
class Served:
    """A running web server."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str, *, method: str = "GET", **headers: str) -> httpx.Response:
        """Ask for an address; headers by names with ``_`` for ``-``."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with httpx.Client(trust_env=False, timeout=30) as client:
            return client.request(method, f"{self.url}{path}", headers=named)

    def post(self, path: str, **fields: str) -> httpx.Response:
        with httpx.Client(trust_env=False, timeout=30) as client:
            return client.post(f"{self.url}{path}", data=fields)

    def raw(self, target: bytes, *, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
        """Send a request line as it is; return status and everything that came."""
        lines = [b"GET " + target + b" HTTP/1.1", f"host: 127.0.0.1:{self.port}".encode(), b"connection: close"]
        lines += [f"{name}: {value}".encode() for name, value in (headers or {}).items()]
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.sendall(b"\r\n".join(lines) + b"\r\n\r\n")
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        return int(answer.split()[1]), answer


@contextlib.contextmanager
def serve(store: Store, *, token: str = "", origins: str = "", status: Any = None, **changes: Any) -> Iterator[Served]:
    """Run the web server of a store in a thread, with the product's own options unless ``changes`` name others."""
    app = make_app(store, status or partial(read_status, store, Settings()), token=token, origins=origins)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, lifespan="on", **(OPTIONS | changes)))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            deadline = time.monotonic() + LIMIT_S
            while not server.started:
                assert thread.is_alive(), "the web server ended before it served"
                assert time.monotonic() < deadline, f"the web server did not start within {LIMIT_S:.0f} s"
                time.sleep(0.01)
            yield Served(listener.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join(10)
