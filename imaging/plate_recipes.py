"""The recipes of one plate: which of them is its production, and with what priority each is worked on.

A plate that nobody has begun is processed under the experiment's recipe for new plates. One that is published under a
former recipe stays with it, so that late images and plate maps still count, until it is published under the promoted
one. All others that were ever begun, by a backfill or by hand, are kept up to date when nothing else is to be done, and
after them the experimental one that a look at the plate may tell of (``Plan.asked``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from imaging.experiment import Experiment
from imaging.recipe_book import RecipeBook
from imaging.store import Store

PRODUCTION, BACKGROUND, EXPERIMENTAL = 0, -10, -20
"""Priorities on the cluster: sites of a higher one go first."""


@dataclass(frozen=True, slots=True)
class PlateRecipe:
    """The experiment with one recipe of a plate, and the priority of its sites."""

    experiment: Experiment
    priority: int


def find_plate_recipes(store: Store, book: RecipeBook, plate: str) -> tuple[PlateRecipe, ...]:
    """Find every declared recipe that a plate is to be looked at under, its production first.

    Parameters
    ----------
    store
        Where the plate is.
    book
        The experiment's recipes.
    plate
        Its name.

    Raises
    ------
    ConfigurationError
        If the promoted recipe does not go with experiment.yaml any more.
    """
    known = book.by_id
    if len(known) == 1:  # nothing to choose: a plate is looked at every second or two, and a listing less counts
        return (PlateRecipe(book.production, PRODUCTION),)
    begun = store.list_folders(f"results/{book.declared.name}/{plate}/")
    ours = [recipe for recipe in begun if recipe in known]
    production = _production(store, book, plate, ours)
    others = [recipe for recipe in ours if recipe != production.recipe_id]
    return (PlateRecipe(production, PRODUCTION), *(PlateRecipe(known[recipe], BACKGROUND) for recipe in others))


def _production(store: Store, book: RecipeBook, plate: str, ours: Sequence[str]) -> Experiment:
    newest = book.production
    if set(ours) <= {newest.recipe_id}:
        return newest
    folder = f"results/{book.declared.name}/{plate}/"
    published = [recipe for recipe in ours if store.list(f"{folder}{recipe}/publications/").objects]
    if newest.recipe_id in (published or ours):
        return newest
    return book.by_id[max(published or ours, key=lambda recipe: (book.rank(recipe), recipe))]
