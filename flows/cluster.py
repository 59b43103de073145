"""The Dask cluster as a service of its own, so that it outlives runs: ``python -m flows.cluster``.

A run that is killed costs no site that was computed for it, and a run that begins finds warm workers. Sites that
several runs ask for under one key are computed once.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dask

from flows.clusters.contract import Cluster
from flows.clusters.keep import Keeper
from flows.clusters.local import HOST, MachineCluster, local_port, open_cluster, open_local
from flows.clusters.look import ANSWER_S, ask
from flows.clusters.security import read_security
from flows.settings import Settings, child_environment
from flows.supervise import Service

__all__ = ["cluster_service", "open_cluster", "open_for_run", "run_cluster"]

TEND_S = 0.2
"""Seconds between two looks at the workers' process ids."""
LOOK_S = 5.0
"""Seconds between two looks at the work."""
CLOSE_S = 5.0
LET_GO_S = 60.0
"""Seconds that Kubernetes may take to be told that all workers above the floor go."""

log = logging.getLogger(__name__)


def run_cluster(settings: Settings, *, state_file: Path | None = None) -> None:
    """Run the cluster that the settings name until SIGTERM or SIGINT; one that runs elsewhere is left alone.

    Parameters
    ----------
    settings
        ``compute`` is the kind of cluster, ``scheduler`` its address.
    state_file
        Rewritten whenever a worker on this machine starts or dies:
        ``{"pid": ..., "scheduler": "tcp://...", "workers": {name: pid}}``.

    Raises
    ------
    MissingPartError
        When the port is taken, a GPU or Kubernetes is not there, or workers could not compute on the device.
    ConfigurationError
        When the settings do not fit the kind of cluster.
    """
    if settings.compute == "address":
        log.info("compute=address: the cluster at %s runs elsewhere, so nothing is started here", settings.scheduler)
        return
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    with _open(settings) as cluster:
        log.info("cluster of %d to %d workers at %s", cluster.size.floor, cluster.size.maximum, cluster.address)
        keeper = Keeper(cluster, partial(ask, settings.scheduler, read_security(settings)), settings)
        _keep(keeper, stopped, state_file)
        if isinstance(cluster, MachineCluster):
            _close(cluster)
        else:
            keeper.let_go()  # they would go on without anybody who sends them away


@contextlib.contextmanager
def open_for_run(settings: Settings) -> Iterator[str]:
    """Open a cluster for one run alone and give its address; one that runs elsewhere is used as it is.

    Raises
    ------
    MissingPartError, ConfigurationError
        As ``run_cluster``.
    """
    if settings.compute in ("address", "gke"):
        yield settings.scheduler
        return
    # what this process was told on its command line, its workers are told too
    told = dask.config.set({"distributed.nanny.environ": settings.as_environment()})
    with told, _machine_kind(settings)(settings) as cluster:
        yield cluster.address


def _open(settings: Settings) -> contextlib.AbstractContextManager[Cluster]:
    if settings.compute == "gke":
        from flows.clusters.gke import open_gke  # its packages are an extra

        return open_gke(settings)
    return _machine_kind(settings)(settings, port=local_port(settings), logs_sites=True)


def _machine_kind(settings: Settings) -> Any:
    if settings.compute == "local":
        return open_local
    from flows.clusters.cuda import open_cuda

    return open_cuda


def _keep(keeper: Keeper, stopped: threading.Event, state_file: Path | None) -> None:
    """Look after workers and work until stopped; a fault that nobody foresaw ends the process, which starts anew."""
    cluster, told, look_at = keeper.cluster, None, time.monotonic()
    write_at = look_at
    while not stopped.wait(TEND_S):
        cluster.tend()
        if time.monotonic() >= look_at:
            keeper.look()
            look_at = time.monotonic() + LOOK_S
        pids = cluster.pids()
        if state_file is not None and pids != told and time.monotonic() >= write_at:
            if write_state(state_file, cluster.address, pids):
                told = pids
            else:
                write_at = time.monotonic() + LOOK_S


def _close(cluster: MachineCluster) -> None:
    """Close a cluster of this machine; a worker that is just starting holds up Dask's own closing for that long."""
    last_resort = threading.Timer(CLOSE_S, _end_at_once)
    last_resort.daemon = True
    last_resort.start()
    cluster.close(CLOSE_S)
    last_resort.cancel()


def _end_at_once() -> None:
    """End the workers and this process without asking; sites that they had begun are begun again elsewhere."""
    for child in multiprocessing.active_children():
        child.kill()
    os._exit(0)


def cluster_service(settings: Settings, log_file: Path, state_file: Path | None = None) -> Service:
    """Return the cluster that the settings name as a service; ready when its scheduler answers."""
    argv = [sys.executable, "-m", "flows.cluster"]
    argv += ["--state-file", str(state_file)] if state_file else []
    return Service(
        "cluster",
        tuple(argv),
        log_file,
        environment=child_environment(settings.as_environment()),
        is_ready=lambda: _answers(settings.scheduler),
        grace_s=LET_GO_S if settings.compute == "gke" else CLOSE_S + ANSWER_S,
    )


def _answers(address: str) -> bool:
    place = urlsplit(address)
    try:
        socket.create_connection((place.hostname or "", place.port or 0), timeout=0.5).close()
    except OSError:
        return False
    return True


def write_state(state_file: Path, scheduler: str, pids: dict[str, int | None]) -> bool:
    """Write which processes the cluster is made of; whether the disk took it: a full one must not end the cluster."""
    fresh = state_file.with_name(f"{state_file.name}.{os.getpid()}")
    try:
        state_file.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(json.dumps({"pid": os.getpid(), "scheduler": scheduler, "workers": pids}))
        fresh.replace(state_file)
    except OSError as error:
        log.warning("%s cannot be written (%s) and is tried again; make room or check the disk", state_file, error)
        return False
    return True


def main() -> None:
    """Run the cluster from the command line; what is not said there comes from the settings."""
    parser = argparse.ArgumentParser(prog="python -m flows.cluster", description="Run a Dask cluster.")
    parser.add_argument("--port", type=int, default=None, help="port of the scheduler on this machine")
    parser.add_argument("--workers", type=int, default=None)
    parser.add_argument("--device", choices=("cpu", "cuda"), default=None)
    parser.add_argument("--state-file", type=Path, default=None)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it names every request
    said = {"workers": options.workers, "device": options.device}
    if options.port is not None:
        said["scheduler"] = f"tcp://{HOST}:{options.port}"
    run_cluster(
        Settings(**{name: value for name, value in said.items() if value is not None}), state_file=options.state_file
    )


if __name__ == "__main__":
    main()
