"""What became of a publication, or of an analysis, that was to be loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was loaded of one publication: tables and their rows, jobs begun here, seconds it took.

    Of an analysis, which is of no single plate, ``plate`` is empty and ``recipe`` is the analysis recipe.
    """

    experiment: str
    plate: str
    recipe: str
    number: int
    status: str
    rows: Mapping[str, int]
    jobs: int
    seconds: float

    @property
    def place(self) -> str:
        """Which it is, in words."""
        return _place(self)


@dataclass(frozen=True, slots=True)
class Refused:
    """A publication or an analysis that cannot be loaded, and why in one sentence."""

    experiment: str
    plate: str
    recipe: str
    number: int
    reason: str

    @property
    def place(self) -> str:
        """Which it is, in words."""
        return _place(self)


def _place(outcome: Loaded | Refused) -> str:
    kind = f"/{outcome.plate}, publication" if outcome.plate else ", analysis"
    return f"{outcome.experiment}{kind} {outcome.number} ({outcome.recipe})"
