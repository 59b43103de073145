"""`platestream recipes` and `promote`: the recipes of an experiment side by side, and which one counts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import typer

from flows.cli_results import STORE, open_existing
from flows.printed_rows import plain

if TYPE_CHECKING:
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
    from rich.console import Console
    from rich.table import Table

    table = Table("recipe", "id", "from", "plates published", "", box=None)
    for row in rows:
        table.add_row(*(plain(row[name]) for name in ("name", "recipe", "declared_in", "plates", "note")))
    Console().print(table)


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


COMMANDS = (recipes, promote)


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
