"""A stand-in for BigQuery's jobs API over loopback, for the real google-cloud-bigquery: what loads and their names do.

Kept as the service does it: a job's name is taken for ever, also by a job that failed; a load is atomic and goes on
though nobody waits for it; partition decorators; multipart and resumable uploads, and files in the stand-in of Cloud
Storage. Everything that can go wrong on the way can be asked for:

    with BigQueryJobs() as bigquery:
        bigquery.running_s = 0.2                            jobs take that long
        bigquery.is_down = True                             every answer is 503
        bigquery.trouble("load wells", 503)                 the next such request is refused
        bigquery.trouble("load wells", LOST)                ... is done, and its answer lost
        bigquery.trouble("load wells", 403, "quotaExceeded")
        bigquery.trouble("load wells", kill, when=AFTER)    a function is called when it is done, or BEFORE, instead
        bigquery.fail_jobs("wells", "backendError")         the next such job is taken and fails
        bigquery.client()                                   Google's client for it

``requests`` logs what was asked as ``load wells_all$20260203 JOB``, ``query SQL``, ``job JOB``, ``create TABLE`` ...
"""

from __future__ import annotations

import json
import re
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from uuid import uuid4

from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from tests.standins.bigquery_tables import RefusedError, Tables, cells, describe, values_of

BEFORE, AFTER, LOST = "before", "after", -1
_API = re.compile(r"(?P<up>/upload)?/bigquery/v2/projects/(?P<project>[^/]+)/(?P<rest>.*)")
_LOCAL = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass
class Trouble:
    """What happens to the next request whose log line begins with ``match``."""

    match: str
    what: int | Callable[[], None]
    reason: str
    when: str
    then_down: bool


@dataclass
class Jobs:
    """Jobs by name; those whose time has come are done whenever somebody looks."""

    tables: Tables
    storage_url: str = ""
    running_s: float = 0.0
    failures: list[tuple[str, str]] = field(default_factory=list)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    _due: dict[str, tuple[float, bytes | None]] = field(default_factory=dict)

    def insert(self, resource: dict[str, Any], data: bytes | None) -> dict[str, Any]:
        with self.tables.lock:
            reference = resource.setdefault("jobReference", {})
            name = reference.setdefault("jobId", f"job_{uuid4().hex}")
            if name in self.jobs:
                raise RefusedError(409, "duplicate", f"Already Exists: Job {self.tables.project}:{name}")
            target = resource["configuration"].get("load", {}).get("destinationTable")
            if target:
                self.tables.dataset(target["datasetId"])
            reference |= {"projectId": self.tables.project, "location": reference.get("location") or "US"}
            now = str(round(time.time() * 1000))
            made = {**resource, "id": f"{self.tables.project}:{name}", "status": {"state": "RUNNING"}}
            made["statistics"] = {"creationTime": now, "startTime": now}
            self.jobs[name] = made
            self._due[name] = time.monotonic() + self.running_s, data
            self.settle()
            return self.jobs[name]

    def get(self, name: str) -> dict[str, Any]:
        with self.tables.lock:
            self.settle()
            if name not in self.jobs:
                raise RefusedError(404, "notFound", f"Not found: Job {self.tables.project}:{name}")
            return self.jobs[name]

    def has_due(self) -> bool:
        """Whether jobs wait or run."""
        return bool(self._due)

    def settle(self) -> None:
        """Do what has become due."""
        with self.tables.lock:
            for name in [name for name, (at, _) in self._due.items() if at <= time.monotonic()]:
                _, data = self._due.pop(name)
                self.jobs[name]["status"] = self._do(self.jobs[name], data)

    def _do(self, job: dict[str, Any], data: bytes | None) -> dict[str, Any]:
        try:
            self._fail(job)
            if "load" in job["configuration"]:
                self._load(job["configuration"]["load"], data)
            else:
                query = job["configuration"]["query"]
                job["answer"] = self.tables.query(query["query"], values_of(query))
        except RefusedError as error:
            said = {"reason": error.reason, "message": error.message}
            return {"state": "DONE", "errorResult": said, "errors": [said]}
        return {"state": "DONE"}

    def _fail(self, job: dict[str, Any]) -> None:
        target = job["configuration"].get("load", {}).get("destinationTable", {}).get("tableId", "")
        for failure in self.failures:
            if target.startswith(failure[0]):
                self.failures.remove(failure)
                raise RefusedError(400, failure[1], f"a failure of the kind {failure[1]} that the test asked for")

    def _load(self, load: dict[str, Any], data: bytes | None) -> None:
        files = [data] if data is not None else [self._read(uri) for uri in load["sourceUris"]]
        infers = bool((load.get("parquetOptions") or {}).get("enableListInference"))
        self.tables.load(load["destinationTable"], files, infers_lists=infers)

    def _read(self, uri: str) -> bytes:
        path = urllib.parse.quote(uri.removeprefix("gs://"))
        try:
            with _LOCAL.open(f"{self.storage_url}/{path}") as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            raise RefusedError(404, "notFound", f"Not found: URI {uri}") from error


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    server: _Server

    def answer(self) -> None:
        address = urllib.parse.urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        query = dict(urllib.parse.parse_qsl(address.query))
        headers: dict[str, str] = {}
        try:
            status, value = self.server.route(self.command, address.path, query, body, self.headers, headers)
        except RefusedError as error:
            said = {"reason": error.reason, "message": error.message, "domain": "global"}
            status, value = error.status, {"error": {"code": error.status, "message": error.message, "errors": [said]}}
        except _LostAnswerError:
            self.close_connection = True
            return
        data = json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815 the base class looks for these names

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 the base class names it so
        """Keep quiet; ``requests`` is the log."""


