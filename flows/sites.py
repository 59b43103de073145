"""What a Dask worker runs: one site."""

from __future__ import annotations

import functools
import logging
from functools import partial

from flows.isolation import measure_apart
from flows.settings import Settings
from imaging.measure import measure_planes
from imaging.provenance import Whereabouts
from imaging.site import SiteOutcome, SiteTask, process_site
from kernels.device import own_stream

log = logging.getLogger(__name__)


def measure_site(task: SiteTask) -> SiteOutcome:
    """Process one site; returns next to nothing, for results lie in the store.

    A site that failed before is processed apart, in small pieces.
    """
    place = f"{task.experiment}/{task.plate} {task.plan.well} site {task.plan.site}"
    log.info("%s: begun%s", place, " apart" if task.in_pieces else "")
    outcome = measure_apart(task) if task.in_pieces else process_here(task)
    if outcome.seconds:
        log.info("%s: %s after %.2f s", place, outcome.status, outcome.seconds)
    else:
        log.info("%s: found %s", place, outcome.status)
    return outcome


def process_here(task: SiteTask) -> SiteOutcome:
    """Process one site in this process and on a stream of this thread.

    Raises
    ------
    MemoryError
        If the memory does not suffice even for a piece of it.
    PlateError, ValueError
        As ``imaging.site.process_site``.
    """
    try:
        with own_stream():
            return process_site(task, partial(measure_planes, in_pieces=task.in_pieces), at=whereabouts())
    except MemoryError as error:
        message = str(error)
    raise MemoryError(message)  # CuPy's own kind can only be read where CuPy is


@functools.cache
def whereabouts() -> Whereabouts:
    """Where this worker computes and what it costs, from the settings of its own environment."""
    settings = Settings()
    return Whereabouts(settings.environment, settings.place, settings.price_per_worker_hour)
