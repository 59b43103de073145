"""`platestream status`, `sql` and `validate`: what the store holds."""

from __future__ import annotations

import json
import math
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    import pyarrow as pa

    from flows.settings import Settings
    from imaging.store import Store

STORE = typer.Option("", help="Root of the store.", show_default="PLATESTREAM_STORE or platestream-data")


class Format(StrEnum):
    """How rows are printed."""

    table = "table"
    csv = "csv"
    json = "json"


class Dialect(StrEnum):
    """Whose SQL a query is written in."""

    bigquery = "bigquery"
    duckdb = "duckdb"


def status(store: str = STORE, as_json: bool = typer.Option(False, "--json", help="Print the plates as JSON.")) -> None:
    """Show how far each plate is."""
    from flows.settings import Settings
    from flows.status import read_status

    settings = Settings(store=store) if store else Settings()
    rows = read_status(open_existing(settings), settings)
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    elif not rows:
        typer.echo(f"no plate in {settings.store}; images belong into raw/EXPERIMENT/PLATE/")
    else:
        _print_plates(rows)


def sql(
    query: str = typer.Argument(help="One SELECT, e.g. 'SELECT plate, verdict FROM plates'."),
    form: Format = typer.Option(Format.table, "--format", help="How rows are printed."),
    dialect: Dialect = typer.Option(Dialect.bigquery, help="Whose SQL the query is written in."),
    store: str = STORE,
) -> None:
    """Ask the tables of all published plates."""
    from imaging.query import run_query

    _print_rows(run_query(_open(store), query, dialect=dialect.value), form)


def validate(
    experiment: str = typer.Argument(help="Name of the experiment."),
    plate: str = typer.Argument(help="Name of the plate."),
    store: str = STORE,
) -> None:
    """Check a published plate's OME-Zarr: metadata, shapes, chunks, checksums."""
    from imaging.errors import ConfigurationError, StoredDataError
    from imaging.job import open_job
    from imaging.publication import read_publication
    from imaging.zarr_check import check_plate

    job = open_job(_open(store), experiment, plate)
    last = job.survey().records.last_publication
    if not last:
        message = "the plate is not published yet; `platestream status` shows how far it is"
        raise ConfigurationError(message, experiment=experiment, plate=plate)
    manifests = [json.loads(job.store.read(key)) for key in read_publication(job, last).manifests]
    problems = check_plate(job.store, job.zarr, manifests)
    for problem in problems:
        typer.echo(problem)
    if problems:
        count = f"{len(problems)} fault{'s' if len(problems) > 1 else ''}"
        raise StoredDataError(f"the OME-Zarr has {count}", experiment=experiment, plate=plate, key=job.zarr)
    typer.echo(f"{job.zarr} is sound: {len(manifests)} sites")


COMMANDS = (status, sql, validate)


def _open(store: str) -> Store:
    from flows.settings import Settings

    return open_existing(Settings(store=store) if store else Settings())


def open_existing(settings: Settings) -> Store:
    """Open the store of the settings to look at it; a folder that does not exist is an error, not made."""
    from imaging.errors import ConfigurationError
    from imaging.store import open_store

    if "://" not in settings.store and not Path(settings.store).is_dir():
        message = "there is no store; give its folder by --store or PLATESTREAM_STORE"
        raise ConfigurationError(message, key=settings.store)
    return open_store(settings.store)


def _print_plates(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("experiment", "plate", "state", "images", "sites", "failed", "published as", box=None)
    for row in rows:
        images = f"{row['images_arrived']}/{row['images_expected']}" if "images_expected" in row else ""
        sites = f"{row['sites_done']}/{row['sites_expected']}" if "sites_expected" in row else ""
        cells = (
            row["experiment"],
            row["plate"],
            row["state"],
            images,
            sites,
            row.get("sites_failed", ""),
            row.get("status") or "",
        )
        table.add_row(*(_plain(cell) for cell in cells))
    Console().print(table)
    for row in rows:
        if row.get("problem"):
            typer.echo(f"{row['experiment']}/{row['plate']}: {row['problem']}")


def _print_rows(rows: pa.Table, form: Format) -> None:
    if form is Format.csv:
        import pyarrow.csv

        pyarrow.csv.write_csv(rows, sys.stdout.buffer)
    elif form is Format.json:
        cleaned = [{name: _or_null(value) for name, value in row.items()} for row in rows.to_pylist()]
        typer.echo(json.dumps(cleaned, indent=2, default=str, ensure_ascii=False))
    else:
        _print_table(rows)


def _or_null(value: Any) -> Any:
    """JSON has no NaN and no infinity."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _print_table(rows: pa.Table) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None)
    for name in rows.column_names:
        table.add_column(_plain(name))
    for row in zip(*(column.to_pylist() for column in rows.columns), strict=True):
        table.add_row(*("" if value is None else _plain(value) for value in row))
    Console().print(table)
    typer.echo(f"{rows.num_rows} row{'' if rows.num_rows == 1 else 's'}")


def _plain(value: object) -> Any:
    """A cell without Rich's markup: brackets stay brackets."""
    from rich.text import Text

    return Text(f"{value:.6g}" if isinstance(value, float) else str(value))
