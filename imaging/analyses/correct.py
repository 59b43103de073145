"""What batches and plates do to profiles is removed, by the method that the recipe names."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from imaging.analyses.profiles import Profiles
from imaging.analyses.recipe import Correct


@dataclass(frozen=True, eq=False)
class Corrected:
    profiles: Profiles
    notes: tuple[str, ...] = ()
    details: dict[str, Any] = field(default_factory=dict)


def correct(profiles: Profiles, recipe: Correct) -> Corrected:
    return Corrected(profiles)
