"""Jobs of the BigQuery stand-in: their names, what they do when their time has come, how they end."""

from __future__ import annotations

import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from tests.standins.bigquery_tables import RefusedError, Tables

_LOCAL = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_VALUES: dict[str, Callable[[str], Any]] = {"INT64": int, "FLOAT64": float}


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


def values_of(query: Mapping[str, Any]) -> dict[str, Any]:
    """Named parameters of a query."""
    return {
        item["name"]: _VALUES.get(item["parameterType"]["type"], str)(item["parameterValue"]["value"])
        for item in query.get("queryParameters") or ()
    }
