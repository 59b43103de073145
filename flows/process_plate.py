"""The flow of one plate: from its first image to its publication."""

from __future__ import annotations

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run

from flows.artifacts import Reporter
from flows.budget import Excess, PlateCosts
from flows.compute import connect
from flows.display import Display
from flows.events import BudgetExceeded, PlateEvent, Published, emit
from flows.follow import Follower
from flows.google import open_data_store
from flows.messages.news import tell_plate
from flows.needs import find_need
from flows.placement import refuse_run
from flows.report import report_costs, report_plan, report_publication
from flows.settings import Settings
from imaging.errors import MissingPartError, PlateError
from imaging.job import PlateJob, open_job
from imaging.names import is_experimental
from imaging.planning import Plan
from imaging.plate_recipes import EXPERIMENTAL
from imaging.projection import page_address, publish_and_project
from imaging.publication import Publication
from imaging.steps import is_followed

STAGES = 20
"""Prefect tasks that a plate's sites are divided among; a task per site would cost more than the site."""


@flow(name="process-plate", flow_run_name="{experiment}/{plate}")
def process_plate(experiment: str, plate: str, recipe: str = "", priority: int = 0) -> None:
    """Process a plate while its images arrive, and publish it when each expected site is done or given up.

    Parameters
    ----------
    experiment, plate
        The plate.
    recipe
        Name or id of a recipe; left out, the promoted one, or where none is that of experiment.yaml.
    priority
        Of its sites on the cluster; below 0, they wait for those of plates in production. Experimental ones always do.
    """
    settings = Settings()
    job = open_job(open_data_store(settings), experiment, plate, settle_s=settings.settle_s, recipe=recipe)
    refuse_run(job.experiment, settings, plate)
    plan = job.survey()
    if is_followed(plan, stale_s=settings.heartbeat_stale_s) or not find_need(job, plan):
        get_run_logger().info("%s/%s is followed by another run, or has nothing to be done", experiment, plate)
        return
    run = flow_run.id or ""
    get_run_logger().info("page: %s", page_address(job))
    with (
        Reporter(settings.api_url, run, (experiment, plate, job.recipe), settings.auth) as reporter,
        PlateCosts(job, settings) as costs,
        Display(job, reporter, costs=costs) as display,
    ):
        if costs.refuse(plan):
            display.show(plan)
        else:
            follow_plate(job, settings, run, display, costs, reporter, priority=priority_of(job, priority))
        report_costs(reporter, costs.spent, costs.excess)
        if costs.excess:
            tell_excess(job, costs.excess, settings)


def priority_of(job: PlateJob, asked: int) -> int:
    """Priority of a plate's sites on the cluster: as asked, and behind all others where they are experimental."""
    return min(asked, EXPERIMENTAL) if is_experimental(job.recipe) else asked


def follow_plate(
    job: PlateJob,
    settings: Settings,
    run: str,
    display: Display,
    costs: PlateCosts,
    reporter: Reporter,
    *,
    priority: int = 0,
) -> None:
    """Hand sites to the cluster as their images come, and publish, until nothing happens or nothing may be begun."""
    with (
        connect(settings) as compute,
        Follower(
            job,
            compute,
            run,
            **settings.following(),
            on_look=display.show,
            refuse=costs.refuse,
            priority=priority,
        ) as follower,
    ):
        stage = max(len(job.experiment.expected_sites()) // STAGES, 1)
        while not (follower.is_idle or follower.is_stopped):
            plan = measure_sites(follower, stage)
            report_costs(reporter, costs.spent, costs.excess)
            if plan.is_publishable and not follower.is_published:
                publication = publish_plate(job)
                if publication:
                    follower.note_published()
                    display.show_published(plan, publication)
                    tell(reporter, job, plan, publication, settings)


@task(cache_policy=NO_CACHE)
def measure_sites(follower: Follower, sites: int) -> Plan:
    """Follow the plate until some more sites ended."""
    return follower.measure(sites)


@task(cache_policy=NO_CACHE)
def publish_plate(job: PlateJob) -> Publication | None:
    """Publish the plate, unless nothing is new, and write its page."""
    return publish_and_project(job)


def tell(reporter: Reporter, job: PlateJob, plan: Plan, publication: Publication, settings: Settings) -> None:
    """Show the publication and tell others of it; who misses the event finds the record."""
    report_plan(reporter, job, plan)
    report_publication(reporter, job, publication)
    event = Published(
        experiment=job.experiment.name,
        plate=job.plate,
        recipe=job.recipe,
        run=publication.run,
        number=publication.number,
        is_complete=publication.status == "complete",
    )
    _send(event, settings)
    try:
        tell_plate(job.store, job.experiment.name, job.plate, job.recipe, publication.number)
    except (FileNotFoundError, PlateError) as error:  # the watcher finds what was not told
        get_run_logger().warning("people are told later: %s", error)


def tell_excess(job: PlateJob, excess: Excess, settings: Settings) -> None:
    """Say that the plate gets no more work, so that somebody can be called; who misses it finds it in the status."""
    get_run_logger().error("%s/%s: %s", job.experiment.name, job.plate, excess)
    event = BudgetExceeded(
        experiment=job.experiment.name,
        plate=job.plate,
        recipe=job.recipe,
        budget=excess.of,
        spent=excess.spent,
        limit=excess.limit,
        reason=str(excess),
    )
    _send(event, settings)


def _send(event: PlateEvent, settings: Settings) -> None:
    try:
        emit(settings.api_url, event, auth=settings.auth)
    except MissingPartError as error:
        get_run_logger().warning("%s", error)
