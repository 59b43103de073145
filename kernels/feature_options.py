"""Which features are measured, and how: the choices that a recipe or a command offers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

FAMILIES = ("AreaShape", "Intensity", "Texture", "Granularity", "RadialDistribution", "Correlation", "Neighbors")
"""Families of object features. Location comes with Intensity, parents and children with Neighbors."""
TextureScaling = Literal["full", "percentile"]
Ties = Literal["cellprofiler", "first"]


@dataclass(frozen=True, slots=True)
class FeatureOptions:
    """What is measured; the defaults are CellProfiler's settings of the JUMP consortium's production pipeline.

    Parameters
    ----------
    families
        Names of ``FAMILIES``; their order here does not matter.
    texture_scales_px
        Distances of the pairs of pixels in texture, pixels.
    texture_scaling
        ``full``: 256 grey levels over the whole scale, as CellProfiler. ``percentile``: over the range that the plane
        uses; the columns are then called ``TexturePercentile_...``.
    radial_bins
        Rings of the radial distribution.
    ties
        Which of several equally deep pixels is the centre of an object, and which of several equally bright ones its
        brightest. ``cellprofiler``: the one that CellProfiler takes, which depends on all objects of the image.
        ``first``: the first in raster order, in less time; the columns are then called ``RadialDistributionFirst_...``
        and ``LocationFirst_MaxIntensity_...``.
    moments
        Also spatial, central, normalised and Hu moments and the inertia tensor (AreaShape).
    intensity_zernikes
        Also magnitude and phase of the intensity's Zernike moments (RadialDistribution).
    costes, slope
        Also Costes' coefficients, and the slope of one channel on another (Correlation).
    """

    families: tuple[str, ...] = FAMILIES
    texture_scales_px: tuple[int, ...] = (3, 5, 10)
    texture_scaling: TextureScaling = "full"
    radial_bins: int = 4
    ties: Ties = "cellprofiler"
    moments: bool = False
    intensity_zernikes: bool = False
    costes: bool = False
    slope: bool = False

    def __post_init__(self) -> None:
        """Refuse what no feature is measured by.

        Raises
        ------
        ValueError
            If a family is not known, or a scale or the number of rings is below 1.
        """
        unknown = [name for name in self.families if name not in FAMILIES]
        if unknown:
            raise ValueError(f"families must be among {', '.join(FAMILIES)}, got {', '.join(unknown)}")
        if not all(scale >= 1 for scale in self.texture_scales_px):
            raise ValueError(f"texture_scales_px must be 1 or more, got {self.texture_scales_px}")
        if self.radial_bins < 1:
            raise ValueError(f"radial_bins must be 1 or more, got {self.radial_bins}")
