"""A scheduler and its workers on this machine, and what holds for every cluster of ours."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import socket
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import dask
from distributed import LocalCluster
from distributed.security import Security

from flows.clusters.contract import Size
from flows.clusters.look import PRELOAD
from flows.clusters.security import read_security
from flows.settings import Settings
from flows.worker import LOGS_SITES, choose_device
from imaging.errors import ConfigurationError, MissingPartError

HOST = "127.0.0.1"
WORKER_PRELOAD = "flows.worker"
DEVICE = "PLATESTREAM_DEVICE"

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
"""A site is one thread: libraries that bring their own pools would fight for its core."""

CLUSTER_CONFIG: dict[str, Any] = {
    "distributed.scheduler.allowed-failures": 2,  # the third death of its worker makes a task a KilledWorker
    "distributed.scheduler.worker-ttl": "30s",  # a worker whose heartbeat is older is dead
    "distributed.scheduler.worker-saturation": 1.0,  # tasks wait at the scheduler, so that a worker dies with one only
    "distributed.scheduler.preload": [PRELOAD],
    "distributed.deploy.lost-worker-timeout": "60s",  # within 15 s a worker that died twice may just be starting
    "distributed.admin.tick.limit": "30s",  # kernels hold the GIL; that is no fault
    "distributed.comm.timeouts.connect": "10s",
    "distributed.worker.preload": [WORKER_PRELOAD],
}


@contextlib.contextmanager
def open_local(settings: Settings, *, port: int = 0, logs_sites: bool = False) -> Iterator[MachineCluster]:
    """Open a scheduler and ``settings.workers`` workers of one thread, default one per CPU core, for the block.

    Parameters
    ----------
    settings
        Also name the device, the floor and the files for TLS.
    port
        Port of the scheduler on the loopback interface; 0 is any free one.
    logs_sites
        Whether workers write a line when they begin and end a site.

    Raises
    ------
    MissingPartError
        When the port is taken, or workers could not compute on the device.
    ConfigurationError
        When the floor or the files for TLS cannot be used.
    """
    size = size_on_machine(settings, settings.workers or len(os.sched_getaffinity(0)))
    security = read_security(settings)
    check_port(port)
    with open_cluster(
        size.maximum,
        scheduler_port=port,
        device=settings.device,
        logs_sites=logs_sites,
        security=security,
        told=settings.as_environment(),
    ) as cluster:
        yield MachineCluster(cluster, size)


@contextlib.contextmanager
def open_cluster(
    workers: int,
    *,
    scheduler_port: int = 0,
    device: str = "cpu",
    logs_sites: bool = False,
    security: Security | None = None,
    told: Mapping[str, str] | None = None,
) -> Iterator[LocalCluster]:
    """Open a scheduler and its workers on this machine for the block; port 0 is any free one.

    Workers have ``told`` in their environment, such as the settings of who opens the cluster.

    Raises
    ------
    MissingPartError
        When workers could not compute on the device.
    """
    check_device(device)
    options: dict[str, Any] = {"n_workers": workers, "threads_per_worker": 1, "processes": True}
    # Dask's configuration would give way to what stands in our own environment
    options |= {**machine_options(scheduler_port, security), "env": {**(told or {}), DEVICE: device}}
    with machine_config(logs_sites=logs_sites):
        cluster: Any = LocalCluster(**options)
        with cluster:
            yield cluster


@contextlib.contextmanager
def machine_config(*, logs_sites: bool) -> Iterator[None]:
    """Set Dask's configuration for the clusters that this process starts in the block."""
    # libraries read it as they are loaded, so it is set here before a worker is spawned, and stays
    own = {LOGS_SITES: logs_sites, "distributed.nanny.pre-spawn-environ": ONE_THREAD}
    with dask.config.set({**CLUSTER_CONFIG, **own}):
        yield


def machine_options(port: int, security: Security | None) -> dict[str, Any]:
    """Arguments of Dask's clusters that keep them to themselves on this machine."""
    options: dict[str, Any] = {"host": HOST, "scheduler_port": port, "silence_logs": logging.WARNING}
    options["dashboard_address"] = f"{HOST}:0"  # None would be port 8787, which a second cluster finds taken
    return options | ({"protocol": "tls://", "security": security} if security else {})


class MachineCluster:
    """A cluster whose scheduler runs in this process and whose workers are its children."""

    def __init__(self, cluster: LocalCluster, size: Size) -> None:
        self._cluster: Any = cluster
        self._number = size.maximum
        self._size = size

    @property
    def address(self) -> str:
        """Address of the scheduler."""
        return self._cluster.scheduler_address

    @property
    def size(self) -> Size:
        """How many workers it may have."""
        return self._size

    def count(self) -> int:
        """Count the workers that it is meant to have now."""
        return self._number

    def scale(self, number: int, busy: Mapping[str, int]) -> None:
        """Have so many workers; those with the fewest sites go first."""
        if number > self._number:
            self._cluster.scale(number)
        else:
            names = sorted(self._cluster.worker_spec, key=lambda name: busy.get(str(name), 0))
            # not waited for: a worker that is just starting must not hold up the next look
            self._cluster.loop.add_callback(self._cluster.scale_down, names[: len(names) - number])
        self._number = number

    def tend(self) -> None:
        """Start workers anew that Dask gave up."""
        replace_lost_workers(self._cluster, self._number)

    def pids(self) -> dict[str, int | None]:
        """Process ids of the workers, by name."""
        return {str(name): nanny.pid for name, nanny in self._cluster.workers.items()}

    def close(self, timeout_s: float) -> None:
        """Close workers and scheduler."""
        self._cluster.close(timeout=timeout_s)


def replace_lost_workers(cluster: LocalCluster, count: int) -> None:
    """Start workers anew that Dask gave up because they were down when it looked; else they would be gone for ever."""
    if len(cluster.workers) < count:
        cluster.scale(count)


def size_on_machine(settings: Settings, maximum: int, threads: int = 1) -> Size:
    """How many workers this machine may have: all of them always, unless the settings name a floor.

    Raises
    ------
    ConfigurationError
        If the floor is above the maximum.
    """
    floor = maximum if settings.workers_floor is None else settings.workers_floor
    if floor > maximum:
        raise ConfigurationError(
            f"PLATESTREAM_WORKERS_FLOOR must be at most the number of workers, {maximum}, got {floor}"
        )
    return Size(floor, maximum, threads)


def local_port(settings: Settings) -> int:
    """Port of the scheduler that is to be started on this machine.

    Raises
    ------
    ConfigurationError
        If the address is another machine's.
    """
    place = urlsplit(settings.scheduler)
    if place.hostname not in (HOST, "localhost") or place.port is None:
        raise ConfigurationError(
            f"a cluster on this machine has an address such as tcp://{HOST}:8786, PLATESTREAM_SCHEDULER is "
            f"{settings.scheduler}; PLATESTREAM_COMPUTE=address uses one that runs elsewhere"
        )
    return place.port


def check_port(port: int) -> None:
    """Refuse a port that is taken; 0 is any free one.

    Raises
    ------
    MissingPartError
        With what to do.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise MissingPartError(
                f"port {port} of {HOST} is taken ({error.strerror}): another cluster may run there; stop it or "
                "choose another port with PLATESTREAM_SCHEDULER"
            ) from error


def check_device(device: str) -> None:
    """Refuse a device that workers could not use; tried in a process of its own, for who touches a GPU keeps memory.

    Raises
    ------
    MissingPartError
        With what to do.
    """
    if device != "cpu":
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            pool.submit(choose_device, device).result()
