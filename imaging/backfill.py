"""What a backfill would do: plates of an experiment under one of its recipes, with what that takes by earlier ones.

Nothing is kept of a backfill. What is done lies in the store, so the same question later gives what is left.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from imaging.costs import CostBook, Spending, add_up, count_costs, read_book
from imaging.declared import did_you_mean
from imaging.errors import ConfigurationError, PlateError
from imaging.experiment import Experiment
from imaging.job import PlateJob, plate_job
from imaging.names import is_experimental, plate_folders, results_prefix
from imaging.planning import Plan
from imaging.publication import is_current
from imaging.records import read_names
from imaging.steps import is_followed
from imaging.store import Store

State = Literal["to do", "published", "followed", "being imaged", "no images", "at fault"]
"""``published``: nothing is left to do; ``followed``: a run is at it already."""


@dataclass(frozen=True, slots=True)
class PlateToDo:
    """One plate under the recipe.

    Parameters
    ----------
    plate, state
        Its name, and how far it is.
    sites
        Sites that the plate should have.
    done
        Those that are measured under this recipe, or given up.
    todo
        Those that would be measured: of the others, those with an image.
    problem
        What is wrong where it is at fault.
    """

    plate: str
    state: State
    sites: int = 0
    done: int = 0
    todo: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Basis:
    """What an estimate rests on: sites that were measured, and whose they are in words."""

    measured: Spending
    of: str

    @property
    def seconds_per_site(self) -> float:
        """Worker seconds of a site, the mean."""
        return self.measured.machine_seconds / self.measured.sites


@dataclass(frozen=True, slots=True)
class BackfillPlan:
    """A backfill: the recipe's id, its plates, and what the estimates rest on; ``None`` where nothing was measured."""

    experiment: str
    recipe: str
    plates: tuple[PlateToDo, ...]
    basis: Basis | None

    @property
    def todo(self) -> tuple[PlateToDo, ...]:
        """Plates that have work nobody is at."""
        return tuple(plate for plate in self.plates if plate.state == "to do")

    @property
    def sites_todo(self) -> int:
        """Sites that would be measured."""
        return sum(plate.todo for plate in self.todo)

    def seconds(self, sites: int) -> float | None:
        """Worker seconds that so many sites take by the basis."""
        return self.basis.seconds_per_site * sites if self.basis else None

    def cost(self, sites: int) -> float | None:
        """USD that so many sites cost by the basis; ``None`` without one or where its sites have no price."""
        per_site = self.basis.measured.cost_per_site if self.basis else None
        return None if per_site is None else per_site * sites


def plan_backfill(
    store: Store, chosen: Experiment, patterns: Sequence[str], *, stale_s: float, settle_s: float = 0.0
) -> BackfillPlan:
    """Plan a backfill.

    Parameters
    ----------
    store
        Where the plates are.
    chosen
        The experiment with the recipe that they are processed under.
    patterns
        Names of plates under ``raw/``; ``*`` and ``?`` stand for any text and any character.
    stale_s, settle_s
        Ages in seconds: of a heartbeat that means nobody, and below which a local file is not there yet.

    Raises
    ------
    ConfigurationError
        If a name or pattern fits no plate.
    """
    names = choose_plates(store, chosen.name, patterns)
    plates = tuple(_look(store, chosen, name, stale_s=stale_s, settle_s=settle_s) for name in names)
    return BackfillPlan(chosen.name, chosen.recipe_id, plates, find_basis(store, chosen, names))


def choose_plates(store: Store, experiment: str, patterns: Iterable[str]) -> tuple[str, ...]:
    """Names of the plates under ``raw/`` that fit any of the patterns, in order.

    Raises
    ------
    ConfigurationError
        If one fits none.
    """
    there = store.list_folders(f"raw/{experiment}")
    found: set[str] = set()
    for pattern in patterns:
        fitting = [name for name in there if fnmatchcase(name, pattern)]
        if not fitting:
            hint = did_you_mean(pattern, there) if there else "there is none at all"
            raise ConfigurationError(
                f"no plate of the experiment is called {pattern!r}; {hint}",
                experiment=experiment,
                key=f"raw/{experiment}/",
            )
        found.update(fitting)
    return tuple(sorted(found))


def _look(store: Store, chosen: Experiment, plate: str, *, stale_s: float, settle_s: float) -> PlateToDo:
    try:
        job = plate_job(store, chosen, plate, settle_s=settle_s)
        plan = job.survey()
        state = _state(job, plan, stale_s)
    except PlateError as error:
        return PlateToDo(plate, "at fault", problem=str(error))
    done = sum(site.state in ("done", "failed", "missing") for site in plan.sites)
    todo = sum(site.state in ("todo", "previewed", "waiting") and bool(site.files) for site in plan.sites)
    return PlateToDo(plate, state, len(plan.sites), done, todo)


def _state(job: PlateJob, plan: Plan, stale_s: float) -> State:
    if not plan.has_arrivals:
        return "no images"
    if plan.is_publishable and is_current(job, plan):
        return "published"
    if is_followed(plan, stale_s=stale_s):
        return "followed"
    is_awaited = any(site.awaited for site in plan.sites)
    if is_awaited and time.time() - (plan.last_arrival or 0.0) <= job.experiment.patience_s:
        return "being imaged"
    return "to do"


def find_basis(store: Store, chosen: Experiment, plates: Sequence[str]) -> Basis | None:
    """Find measured sites to estimate by: of this recipe, else of these plates, else of any plate of the experiment."""
    books = {folder: book.total for folder, book in _books(store, chosen.name, frozenset(plates))}
    choices = (
        (
            f"sites under {chosen.recipe_id}",
            [spent for (_, recipe), spent in books.items() if recipe == chosen.recipe_id],
        ),
        ("sites of these plates under other recipes", [spent for (name, _), spent in books.items() if name in plates]),
        ("sites of other plates of the experiment", list(books.values())),
    )
    for words, parts in choices:
        measured = add_up(parts)
        if measured.sites and measured.machine_seconds:
            return Basis(measured, words)
    return None


def _books(store: Store, experiment: str, plates: frozenset[str]) -> Iterator[tuple[tuple[str, str], CostBook]]:
    """What each plate took under each declared recipe; of the plates in question every manifest counts."""
    for plate in plate_folders(store, experiment):
        for recipe in store.list_folders(f"results/{experiment}/{plate}/"):
            if is_experimental(recipe):
                continue
            prefix = results_prefix(experiment, plate, recipe)
            book = read_book(store, prefix)
            if plate in plates:
                records = read_names(prefix, store.list(f"{prefix}sites/"))
                book = count_costs(store, prefix, records, book)
            yield (plate, recipe), book
