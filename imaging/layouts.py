"""The layout of an experiment's plates: wells, those imaged, sites per well, size of a pixel."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator

from imaging.declared import Declared, Texts
from imaging.wells import PLATE_SHAPES, Well, expand_wells

MAX_SITE = 1000


def _site_numbers(value: Any) -> Any:
    """Sites 1..n of a count, or the listed ones, sorted."""
    try:
        numbers = sorted({int(item) for item in value}) if isinstance(value, list | tuple) else int(value)
    except (TypeError, ValueError):
        raise ValueError(f"must be the number of sites per well or a list of site numbers, got {value!r}") from None
    sites = numbers if isinstance(numbers, list) else list(range(1, min(numbers, MAX_SITE + 1) + 1))
    if not sites or sites[0] < 1 or sites[-1] > MAX_SITE:
        raise ValueError(f"must be from 1 to {MAX_SITE}, got {value!r}")
    return tuple(sites)


class Layout(Declared):
    """The plate: its wells, those imaged, the sites of each. ``sites: 4`` is read as 1, 2, 3, 4."""

    wells: int = Field(description="number of wells of the plate: 6, 12, 24, 48, 96, 384 or 1536")
    imaged: Texts = Field((), description="wells and ranges such as A01-D12; left out, all of them")
    sites: Annotated[tuple[int, ...], BeforeValidator(_site_numbers)] = Field(
        description="number of sites per well, or a list of site numbers"
    )
    pixel_size_um: float | None = Field(None, gt=0, le=1000, description="size of a pixel in micrometres")

    @field_validator("wells")
    @classmethod
    def _standard(cls, wells: int) -> int:
        if wells not in PLATE_SHAPES:
            raise ValueError(f"must be one of {', '.join(map(str, PLATE_SHAPES))}, got {wells}")
        return wells

    @cached_property
    def imaged_wells(self) -> tuple[Well, ...]:
        """Wells that are imaged, in plate order."""
        rows, columns = PLATE_SHAPES[self.wells]
        whole = f"A01-{Well(rows - 1, columns)}"
        return tuple(sorted({well for text in self.imaged or (whole,) for well in expand_wells(text)}))
