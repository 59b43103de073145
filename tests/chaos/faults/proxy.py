"""An HTTP server's bad day: a proxy before it that refuses, delays, cuts and loses, by a seed.

    with FaultProxy(gcs.url, seed=7) as proxy:
        open_store(f"gs://lab/screens?endpoint={proxy.url}")
        proxy.weather = Weather(refused=0.05, lost=0.02, word="PUT ")
        proxy.weather = CALM

What happens to a request depends on the seed, the request (fresh names left out) and how often it was sent, and not on
the order of requests: two runs with one seed have much the same day. ``proxy.told`` counts what was done.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import re
import socket
import struct
import sys
import threading
from collections import Counter
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

HANDS = ("connection", "keep-alive", "transfer-encoding", "proxy-connection")
"""Headers that belong to one connection."""
_FRESH = re.compile(r"[0-9a-f]{8,}")
_HALF = 0.5
STUCK_S = 35.0
"""Longer than a client waits for an answer, which is 30 s where nothing else is said."""


@dataclass(frozen=True)
class Weather:
    """How often what happens, each as a share of requests whose ``METHOD /path?query`` contains ``word``.

    ``refused``
        Answered by 503 and not passed on; ``crowded`` by 429.
    ``lost``
        Passed on, and the connection is reset instead of an answer.
    ``answered_503``
        Passed on, and answered by 503 all the same.
    ``cut``
        The connection is reset before the request is passed on.
    ``torn``
        Passed on, and the connection is reset in the middle of the answer.
    ``stuck``
        Neither passed on nor answered for ``stuck_s`` seconds, then reset.
    ``slow``
        Passed on after ``slow_s`` seconds.
    """

    refused: float = 0.0
    crowded: float = 0.0
    lost: float = 0.0
    answered_503: float = 0.0
    cut: float = 0.0
    torn: float = 0.0
    stuck: float = 0.0
    slow: float = 0.0
    stuck_s: float = STUCK_S
    slow_s: float = 0.5
    word: str = ""

    def choose(self, chance: float) -> str:
        """Name what happens to a request with this chance, from 0 to 1; empty: nothing."""
        for name in ("refused", "crowded", "lost", "answered_503", "cut", "torn", "stuck", "slow"):
            chance -= getattr(self, name)
            if chance < 0:
                return name
        return ""


CALM = Weather()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    server: _Server

    def carry(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        if len(body) < length:
            self.close_connection = True
            return
        proxy = self.server.proxy
        weather = proxy.weather
        fate = proxy.decide(weather, f"{self.command} {self.path}")
        if fate in ("refused", "crowded"):
            self._refuse(503 if fate == "refused" else 429)
        elif fate in ("cut", "stuck"):
            proxy.rest.wait(weather.stuck_s if fate == "stuck" else 0)
            self._reset()
        else:
            proxy.rest.wait(weather.slow_s if fate == "slow" else 0)
            self._pass_on(body, fate)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = carry  # noqa: N815 the base class looks for these names

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 the base class names it so
        """Keep quiet; ``FaultProxy.told`` counts."""

    def _pass_on(self, body: bytes, fate: str) -> None:
        host = urlsplit(self.server.proxy.target).netloc
        connection = http.client.HTTPConnection(host, timeout=60)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in HANDS}
            connection.request(self.command, self.path, body or None, headers)
            answer = connection.getresponse()
            data = answer.read()
        except OSError:
            self._reset()
            return
        finally:
            connection.close()
        if fate == "lost":
            self._reset()
        elif fate == "answered_503":
            self._refuse(503)
        else:
            self._answer(answer, data, is_torn=fate == "torn")

    def _answer(self, answer: http.client.HTTPResponse, data: bytes, *, is_torn: bool) -> None:
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in (*HANDS, "content-length"):
                self.send_header(name, value)
        self.send_header("Content-Length", answer.getheader("Content-Length") or str(len(data)))
        self.end_headers()
        self.wfile.write(data[: int(len(data) * _HALF)] if is_torn else data)
        if is_torn:
            self.wfile.flush()
            self._reset()

    def _refuse(self, status: int) -> None:
        body = b"the network has a bad day"
        self.send_response_only(status, "Bad day")
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _reset(self) -> None:
        """End the connection as a router does that forgot it."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.shutdown(socket.SHUT_RD)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256
    proxy: FaultProxy

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that are cut off; anything else is a fault of the proxy."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close without the polite end that would make a reset connection look like one that is over."""
        self.close_request(request)


class FaultProxy:
    """Stands before an HTTP server; ``weather`` may be set at any time.

    Parameters
    ----------
    target
        Address of the server, ``http://127.0.0.1:PORT``.
    seed
        Decides what happens to which request.
    weather
        How often what happens.
    """

    def __init__(self, target: str, *, seed: int = 0, weather: Weather = CALM) -> None:
        self.target, self.seed, self.weather = target, seed, weather
        self.told: Counter[str] = Counter()
        self.rest = threading.Event()
        """Set when the proxy ends, so that nobody sleeps on."""
        self._sent: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.weather = CALM
        self.rest.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def decide(self, weather: Weather, request: str) -> str:
        """Decide what happens to a request, and count it."""
        if weather.word not in request:
            return ""
        name = _FRESH.sub("*", request)
        with self._lock:
            self._sent[name] += 1
            chosen = hashlib.sha256(f"{self.seed} {self._sent[name]} {name}".encode()).digest()
            fate = weather.choose(int.from_bytes(chosen[:6], "big") / 2**48)
            self.told[fate or "passed"] += 1
        return fate
