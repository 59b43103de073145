"""`platestream export`: published plates as files for other programs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from flows.cli_results import STORE, open_existing
from imaging.sentences import counted

if TYPE_CHECKING:
    from imaging.export.forms import Written


class Form(StrEnum):
    """Which form the files have."""

    parquet = "parquet"
    csv = "csv"
    csv_gz = "csv.gz"
    anndata = "anndata"
    cpg = "cpg"
    xlsx = "xlsx"


class What(StrEnum):
    """Which rows are exported."""

    profiles = "profiles"
    cells = "cells"
    images = "images"
    image_features = "image_features"


_CPG = "Format cpg"


def export(
    experiment: str = typer.Argument(help="Name of the experiment."),
    plates: list[str] = typer.Argument(None, metavar="[PLATE]...", help="Its plates.", show_default="all published"),
    out: Path = typer.Option(..., "--out", help="Folder that takes the files; it is made if it is not there."),
    what: What = typer.Option(What.profiles, "--what", help="profiles are wells, one row each."),
    form: Form = typer.Option(Form.parquet, "--format", help="cpg is the Cell Painting Gallery's folders."),
    recipe: str = typer.Option(
        "", help="Results of this recipe.", show_default="the promoted one, else the declared one"
    ),
    force: bool = typer.Option(False, "--force", help="Replace files that are there."),
    project: str = typer.Option("", help="Project folder.", show_default="the experiment", rich_help_panel=_CPG),
    source: str = typer.Option("source_1", help="Folder of who imaged the plates.", rich_help_panel=_CPG),
    batch: str = typer.Option("", help="Batch folder.", show_default="the experiment", rich_help_panel=_CPG),
    copy_images: bool = typer.Option(False, "--copy-images", help="Copy the images too.", rich_help_panel=_CPG),
    store: str = STORE,
) -> None:
    """Write published plates as files for other programs: Parquet, CSV, AnnData, Cell Painting Gallery, Excel."""
    from flows.settings import Settings
    from imaging.errors import ConfigurationError
    from imaging.export.forms import Export, refuse_overwriting
    from imaging.export.gallery import Gallery
    from imaging.export.selection import select_plates

    root = open_existing(Settings(store=store) if store else Settings())
    if form != "cpg" and (project or batch or copy_images):
        raise ConfigurationError("--project, --batch and --copy-images belong to --format cpg; give it too")
    gallery = Gallery(out, project or experiment, batch or experiment, source, copy_images) if form == "cpg" else None
    chosen = Export(form.value, what.value, out, gallery)
    selection = select_plates(root, experiment, plates or (), recipe=recipe)
    if not force:
        refuse_overwriting(chosen, selection.plates)
    for remark in selection.remarks:
        typer.echo(remark, err=True)
    size = 0
    for published in selection.plates:
        for written in chosen.write(published):
            _tell(written, out)
            size += written.size
    typer.echo(f"{counted(len(selection.plates), 'plate')}, {size / 1e6:,.2f} MB in {out}")


COMMANDS = (export,)


def _tell(written: Written, out: Path) -> None:
    rows = counted(written.rows, "image" if written.path.is_dir() else "row")
    typer.echo(f"{written.path.relative_to(out)}: {rows}, {written.size / 1e6:,.2f} MB")
    if written.remark:
        typer.echo(written.remark, err=True)
