"""What is created on Kubernetes, as plain dictionaries: a DaskCluster, and a DaskWorkerGroup for its spot workers.

The operator of dask-kubernetes turns them into pods. The DaskCluster's own workers are the floor: they run on demand.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

from flows.clusters.certificates import AUTHORITY, certificate_names
from flows.clusters.gke_section import ClusterSection
from flows.clusters.local import CLUSTER_CONFIG, ONE_THREAD, WORKER_PRELOAD
from flows.clusters.look import PRELOAD
from flows.clusters.pod_security import secure_pod
from flows.settings import PREFIX, Settings

GROUP = "kubernetes.dask.org/v1"
SPECIFICATION = "platestream.org/specification"
"""Annotation with the hash of all values that an object was made from: the operator changes no running pod."""
WORKER_SETTINGS = (
    "store",
    "environment",
    "place",
    "notice_s",
    "sites_per_gpu",
    "gpu_memory_fraction",
    "google_project",
    "google_credentials",
    "price_per_worker_hour",
    "api_url",
)
"""Settings that sites need; no secret is among them, for whoever may look at a pod can read its environment."""
START = ("tini", "--", "start")
"""What begins a program in our images: signals reach it, and it finds compiled kernels."""
TLS_FOLDER = "/etc/platestream/tls"
_CONFIG = ("allowed-failures", "worker-ttl", "worker-saturation")


def describe_cluster(section: ClusterSection, settings: Settings) -> dict[str, Any]:
    """Describe scheduler and on-demand workers as a DaskCluster."""
    spec = {
        "scheduler": {"spec": _scheduler_pod(section), "service": _service(section)},
        "worker": {
            "replicas": section.workers.floor,
            "spec": _worker_pod(section, settings, _on_demand(section)),
        },
    }
    return _object("DaskCluster", section.name, section, spec, {})


def describe_spot_group(section: ClusterSection, settings: Settings) -> dict[str, Any]:
    """Describe the spot workers as a DaskWorkerGroup, none of them there yet."""
    pod = _worker_pod(section, settings, _on_spot(section))
    spec = {"cluster": section.name, "worker": {"replicas": 0, "spec": pod}}
    return _object("DaskWorkerGroup", section.spot_group, section, spec, {"dask.org/component": "workergroup"})


def _object(
    kind: str, name: str, section: ClusterSection, spec: dict[str, Any], labels: dict[str, str]
) -> dict[str, Any]:
    digest = hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:16]
    labels = {"app.kubernetes.io/part-of": "platestream", "dask.org/cluster-name": section.name, **labels}
    metadata = {"name": name, "namespace": section.namespace, "labels": labels, "annotations": {SPECIFICATION: digest}}
    return {"apiVersion": GROUP, "kind": kind, "metadata": metadata, "spec": spec}


def _scheduler_pod(section: ClusterSection) -> dict[str, Any]:
    protocol = "tls" if section.tls_secret else "tcp"
    command = [
        *START,
        "python",
        "-m",
        "dask",
        "scheduler",
        "--host",
        "0.0.0.0",
        "--protocol",
        protocol,
        "--port",
        "8786",
    ]
    command += ["--dashboard-address", ":8787", "--preload", PRELOAD]
    health = {"httpGet": {"port": "http-dashboard", "path": "/health"}}
    container = {
        "name": "scheduler",
        "image": section.image,
        "command": command,
        "env": _env({**_dask_variables(), **_tls_variables(section, "scheduler")}),
        "ports": [
            {"name": "tcp-comm", "containerPort": 8786, "protocol": "TCP"},
            {"name": "http-dashboard", "containerPort": 8787, "protocol": "TCP"},
        ],
        "readinessProbe": health | {"initialDelaySeconds": 5, "periodSeconds": 10},
        "livenessProbe": health | {"initialDelaySeconds": 30, "periodSeconds": 20},
        "resources": _resources(section.scheduler.cpu, section.scheduler.memory, 0),
    }
    pod = {"containers": [container], "nodeSelector": _on_pool(section.scheduler.node_pool)}
    return secure_pod(_with_tls(section, pod))


def _service(section: ClusterSection) -> dict[str, Any]:
    ports = [("tcp-comm", 8786), ("http-dashboard", 8787)]
    return {
        "type": "ClusterIP",
        "selector": {"dask.org/cluster-name": section.name, "dask.org/component": "scheduler"},
        "ports": [{"name": name, "protocol": "TCP", "port": port, "targetPort": name} for name, port in ports],
    }


def _worker_pod(section: ClusterSection, settings: Settings, where: dict[str, Any]) -> dict[str, Any]:
    workers = section.workers
    command = [
        *START,
        "python",
        "-m",
        "dask",
        "worker",
        "--name",
        "$(DASK_WORKER_NAME)",
        "--nthreads",
        str(workers.threads),
    ]
    # by itself a worker takes the machine's memory by its share of the cores
    command += ["--memory-limit", workers.memory]
    command += ["--nworkers", "1", "--no-dashboard", "--preload", WORKER_PRELOAD, "--preload-nanny", WORKER_PRELOAD]
    told = settings.as_environment()
    names = [f"{PREFIX}{name.upper()}" for name in WORKER_SETTINGS]
    variables = {name: told[name] for name in names if name in told}
    variables |= {f"{PREFIX}DEVICE": "cuda" if workers.gpus else "cpu", "DASK_SCHEDULER_ADDRESS": section.address}
    container = {
        "name": "worker",
        "image": section.image,
        "command": command,
        "env": _env({**ONE_THREAD, **_dask_variables(), **_tls_variables(section, "worker"), **variables}),
        "resources": _resources(workers.cpu, workers.memory, workers.gpus),
    }
    pod = {"containers": [container], "terminationGracePeriodSeconds": math.ceil(settings.notice_s), **where}
    if section.service_account:
        pod["serviceAccountName"] = section.service_account
    return secure_pod(_with_tls(section, pod))


def _on_pool(pool: str) -> dict[str, str]:
    return {"cloud.google.com/gke-nodepool": pool}


def _on_demand(section: ClusterSection) -> dict[str, Any]:
    gpu = [_toleration("nvidia.com/gpu", "")] if section.workers.gpus else []
    return {"nodeSelector": _on_pool(section.workers.floor_node_pool), "tolerations": gpu}


def _on_spot(section: ClusterSection) -> dict[str, Any]:
    tolerations = [*_on_demand(section)["tolerations"], _toleration("cloud.google.com/gke-spot", "true")]
    selector = {**_on_pool(section.workers.spot_node_pool), "cloud.google.com/gke-spot": "true"}
    return {"nodeSelector": selector, "tolerations": tolerations}


def _toleration(key: str, value: str) -> dict[str, str]:
    kind = {"operator": "Equal", "value": value} if value else {"operator": "Exists"}
    return {"key": key, "effect": "NoSchedule", **kind}


def _resources(cpu: str, memory: str, gpus: int) -> dict[str, Any]:
    """Ask for what is used; memory and GPUs are limits too, or a worker would be killed for its neighbour's."""
    hard = {"memory": memory} | ({"nvidia.com/gpu": str(gpus)} if gpus else {})
    return {"requests": {"cpu": cpu, **hard}, "limits": hard}


