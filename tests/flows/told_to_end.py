"""A process for one site that is told to end: as it begins, or, with its worker's notice, while it measures."""

from __future__ import annotations

import os
import signal

from flows import isolation, sites
from imaging.site import SiteOutcome, SiteTask

AS_IT_BEGINS = "TOLD_TO_END_AS_IT_BEGINS"


def measure_and_be_told(task: SiteTask) -> SiteOutcome:
    """Process the site after both signals that a machine's end may bring."""
    for number in (signal.SIGTERM, signal.SIGINT):
        os.kill(os.getpid(), number)
    return process_here(task)


if __name__ == "__main__":
    if AS_IT_BEGINS in os.environ:
        os.kill(os.getpid(), signal.SIGTERM)
    process_here = sites.process_here
    sites.process_here = measure_and_be_told
    isolation.main()
