"""A stand-in for Kubernetes with the operator of dask-kubernetes, over HTTP on loopback: the few paths that kr8s uses.

Objects are held against the schemas that the operator installs, more strictly than Kubernetes does: a key that a
schema does not know would be dropped there without a word, and is refused here. What the operator makes of them is
made by its own code. As the operator, it acts when a number of workers changes only; it never starts a worker that
was deleted, and it refuses to choose which of them go, for the real one may choose another group's.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import dask_kubernetes
import jsonschema
import yaml

CRDS = Path(dask_kubernetes.__file__).parent / "operator/deployment/helm/dask-kubernetes-operator/crds"
DASK, APPS = "/apis/kubernetes.dask.org/v1/", "/apis/apps/v1/"


class RefusedError(Exception):
    """An answer that is an error, as Kubernetes gives it."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class Kubernetes:
    """The objects, by ``(plural, namespace, name)``.

    Parameters
    ----------
    has_operator
        Whether the operator's kinds of object are installed.
    """

    def __init__(self, *, has_operator: bool = True) -> None:
        self.objects: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.has_operator = has_operator
        self.is_operator_awake = True
        self.calls: list[str] = []
        self.outage: HTTPStatus | None = None
        self._schemas = {path.stem + "s": _schema(path) for path in CRDS.glob("dask*.yaml")}

    def names(self, plural: str) -> list[str]:
        return sorted(name for kind, _, name in self.objects if kind == plural)

    def handle(self, method: str, address: str, body: Any) -> Any:
        path, query = urlsplit(address).path.rstrip("/"), parse_qs(urlsplit(address).query)
        self.calls.append(f"{method} {path}")
        if path == "/version":
            return {"major": "1", "minor": "33", "gitVersion": "v1.33.1"}
        if self.outage is not None:
            raise RefusedError(self.outage, "etcd is on fire")
        group = DASK if path.startswith(DASK) and self.has_operator else APPS
        parts = path.removeprefix(group).split("/")
        if not path.startswith(group) or len(parts) not in (3, 4):
            raise RefusedError(HTTPStatus.NOT_FOUND, "404 page not found")
        _, namespace, plural, *name = parts
        if not name:
            if method == "POST":
                return self._create(plural, namespace, body)
            return {"items": self._list(plural, namespace, query.get("labelSelector", [""])[0]), "metadata": {}}
        key = (plural, namespace, name[0])
        if key not in self.objects:
            raise RefusedError(HTTPStatus.NOT_FOUND, f'{plural} "{name[0]}" not found')
        return {"GET": self._get, "PATCH": self._patch, "DELETE": self._delete}[method](key, body)

    def _get(self, key: tuple[str, str, str], body: Any) -> Any:
        return self.objects[key]

    def _create(self, plural: str, namespace: str, body: Any) -> Any:
        key = (plural, namespace, body["metadata"]["name"])
        if key in self.objects:
            raise RefusedError(HTTPStatus.CONFLICT, f'{plural} "{key[2]}" already exists')
        self._check(plural, body)
        self.objects[key] = body
        self.operate(key, None)
        return body

    def _patch(self, key: tuple[str, str, str], body: Any) -> Any:
        before = self.objects[key]
        after = _merge(before, body)
        self._check(key[0], after)
        self.objects[key] = after
        self.operate(key, before)
        return after

    def _delete(self, key: tuple[str, str, str], body: Any) -> Any:
        del self.objects[key]
        owned = [other for other, it in self.objects.items() if key[2] in it["metadata"].get("owners", [])]
        for other in owned:
            if other in self.objects:
                self._delete(other, body)
        return {"kind": "Status", "status": "Success"}

    def _list(self, plural: str, namespace: str, selector: str) -> list[Any]:
        wanted = dict(pair.split("=") for pair in selector.split(",") if pair)
        found = [it for (kind, where, _), it in sorted(self.objects.items()) if (kind, where) == (plural, namespace)]
        return [it for it in found if wanted.items() <= it["metadata"]["labels"].items()]

    def _check(self, plural: str, body: Any) -> None:
        errors = list(jsonschema.Draft202012Validator(self._schemas[plural]).iter_errors(body))
        if errors:
            told = "; ".join(f"{error.json_path}: {error.message[:200]}" for error in errors)
            raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, told)

    def operate(self, key: tuple[str, str, str], before: Any) -> None:
        """Do what the operator does after a change."""
        from dask_kubernetes.operator.controller import controller
        from dask_kubernetes.operator.validation import validate_cluster_name

        plural, namespace, name = key
        body = self.objects[key]
        if not self.is_operator_awake:
            return
        labels, annotations, spec = body["metadata"]["labels"], body["metadata"]["annotations"], body["spec"]
        if plural == "daskclusters" and before is None:
            validate_cluster_name(name)
            scheduler = spec["scheduler"]
            made = controller.build_scheduler_deployment_spec(name, scheduler["spec"], annotations, labels)
            self._own(made, namespace, name, "deployments")
            made = controller.build_scheduler_service_spec(name, scheduler["service"], annotations, labels)
            self._own(made, namespace, name, "services")
            made = controller.build_default_worker_group_spec(name, spec["worker"], annotations, labels)
            self._own(made, namespace, name, "daskworkergroups")
            self.operate(("daskworkergroups", namespace, f"{name}-default"), None)
        if plural == "daskworkergroups":
            if ("daskclusters", namespace, spec["cluster"]) not in self.objects:
                raise RefusedError(HTTPStatus.INTERNAL_SERVER_ERROR, "the operator finds no cluster of this group")
            body["metadata"]["owners"] = [spec["cluster"]]
            replicas = spec["worker"]["replicas"]
            if before is None or before["spec"]["worker"]["replicas"] != replicas:
                self._scale(namespace, name, spec, replicas, labels, annotations)

    def _scale(self, namespace: str, group: str, spec: Any, replicas: int, labels: Any, annotations: Any) -> None:
        from dask_kubernetes.operator.controller.controller import build_worker_deployment_spec

        there = self._list("deployments", namespace, f"dask.org/workergroup-name={group}")
        if len(there) > replicas:
            raise RefusedError(
                HTTPStatus.CONFLICT, "the operator would let the scheduler choose, from all groups, who goes"
            )
        for _ in range(replicas - len(there)):
            made = build_worker_deployment_spec(
                group, namespace, spec["cluster"], uuid.uuid4().hex[:10], spec["worker"]["spec"], annotations, labels
            )
            self._own(made, namespace, group, "deployments")

    def _own(self, made: dict[str, Any], namespace: str, owner: str, plural: str) -> None:
        made = json.loads(json.dumps(made))
        made["metadata"] = {**made["metadata"], "owners": [owner]}
        self.objects[plural, namespace, made["metadata"]["name"]] = made


