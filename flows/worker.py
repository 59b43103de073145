"""What each Dask worker does before its first site: log in its own words, and import what sites need."""

from __future__ import annotations

import importlib
import logging
import sys

import cv2
from distributed import Worker


def dask_setup(worker: Worker) -> None:
    """Prepare a worker; Dask calls this when the worker starts (``distributed.worker.preload``)."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(f"%(asctime)s {worker.name}: %(message)s"))
    flows = logging.getLogger("flows")
    flows.handlers[:] = [handler]
    flows.setLevel(logging.INFO)
    cv2.setNumThreads(1)
    importlib.import_module("flows.sites")  # some seconds that the first site would wait for
