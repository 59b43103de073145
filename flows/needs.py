"""Why a plate needs a run, and the event that asks for one."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from flows.events import BackgroundWork, ImagesArrived
from imaging.job import PlateJob
from imaging.names import is_experimental
from imaging.planning import Plan
from imaging.plate_recipes import PRODUCTION
from imaging.publication import is_current


@dataclass(frozen=True, slots=True)
class Need:
    """Why a plate needs a follower under a recipe, and with what priority."""

    experiment: str
    plate: str
    recipe: str
    reason: str
    priority: int = PRODUCTION


def find_need(job: PlateJob, plan: Plan) -> str:
    """Say in words why a plate needs a follower; empty if it needs none."""
    if plan.todo:
        return f"{len(plan.todo)} sites to process"
    if plan.is_field_due:
        return "its field of illumination is due"
    if plan.due:
        told = sum(bool(gap.reason) for gap in plan.due)
        if told == len(plan.due):
            return f"{told} images were not taken, says the instrument"
        return f"{len(plan.due)} images did not arrive within {job.experiment.patience_s:g} s"
    if plan.is_publishable and not is_current(job, plan):
        return "a publication is due"
    return ""


def event_of(need: Need) -> ImagesArrived:
    """The event that wakes a run: what can wait has a deployment of its own, so that it takes no plate's place."""
    said = {name: value for name, value in asdict(need).items() if name != "priority"}
    return ImagesArrived(**said) if need.priority >= PRODUCTION else BackgroundWork(**said)


def find_age_s(job: PlateJob, now: float) -> float:
    """Seconds from the newest publication to ``now`` (Unix seconds); 0 where there is none."""
    published = job.store.list(f"{job.prefix}publications/").objects
    return now - max(item.modified for item in published) if published else 0.0


def find_other_recipes(job: PlateJob) -> list[str]:
    """Other recipes that a plate's production is published under: a changed one must not begin all plates anew."""
    folder = f"results/{job.experiment.name}/{job.plate}/"
    recipes = [name for name in job.store.list_folders(folder) if name != job.recipe and not is_experimental(name)]
    return [recipe for recipe in recipes if job.store.list(f"{folder}{recipe}/publications/").objects]
