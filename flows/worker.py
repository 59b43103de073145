"""What each Dask worker does before its first site: log in its own words, choose its device, import what sites need.

The same module prepares a nanny that is the process which a machine's end is told to (``distributed.nanny.preload``,
``dask worker --preload-nanny``): it passes the notice on to its worker.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys

import cv2
import dask
from distributed import Nanny, Worker

from flows.clusters.timers import use_steady_timers
from flows.google import use_storage
from flows.preemption import leave_on_notice
from flows.settings import Settings
from imaging.errors import MissingPartError, PlateError
from kernels.device import limit_memory, use_device

LOGS_SITES = "platestream.logs-sites"
"""Dask's configuration under this name says whether a worker writes a line when it begins and ends a site."""

log = logging.getLogger(__name__)
use_steady_timers()  # the module is loaded before the first timer starts


def dask_setup(worker: Worker | Nanny) -> None:
    """Prepare a worker, or its nanny; Dask calls this when it starts (``distributed.worker.preload``).

    A worker that cannot be prepared ends its process with a line in its log.
    """
    try:
        settings = Settings()
        if not isinstance(worker, Nanny):
            _prepare(worker, settings)
        leave_on_notice(worker, settings.notice_s)
    except Exception as error:
        # whatever it is: Dask would log it, go on, and let this worker compute where it was not meant to
        log.critical("this worker cannot start: %s", error, exc_info=not isinstance(error, PlateError))
        os._exit(1)


def _prepare(worker: Worker, settings: Settings) -> None:
    if dask.config.get(LOGS_SITES, False):
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter(f"%(asctime)s {worker.name} %(process)d: %(message)s"))
        flows = logging.getLogger("flows")
        flows.handlers[:] = [handler]
        flows.setLevel(logging.INFO)
    prepare_process(settings)
    # some seconds that the first site would wait for, and that others who import this module must not
    importlib.import_module("flows.sites")
    importlib.import_module("imaging.warm_up").warm_up()


def prepare_process(settings: Settings | None = None) -> None:
    """Prepare a process that measures sites: one thread a site, its device, and how much memory it may take there.

    Raises
    ------
    MissingPartError
        If the device cannot be used.
    """
    settings = settings or Settings()
    cv2.setNumThreads(1)
    use_storage(settings)
    choose_device(settings.device)
    limit_memory(settings.gpu_memory_fraction)


def choose_device(device: str) -> None:
    """Choose where the kernels of this process compute; ``cuda`` is taken after a kernel has run on it.

    Raises
    ------
    MissingPartError
        If the device cannot be used.
    """
    try:
        use_device(device)
    except ValueError as error:
        raise MissingPartError(f"{error}; PLATESTREAM_DEVICE=cpu computes without one") from error
