"""Find nuclei, grow cells from them and take what lies between: cytoplasm.

The order of steps is CellProfiler's (IdentifyPrimaryObjects, IdentifySecondaryObjects, IdentifyTertiaryObjects);
the single steps are the textbook ones named in each function, so labels agree with CellProfiler's in kind and not
pixel by pixel.
"""

import cv2
import numpy as np
import numpy.typing as npt
from skimage import measure

from kernels.clumps import Numbers, connect, flood, split_clumps
from kernels.distances import measure_distance
from kernels.objects import find_nearest, list_pixels
from kernels.planes import Labels, Pixels, check_label_image, check_plane, smooth_plane
from kernels.thresholds import find_threshold

DECLUMP_METHODS = ("shape", "intensity", "none")


def segment_nuclei(
    plane: Pixels,
    *,
    diameter_px: tuple[float, float],
    threshold: str = "minimum-cross-entropy",
    threshold_correction: float = 1.0,
    smoothing_px: float = 1.0,
    declump: str = "shape",
    neck: float = 0.9,
    edge_fraction: float = 0.25,
    drop_border: bool = False,
) -> Numbers:
    """Find the nuclei of one plane.

    1. Smooth with a Gaussian, and keep what is brighter than one threshold of the whole plane.
    2. Fill holes smaller than the smallest nucleus.
    3. Split clumps: seeds are the maxima, inside a disk of a third of the least diameter, of the distance to the
       background (``shape``) or of the smoothed intensity (``intensity``). A watershed divides the pixels between
       them, and parts whose common border is hardly lower than they are (``neck``) become one again.
    4. Trim each object to what is not much dimmer than itself (``edge_fraction``): one threshold for the whole plane
       draws bright nuclei too large. CellProfiler does not do this step.
    5. Drop objects whose area is not that of a disk within ``diameter_px``, and with ``drop_border`` those that
       touch the border of the plane.

    Parameters
    ----------
    plane
        The nuclear stain, shape ``(y, x)``, uint8 or uint16, camera counts.
    diameter_px
        Least and greatest diameter of a nucleus, pixels.
    threshold
        ``otsu``, ``otsu-log`` or ``minimum-cross-entropy``, see ``kernels.thresholds.find_threshold``.
    threshold_correction
        Factor on the threshold's distance from the darkest smoothed pixel; above 1 is stricter.
    smoothing_px
        Standard deviation of the Gaussian, pixels; 0 does not smooth.
    declump
        ``shape`` for round nuclei, ``intensity`` for nuclei brighter in their middle, ``none`` to leave clumps whole.
    neck
        Two parts of a clump stay apart where the highest point of their border is below this share of the lower
        one's peak: for ``shape``, where the neck is narrower than this share of the smaller part. 0 to 1; less
        splits less.
    edge_fraction
        Pixels dimmer than this share of their object's upper quartile, both above the background's median, are
        trimmed. 0.5 is the contour at half maximum; 0 trims only what is below the background.
    drop_border
        Leave out nuclei cut by the border. The default keeps them, so that counts per well are complete.

    Returns
    -------
    Labels, shape ``(y, x)``, int32, 0 outside nuclei, numbered 1..n without gaps in the raster order of each nucleus'
    first pixel. Without two classes of pixels (empty, flat, saturated or noise only) all are 0.

    Raises
    ------
    TypeError
        If ``plane`` is not uint8 or uint16.
    ValueError
        If ``plane`` is not two-dimensional, or a parameter is outside its range.
    """
    check_plane("plane", plane)
    least, greatest = diameter_px
    if not 0 < least < greatest:
        raise ValueError(f"diameter_px must be (min, max) with 0 < min < max, got {diameter_px}")
    if declump not in DECLUMP_METHODS:
        raise ValueError(f"declump must be one of {', '.join(DECLUMP_METHODS)}, got {declump!r}")
    for name, share in (("neck", neck), ("edge_fraction", edge_fraction)):
        if not 0 <= share <= 1:
            raise ValueError(f"{name} must be from 0 to 1, got {share}")
    smooth = smooth_plane(plane, smoothing_px)
    foreground = _foreground(smooth, threshold, threshold_correction)
    if foreground is None:
        return np.zeros(plane.shape, np.int32)
    background = float(np.median(smooth[foreground == 0]))
    _fill_small_holes(foreground, _disk_area(least))
    labels = connect(foreground)
    if declump == "shape":
        labels = split_clumps(_distance_to_background(foreground), labels, radius=least / 3, neck=neck)
    elif declump == "intensity":
        brightness = np.where(foreground > 0, smooth - np.float32(background), np.float32(0))
        labels = split_clumps(brightness, labels, radius=least / 3, neck=neck)
    labels = _trim_edges(labels, smooth, background, edge_fraction, hole_area=_disk_area(least))
    return _keep_objects(labels, _disk_area(least), _disk_area(greatest), drop_border)


