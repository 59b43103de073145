"""The analysis recipes of an experiment, as files beside experiment.yaml.

    experiments/<experiment>/analysis.yaml           the one that counts: what tables and pages show
    experiments/<experiment>/analyses/<name>.yaml    others, analysed side by side

Without analysis.yaml the default recipe counts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from imaging.analyses.recipe import AnalysisRecipe, read_analysis_recipe
from imaging.errors import ConfigurationError, RefusedNameError
from imaging.names import check_name
from imaging.store import Store

STANDARD = "standard"
FILE, FOLDER = "analysis.yaml", "analyses/"
_NAME = re.compile(r"([^/]+)[.]ya?ml")


@dataclass(frozen=True)
class DeclaredRecipes:
    """The recipe that counts, those beside it, and what is wrong with files of these, by name."""

    counting: AnalysisRecipe
    others: tuple[AnalysisRecipe, ...] = ()
    faults: Mapping[str, ConfigurationError] = field(default_factory=dict)

    @property
    def all(self) -> tuple[AnalysisRecipe, ...]:
        """Every recipe, the one that counts first."""
        return (self.counting, *self.others)


def read_declared_recipes(store: Store, experiment: str) -> DeclaredRecipes:
    """Read the analysis recipes of an experiment.

    Raises
    ------
    ConfigurationError
        If analysis.yaml is at fault; another file that is, is passed over and named in ``faults``.
    """
    folder = f"experiments/{experiment}/"
    try:
        counting = read_analysis_recipe(store.read(folder + FILE), name=STANDARD, place=FILE)
    except FileNotFoundError:
        counting = AnalysisRecipe.model_validate({"name": STANDARD})
    except ConfigurationError as error:
        raise ConfigurationError(error.message, error.problems, experiment=experiment, key=folder + FILE) from error
    known, others, faults = {counting.id: counting}, [], {}
    for item in store.list(folder + FOLDER).objects:
        match = _NAME.fullmatch(item.key.removeprefix(folder + FOLDER))
        if match is None:
            continue
        try:
            name = check_name("recipe", match[1])
            recipe = read_analysis_recipe(store.read(item.key), name=name, place=item.key.removeprefix(folder))
        except (ConfigurationError, RefusedNameError, FileNotFoundError) as error:
            faults[match[1]] = _fault(error, experiment, item.key)
            continue
        if recipe.id not in known:
            known[recipe.id] = recipe
            others.append(recipe)
    return DeclaredRecipes(counting, tuple(others), faults)


def _fault(error: Exception, experiment: str, key: str) -> ConfigurationError:
    if isinstance(error, ConfigurationError):
        return ConfigurationError(error.message, error.problems, experiment=experiment, key=key)
    said = error.message if isinstance(error, RefusedNameError) else "the recipe is gone"
    return ConfigurationError(said, experiment=experiment, key=key)
