"""Experimental results: an acquisition's folder may carry ``manifest.yaml`` with other parameters.

    recipe:
      nuclei: {diameter_px: [12, 50]}

What ``uploads.allow`` of experiment.yaml permits is measured beside the plate's own recipe, under one called
``<name>+experimental`` that no declared recipe can be called. A manifest that asks for anything else is followed in
nothing: one sentence says why, as a fault of the plate, and the plate's own recipe goes on as if it were not there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from imaging.declared import spell_faults
from imaging.experiment import Experiment
from imaging.names import EXPERIMENTAL
from imaging.plain_yaml import MAX_BYTES, read_plain_yaml
from imaging.recipe_files import check_recipe
from imaging.sentences import shorten
from imaging.uploads import find_parameter_fault

MANIFEST = "manifest.yaml"
_NOT_FOLLOWED = "no experimental results are made: "

Tree = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a manifest asks for: the experiment with the experimental recipe, or why it is not followed.

    Neither is there where it asks for nothing that is not so already.
    """

    experiment: Experiment | None = None
    refusal: str = ""


def read_manifest(data: bytes, production: Experiment) -> Asked:
    """Read the manifest of an upload.

    Parameters
    ----------
    data
        The YAML file.
    production
        The experiment with the recipe that the plate is processed under.
    """
    document = read_plain_yaml(data)
    if document.problems:
        return _refuse(document.problems)
    tree = document.tree
    asked = tree.get("recipe") if isinstance(tree, dict) else None
    if not isinstance(tree, dict) or list(tree) != ["recipe"] or not isinstance(asked, dict):
        return _refuse(["the file must hold `recipe:` with parameters below it, and nothing else"])
    if faults := list(_find_forbidden(asked, production)):
        return _refuse(faults)
    base = production.recipe.model_dump(mode="json", exclude_unset=True, exclude_none=True)
    recipe, problems = check_recipe(production, _laid_over(base, asked))
    if recipe is None or problems:
        return _refuse(spell_faults([(("recipe", *place), sentence) for place, sentence in problems], document.lines))
    if recipe == production.recipe:
        return Asked()
    named = recipe.model_copy(update={"name": f"{production.recipe.name}{EXPERIMENTAL}"})
    # the plate's OME-Zarr is that of its own recipe; only a field from the plate itself needs thumbnails of its own
    images = "zarr" if production.illumination.source == "plate" else "none"
    return Asked(production.model_copy(update={"recipe": named, "images": images}))


def _find_forbidden(asked: Tree, production: Experiment) -> Iterator[str]:
    for path in _leaves(asked):
        spelt = ".".join(path)
        if fault := find_parameter_fault(path):
            yield f"recipe.{spelt} {fault}"
        elif production.uploads is None or not production.uploads.permits(path):
            allowed = ", ".join(production.uploads.allow) if production.uploads else ""
            rule = allowed or "none: name it in uploads.allow"
            yield f"recipe.{spelt} may not be set by an upload; experiment.yaml allows {rule}"


def _leaves(tree: Tree, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Paths of everything that is set."""
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, (*above, key))
        else:
            yield (*above, key)


def _laid_over(base: Mapping[str, Any], asked: Mapping[str, Any]) -> Tree:
    """A recipe's tree with what is asked laid over it; a length in one unit goes before the base's in the other."""
    given = set(asked)
    other = {f"{key[:-3]}_{'um' if key.endswith('_px') else 'px'}" for key in given if key.endswith(("_px", "_um"))}
    tree = {key: value for key, value in base.items() if key not in other - given}
    for key, value in asked.items():
        below = tree.get(key)
        tree[key] = _laid_over(below if isinstance(below, dict) else {}, value) if isinstance(value, dict) else value
    return tree


def refuse_size(size_bytes: int) -> Asked:
    """Say that a manifest of so many bytes is not read."""
    return _refuse([f"the file has {size_bytes} bytes, at most {MAX_BYTES} are read; is it the right file?"])


def _refuse(faults: list[str]) -> Asked:
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return Asked(refusal=f"{_NOT_FOLLOWED}{shorten(faults[0])}{more}")
