"""`platestream alerts` and `doctor`: what is wrong, and what to do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer

from flows.cli_results import STORE, counted, open_existing

if TYPE_CHECKING:
    from flows.settings import Settings
    from flows.watchdogs.status import AlertStatus

AS_JSON = typer.Option(False, "--json", help="Print JSON.")


def alerts(
    store: str = STORE,
    as_json: bool = AS_JSON,
    test: bool = typer.Option(False, "--test", help="Send a test message the way that alerts go."),
) -> None:
    """Show the alerts that stand: what is wrong, where, since when, and what to do."""
    from flows.settings import Settings
    from flows.watchdogs.status import read_alerts

    settings = Settings(store=store) if store else Settings()
    if test:
        _send_test(settings)
        return
    found = read_alerts(open_existing(settings), every_s=settings.alert_every_s)
    if as_json:
        typer.echo(json.dumps({"alerts": found.rows(), "checked_at": found.checked_at or None}, indent=2))
        if found.silence:
            typer.echo(found.silence, err=True)
        return
    print_alerts(found)
    if not found.standing and not found.silence:
        typer.echo("no alerts")


def doctor(store: str = STORE, as_json: bool = AS_JSON) -> None:
    """Check everything that Platestream needs here, and say in words what is wrong and what to do."""
    from flows.doctor import examine
    from flows.settings import Settings

    settings = Settings(store=store) if store else Settings()
    findings = []
    for finding in examine(settings):
        findings.append(finding)
        if not as_json:
            typer.echo(str(finding))
    wrong = sum(finding.level == "wrong" for finding in findings)
    if as_json:
        typer.echo(json.dumps([finding.as_row() for finding in findings], indent=2))
    else:
        typer.echo(f"{counted(wrong, 'thing')} {'is' if wrong == 1 else 'are'} wrong" if wrong else "all is well")
    if wrong:
        raise typer.Exit(1)


COMMANDS = (alerts, doctor)


def print_alerts(found: AlertStatus) -> None:
    """Print each alert that stands, and whether nobody looks for them."""
    for each in found.standing:
        typer.echo(f"alert: {each.alert.sentence}")
    if found.silence:
        typer.echo(found.silence)


def _send_test(settings: Settings) -> None:
    """Send an alert that says that it is none."""
    import time

    from flows.events import emit
    from flows.watchdogs.alert import Alert
    from flows.watchdogs.rounds import AlertEvent

    now = time.time()
    alert = Alert("test", settings.environment, now, "this is a test of Platestream's alerts", "nothing is to be done")
    emit(settings.api_url, AlertEvent(alert, "test", alert.sentence, now), auth=settings.auth)
    typer.echo(
        f"the Prefect server at {settings.api_url} took a test alert; where nothing comes within a minute, "
        "`platestream doctor` says what is missing"
    )
