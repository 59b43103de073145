"""The layout of an experiment's plates: wells, those imaged, sites per well, size of a pixel."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator

from imaging.declared import Declared, Texts
from imaging.time_points import MAX_SITE, MAX_TIME_POINT, join_site
from imaging.wells import PLATE_SHAPES, Well, expand_wells

MAX_PLANE = 1000


def _numbers(value: Any, words: str, greatest: int) -> tuple[int, ...]:
    """Numbers 1..n of a count, or the listed ones, sorted."""
    try:
        given = sorted({int(item) for item in value}) if isinstance(value, list | tuple) else int(value)
    except (TypeError, ValueError):
        raise ValueError(f"must be the number of {words}, got {value!r}") from None
    numbers = given if isinstance(given, list) else list(range(1, min(given, greatest + 1) + 1))
    if not numbers or numbers[0] < 1 or numbers[-1] > greatest:
        raise ValueError(f"must be from 1 to {greatest}, got {value!r}")
    return tuple(numbers)


def _site_numbers(value: Any) -> Any:
    return _numbers(value, "sites per well or a list of site numbers", MAX_SITE)


def _time_points(value: Any) -> Any:
    return _numbers(value, "time points or a list of time points", MAX_TIME_POINT)


class Layout(Declared):
    """The plate: its wells, those imaged, the sites of each. ``sites: 4`` is read as 1, 2, 3, 4; so are time points."""

    wells: int = Field(description="number of wells of the plate: 6, 12, 24, 48, 96, 384 or 1536")
    imaged: Texts = Field((), description="wells and ranges such as A01-D12; left out, all of them")
    sites: Annotated[tuple[int, ...], BeforeValidator(_site_numbers)] = Field(
        description="number of sites per well, or a list of site numbers"
    )
    z: int | None = Field(
        None,
        ge=1,
        le=MAX_PLANE,
        description="number of planes of each z-stack, where no manifest of the instrument says",
    )
    time_points: Annotated[tuple[int, ...], BeforeValidator(_time_points)] = Field(
        (1,), description="number of time points, or a list of those that are processed"
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

    @cached_property
    def site_numbers(self) -> tuple[int, ...]:
        """Numbers of a well's sites at all time points (``imaging.time_points``), in order."""
        return tuple(join_site(site, time_point) for time_point in self.time_points for site in self.sites)
