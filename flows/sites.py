"""What a Dask worker runs: one site."""

from __future__ import annotations

import functools
import logging

from flows.settings import Settings
from imaging.measure import measure_planes
from imaging.provenance import Whereabouts
from imaging.site import SiteOutcome, SiteTask, process_site

log = logging.getLogger(__name__)


def measure_site(task: SiteTask) -> SiteOutcome:
    """Process one site; returns next to nothing, for results lie in the store."""
    place = f"{task.experiment}/{task.plate} {task.plan.well} site {task.plan.site}"
    log.info("%s: begun", place)
    outcome = process_site(task, measure_planes, at=whereabouts())
    log.info("%s: %s after %.2f s", place, outcome.status, outcome.seconds)
    return outcome


@functools.cache
def whereabouts() -> Whereabouts:
    """Where this worker computes and what it costs, from the settings of its own environment."""
    settings = Settings()
    return Whereabouts(settings.environment, settings.place, settings.price_per_worker_hour)
