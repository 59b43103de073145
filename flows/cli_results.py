"""`platestream status`, `sql` and `validate`: what the store holds."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from flows.printed_rows import Format, open_console, plain, print_rows, printable
from imaging.sentences import counted

if TYPE_CHECKING:
    from flows.settings import Settings
    from imaging.store import Store

STORE = typer.Option("", help="Root of the store.", show_default="PLATESTREAM_STORE or platestream-data")


class Dialect(StrEnum):
    """Whose SQL a query is written in."""

    bigquery = "bigquery"
    duckdb = "duckdb"


def status(store: str = STORE, as_json: bool = typer.Option(False, "--json", help="Print the plates as JSON.")) -> None:
    """Show how far each plate is."""
    from flows.settings import Settings
    from flows.status import read_status

    settings = Settings(store=store) if store else Settings()
    root = open_existing(settings)
    rows = read_status(root, settings)
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    if not rows:
        typer.echo(f"no plate in {settings.store}; images belong into raw/EXPERIMENT/PLATE/")
    else:
        _print_plates(rows)
    _print_analyses(root)
    _print_alerts(root, settings)


def sql(
    query: str = typer.Argument(help="One SELECT, e.g. 'SELECT plate, verdict FROM plates'."),
    form: Format = typer.Option(Format.table, "--format", help="How rows are printed."),
    dialect: Dialect = typer.Option(Dialect.bigquery, help="Whose SQL the query is written in."),
    store: str = STORE,
) -> None:
    """Ask the tables of all published plates."""
    from imaging.query import run_query

    print_rows(run_query(_open(store), query, dialect=dialect.value), form)


def validate(
    experiment: str = typer.Argument(help="Name of the experiment."),
    plate: str = typer.Argument(help="Name of the plate."),
    store: str = STORE,
) -> None:
    """Check a published plate's OME-Zarr: metadata, shapes, chunks, checksums."""
    from imaging.errors import StoredDataError
    from imaging.names import check_name, plate_zarr
    from imaging.zarr_check import check_plate

    root = _open(store)
    key = plate_zarr(check_name("experiment", experiment), check_name("plate", plate))
    manifests = [json.loads(root.read(name)) for name in _published_manifests(root, experiment, plate)]
    problems = check_plate(root, key, manifests)
    for problem in problems:
        typer.echo(problem)
    if problems:
        message = f"the OME-Zarr has {counted(len(problems), 'fault')}"
        raise StoredDataError(message, experiment=experiment, plate=plate, key=key)
    typer.echo(f"{key} is sound: {counted(len(manifests), 'site')}")


COMMANDS = (status, sql, validate)


def _open(store: str) -> Store:
    from flows.settings import Settings

    return open_existing(Settings(store=store) if store else Settings())


def open_existing(settings: Settings) -> Store:
    """Open the store of the settings to look at it; a folder that does not exist is an error, not made."""
    from flows.google import open_data_store
    from imaging.errors import ConfigurationError

    if "://" not in settings.store and not Path(settings.store).is_dir():
        message = "there is no store; give its folder by --store or PLATESTREAM_STORE"
        raise ConfigurationError(message, key=settings.store)
    return open_data_store(settings)


def _published_manifests(store: Store, experiment: str, plate: str) -> list[str]:
    """Addresses of the site manifests of a plate's newest publication, which its OME-Zarr describes."""
    from imaging.errors import ConfigurationError
    from imaging.names import is_experimental
    from imaging.query import read_catalog

    current = read_catalog(store).current.values()
    records = [
        item
        for item in current
        if (item["experiment"], item["plate"]) == (experiment, plate) and not is_experimental(item["recipe"])
    ]
    if not records:
        message = "the plate is not published yet; `platestream status` shows how far it is"
        raise ConfigurationError(message, experiment=experiment, plate=plate)
    return list(max(records, key=lambda item: item["published_at"])["manifests"])


def _print_plates(rows: list[dict[str, Any]]) -> None:
    from rich.table import Table

    has_price = any(row.get("cost") is not None for row in rows)
    spent = "cost" if has_price else "machine time"
    places = [(row["experiment"], row["plate"]) for row in rows]
    has_recipes = len(set(places)) < len(places)
    shown = ("recipe",) if has_recipes else ()
    table = Table("experiment", "plate", *shown, "state", "images", "sites", "failed", "published as", spent, box=None)
    for row in rows:
        images = f"{row['images_arrived']}/{row['images_expected']}" if "images_expected" in row else ""
        sites = f"{row['sites_done']}/{row['sites_expected']}" if "sites_expected" in row else ""
        cells = (
            row["experiment"],
            row["plate"],
            *(row.get(name, "") for name in shown),
            row["state"],
            images,
            sites,
            row.get("sites_failed", ""),
            row.get("status") or "",
            _cost_cell(row, has_price=has_price),
        )
        table.add_row(*(plain(cell) for cell in cells))
    open_console().print(table)
    for row in rows:
        if row.get("problem"):
            typer.echo(printable(f"{row['experiment']}/{row['plate']}: {row['problem']}"))
        if row.get("shown_instead"):
            typer.echo(f"{row['experiment']}/{row['plate']}: views show another acquisition, {row['shown_instead']}")
        for evidence in row.get("suspicions", ()):
            typer.echo(printable(f"{row['experiment']}/{row['plate']}: {evidence}"))
        if row.get("refusal"):
            typer.echo(printable(f"{row['experiment']}/{row['plate']}: {row['refusal']}"))
    if has_price:
        _print_sums(rows)


def _print_analyses(store: Store) -> None:
    """Print what experiments came to; nothing where none was analysed."""
    from flows.printed_analyses import describe_analyses

    for sentence in describe_analyses(store):
        typer.echo(printable(sentence))


def _print_alerts(store: Store, settings: Settings) -> None:
    """Print the alerts that stand; nothing where nobody ever looked for any, as on a desk without services."""
    from flows.cli_watchdogs import print_alerts
    from flows.watchdogs.status import read_alerts

    found = read_alerts(store, every_s=settings.alert_every_s)
    if found.checked_at:
        print_alerts(found)


def _cost_cell(row: dict[str, Any], *, has_price: bool) -> str:
    """USD so far where any plate has a price, else machine time."""
    from imaging.cost_words import money_words, time_words

    if has_price:
        return "" if row.get("cost") is None else money_words(row["cost"])
    return time_words(row["machine_seconds"]) if row.get("sites_measured") else ""


def _print_sums(rows: list[dict[str, Any]]) -> None:
    """Say what plates will about cost that are not done, what each experiment cost, and what is in no sum."""
    from imaging.cost_words import money_words, time_words
    from imaging.costs import sum_costs

    for row in rows:
        if row.get("cost") is not None and row["cost_estimate"] > row["cost"]:
            a_site, whole = money_words(row["cost_per_site"]), money_words(row["cost_estimate"])
            typer.echo(f"{row['experiment']}/{row['plate']}: {a_site} a site, about {whole} in all")
    for experiment, spent in sum_costs(rows).items():
        without = f", {counted(spent.unpriced, 'site')} without a price" if spent.unpriced else ""
        time, cost = time_words(spent.machine_seconds), money_words(spent.cost)
        typer.echo(f"{experiment}: {counted(spent.sites, 'site')}, {time}, {cost}{without}")
