"""How much of a stain is in the nucleus, and how much beside it."""

from collections.abc import Iterable, Mapping

import numpy as np

from kernels.feature import FeatureDescription
from kernels.objects import ObjectPixels, divide, find_nearest, list_pixels
from kernels.planes import Floats, Labels, Pixels, dtype_scale, smooth_plane

RATIO = "Cells_Intensity_NucleusCytoplasmRatio"
"""Name of the ratio's column, which the channel ends. It is the nucleus' and its ring's, and does not need the cell."""
BACKGROUND_PERCENTILE = 1.0
BACKGROUND_SMOOTHING_PX = 1.0


def estimate_background(plane: Pixels) -> float:
    """Estimate the background of a plane: the first percentile after smoothing by 1 px, in camera counts.

    A low percentile needs only one hundredth of the plane to be free of cells, where mode and median of a dense plane
    are a cell's. In a plane without free pixels it is the dimmest part of the cells. Smoothing takes the percentile
    off whole counts: a step of one count is a tenth of a dim 8-bit cytoplasm.
    """
    smooth = smooth_plane(plane, BACKGROUND_SMOOTHING_PX)
    return float(np.percentile(smooth, BACKGROUND_PERCENTILE)) / np.iinfo(np.uint16).max * dtype_scale(plane)


def list_ring(nuclei: Labels, count: int, *, gap_px: float, width_px: float) -> ObjectPixels:
    """List the pixels around each nucleus that stand for its cytoplasm.

    Parameters
    ----------
    nuclei
        Labels 1..``count``, shape ``(y, x)``.
    gap_px, width_px
        A pixel of no nucleus is in the ring of the nucleus nearest to it if its distance to that nucleus is above
        ``gap_px`` and at most ``gap_px + width_px``. The gap leaves out what the optics blur out of the nucleus.

    Returns
    -------
    The pixels; a nucleus closed in by others has none. The ring does not depend on the outline of the cell: were it
    cut to a stain's foreground, cells that lost the stain from their cytoplasm would lose their ring with it.

    Raises
    ------
    ValueError
        If the gap is negative or the width is not above 0.
    """
    if not gap_px >= 0:
        raise ValueError(f"ring_gap_px must be 0 or more, got {gap_px}")
    if not width_px > 0:
        raise ValueError(f"ring_width_px must be above 0, got {width_px}")
    if count == 0:
        return list_pixels(nuclei, 0)
    distance, nearest = find_nearest(nuclei)
    in_ring = (distance > gap_px) & (distance <= gap_px + width_px)
    return list_pixels(np.where(in_ring, nearest, 0), count)


def measure_nucleus_cytoplasm_ratio(plane: Pixels, *, nucleus: ObjectPixels, ring: ObjectPixels) -> Floats:
    """Measure how much brighter the nucleus is than the cytoplasm around it.

    ratio = (mean of the nucleus - background) / (mean of the ring - background), with the background of
    ``estimate_background`` and the ring of ``list_ring``. The nuclear region and the ring around it are those of the
    first high-content translocation assay (Ding et al., J Biol Chem 273, 28897, 1998), which took the difference; a
    ratio does not depend on how strongly a cell is stained.

    Parameters
    ----------
    plane
        The stain, shape ``(y, x)``, uint8 or uint16, camera counts.
    nucleus, ring
        Pixels of the same cells.

    Returns
    -------
    Shape ``(count,)``, float64, no unit: above 1 for a stain that is mostly nuclear. NaN where a cell has no ring or
    its ring is not brighter than the background, as no stain is there to compare with.
    """
    background = estimate_background(plane)
    inside = nucleus.mean(plane[nucleus.y, nucleus.x]) - background
    around = ring.mean(plane[ring.y, ring.x]) - background
    return divide(inside, np.where(around > 0, around, 0))


def measure_ratios(
    planes: Mapping[str, Pixels], nuclei: Labels, *, gap_px: float, width_px: float
) -> dict[str, Floats]:
    """Measure the ratio of ``measure_nucleus_cytoplasm_ratio`` for every nucleus and channel.

    Parameters
    ----------
    planes
        Channel name to plane, shape ``(y, x)``, uint8 or uint16, camera counts.
    nuclei
        Labels, shape ``(y, x)``, integer.
    gap_px, width_px
        As in ``list_ring``.

    Returns
    -------
    One array per column of ``describe_ratios(planes)``, shape ``(n,)``, float64, where n is the greatest label.
    """
    count = int(nuclei.max(initial=0))
    nucleus, ring = list_pixels(nuclei, count), list_ring(nuclei, count, gap_px=gap_px, width_px=width_px)
    return {
        f"{RATIO}_{channel}": measure_nucleus_cytoplasm_ratio(plane, nucleus=nucleus, ring=ring)
        for channel, plane in planes.items()
    }


def describe_ratios(channels: Iterable[str]) -> list[FeatureDescription]:
    """Describe the columns of ``measure_ratios`` for these channels, in their order."""
    return [FeatureDescription(f"{RATIO}_{channel}", "Intensity", "Cells", channel, *_RATIO) for channel in channels]


_RATIO = (
    "1",
    "Mean over the nucleus over the mean over a ring around it, both above the background (first percentile of the "
    "smoothed plane). The ring is what is nearest to this nucleus, outside all nuclei and, unless the recipe says "
    "otherwise, more than 1 and at most 6 pixels away.",
    "the nucleus has no ring, closed in by others, or its ring is not brighter than the background",
    "Ding et al., J Biol Chem 273, 28897, 1998, who took the difference",
)
