"""`platestream`: the command line.

Commands that describe an experiment (``init``, ``check``) stand in flows/cli_declare.py, those that look at results in
flows/cli_results.py and flows/cli_reconcile.py, analyses in flows/cli_analyse.py, exports in flows/cli_export.py,
those that decide in flows/cli_decide.py, the one that deletes in flows/cli_retain.py, recipes in flows/cli_recipes.py,
those that run something in flows/cli_run.py, the upload in flows/cli_upload.py, the warehouse in
flows/cli_warehouse.py, what verifies and mends in flows/cli_recover.py, alerts and the doctor in
flows/cli_watchdogs.py, messages in flows/cli_messages.py, what segments and measures any images in
flows/cli_segment.py and flows/cli_measure.py. Each imports what it needs when it runs, so that ``--help`` answers at
once.

A fault of the plate or of what it needs is one sentence on stderr, without a traceback. Exit status: 0 done, 1 failed,
2 bad input, 3 a part (program, service, package) is missing.
"""

from __future__ import annotations

import sys
import traceback
from typing import TYPE_CHECKING

import typer

from flows import (
    cli_analyse,
    cli_decide,
    cli_declare,
    cli_export,
    cli_measure,
    cli_messages,
    cli_recipes,
    cli_reconcile,
    cli_recover,
    cli_results,
    cli_retain,
    cli_run,
    cli_segment,
    cli_upload,
    cli_warehouse,
    cli_watchdogs,
)
from flows.ours import find_strangers
from flows.printed_rows import printable

if TYPE_CHECKING:
    from imaging.errors import PlateError

FAILED, BAD_INPUT, MISSING_PART = 1, 2, 3

app = typer.Typer(
    name="platestream",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
_shows_tracebacks = False


def _print_version(is_asked: bool) -> None:
    if is_asked:
        from flows import __version__
        from imaging.recipes import NUMBERS_VERSION

        typer.echo(f"platestream {__version__}, numbers version {NUMBERS_VERSION}")
        raise typer.Exit


@app.callback()
def _options(
    debug: bool = typer.Option(False, "--debug", envvar="PLATESTREAM_DEBUG", help="Show tracebacks of faults."),
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Show the version."),
) -> None:
    """Turn microscopy plates into thumbnails, quality metrics, cell features and SQL tables while they are imaged."""
    global _shows_tracebacks
    _shows_tracebacks = debug


_ANY_IMAGES = "Segment and measure any images"
PANELS = (
    (cli_declare, "Describe"),
    (cli_run, "Run"),
    (cli_upload, "Run"),
    (cli_warehouse, "Run"),
    (cli_recipes, "Recipes"),
    (cli_results, "Look"),
    (cli_reconcile, "Look"),
    (cli_watchdogs, "Look"),
    (cli_messages, "Look"),
    (cli_export, "Look"),
    (cli_analyse, "Analyse"),
    (cli_retain, "Run"),
    (cli_recover, "Recover"),
    (cli_decide, "Decide"),
    (cli_segment, _ANY_IMAGES),
    (cli_measure, _ANY_IMAGES),
)
for _module, _panel in PANELS:
    for _command in _module.COMMANDS:
        app.command(rich_help_panel=_panel)(_command)


def main() -> None:
    """Run the command line of this process."""
    strangers = find_strangers()
    if strangers:
        typer.echo("error: " + "\n  - ".join(["the installation is broken", *strangers]), err=True)
        sys.exit(MISSING_PART)
    from imaging.errors import PlateError

    try:
        app()
    except PlateError as error:
        if _shows_tracebacks:
            traceback.print_exc()
        typer.echo(printable(f"error: {error}"), err=True)
        sys.exit(exit_status(error))
    except OSError as error:
        if _shows_tracebacks or error.filename is None:
            raise
        typer.echo(printable(f"error: {error.filename}: {error.strerror}"), err=True)
        sys.exit(FAILED)


def exit_status(error: PlateError) -> int:
    """Exit status for a fault: whose it is decides."""
    from imaging.errors import MissingPartError, StoredDataError, UnreadableImageError

    if isinstance(error, MissingPartError):
        return MISSING_PART
    is_of_data = isinstance(error, StoredDataError | UnreadableImageError)
    return BAD_INPUT if isinstance(error, ValueError) and not is_of_data else FAILED


if __name__ == "__main__":
    main()
