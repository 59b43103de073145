"""The flow of one plate: from its first image to its publication."""

from __future__ import annotations

from imaging.projection import publish_and_project
from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run

from flows.artifacts import Reporter
from flows.compute import connect
from flows.follow import Follower
from flows.report import report_publication
from flows.settings import Settings
from imaging.job import PlateJob, open_job
from imaging.planning import Plan
from imaging.publication import Publication
from imaging.steps import is_followed
from imaging.store import open_store

STAGES = 20
"""Prefect tasks that a plate's sites are divided among; a task per site would cost more than the site."""


@flow(name="process-plate", flow_run_name="{experiment}/{plate}")
def process_plate(experiment: str, plate: str) -> None:
    """Process a plate while its images arrive, and publish it when each expected site is done or given up."""
    settings = Settings()
    job = open_job(open_store(settings.store), experiment, plate, settle_s=settings.settle_s)
    if is_followed(job.survey(), stale_s=settings.heartbeat_stale_s):
        get_run_logger().info("%s/%s is followed by another run", experiment, plate)
        return
    with connect(settings) as compute, Reporter(experiment, plate, job.recipe) as reporter:
        follower = Follower(job, compute, flow_run.id or "", **settings.following(), reporter=reporter)
        stage = max(len(job.experiment.expected_sites()) // STAGES, 1)
        with follower:
            while not follower.is_idle:
                plan = measure_sites(follower, stage)
                if plan.is_publishable and not follower.is_published and publish_plate(job, reporter):
                    follower.note_published()


@task(cache_policy=NO_CACHE)
def measure_sites(follower: Follower, sites: int) -> Plan:
    """Follow the plate until some more sites ended."""
    return follower.measure(sites)


@task(cache_policy=NO_CACHE)
def publish_plate(job: PlateJob, reporter: Reporter) -> Publication | None:
    """Publish the plate, unless nothing is new, and write its page."""
    publication = publish_and_project(job)
    if publication:
        report_publication(reporter, job, publication)
    return publication
