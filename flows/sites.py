"""What a Dask worker runs: one site."""

from __future__ import annotations

from imaging.measure import measure_planes

from imaging.site import SiteOutcome, SiteTask, process_site


def measure_site(task: SiteTask) -> SiteOutcome:
    """Process one site; returns next to nothing, for results lie in the store."""
    return process_site(task, measure_planes)
