"""The flow of one experiment: from the publications of its plates to its analyses; a reconcile, whoever wakes it."""

from __future__ import annotations

import time

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run

from flows.events import Event, ExperimentUpdated, emit
from flows.google import open_data_store
from flows.messages.analyses import tell_analysis
from flows.settings import Settings
from imaging.analyses.analysis_records import FAILED, AnalysisRecord, is_known, told_key
from imaging.analyses.analysis_sweep import is_sweep_due, sweep_analyses
from imaging.analyses.declared_recipes import read_declared_recipes
from imaging.analyses.projection import page_of, project_experiment
from imaging.analyses.pulse import beating, is_analysed
from imaging.analyses.quiet import wait_until_quiet
from imaging.analyses.reconcile import Outcome, find_due, reconcile
from imaging.errors import ConfigurationError, MissingPartError, RefusedLoadError, WarehouseUnavailableError
from imaging.names import to_json
from imaging.store import Store
from imaging.warehouse.outcomes import Refused

ROUNDS = 20
"""Looks of one run at most: plates that are published on and on are the next run's."""


@flow(name="process-experiment", flow_run_name="{experiment}")
def process_experiment(experiment: str, quiet_s: float = 15.0) -> None:
    """Analyse an experiment as it is published now, under each of its recipes; do nothing where that is done.

    Parameters
    ----------
    experiment
        The experiment.
    quiet_s
        Seconds without a publication that are waited for, twenty times that at most: a burst of plates is one analysis.
    """
    settings, log = Settings(), get_run_logger()
    store = open_data_store(settings)
    if not is_known(store, experiment):
        log.info("%s has no plate with results", experiment)
        return
    if is_analysed(store, experiment, stale_s=settings.heartbeat_stale_s):
        log.info("%s is analysed by another run, which looks again when it is done", experiment)
        return
    with beating(store, experiment, flow_run.id or ""):
        for _ in range(ROUNDS):
            look = find_due(store, experiment)
            if not look.due and not look.untold:
                break
            if look.due:
                wait_until_quiet(store, experiment, quiet_s, sleep=time.sleep)
                analyse_publications(store, experiment)
            project_experiment(store, experiment)
            for record in find_due(store, experiment).untold:
                tell(record, settings, store)
            load_analyses(settings, experiment)
    if is_sweep_due(store, experiment, time.time()):
        sweep_analyses(store, experiment, keep=settings.keep_publications)


@task(cache_policy=NO_CACHE)
def analyse_publications(store: Store, experiment: str) -> list[Outcome]:
    """Bring the experiment's analyses up to its publications."""
    log = get_run_logger()
    outcomes = reconcile(store, experiment)
    for name, fault in read_declared_recipes(store, experiment).faults.items():
        log.warning("the analysis recipe %s is passed over: %s", name, fault)
    for outcome in outcomes:
        record = outcome.record
        if outcome.is_new and record.status == FAILED:
            log.error("%s, %s: %s", experiment, record.recipe, record.reason)
        elif outcome.is_new:
            log.info(
                "%s, %s: analysis %d of %d plates (%d made, %d kept) in %.1f s",
                experiment,
                record.recipe,
                record.number,
                len(record.publications),
                outcome.made,
                outcome.kept,
                outcome.seconds,
            )
    return outcomes


def tell(record: AnalysisRecord, settings: Settings, store: Store) -> None:
    """Tell others of an analysis whose page is written; done again until the record says that it was done.

    Each of its messages is noted once, however often this is called; who misses the event finds the analysis.
    """
    tell_analysis(store, record, page=page_of(store, record))
    store.create(told_key(record.experiment, record.recipe, record.number), to_json({"run": record.run}))
    _send(event_of(record), settings)


def load_analyses(settings: Settings, experiment: str) -> None:
    """Load what the warehouse lacks of the experiment's analyses, where there is one; its service finds what fails."""
    if not settings.dataset:
        return
    from flows.warehouse import open_loader  # imports Google's libraries, which most do without

    try:
        loader = open_loader(settings, lambda outcome: None)
        loader.prepare()
        for outcome in loader.load_analyses(experiment):
            if isinstance(outcome, Refused):
                get_run_logger().warning("%s was not loaded: %s", outcome.place, outcome.reason)
    except (WarehouseUnavailableError, RefusedLoadError, ConfigurationError) as error:
        get_run_logger().warning("%s", error)


def event_of(record: AnalysisRecord) -> ExperimentUpdated:
    """The event of a new analysis."""
    return ExperimentUpdated(
        experiment=record.experiment,
        recipe=record.recipe,
        run=record.run,
        number=record.number,
        is_analysed=record.status != FAILED,
        reason=record.reason,
        hits=(record.content.get("scores") or {}).get("hits"),
    )


def _send(event: Event, settings: Settings) -> None:
    try:
        emit(settings.api_url, event, auth=settings.auth)
    except MissingPartError as error:
        get_run_logger().warning("%s", error)
