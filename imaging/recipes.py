"""The recipe of an experiment: every parameter that stored values depend on.

``NUMBERS_VERSION`` is raised by one whenever the same images and the same recipe give other stored values than before;
the CHANGELOG says under *Numbers* which.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from imaging.declared import Declared
from imaging.feature_recipe import Features

NUMBERS_VERSION = 2

_RECIPE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")


def _in_order(bounds: tuple[float, float]) -> tuple[float, float]:
    """Return ``(smallest, largest)`` when both are above 0 and in this order, else ``ValueError``."""
    smallest, largest = bounds
    if smallest <= 0:
        raise ValueError(f"must be above 0, got {smallest:g}")
    if smallest >= largest:
        raise ValueError(f"must be [smallest, largest], got [{smallest:g}, {largest:g}]; swap them")
    return bounds


def _two_numbers(value: Any) -> Any:
    """Refuse anything but a list of two, in words; the field's type converts the two."""
    if isinstance(value, list | tuple) and len(value) == 2:
        return tuple(value)
    raise ValueError(f"must be a list of two numbers such as [15, 90], got {value!r}")


Pair = Annotated[tuple[float, float], BeforeValidator(_two_numbers)]
ThresholdMethod = Literal["otsu", "otsu-log", "minimum-cross-entropy"]


class Nuclei(Declared):
    """How nuclei are found (``kernels.segmentation.segment_nuclei``); one of the two diameters is given."""

    channel: str | None = Field(None, description="the channel to segment; left out, the one with role nucleus")
    diameter_px: Pair | None = Field(None, description="[smallest, largest] diameter in pixels")
    diameter_um: Pair | None = Field(None, description="[smallest, largest] diameter in micrometres")
    threshold: ThresholdMethod = Field("minimum-cross-entropy", description="how foreground is told from background")
    threshold_correction: float = Field(1.0, gt=0, le=100, description="factor on the threshold")
    smoothing_px: float = Field(1.0, ge=0, le=100, description="standard deviation of the Gaussian in pixels")
    declump: Literal["shape", "intensity", "none"] = Field("shape", description="how touching nuclei are divided")
    neck: float = Field(0.9, ge=0, le=1, description="how narrow a neck divides two nuclei, as a share of the smaller")
    edge_fraction: float = Field(0.25, ge=0, le=1, description="how dim a nucleus' edge may be, as a share of itself")
    drop_border: bool = Field(False, description="whether nuclei cut by the image's border are left out")

    @field_validator("diameter_px", "diameter_um")
    @classmethod
    def _ordered(cls, bounds: tuple[float, float]) -> tuple[float, float]:
        return _in_order(bounds)

    @model_validator(mode="after")
    def _one_diameter(self) -> Self:
        if (self.diameter_px is None) == (self.diameter_um is None):
            raise ValueError("must have either diameter_px or diameter_um, as [smallest, largest]")
        return self

    def diameter_in_px(self, pixel_size_um: float | None) -> tuple[float, float]:
        """Smallest and largest diameter in pixels.

        Raises
        ------
        ValueError
            If the diameters are in micrometres and the pixel size is not known.
        """
        if self.diameter_px is not None:
            return self.diameter_px
        if self.diameter_um is None or pixel_size_um is None:
            raise ValueError("diameter_um needs the pixel size in micrometres, got none")
        return self.diameter_um[0] / pixel_size_um, self.diameter_um[1] / pixel_size_um

    def parameters(self, pixel_size_um: float | None) -> dict[str, Any]:
        """Keyword arguments of ``kernels.segmentation.segment_nuclei``."""
        rest = self.model_dump(exclude={"channel", "diameter_px", "diameter_um"})
        return {"diameter_px": self.diameter_in_px(pixel_size_um), **rest}


class Cells(Declared):
    """How cells are grown from the nuclei (``kernels.segmentation.segment_cells``)."""

    channel: str | None = Field(None, description="the channel of whole cells; left out, the one with role cell")
    threshold: ThresholdMethod = Field("otsu-log", description="how foreground is told from background")
    threshold_correction: float = Field(0.5, gt=0, le=100, description="factor on the threshold")
    smoothing_px: float = Field(1.0, ge=0, le=100, description="standard deviation of the Gaussian in pixels")
    expansion_px: float = Field(10.0, ge=0, le=1000, description="how far cells reach where no stain shows them")

    def parameters(self) -> dict[str, Any]:
        """Keyword arguments of ``kernels.segmentation.segment_cells``."""
        return self.model_dump(exclude={"channel"})


class Ring(Declared):
    """Where the cytoplasm beside a nucleus is sampled for their ratio (``kernels.translocation.list_ring``)."""

    gap_px: float = Field(1.0, ge=0, le=1000, description="distance from the nucleus that is left out, in pixels")
    width_px: float = Field(5.0, gt=0, le=1000, description="width of the ring beyond the gap, in pixels")


class Recipe(Declared):
    """A named set of parameters; without ``nuclei`` only images are measured, without ``cells`` only nuclei."""

    name: str = Field("default", description="a short name such as v1; it is part of the folder of the results")
    nuclei: Nuclei | None = Field(None, description="how nuclei are found")
    cells: Cells | None = Field(None, description="how cells are grown from the nuclei")
    features: Features = Field(
        default_factory=lambda: Features.model_validate({}), description="what is measured of objects and images"
    )
    ring: Ring = Field(
        default_factory=lambda: Ring.model_validate({}), description="where the cytoplasm beside a nucleus is sampled"
    )

    @field_validator("name")
    @classmethod
    def _short(cls, name: str) -> str:
        if _RECIPE_NAME.fullmatch(name) is None:
            raise ValueError(f"must be 1 to 40 letters, digits, - and _, got {name!r}")
        return name
