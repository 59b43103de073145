"""`platestream clean`: delete what closed plates have too much of, or say what that would be."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import typer

from flows.cli_results import STORE, open_existing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flows.settings import Settings
    from imaging.job import PlateJob
    from imaging.retention import Surplus
    from imaging.store import Store


def clean(
    experiment: str = typer.Argument("", help="Name of an experiment; left out, all of them."),
    plate: str = typer.Argument("", help="Name of a plate of it; left out, all of them."),
    keep_publications: int = typer.Option(
        0,
        "--keep-publications",
        min=0,
        help="Newest publications that stay; left out, as PLATESTREAM_KEEP_PUBLICATIONS.",
    ),
    dry_run: bool = typer.Option(False, "--dry-run", help="Delete nothing; say what would be deleted."),
    as_json: bool = typer.Option(False, "--json", help="Print what goes as JSON, key by key."),
    store: str = STORE,
) -> None:
    """Delete superseded publications beyond those that are kept, and data that no record names, of published plates.

    The watcher does the same by itself, once a plate has been published for a day. Runs, artifacts and events are
    deleted by the Prefect server, PLATESTREAM_KEEP_RUNS_DAYS after they ended.
    """
    from flows.settings import Settings

    settings = Settings(store=store) if store else Settings()
    keep = keep_publications or settings.keep_publications
    found = list(_clean(open_existing(settings), settings, experiment, plate, keep, is_dry=dry_run))
    if as_json:
        typer.echo(json.dumps([_as_dict(job, surplus) for job, surplus in found], indent=2, ensure_ascii=False))
    else:
        print_surplus(found, is_dry=dry_run)


COMMANDS = (clean,)


def _clean(
    store: Store, settings: Settings, experiment: str, plate: str, keep: int | None, *, is_dry: bool
) -> Iterator[tuple[PlateJob, Surplus]]:
    """Each published plate that nobody follows, with what was or would be deleted of it."""
    from flows.cli_reconcile import plate_jobs
    from imaging.grace import read_clocks
    from imaging.named_elsewhere import NamedElsewhere
    from imaging.retention import clean_plate, find_surplus
    from imaging.steps import is_followed

    named = NamedElsewhere()
    for job in plate_jobs(store, settings, experiment, plate):
        plan = job.survey()
        if not plan.records.last_publication or is_followed(plan, stale_s=settings.heartbeat_stale_s):
            continue
        if is_dry:
            surplus = find_surplus(job, plan, keep=keep, now=read_clocks()[0], named=named)
        else:
            surplus = clean_plate(job, plan, keep=keep, named=named)
        if surplus:
            yield job, surplus


def _as_dict(job: PlateJob, surplus: Surplus) -> dict[str, Any]:
    from dataclasses import asdict

    return {"experiment": job.experiment.name, "plate": job.plate, "recipe": job.recipe, **asdict(surplus)}


def print_surplus(found: Iterable[tuple[PlateJob, Surplus]], *, is_dry: bool) -> None:
    """Print one row per plate, and the sum."""
    from rich.table import Table

    from flows.printed_rows import open_console, plain

    table = Table("experiment", "plate", "recipe", "publications", "records", "data objects", box=None)
    records = data = 0
    for job, surplus in found:
        numbers = ", ".join(map(str, surplus.publications)) or "none"
        counts = [str(len(surplus.records)), str(len(surplus.data))]
        table.add_row(plain(job.experiment.name), plain(job.plate), plain(job.recipe), numbers, *counts)
        records, data = records + len(surplus.records), data + len(surplus.data)
    if table.row_count:
        open_console().print(table)
    typer.echo(f"{records} records and {data} data objects {'would be' if is_dry else 'were'} deleted")
