"""Artifacts: the newest version arrives, a dead server costs nothing."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

import flows.artifacts
from flows.artifacts import MAX_BYTES, Reporter, artifact_key

NAMES = ("E", "P1", "v1-0")


class Server(ThreadingHTTPServer):
    """Takes artifacts as Prefect's API does; answers 503 while ``is_down``."""

    daemon_threads = True
    is_down = False

    def __init__(self) -> None:
        self.artifacts: dict[str, dict[str, Any]] = {}
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: Any) -> None:
        pass

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server.is_down:
            return self._answer(503, {})
        number = str(len(self.server.artifacts))
        self.server.artifacts[number] = body
        return self._answer(201, {"id": number})

    def do_PATCH(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.artifacts[self.path.rsplit("/", 1)[1]] |= body
        self._answer(204, {})


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(flows.artifacts, "PAUSE_S", 0.05)
    with Server() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def reporter_of(server: Server) -> Reporter:
    return Reporter(f"http://127.0.0.1:{server.server_port}", "run-1", NAMES, flush_s=3.0)


def test_an_artifact_is_made_once_and_then_updated(server: Server) -> None:
    with reporter_of(server) as reporter:
        reporter.progress("progress", 10.0, "a tenth")
        deadline = time.monotonic() + 5
        while not server.artifacts and time.monotonic() < deadline:
            time.sleep(0.01)
        reporter.progress("progress", 50.0, "half")
    assert list(server.artifacts.values()) == [
        {
            "key": artifact_key("E", "P1", "progress"),
            "type": "progress",
            "data": 50.0,
            "description": "E/P1, recipe v1-0: half",
            "flow_run_id": "run-1",
        }
    ]


def test_what_a_server_did_not_take_is_sent_again(server: Server) -> None:
    server.is_down = True
    with reporter_of(server) as reporter:
        reporter.table("faults", [{"file": "a.tif"}], "1 file")
        time.sleep(0.2)
        assert not server.artifacts
        server.is_down = False
    assert [json.loads(body["data"]) for body in server.artifacts.values()] == [[{"file": "a.tif"}]]


def test_a_dead_server_does_not_hold_up_the_end() -> None:
    reporter = Reporter("http://127.0.0.1:9", "", NAMES, flush_s=0.3)
    with reporter:
        reporter.markdown("publication", "text", "done")
    assert reporter._waiting


def test_an_artifact_too_large_for_a_database_is_left_out(server: Server) -> None:
    with reporter_of(server) as reporter:
        reporter.image("sites", "data:" + "x" * MAX_BYTES, "large")
        reporter.image("small", "data:x", "small")
    assert [body["data"] for body in server.artifacts.values()] == ["data:x"]


def test_keys_are_slugs_and_do_not_collide() -> None:
    assert artifact_key("a", "b", "c") == "a-b-c"
    keys = {artifact_key("A b", "P.1", "x"), artifact_key("a-B", "P-1", "x"), artifact_key("a-b", "p-1", "x")}
    assert len(keys) == 3
    assert all(key == key.lower() and " " not in key and "." not in key for key in keys)
