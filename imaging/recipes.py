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
from imaging.names import EXPERIMENTAL

NUMBERS_VERSION = 3

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


def _in_px(in_px: float | None, in_um: float | None, pixel_size_um: float | None, name: str) -> float | None:
    """A length in pixels, however it is given.

    Raises
    ------
    ValueError
        If it is given in micrometres and the pixel size is not known.
    """
    if in_um is None:
        return in_px
    if pixel_size_um is None:
        raise ValueError(f"{name}_um needs the pixel size in micrometres, got none")
    return in_um / pixel_size_um


DEFAULT_CELL_SMOOTHING_PX, DEFAULT_EXPANSION_PX = 1.0, 10.0

Pair = Annotated[tuple[float, float], BeforeValidator(_two_numbers)]
SegmentationMethod = Literal["automatic", "cellprofiler"]
ThresholdMethod = Literal["minimum-cross-entropy", "otsu", "otsu-log", "otsu3", "otsu3-log"]
Flood = Literal["cellprofiler", "fixpoint"]


class _Segmentation(Declared):
    """What nuclei and cells have in common: how foreground is told from background, and how objects grow."""

    method: SegmentationMethod = Field("automatic", description="automatic, or the steps of CellProfiler's modules")
    threshold_bounds: Pair = Field((0.0, 1.0), description="[least, greatest] threshold, as shares of full scale")
    adaptive_window_px: float | None = Field(
        None, ge=1, description="side of the windows with thresholds of their own in pixels; left out, one for all"
    )
    smoothing_um: float | None = Field(None, ge=0, le=1000, description="smoothing_px in micrometres")
    flood: Flood = Field("cellprofiler", description="cellprofiler, or fixpoint, which a GPU does too")

    @field_validator("threshold_bounds")
    @classmethod
    def _shares(cls, bounds: tuple[float, float]) -> tuple[float, float]:
        low, high = bounds
        if not 0 <= low <= high <= 1:
            raise ValueError(f"must be [least, greatest] from 0 to 1, got [{low:g}, {high:g}]")
        return bounds

    @model_validator(mode="after")
    def _of_one_kind(self) -> Self:
        if self.flood == "fixpoint" and self.method != "automatic":
            raise ValueError(f"must have method automatic where the flood is fixpoint, got {self.method}")
        return self

    @model_validator(mode="after")
    def _one_unit(self) -> Self:
        for name in ("smoothing", "expansion"):
            if None not in (getattr(self, f"{name}_px", None), getattr(self, f"{name}_um", None)):
                raise ValueError(f"must have either {name}_px or {name}_um, not both")
        return self


class Nuclei(_Segmentation):
    """How nuclei are found (``kernels.segmentation.segment_nuclei``); one of the two diameters is given."""

    channel: str | None = Field(None, description="the channel to segment; left out, the one with role nucleus")
    diameter_px: Pair | None = Field(None, description="[smallest, largest] diameter in pixels")
    diameter_um: Pair | None = Field(None, description="[smallest, largest] diameter in micrometres")
    threshold: ThresholdMethod = Field("minimum-cross-entropy", description="how foreground is told from background")
    threshold_correction: float = Field(1.0, gt=0, le=100, description="factor on the threshold")
    smoothing_px: float | None = Field(
        None, ge=0, le=100, description="standard deviation of the Gaussian in pixels; left out, by the nuclei's size"
    )
    declump: Literal["shape", "intensity", "none"] = Field("shape", description="how touching nuclei are divided")
    valley: float = Field(0.3, ge=0, le=100, description="how deep a valley of brightness divides two nuclei")
    neck: float = Field(0.9, ge=0, le=1, description="how narrow a neck divides two nuclei, as a share of the smaller")
    edge_fraction: float = Field(0.4, ge=0, le=1, description="how dim a nucleus' edge may be, as a share of itself")
    background_block_px: float = Field(
        0.0, ge=0, le=10_000, description="cellprofiler: blocks whose least values are the background, in pixels"
    )
    background_smoothing_px: float = Field(
        50.0, ge=0, le=10_000, description="cellprofiler: full width at half maximum that smooths it, in pixels"
    )
    divide: Literal["intensity", "shape"] = Field("intensity", description="cellprofiler: what dividing lines follow")
    suppress_px: float | None = Field(
        None, ge=0, le=1000, description="cellprofiler: least distance of two maxima in pixels; left out, by diameter"
    )
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
        rest = self.model_dump(exclude={"channel", "diameter_px", "diameter_um", "smoothing_um"})
        smoothing = _in_px(self.smoothing_px, self.smoothing_um, pixel_size_um, "smoothing")
        return {**rest, "diameter_px": self.diameter_in_px(pixel_size_um), "smoothing_px": smoothing}


