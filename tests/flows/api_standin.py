"""A stand-in for a Prefect API that can be down, slow to start, or refuse."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    auth: str | None
    body: Any


@contextmanager
def api_standin(
    answers: Callable[[int], int] = lambda number: 200,
    *,
    port: int = 0,
    found: Any = (),
    deployed: Any = ({"id": "d1"},),
) -> Iterator[tuple[str, list[Request]]]:
    """Give the address of the API and the requests that it got; ``answers(n)`` is the status of the n-th, from 1.

    ``found`` is its answer to each question for what there is, ``deployed`` to that for deployments.
    """
    got: list[Request] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            got.append(Request(self.command, self.path, self.headers.get("Authorization"), body))
            said: Any = {"id": f"id-{len(got)}"}
            if self.path.endswith("/filter"):
                said = deployed if self.path.endswith("/deployments/filter") else found
            status, data = answers(len(got)), json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_PATCH = answer  # noqa: N815 - names that http.server asks for

        def log_request(self, code: object = "-", size: object = "-") -> None:
            """Keep quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/api", got
        server.shutdown()
