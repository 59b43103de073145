"""`platestream clean`: delete what closed plates have too much of, or say what that would be."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from flows.cli_results import STORE, open_existing
from flows.printed_rows import printable
from imaging.sentences import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flows.settings import Settings
    from imaging.job import PlateJob
    from imaging.named_elsewhere import NamedElsewhere
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
    deleted by the Prefect server, PLATESTREAM_KEEP_RUNS_DAYS after they ended. Exit status 1 if a plate could not be
    cleaned; all others are.
    """
    from flows.settings import Settings

    settings = Settings(store=store) if store else Settings()
    cleaning = Cleaning(open_existing(settings), settings, keep_publications or settings.keep_publications, dry_run)
    found = []
    for job, surplus in cleaning.of(experiment, plate):
        found.append((job, surplus))
        if not as_json:
            typer.echo(printable(_say_surplus(job, surplus)))  # at once: should it be ended, this much was deleted
    if as_json:
        typer.echo(json.dumps([_as_dict(job, surplus) for job, surplus in found], indent=2, ensure_ascii=False))
    else:
        records, data = (sum(len(getattr(each, name)) for _, each in found) for name in ("records", "data"))
        counts = f"{counted(records, 'record')} and {counted(data, 'data object')}"
        typer.echo(f"in all {counts} {'would be' if dry_run else 'were'} deleted")
    if cleaning.has_faults:
        raise typer.Exit(1)


COMMANDS = (clean,)


@dataclass
class Cleaning:
    """Cleans plates, or says what that would delete; what is wrong with one is printed and stops no other."""

    store: Store
    settings: Settings
    keep: int | None
    is_dry: bool
    has_faults: bool = False

    def of(self, experiment: str, plate: str) -> Iterator[tuple[PlateJob, Surplus]]:
        """Each published plate that nobody follows and that has too much, once that is or would be deleted."""
        from flows.cli_reconcile import plate_places, production_job
        from imaging.errors import PlateError
        from imaging.job import open_experiment
        from imaging.named_elsewhere import NamedElsewhere
        from imaging.recipe_book import open_recipes

        named = NamedElsewhere()
        for name, plates in plate_places(self.store, experiment, plate):
            try:
                book = open_recipes(self.store, open_experiment(self.store, name))
            except PlateError as error:
                self._say(name, str(error))
                continue
            for each in plates:
                try:
                    job = production_job(self.store, self.settings, book, each)
                    surplus = self._clean(job, named)
                except PlateError as error:
                    self._say(f"{name}/{each}", str(error))
                except FileNotFoundError as error:
                    what = f"{error.filename or 'a record'} was deleted meanwhile, as by another cleaner; begin again"
                    self._say(f"{name}/{each}", what)
                else:
                    if surplus:
                        yield job, surplus

    def _clean(self, job: PlateJob, named: NamedElsewhere) -> Surplus | None:
        from imaging.grace import read_clocks
        from imaging.retention import clean_plate, find_surplus
        from imaging.steps import is_followed

        plan = job.survey()
        if not plan.records.last_publication or is_followed(plan, stale_s=self.settings.heartbeat_stale_s):
            return None
        if self.is_dry:
            return find_surplus(job, plan, keep=self.keep, now=read_clocks()[0], named=named)
        return clean_plate(job, plan, keep=self.keep, named=named)

    def _say(self, place: str, problem: str) -> None:
        self.has_faults = True
        typer.echo(printable(f"error: {place}: {problem}"), err=True)


def _as_dict(job: PlateJob, surplus: Surplus) -> dict[str, Any]:
    from dataclasses import asdict

    return {"experiment": job.experiment.name, "plate": job.plate, "recipe": job.recipe, **asdict(surplus)}


def _say_surplus(job: PlateJob, surplus: Surplus) -> str:
    numbers = f"publications {', '.join(map(str, surplus.publications))}: " if surplus.publications else ""
    counts = f"{counted(len(surplus.records), 'record')}, {counted(len(surplus.data), 'data object')}"
    return f"{job.experiment.name}/{job.plate} ({job.recipe}): {numbers}{counts}"
