"""`platestream messages`: what people were told, by which channel, and a test of the channels."""

from __future__ import annotations

import json

import typer

from flows.cli_results import STORE, open_existing

AS_JSON = typer.Option(False, "--json", help="Print JSON.")


def messages(
    store: str = STORE,
    as_json: bool = AS_JSON,
    test: bool = typer.Option(False, "--test", help="Send a test message by every channel."),
) -> None:
    """Show the messages of the last days: what was told, and by which channels; or send a test."""
    import time

    from flows.messages.channels import read_channels
    from flows.messages.outbox import list_deliveries
    from flows.messages.rounds import send_test
    from flows.settings import Settings

    settings = Settings(store=store) if store else Settings()
    if test:
        outcome = send_test(settings, time.time())
        for channel, what in outcome.items():
            typer.echo(f"{channel}: {what}")
        if not outcome:
            typer.echo("there is no channel; docs/messages.md says how to set one up")
        if any(what != "taken" for what in outcome.values()) or not outcome:
            raise typer.Exit(1)
        return
    channels = [channel.name for channel in read_channels(settings)]
    rows = [
        {"message": each.folder.split("/")[2], "day": each.folder.split("/")[1]}
        | {channel: each.reached(channel) for channel in channels}
        for each in list_deliveries(open_existing(settings), time.time())
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        told = ", ".join(f"{channel} {row[channel]}" for channel in channels) or "no channel"
        typer.echo(f"{row['day']} {row['message']}: {told}")
    if not rows:
        typer.echo("no messages")


COMMANDS = (messages,)