def segment_cells(
    nuclei: Labels,
    plane: Pixels | None,
    *,
    threshold: str = "otsu-log",
    threshold_correction: float = 0.5,
    smoothing_px: float = 1.0,
    expansion_px: float = 10.0,
) -> Numbers:
    """Grow each nucleus to its cell.

    With a cell stain: a watershed from the nuclei over the smoothed, inverted stain, inside the stain's foreground
    (CellProfiler's ``Watershed - Image``). Without one, or where it shows no two classes of pixels (an unstained
    well, a flat plane): every pixel within ``expansion_px`` of a nucleus goes to the nearest nucleus (CellProfiler's
    ``Distance - N``).

    Parameters
    ----------
    nuclei
        Labels of nuclei, shape ``(y, x)``, integer, 0 outside.
    plane
        The cell stain, shape ``(y, x)``, uint8 or uint16, camera counts; None where the experiment has none.
    threshold, threshold_correction, smoothing_px
        As in ``segment_nuclei``, for the cell stain. The logarithm keeps dim cells beside bright ones, and half the
        threshold their thin rims: JUMP takes 0.7 times the lower threshold of three classes for that.
    expansion_px
        How far cells reach beyond their nucleus where no stain shows them, pixels.

    Returns
    -------
    Labels, shape ``(y, x)``, int32, each cell with its nucleus' number and containing all of it.

    Raises
    ------
    TypeError
        If ``nuclei`` is not integer or ``plane`` is not uint8 or uint16.
    ValueError
        If the shapes differ, or a parameter is outside its range.
    """
    check_label_image("nuclei", nuclei)
    seeds = nuclei.astype(np.int32, copy=False)
    if not expansion_px >= 0:
        raise ValueError(f"expansion_px must be 0 or more, got {expansion_px}")
    if plane is not None:
        check_plane("plane", plane)
        if plane.shape != nuclei.shape:
            raise ValueError(f"plane must have the shape of nuclei, {nuclei.shape}, got {plane.shape}")
        smooth = smooth_plane(plane, smoothing_px)
        foreground = _foreground(smooth, threshold, threshold_correction)
        if foreground is not None:
            return flood(np.iinfo(np.uint16).max - smooth, seeds, (foreground > 0) | (seeds > 0))
    if not seeds.any():
        return seeds.copy()
    distance, nearest = find_nearest(seeds)
    return np.where(distance <= expansion_px, nearest, 0).astype(np.int32, copy=False)


def segment_cytoplasm(nuclei: Labels, cells: Labels, *, shared_rim: bool = False) -> Numbers:
    """Take the part of each cell outside its nucleus.

    Parameters
    ----------
    nuclei, cells
        Labels, shape ``(y, x)``, integer, one number per cell.
    shared_rim
        True counts the outermost pixels of the nuclei (those with an 8-neighbour of another label) to the cytoplasm
        too, as CellProfiler's IdentifyTertiaryObjects does when it shrinks the smaller object. False: cells minus
        nuclei, no pixel in both.

    Returns
    -------
    Labels, shape ``(y, x)``, int32, with the cells' numbers. A cell that is no larger than its nucleus has no pixel
    here: its cytoplasm features are NaN.

    Raises
    ------
    TypeError
        If a label image is not integer.
    ValueError
        If the shapes differ.
    """
    check_label_image("nuclei", nuclei)
    check_label_image("cells", cells)
    if nuclei.shape != cells.shape:
        raise ValueError(f"cells must have the shape of nuclei, {nuclei.shape}, got {cells.shape}")
    outside = nuclei == 0
    if shared_rim:
        outside |= _has_other_neighbour(nuclei)
    return np.where(outside, cells, 0).astype(np.int32, copy=False)


def _foreground(smooth: npt.NDArray[np.uint16], threshold: str, correction: float) -> npt.NDArray[np.uint8] | None:
    if not correction > 0:
        raise ValueError(f"threshold_correction must be above 0, got {correction}")
    level = find_threshold(np.bincount(smooth.ravel(), minlength=1), threshold)
    if level is None:
        return None
    darkest = float(smooth.min())
    return (smooth > darkest + (level - darkest) * correction).astype(np.uint8)


def _fill_small_holes(foreground: npt.NDArray[np.uint8], greatest_area: float) -> None:
    """Fill background enclosed by foreground, in place; it is 4-connected where foreground is 8-connected."""
    holes = connect(foreground == 0, connectivity=4)
    fill = np.bincount(holes.ravel()) < greatest_area
    fill[0] = False
    fill[_border_labels(holes)] = False
    foreground[fill[holes]] = 1


def _trim_edges(
    labels: Labels, smooth: npt.NDArray[np.uint16], background: float, fraction: float, *, hole_area: float
) -> Numbers:
    """Keep of each object what is at least ``fraction`` of its own upper quartile, both above the background.

    The pieces become objects of their own, numbered in the raster order of their first pixels.
    """
    pixels = list_pixels(labels, int(labels.max()))
    values = smooth[pixels.y, pixels.x].astype(np.int64)
    upper_quartile = pixels.quantile(pixels.sort_inside(values), 0.75)
    is_kept = values >= background + fraction * (upper_quartile - background)[pixels.owner]
    foreground = np.zeros(labels.shape, np.uint8)
    foreground[pixels.y[is_kept], pixels.x[is_kept]] = 1
    _fill_small_holes(foreground, hole_area)
    return np.asarray(measure.label(np.where(foreground, labels, 0), connectivity=2), np.int32)


def _distance_to_background(foreground: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    distance = measure_distance(foreground).astype(np.float32)
    # a slight blur joins the maxima of a ragged outline; a pixel's own distance moves by less than one pixel
    return np.asarray(cv2.GaussianBlur(distance, (0, 0), 1.0), np.float32) * foreground


def _keep_objects(labels: Labels, least_area: float, greatest_area: float, drop_border: bool) -> Numbers:
    """Leave out objects by size and place, and number the others without gaps, in the same order."""
    area = np.bincount(labels.ravel())
    keep = (area >= least_area) & (area <= greatest_area)
    keep[0] = False
    if drop_border:
        keep[_border_labels(labels)] = False
    return np.where(keep, np.cumsum(keep), 0).astype(np.int32)[labels]


def _has_other_neighbour(labels: Labels) -> npt.NDArray[np.bool_]:
    around = np.lib.stride_tricks.sliding_window_view(np.pad(labels, 1), (3, 3))
    return (around != labels[:, :, None, None]).any(axis=(2, 3))


def _border_labels(labels: Labels) -> Labels:
    return np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))


def _disk_area(diameter: float) -> float:
    return np.pi / 4 * diameter**2
