"""Where the images of an experiment may be processed, and whether a place is among that.

    placement:
      allowed: [eu, on-premises]
      reason: patient material, contract 12

A place is a word that whoever sets a machine up gives it (``PLATESTREAM_PLACE``): a region of Google Cloud such as
``europe-west4``, a BigQuery location such as ``EU``, or a name of one's own such as ``on-premises-basel``. It belongs
to itself and to each of its beginnings: ``europe-west4-a`` to ``europe-west4`` and ``europe``, ``on-premises-basel``
to ``on-premises``. ``eu`` is no such beginning but the European Union: Google's regions in its member states, which
``europe-west2`` (London) and ``europe-west6`` (Zurich) are not.

The rule speaks of what we start: the machine of a run, each worker, the warehouse's dataset. Where the store's bucket
and the Prefect server stand, which sees names and small pictures, is up to those who set them up. Changing the rule
changes no value and no name of a recipe.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, field_validator

from imaging.declared import Declared, one_or_many
from imaging.errors import PlacementError

EU_REGIONS = frozenset(
    {
        "europe-central2",
        "europe-north1",
        "europe-north2",
        "europe-southwest1",
        "europe-west1",
        "europe-west3",
        "europe-west4",
        "europe-west8",
        "europe-west9",
        "europe-west10",
        "europe-west12",
    }
)
"""Regions of Google Cloud in member states of the European Union; one that is not here is allowed by its name."""

_PLACE = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


def _place_name(name: str) -> str:
    folded = name.casefold()
    if _PLACE.fullmatch(folded) is None:
        raise ValueError(f"must be a place such as eu, europe-west4 or on-premises, got {name!r}")
    return folded


def _some(value: Any) -> Any:
    if value == []:
        raise ValueError("must name at least one place; leave placement out to allow them all")
    return one_or_many(value)


class Placement(Declared):
    """The rule of an experiment: names of places, and why."""

    allowed: Annotated[tuple[Annotated[str, AfterValidator(_place_name)], ...], BeforeValidator(_some)] = Field(
        description="places in which the images may be processed, such as [eu, on-premises]"
    )
    reason: str = Field("", description="why, such as: patient material, contract 12")

    @field_validator("allowed")
    @classmethod
    def _once(cls, allowed: tuple[str, ...]) -> tuple[str, ...]:
        for number, name in enumerate(allowed):
            if name in allowed[:number]:
                raise ValueError(f"names {name!r} twice; once is enough")
        return allowed

    def __str__(self) -> str:
        """Return the rule in words: ``in eu or on-premises only (patient material, contract 12)``."""
        places = " or ".join(filter(None, [", ".join(self.allowed[:-1]), self.allowed[-1]]))
        return f"in {places} only" + (f" ({self.reason})" if self.reason else "")


def groups_of(place: str) -> frozenset[str]:
    """Every name that a place goes by, its own first of all: of ``europe-west4`` also ``europe`` and ``eu``."""
    parts = place.casefold().split("-")
    names = {"-".join(parts[:count]) for count in range(1, len(parts) + 1)}
    if parts[0] == "eu" and len(parts) > 1:
        names.discard("eu")  # a region of another cloud is called so in London too
    if names & EU_REGIONS:
        names.add("eu")
    if "eu" in names:
        names.add("europe")
    return frozenset(names)


def find_refusal(rule: Placement | None, place: str, *, what: str) -> str:
    """Say why images must not go to a place; empty where they may.

    Parameters
    ----------
    rule
        The experiment's rule; without one they may go anywhere.
    place
        The place; empty where nobody said, which no rule allows.
    what
        What stands there, to begin the clause with, such as ``this worker``.
    """
    if rule is None or groups_of(place) & set(rule.allowed):
        return ""
    where = f"is in {place}" if place else "has no place that we know of"
    return f"the experiment may be processed {rule}, and {what} {where}"


def refuse_elsewhere(
    rule: Placement | None, place: str, *, what: str, cure: str, experiment: str, plate: str = ""
) -> None:
    """Refuse to take images to a place that the rule does not allow; ``cure`` says what to do about it.

    Raises
    ------
    PlacementError
        With the rule's text.
    """
    if refusal := find_refusal(rule, place, what=what):
        raise PlacementError(f"{refusal}; {cure}", experiment=experiment, plate=plate)
