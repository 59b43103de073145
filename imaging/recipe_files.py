"""Recipes that run side by side with experiment.yaml's own: one file each, ``recipes/<name>.yaml`` beside it.

Such a file is the recipe section only. It is held against the experiment (its channels, its pixel size, what is asked
of features) like the section of experiment.yaml, and its faults are reported all at once in the same words.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from imaging.contradictions import find_contradictions
from imaging.declared import Fault, explain_faults, spell_faults
from imaging.errors import ConfigurationError
from imaging.experiment import Experiment
from imaging.plain_yaml import read_plain_yaml, spell_place
from imaging.recipes import Recipe

FOLDER = "recipes/"
"""Folder of the files, beside experiment.yaml."""


def read_recipe(data: bytes, declared: Experiment, *, name: str, place: str) -> Experiment:
    """Read a recipe's file; return the experiment with this recipe in the place of its own.

    Parameters
    ----------
    data
        The YAML file.
    declared
        What experiment.yaml declares.
    name
        The file's name without its ending; the recipe has this name.
    place
        The file's name in messages.

    Raises
    ------
    ConfigurationError
        With every fault of the file in ``problems``, each beginning with its place.
    """
    document = read_plain_yaml(data)
    problems = list(document.problems)
    if not problems and not isinstance(document.tree, dict):
        problems.append(
            "the file must be the recipe section alone, a mapping such as `nuclei: {diameter_px: [10, 40]}`"
        )
    elif isinstance(document.tree, dict):
        recipe, faults = check_recipe(declared, {"name": name} | document.tree)
        if recipe and recipe.name != name:
            faults.append((("name",), f"must be {name!r} as the file's name says, got {recipe.name!r}; leave it out"))
        if recipe and name == declared.recipe.name:
            faults.append((("name",), f"{name!r} is experiment.yaml's own recipe; rename the file"))
        problems += spell_faults(faults, document.lines)
        if recipe and not problems:
            return declared.model_copy(update={"recipe": recipe})
    count = f"{len(problems)} fault{'s' if len(problems) != 1 else ''}"
    raise ConfigurationError(f"{place} has {count}", tuple(problems))


def check_recipe(declared: Experiment, tree: dict[str, Any]) -> tuple[Recipe | None, list[Fault]]:
    """Check a recipe's tree, as text or values, against an experiment.

    Returns
    -------
    The recipe, ``None`` where it cannot be made, and every fault with its place in the tree.
    """
    faults = _contradictions(declared, tree)
    try:
        return Recipe.model_validate(tree), faults
    except ValidationError as error:
        return None, faults + explain_faults(error, Recipe)


def _contradictions(declared: Experiment, tree: dict[str, Any]) -> list[Fault]:
    """What contradicts the experiment with this recipe, and not with its own."""
    rest = declared.model_dump(mode="json")
    known = set(find_contradictions(rest))
    return [_placed(fault) for fault in find_contradictions(rest | {"recipe": tree}) if fault not in known]


def _placed(fault: Fault) -> Fault:
    """A fault at its place in the recipe's file; one of the rest of experiment.yaml is told with that place."""
    place, sentence = fault
    if place[:1] == ("recipe",):
        return place[1:], sentence
    return (), f"does not go with {spell_place(place)} of experiment.yaml: {sentence}"
