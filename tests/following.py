"""What a follower does with a plate, in this process and without a cluster."""

from __future__ import annotations

from imaging.arrival_check import ArrivalCheck
from imaging.job import PlateJob
from imaging.measure import measure_planes
from imaging.projection import publish_and_project
from imaging.publication import Publication
from imaging.site import Measure, process_site
from imaging.steps import decide_due, plan_work, site_task


def follow(
    job: PlateJob,
    *,
    now: float | None = None,
    later_s: float | None = None,
    rounds: int = 6,
    measure: Measure = measure_planes,
) -> Publication | None:
    """Do what a follower does until nothing is left to do.

    Parameters
    ----------
    job
        The plate.
    now
        Time of day in Unix seconds.
    later_s
        The time instead, counted from the last arrival; images are then checked as they arrive, too.
    rounds
        As many looks at most.
    measure
        Measures the planes of a site.
    """
    check = None if later_s is None else ArrivalCheck(job)
    publication = None
    for _ in range(rounds):
        if later_s is not None:
            now = max(file.modified for file in job.arrivals.files()) + later_s if job.arrivals.images else None
        plan = plan_work(job, now)
        found = check.check(check.choose(plan)) if check else 0
        decided = decide_due(job, plan)
        for site in plan.todo:
            process_site(site_task(job, site), measure)
        publication = publish_and_project(job)
        if not (plan.todo or plan.due or found or decided):
            break
    return publication
