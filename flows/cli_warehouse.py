"""`platestream warehouse`: results into BigQuery."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from flows.cli_results import STORE
from flows.printed_rows import open_console
from imaging.sentences import counted

if TYPE_CHECKING:
    from imaging.warehouse.outcomes import Loaded, Refused


def warehouse(
    once: bool = typer.Option(False, "--once", help="Load what is missing now, show it, and end."),
    store: str = STORE,
) -> None:
    """Keep a BigQuery dataset up to what is published and being imaged; runs until it is stopped."""
    from flows.settings import Settings
    from flows.warehouse import keep, open_rounds, tell
    from imaging.warehouse.outcomes import Refused

    settings = Settings(store=store) if store else Settings()
    if once:
        outcomes: list[Loaded | Refused] = []
        sent = open_rounds(settings, outcomes.append).round()
        _print_outcomes(outcomes, sent)
        if any(isinstance(outcome, Refused) for outcome in outcomes):
            raise typer.Exit(1)
        return
    from flows.cli_run import log_to_terminal

    log_to_terminal()
    keep(open_rounds(settings, tell), interval_s=settings.warehouse_interval_s)


COMMANDS = (warehouse,)


def _print_outcomes(outcomes: list[Loaded | Refused], sent: dict[str, int]) -> None:
    from rich.table import Table

    from imaging.warehouse.outcomes import Loaded

    loaded = [outcome for outcome in outcomes if isinstance(outcome, Loaded)]
    table = Table("experiment", "plate", "number", "status", "tables", "rows", "jobs", "seconds", box=None)
    for item in loaded:
        tables, rows = sum(rows > 0 for rows in item.rows.values()), sum(item.rows.values())
        shown = (item.number, item.status, tables, rows, item.jobs, f"{item.seconds:.1f}")
        table.add_row(item.experiment, item.plate or "analysis", *map(str, shown))
    if loaded:
        open_console().print(table)
    for name, rows in sent.items():
        typer.echo(f"{counted(rows, 'row')} of plates in progress into {name}")
    for outcome in outcomes:
        if not isinstance(outcome, Loaded):
            typer.echo(f"{outcome.place}: {outcome.reason}", err=True)
    if not outcomes and not sent:
        typer.echo("the warehouse holds everything that is published")
