"""`platestream status`: how far each plate is, from the store alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from flows.budget import Budgets
from flows.plate_list import FAULTS
from flows.settings import Settings
from imaging.costs import Spending, count_costs, read_book
from imaging.experiment import Experiment
from imaging.job import PlateJob, open_experiment, plate_job
from imaging.names import is_experimental, results_prefix
from imaging.planning import Plan, SiteState
from imaging.plate_recipes import find_plate_recipes
from imaging.projection import page_folder
from imaging.publication import is_current, read_publication
from imaging.query import Catalog, read_catalog
from imaging.recipe_book import open_recipes
from imaging.steps import is_followed
from imaging.store import Store


def read_status(store: Store, settings: Settings | None = None) -> list[dict[str, Any]]:
    """Describe every plate under ``raw/``, then those that were published from elsewhere, in the order of their names.

    Returns
    -------
    One dict per plate and recipe, its production first: experiment, plate, recipe, is_experimental, state (``imaging``,
    ``publishable``, ``published``, or ``at fault`` with its ``problem``), counts of images and sites, is_followed,
    publication number, run and status, machine_seconds, cost, cost_per_site and cost_estimate of the whole plate (USD,
    ``None`` without a price), sites_unpriced, and why it gets no more work (``refusal``). Of a plate whose images lie
    elsewhere nobody can tell more than what is published and what it cost. Of a published one besides: its
    ``suspicions``, and the acquisition of its barcode that views show, if it is another (``shown_instead``).
    """
    settings = settings or Settings()
    budgets = Budgets(store, settings)
    rows: list[dict[str, Any]] = []
    for experiment in store.list_folders("raw"):
        for plate in store.list_folders(f"raw/{experiment}"):
            try:
                rows += _describe_recipes(store, experiment, plate, settings, budgets)
            except FAULTS as error:
                rows.append({"experiment": experiment, "plate": plate, "state": "at fault", "problem": str(error)})
    listed = {(row["experiment"], row["plate"]) for row in rows}
    catalog = read_catalog(store)
    current = catalog.current.values()
    rows += [_describe_published(store, record) for record in current if _place(record) not in listed]
    return [row | _warnings_of(row, catalog) for row in rows]


def _warnings_of(row: Mapping[str, Any], catalog: Catalog) -> dict[str, Any]:
    """Whether a published plate is the current acquisition of its barcode, and what looks wrong with it as a whole."""
    record = catalog.current.get((row["experiment"], row["plate"], row.get("recipe", "")))
    if record is None:
        return {}
    decided = [item for item in catalog.acquisitions if _place(item) == _place(record)]
    barcode = record.get("barcode") or record["plate"]
    hidden = [item["chosen"] for item in decided if item["barcode"] == barcode and not item["is_chosen"]]
    return {"shown_instead": hidden[0] if hidden else None, "suspicions": list(record.get("suspicions", ()))}


def _describe_recipes(
    store: Store, experiment: str, plate: str, settings: Settings, budgets: Budgets
) -> list[dict[str, Any]]:
    """Describe a plate under each of its recipes, its production first, an experimental one last."""
    book = open_recipes(store, open_experiment(store, experiment))
    rows = []
    asked: Experiment | None = None
    jobs = [
        plate_job(store, each.experiment, plate, settle_s=settings.settle_s)
        for each in find_plate_recipes(store, book, plate)
    ]
    for job in jobs:
        plan = job.survey()
        rows.append(describe_plate(job, plan, stale_s=settings.heartbeat_stale_s) | describe_costs(job, plan, budgets))
        asked = asked or plan.asked
    if asked:
        job = jobs[0].under(asked)
        plan = job.survey()
        rows.append(describe_plate(job, plan, stale_s=settings.heartbeat_stale_s) | describe_costs(job, plan, budgets))
    return rows


def _place(record: Mapping[str, Any]) -> tuple[str, str]:
    return record["experiment"], record["plate"]


def _describe_published(store: Store, record: Mapping[str, Any]) -> dict[str, Any]:
    """Describe a plate by its current publication, where its images are not in the store."""
    page = f"{results_prefix(record['experiment'], record['plate'], record['recipe'])}page/index.html"
    return {
        **{name: record[name] for name in ("experiment", "plate", "recipe")},
        "is_experimental": is_experimental(record["recipe"]),
        "state": "withdrawn" if record["status"] == "withdrawn" else "published",
        "is_followed": False,
        "publication": record["number"],
        "run": record["run"],
        "status": record["status"],
        "page": page if store.exists(page) else None,
        **_costs(read_book(store, results_prefix(*(record[name] for name in ("experiment", "plate", "recipe")))).total),
    }


def describe_plate(job: PlateJob, plan: Plan, *, stale_s: float) -> dict[str, Any]:
    """Describe one plate; see ``read_status``."""
    last = plan.records.last_publication
    publication = read_publication(job, last) if last else None
    is_published = plan.is_publishable and is_current(job, plan)
    page = f"{page_folder(job)}index.html"
    return {
        "experiment": job.experiment.name,
        "plate": job.plate,
        "recipe": job.recipe,
        "is_experimental": is_experimental(job.recipe),
        "state": "published" if is_published else "publishable" if plan.is_publishable else "imaging",
        "images_expected": plan.images_expected,
        "images_arrived": plan.images_arrived,
        "images_missing": sum(len(site.missing) for site in plan.sites),
        "files_faulted": len(plan.faulted),
        "files_unknown": len(plan.unknown),
        "sites_expected": len(plan.sites),
        **{f"sites_{state}": len(plan.of(state)) for state in get_args(SiteState)},
        "is_followed": is_followed(plan, stale_s=stale_s),
        "publication": last or None,
        "run": publication.run if publication else None,
        "status": publication.status if publication else None,
        "page": page if job.store.exists(page) else None,
    }


def describe_costs(job: PlateJob, plan: Plan, budgets: Budgets) -> dict[str, Any]:
    """Say what a plate cost so far, what it will about cost, and which budget is used up; see ``read_status``."""
    book = count_costs(job.store, job.prefix, plan.records, read_book(job.store, job.prefix))
    open_sites = sum(site.state in ("waiting", "todo", "previewed") for site in plan.sites)
    excess = budgets.find_excess(job, book) if open_sites else None
    return _costs(book.total, open_sites) | {"refusal": str(excess) if excess else None}


def _costs(spent: Spending, open_sites: int = 0) -> dict[str, Any]:
    return {
        "sites_measured": spent.sites,
        "sites_unpriced": spent.unpriced,
        "machine_seconds": spent.machine_seconds,
        "cost": spent.cost if spent.has_price else None,
        "cost_per_site": spent.cost_per_site,
        "cost_estimate": spent.estimate(open_sites),
    }
