"""Thresholds of the checks on whole plates, as experiment.yaml declares them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from imaging.declared import Declared

OFF = -1.0
"""Threshold of a check that is off."""


def _number_or_off(value: Any) -> Any:
    return OFF if str(value).strip().lower() in ("off", "no", "false") else value


def _threshold(default: float, most: float, description: str) -> Any:
    return Field(default, ge=OFF, le=most, description=description)


Threshold = Annotated[float, BeforeValidator(_number_or_off)]
"""A number, or ``off``."""


class SuspicionLimits(Declared):
    """From which score on something about a plate as a whole is told; ``off`` switches a check off."""

    swapped_channels: Threshold = _threshold(
        0.12, 2.0, "how far the nuclei's channel may reach beyond another one's objects, in its own signal; or off"
    )
    moved_plate: Threshold = _threshold(
        0.12, 5.0, "how much better earlier plates may be met rotated or shifted, in Fisher's z; or off"
    )
    moved_map: Threshold = _threshold(
        0.06, 1.0, "how much more of the wells' variance the plate map may explain rotated or shifted; or off"
    )
    same_images: Threshold = _threshold(0.25, 1.0, "share of images that another plate may have too; or off")
    same_look: Threshold = _threshold(
        0.25, 0.5, "share of bits in which the looks of two plates must differ at least; or off"
    )
