"""What uploads may ask for: the section ``uploads`` of experiment.yaml.

    uploads:
      allow: [nuclei.diameter_px, cells.expansion_px]
      budget_usd: 2

An acquisition's folder may then carry a ``manifest.yaml`` (imaging/experimental.py).
"""

from __future__ import annotations

from pydantic import Field, field_validator

from imaging.declared import Declared, Texts, did_you_mean, known_keys, model_at
from imaging.recipes import Recipe

_OURS = ("name", "preset")
"""Keys of a recipe that no upload sets: they say which recipe it is."""


class Uploads(Declared):
    """Parameters that an upload may set for experimental results, and what these may cost."""

    allow: Texts = Field((), description="parameters of the recipe that an upload may set, such as nuclei.diameter_px")
    budget_usd: float | None = Field(
        None, ge=0, description="USD that experimental results of the experiment may cost on one day (UTC)"
    )

    @field_validator("allow")
    @classmethod
    def _known(cls, allow: tuple[str, ...]) -> tuple[str, ...]:
        for path in allow:
            if fault := find_parameter_fault(tuple(path.split("."))):
                raise ValueError(f"{path!r} {fault}")
        return allow

    def permits(self, path: tuple[str, ...]) -> bool:
        """Whether an upload may set a parameter: it is named, or the section that holds it."""
        return any(path[: len(parts)] == parts for parts in (tuple(name.split(".")) for name in self.allow))


def find_parameter_fault(path: tuple[str, ...]) -> str:
    """Say why a path such as ``("nuclei", "diameter_px")`` names no parameter that can be set; empty where it does."""
    if path[0] in _OURS:
        return "says which recipe it is and is not set by uploads"
    for depth, step in enumerate(path):
        model = model_at(Recipe, path[:depth])
        if model is None:
            return f"is no parameter of a recipe: {'.'.join(path[:depth])} is a value, with nothing below it"
        known = known_keys(model)
        if step not in known:
            return f"is no parameter of a recipe; {did_you_mean(step, [name for name in known if name not in _OURS])}"
    return ""