@contextmanager
def serve(kubernetes: Kubernetes) -> Iterator[str]:
    """Serve the stand-in for the block; gives its address."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"  # one answer per connection: kr8s leaves its connections open

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            try:
                with lock:
                    status, told = HTTPStatus.OK, kubernetes.handle(self.command, self.path, json.loads(body or b"{}"))
            except RefusedError as error:
                status, told = error.status, {"kind": "Status", "message": str(error), "code": error.status}
            content = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: Any) -> None: ...

    for method in ("GET", "POST", "PATCH", "DELETE"):
        setattr(Handler, f"do_{method}", Handler.answer)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def write_kubeconfig(path: Path, address: str) -> None:
    """Write what a client needs to find the stand-in."""
    context = {"cluster": "standin", "user": "nobody"}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "standin",
        "clusters": [{"name": "standin", "cluster": {"server": address}}],
        "users": [{"name": "nobody", "user": {}}],
        "contexts": [{"name": "standin", "context": context}],
    }
    path.write_text(yaml.safe_dump(config))


def _schema(path: Path) -> dict[str, Any]:
    definition = yaml.safe_load(path.read_text())
    schema = _strictly(definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"])
    schema["properties"] |= {"apiVersion": {}, "kind": {}, "metadata": {}}
    return schema


def _strictly(schema: Any) -> Any:
    """The schema with no key beside those that it names, where it names any; one number or string where either fits."""
    if isinstance(schema, list):
        return [_strictly(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {name: _strictly(each) for name, each in schema.items()}
    if isinstance(schema.get("properties"), dict) and not schema.get("x-kubernetes-preserve-unknown-fields"):
        strict.setdefault("additionalProperties", False)
    if schema.get("x-kubernetes-int-or-string"):
        strict.pop("type", None)
    return strict


def _merge(before: Any, patch: Any) -> Any:
    """JSON merge patch."""
    if not isinstance(patch, dict) or not isinstance(before, dict):
        return patch
    return {**before, **{name: _merge(before.get(name), each) for name, each in patch.items()}}
