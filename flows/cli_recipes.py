"""`platestream recipes`, `promote` and `backfill`: recipes side by side, which one counts, and plates that lack one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import typer

from flows.cli_results import STORE, open_existing
from flows.printed_rows import open_console, plain
from imaging.sentences import counted

if TYPE_CHECKING:
    from flows.settings import Settings
    from imaging.backfill import BackfillPlan
    from imaging.experiment import Experiment
    from imaging.recipe_book import RecipeBook
    from imaging.store import Store

EXPERIMENT = typer.Argument(help="Name of the experiment.")


def recipes(
    experiment: str = EXPERIMENT,
    store: str = STORE,
    as_json: bool = typer.Option(False, "--json", help="Print the recipes as JSON."),
) -> None:
    """Show an experiment's recipes: which is promoted, and how many plates are published under each."""
    root = _open(store)
    rows = _describe(root, open_book(root, experiment))
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    from rich.table import Table

    table = Table("recipe", "id", "from", "plates published", "", box=None)
    for row in rows:
        table.add_row(*(plain(row[name]) for name in ("name", "recipe", "declared_in", "plates", "note")))
    open_console().print(table)


def promote(
    experiment: str = EXPERIMENT,
    recipe: str = typer.Argument(help="Name or id of the recipe."),
    because: str = typer.Option("", help="Why, in a few words; it is recorded."),
    store: str = STORE,
) -> None:
    """Let a recipe count: tables show its results, and new plates are processed under it.

    A plate without results under it is shown under the recipe promoted before, and a column says so. Nothing is
    computed; `platestream backfill` does that. To go back, promote the former recipe.
    """
    from imaging.promotions import record_promotion

    root = _open(store)
    book = open_book(root, experiment)
    before = book.promoted.recipe if book.promoted else book.declared.recipe_id
    promotion, is_new = record_promotion(root, book.find(recipe), instead_of=before, because=because)
    if not is_new:
        typer.echo(f"{promotion.recipe} is the promoted recipe of {experiment} already")
        return
    typer.echo(f"{promotion.recipe} is promoted (number {promotion.number} of {experiment}), before it was {before}")
    done, others = count_plates(root, experiment, promotion.recipe)
    if others:
        typer.echo(
            f"{done} of {done + others} published plates have results under it; the others are shown as before. "
            f"To process them: platestream backfill {experiment} --recipe {promotion.name} --plates '*'"
        )


