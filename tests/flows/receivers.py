"""Receivers of notifications on the loopback interface: a webhook, and a mail server."""

from __future__ import annotations

import http.server
import json
import socketserver
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def webhook(answers: Iterable[int] = ()) -> Iterator[tuple[str, list[Any]]]:
    """Give the address of a webhook, and what was posted to it: headers and JSON.

    It answers with these codes one after the other, 0 for no answer at all, then with 200.
    """
    got: list[Any] = []
    codes = iter(answers)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append((dict(self.headers), json.loads(body)))
            code = next(codes, 200)
            if not code:
                self.close_connection = True
                return
            self.send_response(code)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_request(self, code: object = "-", size: object = "-") -> None:
            """Keep quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", got
        server.shutdown()


@contextmanager
def mail_server() -> Iterator[tuple[str, list[str]]]:
    """Give host and port of a mail server that takes everything, and the letters that it got."""
    got: list[str] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 here\r\n")
            while line := self.rfile.readline():
                word = line.upper().split()[:1]
                if word == [b"DATA"]:
                    self.wfile.write(b"354 go on\r\n")
                    letter = iter(self.rfile.readline, b".\r\n")
                    got.append(b"".join(letter).decode())
                self.wfile.write(b"221 bye\r\n" if word == [b"QUIT"] else b"250 fine\r\n")
                if word == [b"QUIT"]:
                    return

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}", got
        server.shutdown()
