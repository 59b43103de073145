"""`platestream choose`: what a person decides about plates."""

from __future__ import annotations

import typer

from flows.cli_results import STORE, open_existing


def choose(
    experiment: str = typer.Argument(help="Name of the experiment."),
    plate: str = typer.Argument(help="The acquisition (folder under raw/) that is to be shown of its barcode."),
    because: str = typer.Option("", "--because", help="Why it is the right one; recorded."),
    by: str = typer.Option("", "--by", help="Who decides.", show_default="your user name"),
    by_rule: bool = typer.Option(False, "--by-rule", help="Give an earlier choice back to the rule instead."),
    store: str = STORE,
) -> None:
    """Choose which acquisition of a plate that was measured more than once is shown; the others can still be asked for.

    A choice stands, whatever is acquired later, until somebody chooses again or gives it back with --by-rule.
    """
    from flows.settings import Settings
    from imaging.acquisitions import choose_by_hand, return_to_rule
    from imaging.job import open_experiment
    from imaging.names import check_name

    root = open_existing(Settings(store=store) if store else Settings())
    declared = open_experiment(root, check_name("experiment", experiment))
    check_name("plate", plate)
    if by_rule:
        decided = return_to_rule(root, declared, plate)
    else:
        decided = choose_by_hand(root, declared, plate, by=by or current_user(), because=because)
    if decided is None:
        typer.echo(f"{experiment}/{plate} is the only acquisition of {declared.barcode_of(plate)}: nothing to decide")
        return
    others = [item["plate"] for item in decided["acquisitions"] if item["plate"] != decided["plate"]]
    typer.echo(
        f"{decided['barcode']} is shown as {decided['plate']}, decided by {decided['decided_by']}: {decided['reason']}"
    )
    if others:
        typer.echo(f"no longer shown, but kept: {', '.join(others)}")


COMMANDS = (choose,)


def current_user() -> str:
    """Name of the user of this process, for records of what a person decides."""
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container may run as a user without a name
        return "somebody"
