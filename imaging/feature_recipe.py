"""Which features a recipe asks for (``recipe.features`` of experiment.yaml)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator

from imaging.declared import Declared, one_or_many
from kernels.feature_options import FeatureOptions, TextureScaling, Ties

Family = Literal["AreaShape", "Intensity", "Texture", "Granularity", "RadialDistribution", "Correlation", "Neighbors"]
ALL_FAMILIES: tuple[Family, ...] = (
    "AreaShape",
    "Intensity",
    "Texture",
    "Granularity",
    "RadialDistribution",
    "Correlation",
    "Neighbors",
)


class Features(Declared):
    """What is measured of objects and whole images; the defaults are CellProfiler's settings in the JUMP pipeline."""

    families: Annotated[tuple[Family, ...], BeforeValidator(one_or_many)] = Field(
        ALL_FAMILIES, description="a list of families such as [AreaShape, Intensity]; left out, all"
    )
    texture_scales_px: Annotated[tuple[int, ...], BeforeValidator(one_or_many)] = Field(
        (3, 5, 10), description="distances of the pairs of pixels in texture, in pixels"
    )
    texture_scaling: TextureScaling = Field(
        "full", description="full spreads 256 grey levels over the whole scale, percentile over what a plane uses"
    )
    radial_bins: int = Field(4, ge=1, le=20, description="number of rings of the radial distribution")
    ties: Ties = Field(
        "cellprofiler", description="which of equally deep or bright pixels counts: CellProfiler's choice or the first"
    )
    moments: bool = Field(False, description="whether spatial, central, normalised and Hu moments are measured too")
    intensity_zernikes: bool = Field(False, description="whether Zernike moments of the intensity are measured too")
    costes: bool = Field(False, description="whether Costes' coefficients are measured too")
    slope: bool = Field(False, description="whether slopes between channels are measured too")
    whole_images: bool = Field(True, description="whether texture, granularity and intensity of images are measured")

    @field_validator("texture_scales_px")
    @classmethod
    def _near(cls, scales: tuple[int, ...]) -> tuple[int, ...]:
        if not scales or min(scales) < 1 or max(scales) > 100 or len(set(scales)) < len(scales):
            raise ValueError(f"must be different whole numbers from 1 to 100, got {list(scales)}")
        return scales

    def options(self) -> FeatureOptions:
        """The same as the kernels take it."""
        return FeatureOptions(**self.model_dump(exclude={"whole_images"}))