def _dask_variables() -> dict[str, str]:
    """Dask's configuration that holds for every cluster of ours, as its variables."""
    names = {f"distributed.scheduler.{name}" for name in _CONFIG} | {"distributed.admin.tick.limit"}
    return {_variable(name): str(CLUSTER_CONFIG[name]) for name in sorted(names)}


def _tls_variables(section: ClusterSection, role: str) -> dict[str, str]:
    if not section.tls_secret:
        return {}
    certificate, key = certificate_names(role)
    files = {"ca-file": AUTHORITY, f"{role}.cert": certificate, f"{role}.key": key}
    values = {f"distributed.comm.tls.{name}": f"{TLS_FOLDER}/{file}" for name, file in files.items()}
    # a worker talks to workers and to the scheduler; the scheduler also asks workers, as itself
    values["distributed.comm.require-encryption"] = "True"
    return {_variable(name): value for name, value in values.items()}


def _with_tls(section: ClusterSection, pod: dict[str, Any]) -> dict[str, Any]:
    if not section.tls_secret:
        return pod
    for container in pod["containers"]:
        container["volumeMounts"] = [{"name": "tls", "mountPath": TLS_FOLDER, "readOnly": True}]
    # 0444: the secret is this pod's alone, and its processes need not run as root
    return {**pod, "volumes": [{"name": "tls", "secret": {"secretName": section.tls_secret, "defaultMode": 0o444}}]}


def _variable(name: str) -> str:
    return "DASK_" + name.upper().replace("-", "_").replace(".", "__")


def _env(variables: dict[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in variables.items()]
