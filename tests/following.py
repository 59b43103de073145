"""What a follower does with a plate, in this process and without a cluster."""

from __future__ import annotations

from imaging.arrival_check import ArrivalCheck
from imaging.job import PlateJob
from imaging.measure import measure_planes
from imaging.projection import publish_and_project
from imaging.publication import Publication
from imaging.site import process_site
from imaging.steps import decide_due, plan_work, site_task


def follow(job: PlateJob, *, later_s: float = 0.0, rounds: int = 6) -> Publication | None:
    """Go on, so many seconds after the last arrival, until nothing is left to do; publish if that can be."""
    check = ArrivalCheck(job)
    for _ in range(rounds):
        now = max(file.modified for file in job.arrivals.files()) + later_s if job.arrivals.images else None
        plan = plan_work(job, now)
        is_idle = not (check.check(check.choose(plan)) or plan.todo or decide_due(job, plan))
        for site in plan.todo:
            process_site(site_task(job, site), measure_planes)
        if is_idle:
            break
    return publish_and_project(job)