class _LostAnswerError(Exception):
    """The connection ends without an answer."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, project: str, storage_url: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.tables = Tables(project)
        self.jobs = Jobs(self.tables, storage_url)
        self.requests: list[str] = []
        self.troubles: list[Trouble] = []
        self.is_down = False
        self.busy = 0
        self.lock = threading.Lock()
        self.uploads: dict[str, dict[str, Any]] = {}

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is no error; anything else is one of the stand-in."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    def route(
        self, method: str, path: str, query: dict[str, str], body: bytes, headers: Any, out: dict[str, str]
    ) -> tuple[int, Any]:
        found = _API.fullmatch(path)
        if found is None:
            raise RefusedError(404, "notFound", path)
        parts = urllib.parse.unquote(found["rest"]).split("/")
        if found["up"]:
            return self._upload(method, query, body, headers, out)
        value = json.loads(body) if body else {}
        match method, parts:
            case "POST", ["jobs"]:
                return 200, self._insert(value, None)
            case "GET", ["jobs", name]:
                return self._do(f"job {name}", lambda: _without_answer(self.jobs.get(name)))
            case "POST", ["queries"]:
                return self._do(f"query {value['query']}", lambda: self._ask(value))
            case "GET", ["queries", name]:
                return self._do(f"answer {name}", lambda: _result(self.jobs.get(name)))
            case "POST", ["datasets"]:
                return self._do("create dataset", lambda: self.tables.create_dataset(value))
            case "GET", ["datasets", dataset]:
                return self._do("get dataset", lambda: self.tables.dataset(dataset))
            case "POST", ["datasets", dataset, "tables"]:
                name = value["tableReference"]["tableId"]
                return self._do(f"create {name}", lambda: self.tables.create_table(dataset, value))
            case "GET", ["datasets", dataset, "tables"]:
                return self._do("list", lambda: self._list(dataset))
            case "GET", ["datasets", dataset, "tables", name]:
                return self._do(f"get {name}", lambda: self.tables.table(dataset, name))
            case "PATCH", ["datasets", dataset, "tables", name]:
                etag = headers.get("If-Match")
                return self._do(f"change {name}", lambda: self.tables.change_table(dataset, name, value, etag))
            case "DELETE", ["datasets", dataset]:
                return self._do("drop dataset", lambda: self.tables.drop_dataset(dataset))
            case "DELETE", ["datasets", dataset, "tables", name]:
                return self._do(f"drop {name}", lambda: self.tables.drop_table(dataset, name))
        raise RefusedError(501, "notImplemented", f"{method} {path}")

    def _do(self, line: str, work: Callable[[], Any]) -> tuple[int, Any]:
        """Log a request and do it, with what the test asked for before and after."""
        self.requests.append(line)
        with self.counting():
            return self._do_or_fail(line, work)

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count a request that is being done."""
        with self.lock:
            self.busy += 1
        try:
            yield
        finally:
            with self.lock:
                self.busy -= 1

    def _do_or_fail(self, line: str, work: Callable[[], Any]) -> tuple[int, Any]:
        if self.is_down:
            raise RefusedError(503, "backendError", "the service is down, as the test asked")
        trouble = next((item for item in self.troubles if line.startswith(item.match)), None)
        if trouble is None:
            return 200, work()
        self.troubles.remove(trouble)
        self.is_down = trouble.then_down
        if callable(trouble.what):
            if trouble.when == BEFORE:
                trouble.what()
                raise _LostAnswerError
            value = work()
            trouble.what()
            return 200, value
        if trouble.what == LOST:
            work()
            raise _LostAnswerError
        raise RefusedError(trouble.what, trouble.reason, f"an error {trouble.what} that the test asked for")

    def _insert(self, resource: dict[str, Any], data: bytes | None) -> dict[str, Any]:
        load = resource["configuration"].get("load")
        name = resource.get("jobReference", {}).get("jobId", "")
        line = f"load {load['destinationTable']['tableId']} {name}" if load else f"change {name}"
        return self._do(line, lambda: _without_answer(self.jobs.insert(resource, data)))[1]

    def _ask(self, value: dict[str, Any]) -> dict[str, Any]:
        job = self.jobs.insert({"configuration": {"query": value}}, None)
        while job["status"]["state"] != "DONE":
            time.sleep(0.01)
            self.jobs.settle()
        return _result(job)

    def _list(self, dataset: str) -> dict[str, Any]:
        self.tables.dataset(dataset)
        kept = ("id", "tableReference", "type", "creationTime")
        with self.tables.lock:
            found = [item for (folder, _), item in self.tables.tables.items() if folder == dataset]
        return {"tables": [{key: item[key] for key in kept} for item in found], "totalItems": len(found)}

    def _upload(
        self, method: str, query: dict[str, str], body: bytes, headers: Any, out: dict[str, str]
    ) -> tuple[int, Any]:
        if method == "PUT":
            upload = self.uploads[query["upload_id"]]
            upload["data"] += body
            total = headers["Content-Range"].rpartition("/")[2]
            if total == "*" or len(upload["data"]) < int(total):
                out["Range"] = f"bytes=0-{len(upload['data']) - 1}"
                return 308, {}
            return 200, self._insert(upload["job"], bytes(upload["data"]))
        if query["uploadType"] == "resumable":
            name = uuid4().hex
            self.uploads[name] = {"job": json.loads(body), "data": bytearray()}
            project = self.tables.project
            out["Location"] = f"{self.url}/upload/bigquery/v2/projects/{project}/jobs?upload_id={name}"
            return 200, {}
        boundary = re.search(r'boundary="?([^";]+)', headers["Content-Type"])[1].encode()
        first, second = body.split(b"--" + boundary)[1:3]
        resource = json.loads(first.partition(b"\r\n\r\n")[2])
        return 200, self._insert(resource, second.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n"))


def _without_answer(job: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in job.items() if key != "answer"}


def _result(job: dict[str, Any]) -> dict[str, Any]:
    if error := job["status"].get("errorResult"):
        raise RefusedError(404 if error["reason"] == "notFound" else 400, error["reason"], error["message"])
    if job["status"]["state"] != "DONE":
        return {"jobComplete": False, "jobReference": job["jobReference"]}
    rows = job["answer"]
    return {
        "jobComplete": True,
        "jobReference": job["jobReference"],
        "schema": {"fields": describe(rows.schema)},
        "rows": cells(rows),
        "totalRows": str(rows.num_rows),
    }


class BigQueryJobs:
    """The stand-in as a context: a server on a free port of this machine; see the module."""

    def __init__(self, project: str = "lab", storage_url: str = "") -> None:
        self._server = _Server(project, storage_url)
        self.project, self.url, self.requests = project, self._server.url, self._server.requests
        self.tables = self._server.tables
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self.tables.close()

    @property
    def is_down(self) -> bool:
        return self._server.is_down

    @is_down.setter
    def is_down(self, is_down: bool) -> None:
        self._server.is_down = is_down

    @property
    def running_s(self) -> float:
        return self._server.jobs.running_s

    @running_s.setter
    def running_s(self, seconds: float) -> None:
        self._server.jobs.running_s = seconds

    def trouble(
        self,
        match: str,
        what: int | Callable[[], None],
        reason: str = "backendError",
        *,
        when: str = AFTER,
        then_down: bool = False,
    ) -> None:
        """Let something happen to the next request whose log line begins with a text; the service may go down then."""
        self._server.troubles.append(Trouble(match, what, reason, when, then_down))

    def fail_jobs(self, table: str, *reasons: str) -> None:
        """Let the next loads into a table be taken and fail, one for each reason."""
        self._server.jobs.failures += [(table, reason) for reason in reasons]

    def client(self) -> bigquery.Client:
        """Google's client for this stand-in."""
        options = {"api_endpoint": self.url}
        return bigquery.Client(self.project, credentials=AnonymousCredentials(), client_options=options)

    def loads(self) -> list[str]:
        """Loads that were asked for, as ``table job``."""
        return [line.removeprefix("load ") for line in self.requests if line.startswith("load ")]

    def wait_until_idle(self) -> None:
        """Wait until each request that has come is done, also those of a client that is gone, and each job too."""
        while self._server.busy or self._server.jobs.has_due():
            time.sleep(0.01)
            self._server.jobs.settle()
