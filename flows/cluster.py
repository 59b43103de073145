"""The Dask cluster of one machine as a service of its own, so that it outlives runs: ``python -m flows.cluster``.

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
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import dask
from distributed import LocalCluster

from flows.settings import Settings, child_environment
from flows.supervise import Service
from flows.worker import LOGS_SITES, choose_device
from imaging.errors import MissingPartError

HOST = "127.0.0.1"
LOOK_S = 0.2
"""Seconds between two looks at the workers' process ids."""
CLOSE_S = 5.0

ONE_THREAD: dict[str, str] = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "BLIS_NUM_THREADS",
        "NUMBA_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "OPENCV_FOR_THREADS_NUM",
    ),
    "1",
)
"""A worker is one thread: libraries that bring their own pools would fight for its core."""

CLUSTER_CONFIG = {
    "distributed.scheduler.allowed-failures": 2,  # the third death of its worker makes a task a KilledWorker
    "distributed.scheduler.worker-ttl": "30s",  # a worker whose heartbeat is older is dead
    "distributed.scheduler.worker-saturation": 1.0,  # tasks wait at the scheduler, so that a worker dies with one only
    "distributed.deploy.lost-worker-timeout": "60s",  # within 15 s a worker that died twice may just be starting
    "distributed.admin.tick.limit": "30s",  # kernels hold the GIL; that is no fault
    "distributed.comm.timeouts.connect": "10s",
    "distributed.worker.preload": ["flows.worker"],
}

log = logging.getLogger(__name__)


def run_cluster(
    *, workers: int | None = None, scheduler_port: int = 8786, device: str = "cpu", state_file: Path | None = None
) -> None:
    """Run a scheduler and its workers on this machine until SIGTERM or SIGINT.

    Parameters
    ----------
    workers
        Worker processes of one thread each, each under a nanny that replaces it; default one per CPU core.
    scheduler_port
        Port of the scheduler on the loopback interface.
    device
        ``cpu`` or ``cuda``, passed on to the workers.
    state_file
        Rewritten whenever a worker starts or dies: ``{"pid": ..., "scheduler": "tcp://...", "workers": {name: pid}}``.

    Raises
    ------
    MissingPartError
        When the port is taken, or workers could not compute on the device.
    """
    _check_port(scheduler_port)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    count = workers or len(os.sched_getaffinity(0))
    with open_cluster(count, scheduler_port=scheduler_port, device=device, logs_sites=True) as cluster:
        log.info("cluster of %d workers at %s", count, cluster.scheduler_address)
        told = None
        while not stopped.wait(LOOK_S):
            replace_lost_workers(cluster, count)
            pids = {str(name): nanny.pid for name, nanny in cluster.workers.items()}
            if state_file is not None and pids != told:
                _write_state(state_file, cluster.scheduler_address, pids)
                told = pids
        # a worker that is just starting holds up Dask's own closing for as long as that takes
        last_resort = threading.Timer(CLOSE_S, _end_at_once)
        last_resort.daemon = True
        last_resort.start()
        cluster.close(timeout=CLOSE_S)
    last_resort.cancel()


def _end_at_once() -> None:
    """End the workers and this process without asking; sites that they had begun are begun again elsewhere."""
    for child in multiprocessing.active_children():
        child.kill()
    os._exit(0)


@contextlib.contextmanager
def open_cluster(
    workers: int, *, scheduler_port: int = 0, device: str = "cpu", logs_sites: bool = False
) -> Iterator[LocalCluster]:
    """Open a scheduler and its workers on this machine for the block; port 0 is any free one.

    Raises
    ------
    MissingPartError
        When workers could not compute on the device.
    """
    _check_device(device)
    environment = {**ONE_THREAD, "PLATESTREAM_DEVICE": device}
    options: dict[str, Any] = {"n_workers": workers, "threads_per_worker": 1, "processes": True}
    # None would be port 8787, which a second cluster finds taken
    options |= {"host": HOST, "scheduler_port": scheduler_port, "dashboard_address": f"{HOST}:0"}
    config = {**CLUSTER_CONFIG, LOGS_SITES: logs_sites, "distributed.nanny.pre-spawn-environ": environment}
    with dask.config.set(config):
        cluster: Any = LocalCluster(**options, silence_logs=logging.WARNING)
        with cluster:
            yield cluster


def replace_lost_workers(cluster: LocalCluster, count: int) -> None:
    """Start workers anew that Dask gave up because they were down when it looked; else they would be gone for ever."""
    if len(cluster.workers) < count:
        cluster.scale(count)


def cluster_service(settings: Settings, log_file: Path, state_file: Path | None = None) -> Service:
    """Return the cluster as a service: at the port of ``settings.scheduler``, with its workers and device."""
    port = int(settings.scheduler.rpartition(":")[2])
    argv = [sys.executable, "-m", "flows.cluster", "--port", str(port), "--device", settings.device]
    argv += ["--workers", str(settings.workers)] if settings.workers else []
    argv += ["--state-file", str(state_file)] if state_file else []
    return Service(
        "cluster",
        tuple(argv),
        log_file,
        environment=child_environment(settings.as_environment()),
        is_ready=lambda: _answers(port),
        grace_s=CLOSE_S + 2.0,
    )


def _answers(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=0.5).close()
    except OSError:
        return False
    return True


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise MissingPartError(
                f"port {port} of {HOST} is taken ({error.strerror}): another cluster may run there; stop it or "
                "choose another port with PLATESTREAM_SCHEDULER"
            ) from error


def _check_device(device: str) -> None:
    """Refuse a device that workers could not use; tried in a process of its own, for who touches a GPU keeps memory."""
    if device != "cpu":
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            pool.submit(choose_device, device).result()


def _write_state(state_file: Path, scheduler: str, pids: dict[str, int | None]) -> None:
    state_file.parent.mkdir(parents=True, exist_ok=True)
    fresh = state_file.with_name(f"{state_file.name}.{os.getpid()}")
    fresh.write_text(json.dumps({"pid": os.getpid(), "scheduler": scheduler, "workers": pids}))
    fresh.replace(state_file)


def main() -> None:
    """Run the cluster from the command line."""
    parser = argparse.ArgumentParser(prog="python -m flows.cluster", description="Run a Dask cluster on this machine.")
    parser.add_argument("--port", type=int, default=8786)
    parser.add_argument("--workers", type=int, default=None)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--state-file", type=Path, default=None)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    run_cluster(
        workers=options.workers, scheduler_port=options.port, device=options.device, state_file=options.state_file
    )


if __name__ == "__main__":
    main()
