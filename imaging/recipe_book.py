"""All recipes of an experiment, and which of them its plates are processed under.

experiment.yaml's own        the first; where nothing was promoted, plates are processed under it
recipes/<name>.yaml          others that run side by side (imaging/recipe_files.py)
promotions                   each holds the recipe it promoted (imaging/promotions.py); the last one counts
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property

from imaging.declared import did_you_mean
from imaging.errors import ConfigurationError
from imaging.experiment import Experiment
from imaging.names import experiment_key
from imaging.promotions import Promotion, list_promotions, read_promotions
from imaging.recipe_files import FOLDER, check_recipe, read_recipe
from imaging.store import Store, StoredObject


@dataclass(frozen=True)
class RecipeBook:
    """The recipes of an experiment, each as the experiment with that recipe in the place of its own.

    Parameters
    ----------
    declared
        The experiment with its own recipe.
    named
        Those of files, by name.
    faults
        What is wrong with other files, by name; it stops nobody who does not ask for them.
    promotions
        Records, the last one last.
    seen
        The files and records as they were listed before they were read.
    """

    declared: Experiment
    named: Mapping[str, Experiment] = field(default_factory=dict)
    faults: Mapping[str, ConfigurationError] = field(default_factory=dict)
    promotions: tuple[Promotion, ...] = ()
    seen: tuple[StoredObject, ...] = ()

    @property
    def promoted(self) -> Promotion | None:
        """The promotion that counts."""
        return self.promotions[-1] if self.promotions else None

    @cached_property
    def production(self) -> Experiment:
        """The recipe that new plates are processed under: the promoted one as it was then, or the declared one.

        Raises
        ------
        ConfigurationError
            If the promoted one does not go with experiment.yaml any more.
        """
        if self.promoted is None:
            return self.declared
        return self._restore(self.promoted)

    def _restore(self, promotion: Promotion) -> Experiment:
        """The recipe that a promotion holds; its id is another one where experiment.yaml changed meanwhile."""
        for known in (self.declared, *self.named.values()):
            if known.recipe_id == promotion.recipe:
                return known
        recipe, faults = check_recipe(self.declared, promotion.declared)
        if recipe is None or faults:
            raise ConfigurationError(
                f"the recipe {promotion.recipe}, which is promoted, does not go with experiment.yaml any more; promote "
                "one that does",
                tuple(sentence for _, sentence in faults),
                experiment=self.declared.name,
            )
        return self.declared.model_copy(update={"recipe": recipe})

    def find(self, reference: str = "") -> Experiment:
        """Find a recipe by its name or its id; without either, the one for new plates.

        Raises
        ------
        ConfigurationError
            If there is none, or its file is at fault.
        """
        if not reference:
            return self.production
        if reference in self.faults:
            raise self.faults[reference]
        if reference == self.declared.recipe.name:
            return self.declared
        found = self.named.get(reference) or self.by_id.get(reference)
        if found is None:
            found = next((self._restore(each) for each in reversed(self.promotions) if each.name == reference), None)
        if found is None:
            names = [self.declared.recipe.name, *self.named]
            raise ConfigurationError(
                f"there is no recipe {reference!r}; {did_you_mean(reference, names)}; a new one is written to "
                f"{FOLDER}NAME.yaml beside experiment.yaml",
                experiment=self.declared.name,
            )
        return found

    @cached_property
    def by_id(self) -> dict[str, Experiment]:
        """Every recipe that values can be made under today, by its id."""
        known = {each.recipe_id: each for each in (self.declared, *self.named.values())}
        for promotion in self.promotions:
            if promotion.recipe not in known:
                with suppress(ConfigurationError):
                    restored = self._restore(promotion)
                    known.setdefault(restored.recipe_id, restored)
        return known

    def rank(self, recipe: str) -> int:
        """How recently a recipe counted: number of its last promotion, 0 for the one before the first, else -1."""
        ranks = [each.number for each in self.promotions if each.recipe == recipe]
        ranks += [each.number - 1 for each in self.promotions if each.instead_of == recipe]
        return max(ranks, default=-1)


def open_recipes(
    store: Store,
    declared: Experiment,
    *,
    beside: tuple[Store, str] | None = None,
    known: RecipeBook | None = None,
) -> RecipeBook:
    """Read all recipes of an experiment.

    Parameters
    ----------
    store
        Where the experiment's promotions are.
    declared
        What its experiment.yaml declares.
    beside
        Store and folder of the experiment.yaml; left out, the experiment's in the store.
    known
        What an earlier look gave: returned as it is where nothing has changed since, and then no recipe is read.

    Raises
    ------
    StoredDataError
        If the record of a promotion is damaged.
    """
    place, folder = beside or (store, experiment_key(declared.name).rpartition("/")[0] + "/")
    files = place.list(f"{folder}{FOLDER}").objects
    seen = (*files, *list_promotions(store, declared.name))
    if known is not None and (known.declared, known.seen) == (declared, seen):
        return known
    named, faults = _read_files(declared, place, folder, files)
    return RecipeBook(declared, named, faults, read_promotions(store, declared.name), seen)


def read_recipes(
    declared: Experiment, place: Store, folder: str
) -> tuple[dict[str, Experiment], dict[str, ConfigurationError]]:
    """Read the recipes of files in the folder of an experiment.yaml; what is wrong with some is returned too."""
    return _read_files(declared, place, folder, place.list(f"{folder}{FOLDER}").objects)


def _read_files(
    declared: Experiment, place: Store, folder: str, files: Iterable[StoredObject]
) -> tuple[dict[str, Experiment], dict[str, ConfigurationError]]:
    named: dict[str, Experiment] = {}
    faults: dict[str, ConfigurationError] = {}
    for item in files:
        name, dot, ending = item.key.removeprefix(f"{folder}{FOLDER}").rpartition(".")
        if dot and ending in ("yaml", "yml") and not name.startswith("."):
            try:
                named[name] = read_recipe(place.read(item.key), declared, name=name, place=item.key)
            except ConfigurationError as error:
                faults[name] = error
    return named, faults
