"""`platestream reconcile`: expected, arrived, processed, loaded, and the reason of every difference."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import typer

from flows.cli_results import STORE, open_existing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flows.settings import Settings
    from imaging.job import PlateJob
    from imaging.recipe_book import RecipeBook
    from imaging.reconciliation import PlateReconciliation
    from imaging.store import Store

_COUNTS = ("expected", "arrived", "processed", "loaded")


def reconcile(
    experiment: str = typer.Argument("", help="Name of an experiment; left out, all of them."),
    plate: str = typer.Argument("", help="Name of a plate of it; left out, all of them."),
    sites: bool = typer.Option(False, "--sites", help="Show each site that lacks something or has something to say."),
    as_json: bool = typer.Option(False, "--json", help="Print plates and all their sites as JSON."),
    store: str = STORE,
) -> None:
    """Compare what should have come with what came, was processed and was loaded, counted in planes of images.

    Also for plates that are still being imaged: it looks at the files and records that there are now.
    """
    from flows.settings import Settings

    settings = Settings(store=store) if store else Settings()
    found = list(_reconcile(open_existing(settings), settings, experiment, plate))
    if as_json:
        typer.echo(json.dumps([_as_dict(item) for item in found], indent=2, ensure_ascii=False))
    elif not found:
        typer.echo(f"no plate in {settings.store}; images belong into raw/EXPERIMENT/PLATE/")
    else:
        print_plates(found)
        if settings.dataset is None:
            typer.echo("there is no warehouse: loaded counts what is in published tables")
        for item in found if sites else ():
            print_sites(item)


COMMANDS = (reconcile,)


def _reconcile(store: Store, settings: Settings, experiment: str, plate: str) -> Iterator[PlateReconciliation]:
    from imaging.reconciliation import reconcile

    for job in plate_jobs(store, settings, experiment, plate):
        yield reconcile(job, loaded=_loaded(store, settings, job))


def plate_jobs(store: Store, settings: Settings, experiment: str, plate: str) -> Iterator[PlateJob]:
    """The plates that are asked for, each under the recipe that it is produced under."""
    from imaging.job import open_experiment
    from imaging.recipe_book import open_recipes

    for name, chosen in plate_places(store, experiment, plate):
        book = open_recipes(store, open_experiment(store, name))
        for each in chosen:
            yield production_job(store, settings, book, each)


def plate_places(store: Store, experiment: str, plate: str) -> Iterator[tuple[str, list[str]]]:
    """The experiments that are asked for, each with those of its plates that are.

    Raises
    ------
    ConfigurationError
        If there is no such plate.
    """
    from imaging.errors import ConfigurationError
    from imaging.names import check_name

    for name in [check_name("experiment", experiment)] if experiment else store.list_folders("raw"):
        known = store.list_folders(f"raw/{name}")
        if plate and plate not in known:
            message = "there is no such plate; `platestream status` shows which there are"
            raise ConfigurationError(message, experiment=name, plate=plate)
        yield name, [plate] if plate else known


def production_job(store: Store, settings: Settings, book: RecipeBook, plate: str) -> PlateJob:
    """A plate under the recipe that it is produced under."""
    from imaging.job import plate_job
    from imaging.plate_recipes import find_plate_recipes

    production = find_plate_recipes(store, book, plate)[0].experiment
    return plate_job(store, production, plate, settle_s=settings.settle_s)


def _loaded(store: Store, settings: Settings, job: PlateJob) -> set[int] | None:
    """Numbers of the plate's publications that the warehouse has; ``None`` without a warehouse."""
    if settings.dataset is None:
        return None
    from flows.warehouse import open_warehouse
    from imaging.warehouse.publications import Loader

    folder = job.experiment.name, job.plate, job.recipe
    return Loader(open_warehouse(settings), store).loaded(folder).get(folder, set())


def _as_dict(item: PlateReconciliation) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        **{name: getattr(item, name) for name in ("experiment", "plate", "recipe")},
        **{name: item.total(name) for name in _COUNTS},
        "reasons": list(item.reasons),
        "sites": [asdict(site) for site in item.sites],
    }


def print_plates(found: Iterable[PlateReconciliation]) -> None:
    """Print one row per plate."""
    from rich.table import Table

    from flows.printed_rows import open_console, plain

    table = Table("experiment", "plate", *_COUNTS, "reasons", box=None)
    for item in found:
        counts = [str(item.total(name)) for name in _COUNTS]
        table.add_row(plain(item.experiment), plain(item.plate), *counts, plain("\n".join(item.reasons)))
    open_console().print(table)


def print_sites(item: PlateReconciliation) -> None:
    """Print the sites of a plate that lack something or have something to say."""
    from rich.table import Table

    from flows.printed_rows import open_console, plain

    open_sites = [site for site in item.sites if not site.is_complete]
    table = Table("well", "site", "time", *_COUNTS, "reasons", box=None)
    for site in open_sites:
        counts = [str(getattr(site, name)) for name in _COUNTS]
        table.add_row(site.well, str(site.site), str(site.time_point), *counts, plain("\n".join(site.reasons)))
    typer.echo(f"\n{item.experiment}/{item.plate}: {len(item.sites) - len(open_sites)} sites are complete")
    if open_sites:
        open_console().print(table)
