"""A scheduler and one worker per GPU on this machine."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator, Mapping
from typing import Any

from distributed import Nanny
from distributed.security import Security

from flows.clusters.local import (
    DEVICE,
    WORKER_PRELOAD,
    MachineCluster,
    check_device,
    check_port,
    machine_config,
    machine_options,
    size_on_machine,
)
from flows.clusters.security import read_security
from flows.settings import Settings
from imaging.errors import ConfigurationError, MissingPartError

CPU = "PLATESTREAM_COMPUTE=local computes without one"


@contextlib.contextmanager
def open_cuda(settings: Settings, *, port: int = 0, logs_sites: bool = False) -> Iterator[MachineCluster]:
    """Open a scheduler and one worker per GPU, with ``settings.sites_per_gpu`` threads each, for the block.

    Parameters
    ----------
    settings
        ``workers`` limits the number of GPUs that are used.
    port, logs_sites
        As for a cluster of CPU cores.

    Raises
    ------
    MissingPartError
        When dask-cuda or a GPU is not there, a kernel did not run on it, or the port is taken.
    ConfigurationError
        When the floor, the number of workers or the files for TLS cannot be used.
    """
    size = size_on_machine(settings, _gpus_to_use(settings.workers, count_gpus()), settings.sites_per_gpu)
    security = read_security(settings)
    check_device("cuda")
    check_port(port)
    options = {"port": port, "security": security, "logs_sites": logs_sites, "told": settings.as_environment()}
    with start_workers(size.maximum, size.threads, **options) as cluster:
        yield MachineCluster(cluster, size)


@contextlib.contextmanager
def start_workers(
    workers: int,
    threads: int,
    *,
    port: int = 0,
    security: Security | None = None,
    logs_sites: bool = False,
    told: Mapping[str, str] | None = None,
    preload: str = WORKER_PRELOAD,
) -> Iterator[Any]:
    """Start a scheduler and workers that see one GPU first each, for the block.

    Parameters
    ----------
    told
        What workers have in their environment, such as the settings.
    preload
        Module that prepares a worker. LocalCUDACluster replaces the configured one by its own, so it is said here;
        ours ends a worker whose GPU does not compute.
    """
    local_cuda_cluster = _dask_cuda().LocalCUDACluster
    # the keys of results are all that Dask keeps: nothing to spill from a GPU's memory
    options = {"n_workers": workers, "threads_per_worker": threads, "data": dict, "preload": [preload]}
    options["worker_class"] = _nanny_with({**(told or {}), DEVICE: "cuda"})
    with (
        machine_config(logs_sites=logs_sites),
        local_cuda_cluster(**options, **machine_options(port, security)) as cluster,
    ):
        yield cluster


def _nanny_with(told: Mapping[str, str]) -> type[Nanny]:
    """Return the class of nannies whose workers have more in their environment than LocalCUDACluster lets us say."""

    class ToldNanny(Nanny):
        def __init__(self, *arguments: Any, env: Mapping[str, str], **options: Any) -> None:
            super().__init__(*arguments, env={**told, **env}, **options)

    return ToldNanny


def count_gpus() -> int:
    """Count the GPUs that processes started from here may use.

    Raises
    ------
    MissingPartError
        When there is none, or dask-cuda is not installed.
    """
    _dask_cuda()
    nvml: Any = importlib.import_module("pynvml")
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        raise MissingPartError(f"compute=cuda needs an NVIDIA GPU and its driver ({error}); {CPU}") from error
    count = importlib.import_module("dask_cuda.utils").get_n_gpus()
    if not count:
        raise MissingPartError(f"compute=cuda needs an NVIDIA GPU, and its driver has none; {CPU}")
    return count


def _gpus_to_use(wanted: int | None, there: int) -> int:
    if wanted is not None and wanted > there:
        raise ConfigurationError(
            f"compute=cuda has one worker per GPU: PLATESTREAM_WORKERS is {wanted}, and this machine has {there}"
        )
    return wanted or there


def _dask_cuda() -> Any:
    try:
        return importlib.import_module("dask_cuda")
    except ImportError as error:
        raise MissingPartError(
            f"compute=cuda needs dask-cuda ({error}): pip install 'platestream[gpu]'; {CPU}"
        ) from error