def backfill(
    experiment: str = EXPERIMENT,
    recipe: str = typer.Option("", help="Name or id of the recipe.", show_default="the promoted one"),
    plates: str = typer.Option(..., help="Names with commas between them; '*' stands for any text."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Show what would be done, and what it takes."),
    here: bool = typer.Option(False, "--here", help="Process on this machine, also where a Prefect server answers."),
    as_json: bool = typer.Option(False, "--json", help="Print the plan as JSON."),
    store: str = STORE,
    workers: int = typer.Option(0, min=0, max=1024, help="Worker processes.", show_default="one per CPU core"),
) -> None:
    """Process plates under a recipe that they lack, when nothing else is to be done; again does what is left.

    Where a Prefect server answers, it gets a run for each plate; else plates are processed here, one after the other.
    """
    from flows.settings import Settings
    from imaging.backfill import plan_backfill

    said = {name: value for name, value in (("store", store), ("workers", workers)) if value}
    settings = Settings(**said)
    root = open_existing(settings)
    chosen = open_book(root, experiment).find(recipe)
    names = [name.strip() for name in plates.split(",") if name.strip()]
    plan = plan_backfill(root, chosen, names, stale_s=settings.heartbeat_stale_s, settle_s=settings.settle_s)
    if as_json:
        typer.echo(json.dumps(_plan_as_dict(plan), indent=2))
    else:
        _print_plan(plan, settings)
    if not dry_run and plan.todo:
        _do_backfill(plan, chosen, root, settings, here=here)
    if any(plate.state == "at fault" for plate in plan.plates):
        raise typer.Exit(1)


COMMANDS = (recipes, promote, backfill)


def open_book(store: Store, experiment: str) -> RecipeBook:
    """All recipes of an experiment of the store."""
    from imaging.job import open_experiment
    from imaging.names import check_name
    from imaging.recipe_book import open_recipes

    return open_recipes(store, open_experiment(store, check_name("experiment", experiment)))


def count_plates(store: Store, experiment: str, recipe: str) -> tuple[int, int]:
    """How many plates are published under a recipe, and how many under other declared ones only."""
    from imaging.names import is_experimental
    from imaging.query import read_catalog

    found: dict[str, set[str]] = {}
    for folder, record in read_catalog(store).current.items():
        if folder[0] == experiment and record["status"] != "withdrawn" and not is_experimental(folder[2]):
            found.setdefault(folder[1], set()).add(folder[2])
    done = sum(recipe in under for under in found.values())
    return done, len(found) - done


def _open(store: str) -> Store:
    from flows.settings import Settings

    return open_existing(Settings(store=store) if store else Settings())


def _describe(store: Store, book: RecipeBook) -> list[dict[str, Any]]:
    """One row per recipe that is declared, at fault, promoted, or that plates are published under."""
    from collections import Counter

    from imaging.query import read_catalog
    from imaging.recipe_files import FOLDER

    current = read_catalog(store).current
    plates = Counter(folder[2] for folder in current if folder[0] == book.declared.name)
    promoted = book.promoted.recipe if book.promoted else None
    rows = [_row(book.declared.recipe.name, book.declared.recipe_id, "experiment.yaml")]
    rows += [_row(name, each.recipe_id, f"{FOLDER}{name}.yaml") for name, each in book.named.items()]
    rows += [_row(name, "", f"{FOLDER}{name}.yaml", str(error)) for name, error in book.faults.items()]
    known = {row["recipe"] for row in rows}
    if promoted and promoted not in known:
        rows.append(_row(book.promotions[-1].name, promoted, f"promotion {book.promotions[-1].number}"))
    rows += [_row(recipe.rpartition("-")[0], recipe, "") for recipe in sorted(plates.keys() - known - {promoted})]
    for row in rows:
        row |= {"plates": plates[row["recipe"]], "is_promoted": row["recipe"] == promoted}
        row["note"] = row["note"] or ("promoted" if row["is_promoted"] else "")
    return rows


def _row(name: str, recipe: str, declared_in: str, note: str = "") -> dict[str, Any]:
    return {"name": name, "recipe": recipe, "declared_in": declared_in, "note": note}


def _plan_as_dict(plan: BackfillPlan) -> dict[str, Any]:
    basis = plan.basis
    return {
        "experiment": plan.experiment,
        "recipe": plan.recipe,
        "plates": [
            {
                **{name: getattr(plate, name) for name in ("plate", "state", "sites", "done", "todo")},
                "machine_seconds": plan.seconds(plate.todo),
                "cost": plan.cost(plate.todo),
                "problem": plate.problem or None,
            }
            for plate in plan.plates
        ],
        "plates_todo": len(plan.todo),
        "sites_todo": plan.sites_todo,
        "machine_seconds": plan.seconds(plan.sites_todo),
        "cost": plan.cost(plan.sites_todo),
        "basis": basis
        and {"of": basis.of, "sites": basis.measured.sites, "seconds_per_site": round(basis.seconds_per_site, 4)},
    }


def _print_plan(plan: BackfillPlan, settings: Settings) -> None:
    from rich.table import Table

    from imaging.cost_words import money_words, time_words

    table = Table("plate", "state", "sites", "done under it", "to do", "worker time", "cost", box=None)
    for plate in plan.plates:
        todo = plate.todo if plate.state == "to do" else 0
        seconds, cost = plan.seconds(todo), plan.cost(todo)
        table.add_row(
            plain(plate.plate),
            plate.state,
            *map(str, (plate.sites, plate.done, todo)),
            time_words(seconds) if todo and seconds is not None else "",
            money_words(cost) if todo and cost is not None else "",
        )
    typer.echo(f"{plan.experiment} under {plan.recipe}:")
    open_console().print(table)
    for plate in plan.plates:
        if plate.problem:
            typer.echo(f"{plate.plate}: {plate.problem}")
    typer.echo(_sum_words(plan, settings))


def _sum_words(plan: BackfillPlan, settings: Settings) -> str:
    """What is left to do in all, how long and for how much, and what that rests on."""
    import os

    from imaging.cost_words import money_words, time_words

    if not plan.todo:
        return "nothing is left to do"
    left = f"{counted(len(plan.todo), 'plate')}, {counted(plan.sites_todo, 'site')} to do"
    seconds, cost = plan.seconds(plan.sites_todo), plan.cost(plan.sites_todo)
    if plan.basis is None or seconds is None:
        return f"{left}; nothing of this experiment was measured yet, so time and cost cannot be estimated"
    workers = settings.workers or os.cpu_count() or 1
    money = f"about {money_words(cost)}" if cost is not None else "cost unknown, as those sites have no price"
    return (
        f"{left}: about {time_words(seconds)} of worker time, {time_words(seconds / workers)} with "
        f"{counted(workers, 'worker')}, {money}\nestimated by {counted(plan.basis.measured.sites, 'measured site')} "
        f"({plan.basis.of}): {plan.basis.seconds_per_site:.2f} s a site"
    )


def _do_backfill(plan: BackfillPlan, chosen: Experiment, store: Store, settings: Settings, *, here: bool) -> None:
    """Ask the server for runs, or process here; what ended badly is told last."""
    from flows.backfill import backfill_here, request_runs
    from flows.cli_run import show_progress
    from flows.server import is_healthy

    if not here and is_healthy(settings.api_url):
        outcomes = iter(request_runs(plan, settings))
    else:
        outcomes = backfill_here(
            plan,
            chosen,
            store,
            settings,
            on_begin=lambda plate: typer.echo(f"{plate}: begun", err=True),
            on_look=show_progress,
        )
    is_well = True
    for outcome in outcomes:
        is_well &= outcome.is_well
        typer.echo(f"{outcome.plate}: {outcome.said}", err=True)
    if not is_well:
        raise typer.Exit(1)
