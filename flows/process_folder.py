"""`platestream process`: a finished plate to published tables on this machine, without any service."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flows.budget import PlateCosts
from flows.cluster import open_for_run
from flows.compute import connect
from flows.display import Display
from flows.follow import Follower
from flows.google import open_data_store
from flows.placement import refuse_run
from flows.settings import Settings
from imaging.errors import ConfigurationError, PlateError, SpentBudgetError
from imaging.experiment import Experiment, read_experiment
from imaging.job import PlateJob, open_job
from imaging.names import check_name
from imaging.planning import Plan
from imaging.plate_recipes import EXPERIMENTAL
from imaging.projection import page_folder, publish_and_project, read_table
from imaging.publication import Publication
from imaging.recipe_book import open_recipes
from imaging.store import FolderStore

OnStart = Callable[[PlateJob], None]
OnLook = Callable[[Plan], None]


@dataclass(frozen=True)
class ProcessedPlate:
    """The outcome: the plate, its plan at the end, its publication, the address of its page, its verdict and why."""

    job: PlateJob
    plan: Plan
    publication: Publication
    page: str
    verdict: str
    reasons: tuple[str, ...]


def process_folder(
    folder: Path,
    experiment_file: Path,
    *,
    plate: str,
    settings: Settings,
    recipe: str = "",
    on_start: OnStart = lambda job: None,
    on_look: OnLook = lambda plan: None,
) -> ProcessedPlate:
    """Process a folder of one plate's images, which is finished and only read.

    Parameters
    ----------
    folder, experiment_file, plate, settings
        The images, what they should be, the plate's name, and where everything is.
    recipe
        Name or id of a recipe; left out, the promoted one, or where none is that of the experiment's file.
    on_start
        Called once with the plate, when it is known that there is something to do.
    on_look
        Called with each new plan.

    Raises
    ------
    ConfigurationError
        If the folder or the experiment's file is not there or at fault; with all faults.
    PlacementError
        If the images must not be processed here.
    SpentBudgetError
        If a budget is used up before the plate is done.
    PlateError
        If the plate holds no image of the experiment.
    """
    job = folder_job(folder, experiment_file, plate=plate, settings=settings, recipe=recipe)
    return process_job(job, settings, on_start=on_start, on_look=on_look)


def process_stored(
    experiment: str,
    plate: str,
    *,
    settings: Settings,
    recipe: str = "",
    on_start: OnStart = lambda job: None,
    on_look: OnLook = lambda plan: None,
) -> ProcessedPlate:
    """Process a plate that lies under ``raw/`` of the store and is finished; see ``process_folder``."""
    job = open_job(open_data_store(settings), experiment, plate, settle_s=0.0, recipe=recipe)
    return process_job(job, settings, on_start=on_start, on_look=on_look)


def folder_job(folder: Path, experiment_file: Path, *, plate: str, settings: Settings, recipe: str = "") -> PlateJob:
    """Describe the processing of a folder anywhere on this machine into the store."""
    if not folder.is_dir():
        raise ConfigurationError("there is no such folder; give the folder of one plate's images", key=str(folder))
    if not experiment_file.is_file():
        raise ConfigurationError(
            "there is no such file; `platestream init` writes a first one", key=str(experiment_file)
        )
    store = open_data_store(settings)
    if (inside := store.local_path("")) and inside.resolve().is_relative_to(folder.resolve()):
        raise ConfigurationError(
            "the store lies inside the folder of images; give another with --store", key=str(inside)
        )
    experiment = read_experiment(experiment_file.read_bytes(), place=str(experiment_file))
    maps = FolderStore(experiment_file.resolve().parent)
    check_name("plate", plate)
    raw = FolderStore(folder.resolve())
    chosen = open_recipes(store, experiment, beside=(maps, "")).find(recipe)
    return PlateJob(store, raw, "", chosen, plate, maps, "", settle_s=0.0)


def _impatient(job: PlateJob) -> PlateJob:
    """The plate is finished: nothing more is waited for."""
    return job.under(job.experiment.model_copy(update={"patience_s": -1.0}))


def process_asked(processed: ProcessedPlate, asked: Experiment, settings: Settings, on_look: OnLook) -> ProcessedPlate:
    """Process a plate that is done once more, under the experimental recipe that its upload's manifest asks for.

    Raises
    ------
    SpentBudgetError
        If the budget of experimental results is used up before it is done.
    """
    return process_job(processed.job.under(asked), settings, priority=EXPERIMENTAL, on_look=on_look)


def process_job(
    job: PlateJob,
    settings: Settings,
    *,
    priority: int = 0,
    on_start: OnStart = lambda job: None,
    on_look: OnLook = lambda plan: None,
) -> ProcessedPlate:
    """Process a plate that is finished, at a priority of Dask's; see ``process_folder``."""
    job = _impatient(job)
    refuse_run(job.experiment, settings, job.plate)
    if job.store.url.startswith("memory://"):
        raise ConfigurationError("a store in memory is not shared with the workers; give a folder or gs://")
    if job.experiment.illumination.source != "none":
        from imaging.illumination_files import read_declared_field  # loads kernels: only who declares a field pays

        read_declared_field(lambda name: job.maps.read(job.maps_folder + name), job.experiment)  # all its faults now
    plan = job.survey()
    if not plan.has_arrivals and not job.raw.list(job.raw_folder).objects:
        raise PlateError(
            "the plate's folder holds no file; look at the plate's name, or upload its images",
            experiment=job.experiment.name,
            plate=job.plate,
        )
    if not plan.has_arrivals:
        reasons = f"; {plan.unknown[0].name}: {plan.unknown[0].reason}" if plan.unknown else ""
        raise PlateError(
            f"none of the folder's files is an image of the experiment{reasons}",
            experiment=job.experiment.name,
            plate=job.plate,
        )
    on_start(job)
    with (
        open_for_run(settings) as address,
        connect(settings.model_copy(update={"scheduler": address})) as compute,
        PlateCosts(job, settings) as costs,
        Display(job, costs=costs) as display,
        Follower(
            job,
            compute,
            "process",
            linger_s=0.0,
            relist_s=0.5,
            on_look=_each(on_look, display.show),
            refuse=costs.refuse,
            priority=priority,
        ) as follower,
    ):
        while True:
            plan = follower.measure(len(plan.sites))
            if follower.is_stopped:
                raise SpentBudgetError(follower.refusal, experiment=job.experiment.name, plate=job.plate)
            publication = publish_and_project(job) if plan.is_publishable else None
            if publication is not None:
                (row,) = read_table(job, publication, "plates").to_pylist()
                page = f"{page_folder(job)}index.html"
                return ProcessedPlate(job, plan, publication, page, row["verdict"], tuple(row["reasons"] or ()))


def _each(*listeners: OnLook) -> OnLook:
    """One listener that tells them all."""

    def on_look(plan: Plan) -> None:
        for listener in listeners:
            listener(plan)

    return on_look
