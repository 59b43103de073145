"""What a Dask worker runs: one site."""

from __future__ import annotations

import logging

from imaging.measure import measure_planes
from imaging.site import SiteOutcome, SiteTask, process_site

log = logging.getLogger(__name__)


def measure_site(task: SiteTask) -> SiteOutcome:
    """Process one site; returns next to nothing, for results lie in the store."""
    place = f"{task.experiment}/{task.plate} {task.plan.well} site {task.plan.site}"
    log.info("%s: begun", place)
    outcome = process_site(task, measure_planes)
    log.info("%s: %s after %.2f s", place, outcome.status, outcome.seconds)
    return outcome