class Cells(_Segmentation):
    """How cells are grown from the nuclei (``kernels.segmentation.segment_cells``)."""

    channel: str | None = Field(None, description="the channel of whole cells; left out, the one with role cell")
    threshold: ThresholdMethod = Field("otsu-log", description="how foreground is told from background")
    threshold_correction: float = Field(0.5, gt=0, le=100, description="factor on the threshold")
    smoothing_px: float | None = Field(
        None, ge=0, le=100, description="standard deviation of the Gaussian in pixels; left out, 1"
    )
    expansion_px: float | None = Field(
        None, ge=0, le=1000, description="how far cells reach where no stain shows them, in pixels; left out, 10"
    )
    expansion_um: float | None = Field(None, ge=0, le=10_000, description="expansion_px in micrometres")
    shared_rim: bool = Field(False, description="whether nuclei's outermost pixels are cytoplasm too (CellProfiler)")

    def parameters(self, pixel_size_um: float | None = None) -> dict[str, Any]:
        """Keyword arguments of ``kernels.segmentation.segment_cells``."""
        rest = self.model_dump(exclude={"channel", "smoothing_um", "expansion_um", "shared_rim"})
        smoothing = _in_px(self.smoothing_px, self.smoothing_um, pixel_size_um, "smoothing")
        expansion = _in_px(self.expansion_px, self.expansion_um, pixel_size_um, "expansion")
        return {
            **rest,
            "smoothing_px": DEFAULT_CELL_SMOOTHING_PX if smoothing is None else smoothing,
            "expansion_px": DEFAULT_EXPANSION_PX if expansion is None else expansion,
        }


PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "jump": {
        "nuclei": {
            "method": "cellprofiler",
            "diameter_px": [15, 90],
            "background_block_px": 30,
            "background_smoothing_px": 50,
            "suppress_px": 8,
            "drop_border": True,
        },
        "cells": {
            "method": "cellprofiler",
            "threshold": "otsu3-log",
            "threshold_correction": 0.7,
            "threshold_bounds": [0.005, 0.06],
            "smoothing_px": 0,
            "shared_rim": True,
        },
    }
}
"""Values that a recipe begins with; what it says itself goes before them.

``jump``: the JUMP Cell Painting consortium's analysis pipeline for CellProfiler 4 (Chandrasekaran and others 2023).
"""


class Ring(Declared):
    """Where the cytoplasm beside a nucleus is sampled for their ratio (``kernels.translocation.list_ring``)."""

    gap_px: float = Field(1.0, ge=0, le=1000, description="distance from the nucleus that is left out, in pixels")
    width_px: float = Field(5.0, gt=0, le=1000, description="width of the ring beyond the gap, in pixels")


def take_preset(recipe: dict[str, Any]) -> dict[str, Any]:
    """A recipe as it was written, with the values of the preset that it names, if any, written out."""
    preset = PRESETS.get(str(recipe.get("preset")))
    if preset is None:
        return recipe
    return recipe | {part: _over(values, recipe.get(part)) for part, values in preset.items()}


def _over(preset: dict[str, Any], given: Any) -> Any:
    """What is given, on top of a preset; a length in micrometres goes before the preset's in pixels."""
    if given is not None and not isinstance(given, dict):
        return given
    given = given or {}
    kept = {name: value for name, value in preset.items() if given.get(f"{name.removesuffix('_px')}_um") is None}
    return kept | {name: value for name, value in given.items() if value is not None}


_ADDED = frozenset({"projection", "plane"})
"""Parameters that recipes of earlier versions did not have; those without them must go on having the same hash."""


class Recipe(Declared):
    """A named set of parameters; without ``nuclei`` only images are measured, without ``cells`` only nuclei."""

    name: str = Field("default", description="a short name such as v1; it is part of the folder of the results")
    preset: Literal["jump"] | None = Field(
        None, description="a published pipeline whose values are taken for nuclei and cells: jump"
    )
    nuclei: Nuclei | None = Field(None, description="how nuclei are found")
    cells: Cells | None = Field(None, description="how cells are grown from the nuclei")
    features: Features = Field(
        default_factory=lambda: Features.model_validate({}), description="what is measured of objects and images"
    )
    ring: Ring = Field(
        default_factory=lambda: Ring.model_validate({}), description="where the cytoplasm beside a nucleus is sampled"
    )
    projection: Literal["max", "mean", "best-focus"] | None = Field(
        None, description="how one plane is made of a z-stack: max, mean or best-focus; left out, one plane is taken"
    )
    plane: int | None = Field(
        None, ge=1, le=1000, description="the plane of a z-stack that is taken, counted from 1; left out, the first"
    )

    @model_validator(mode="before")
    @classmethod
    def _take_preset(cls, data: Any) -> Any:
        return take_preset(data) if isinstance(data, dict) else data

    @model_validator(mode="after")
    def _floods_fit(self) -> Self:
        of_nuclei, of_cells = self.nuclei, self.cells
        if of_nuclei and of_cells and of_cells.flood == "fixpoint" and of_nuclei.method != "automatic":
            raise ValueError(
                f"must have nuclei by the method automatic where the flood of cells is fixpoint, got {of_nuclei.method}"
            )
        return self

    @model_validator(mode="after")
    def _one_way_through_a_stack(self) -> Self:
        if self.projection is not None and self.plane is not None:
            raise ValueError("must have either projection or plane, not both")
        return self

    def as_json(self) -> dict[str, Any]:
        """All that it says, JSON-able; what came later and is left out is not said, so that known recipes keep ids."""
        values = self.model_dump(mode="json")
        return {name: value for name, value in values.items() if value is not None or name not in _ADDED}

    def planes_of(self, planes: tuple[int, ...]) -> tuple[int, ...]:
        """Which of the planes that a channel has are measured; none stands for a stack whose planes nobody told."""
        if self.projection is not None:
            return planes
        if len(planes) == 1:
            return planes
        return (self.plane or (planes[0] if planes else 1),)

    @field_validator("name")
    @classmethod
    def _short(cls, name: str) -> str:
        if _RECIPE_NAME.fullmatch(name.removesuffix(EXPERIMENTAL)) is None:
            raise ValueError(f"must be 1 to 40 letters, digits, - and _, got {name!r}")
        return name
