"""`platestream verify`, `repair` and `rebuild-warehouse`: whether all is there, and making again what is not."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from flows.cli_results import STORE, open_existing
from flows.printed_rows import open_console, plain
from imaging.sentences import counted

if TYPE_CHECKING:
    from flows.settings import Settings
    from imaging.damage import Damage, Verification
    from imaging.repair import Mended
    from imaging.warehouse.outcomes import Loaded, Refused

EXPERIMENT = typer.Argument("", help="Name of an experiment; left out, all.")
PLATE = typer.Argument("", help="Name of a plate; left out, all of the experiment.")
JSON = typer.Option(False, "--json", help="Print what is found as JSON.")


def verify(
    experiment: str = EXPERIMENT,
    plate: str = PLATE,
    quick: bool = typer.Option(False, "--quick", help="Compare presence and sizes alone; no data are read."),
    as_json: bool = JSON,
    store: str = STORE,
) -> None:
    """Find every object of the results and images that is missing, cut short or altered; nothing is written.

    Exit status 1 if anything is damaged. Uploaded images are not read: `upload --verify` compares them.
    """
    from flows.recover import verify_store

    found = verify_store(open_existing(_settings(store)), experiment, plate, is_quick=quick)
    if as_json:
        typer.echo(json.dumps(_summary(found) | {"damages": [_described(item) for item in found.damages]}, indent=2))
    else:
        _print_damages([(item, item.cure) for item in found.damages], "repair")
        _print_summary(found, is_quick=quick)
    if found.damages:
        raise typer.Exit(1)


def repair(
    experiment: str = EXPERIMENT,
    plate: str = PLATE,
    images: Path | None = typer.Option(
        None, "--images", help="Folder of one plate's images that are not in the store."
    ),
    declaration: Path | None = typer.Option(None, "--declaration", help="Its experiment.yaml, with --images."),
    as_json: bool = JSON,
    store: str = STORE,
) -> None:
    """Mend what verify finds, and just that: damaged sites are measured again, damaged tables published anew.

    It may be stopped at any time and begun again. Exit status 1 if anything is left damaged.
    """
    from flows.recover import StoreRepair, verify_store
    from imaging.errors import ConfigurationError

    if (images is None) != (declaration is None) or (images and not plate):
        raise ConfigurationError("a plate from elsewhere needs all of EXPERIMENT, PLATE, --images and --declaration")
    settings = _settings(store)
    root = open_existing(settings)
    found = verify_store(root, experiment, plate)
    outcomes = StoreRepair(root, settings, images, declaration).mend(found.damages)
    if as_json:
        typer.echo(json.dumps(_summary(found) | {"repairs": [_outcome(item) for item in outcomes]}, indent=2))
    else:
        _print_damages(
            [(item.damage, item.said if item.is_mended else f"NOT MENDED: {item.said}") for item in outcomes]
        )
        left = sum(not item.is_mended for item in outcomes)
        mended = len(outcomes) - left
        typer.echo(f"{counted(mended, 'damage')} mended, {left} left" if outcomes else "nothing is damaged")
    if any(not item.is_mended for item in outcomes):
        raise typer.Exit(1)


def rebuild_warehouse(as_json: bool = JSON, store: str = STORE) -> None:
    """Make the BigQuery dataset again from publications and analyses, or what of it is gone; then it equals them.

    Rows that are there and right are compared and left alone. It may be stopped at any time and begun again.
    """
    from flows.warehouse import open_rounds

    outcomes: list[Loaded | Refused] = []
    sent = open_rounds(_settings(store), outcomes.append, compares_all=True).round()
    tables, loaded, refused = _sum_tables(outcomes)
    if as_json:
        said = [asdict(item) for item in refused]
        parts = {
            "publications": [item for item in loaded if item["plate"]],
            "analyses": [item for item in loaded if not item["plate"]],
        }
        typer.echo(json.dumps({"tables": tables, "live": sent, **parts, "refused": said}, indent=2))
    else:
        _print_tables(tables)
        jobs = sum(item["jobs"] for item in loaded)
        analyses = sum(not item["plate"] for item in loaded)
        kinds = [counted(len(loaded) - analyses, "publication")]
        kinds += [f"{analyses} {'analysis' if analyses == 1 else 'analyses'}"] if analyses else []
        typer.echo(f"{' and '.join(kinds)} in the warehouse as in the store, by {counted(jobs, 'job')}")
    for item in refused:
        typer.echo(f"{item.place}: {item.reason}", err=True)
    if refused:
        raise typer.Exit(1)


COMMANDS = (verify, repair, rebuild_warehouse)


def _sum_tables(outcomes: list[Loaded | Refused]) -> tuple[dict[str, int], list[dict[str, Any]], list[Refused]]:
    """Rows of each table over all runs, what is in the warehouse, and what is not."""
    from imaging.warehouse.outcomes import Loaded

    loaded = [asdict(item) for item in outcomes if isinstance(item, Loaded)]
    tables: dict[str, int] = {}
    for item in loaded:
        for name, rows in item["rows"].items():
            tables[name] = tables.get(name, 0) + rows
    return tables, loaded, [item for item in outcomes if not isinstance(item, Loaded)]


def _print_tables(tables: dict[str, int]) -> None:
    from rich.table import Table

    table = Table("table", "rows", "equal to the store's", box=None)
    for name, rows in tables.items():
        table.add_row(name, f"{rows:,}", "yes: counted and summed on both sides")
    if tables:
        open_console().print(table)


def _settings(store: str) -> Settings:
    from flows.settings import Settings

    return Settings(store=store) if store else Settings()


def _described(damage: Damage) -> dict[str, Any]:
    return asdict(damage) | {"cure": damage.cure}


def _outcome(item: Mended) -> dict[str, Any]:
    return asdict(item.damage) | {"is_mended": item.is_mended, "said": item.said}


def _summary(found: Verification) -> dict[str, Any]:
    return {"objects": found.objects, "size_bytes": found.size_bytes, "unprotected": dict(found.unprotected)}


def _print_damages(rows: list[tuple[Damage, str]], last: str = "done") -> None:
    from rich.table import Table

    if not rows:
        return
    table = Table("experiment", "plate", "what", "file", "fault", last, box=None)
    for damage, said in rows:
        place = "/".join(filter(None, (damage.experiment, damage.plate or "_analyses")))
        key = damage.key.removeprefix(f"results/{place}/{damage.recipe}/").removeprefix(f"images/{place}.zarr/")
        cells = (damage.experiment, damage.plate, damage.what, key, damage.fault, said)
        table.add_row(*map(plain, cells))
    open_console().print(table)


def _print_summary(found: Verification, *, is_quick: bool) -> None:
    read = "looked at" if is_quick else f"compared, {found.size_bytes / 1e6:,.1f} MB"
    damaged = f"{len(found.damages)} damaged" if found.damages else "all whole"
    typer.echo(f"{counted(found.objects, 'object')} {read}: {damaged}")
    if found.unprotected:
        kinds = ", ".join(f"{number:,} {kind}" for kind, number in found.unprotected.items())
        typer.echo(f"without a checksum: {kinds}; pages are only looked for, uploaded images are not read")
