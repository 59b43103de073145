"""Find nuclei, grow cells from them and take what lies between: cytoplasm.

Two methods. ``automatic`` needs no more than the range of diameters (``kernels/nuclei_automatic.py``). ``cellprofiler``
takes the steps of CellProfiler's IdentifyPrimaryObjects, IdentifySecondaryObjects and IdentifyTertiaryObjects, and with
equal parameters its labels are CellProfiler's own, pixel for pixel (``kernels/nuclei_cellprofiler.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from kernels import nuclei_automatic, nuclei_cellprofiler
from kernels.compiled import compiled
from kernels.device import to_device, to_host
from kernels.flood import flood as grow
from kernels.objects import find_nearest
from kernels.planes import Labels, Pixels, check_label_image, smooth_plane
from kernels.regions import Numbers, border_labels, fill_holes, keep_labels, outermost
from kernels.segmentation_checks import check_cells, check_nuclei, check_threshold, find_fixpoint
from kernels.thresholds import MINIMUM_CONTRAST, count_values, find_local_thresholds, find_threshold

INCLUDING_EDGES = "IncludingEdges"
"""What ends the name of objects among which are those that the border of the plane cuts."""
_FULL_SCALE = 65535


def segment_nuclei(
    plane: Pixels,
    *,
    diameter_px: tuple[float, float],
    method: str = "automatic",
    threshold: str = "minimum-cross-entropy",
    threshold_correction: float = 1.0,
    threshold_bounds: tuple[float, float] = (0.0, 1.0),
    adaptive_window_px: float | None = None,
    smoothing_px: float | None = None,
    declump: str = "shape",
    valley: float = 0.3,
    neck: float = 0.9,
    edge_fraction: float = 0.4,
    background_block_px: float = 0.0,
    background_smoothing_px: float = 50.0,
    divide: str = "intensity",
    suppress_px: float | None = None,
    drop_border: bool = False,
    flood: str = "cellprofiler",
) -> Numbers:
    """Find the nuclei of one plane.

    ``automatic``:

    1. Estimate the nuclei's typical diameter. Smooth accordingly, subtract the background, and keep what is brighter
       than the threshold. Fill holes smaller than the smallest nucleus.
    2. Split clumps: seeds are the maxima of the distance to the background and to the valleys of brightness. A
       watershed divides the pixels between them, and parts whose common border is hardly lower than they are become
       one again.
    3. Trim each object to what is not much dimmer than itself: one threshold draws bright nuclei too large.
    4. Drop objects whose area is not that of a disk within ``diameter_px``.

    ``cellprofiler``: see ``kernels.nuclei_cellprofiler.find_nuclei``.

    Parameters
    ----------
    plane
        The nuclear stain, shape ``(y, x)``, uint8 or uint16, camera counts.
    diameter_px
        Least and greatest diameter of a nucleus, pixels.
    method
        ``automatic`` or ``cellprofiler``.
    threshold
        ``minimum-cross-entropy``, ``otsu``, ``otsu-log``, ``otsu3`` or ``otsu3-log``, see
        ``kernels.thresholds.find_threshold``.
    threshold_correction
        Factor on the threshold above the background; above 1 is stricter.
    threshold_bounds
        Least and greatest threshold after correction, as shares of the type's full scale.
    adaptive_window_px
        Side of the windows that have thresholds of their own, see ``kernels.thresholds.find_local_thresholds``,
        pixels; None: one threshold for the whole plane.
    smoothing_px
        Standard deviation of the Gaussian, pixels; 0 does not smooth. None: a 24th of the typical diameter, 0.6 to 3
        pixels; with ``cellprofiler`` 0.74, its threshold smoothing scale of 1.
    declump
        ``shape`` for round nuclei, ``intensity`` for nuclei brighter in their middle, ``none`` to leave clumps whole.
    valley
        Only ``automatic`` with ``shape``: how deep a valley of brightness divides, as a share of the brightness, see
        ``kernels.nuclei_automatic.cut_valleys``; 0 looks at the outline alone.
    neck
        Only ``automatic``: two parts of a clump stay apart where the highest point of their border is below this share
        of the lower one's peak: for ``shape``, where the neck is narrower than this share of the smaller part. 0 to 1;
        less splits less.
    edge_fraction
        Only ``automatic``: pixels dimmer than this share of their object's upper quartile, both above the background,
        are trimmed. 0.5 is the contour at half maximum; 0 trims nothing.
    background_block_px, background_smoothing_px
        Only ``cellprofiler``: side of the blocks whose least values are the background, and full width at half maximum
        of the Gaussian that smooths it (CorrectIlluminationCalculate), pixels; 0 blocks subtracts nothing.
    divide
        Only ``cellprofiler``: whether the watershed follows ``intensity`` or ``shape``.
    suppress_px
        Only ``cellprofiler``: least distance of two maxima, pixels; None: the least diameter over 1.5.
    drop_border
        Leave out nuclei cut by the border. The default keeps them, so that counts per well are complete.
    flood
        ``cellprofiler`` or ``fixpoint``, whose labels do not depend on the order of pixels (``kernels/fixpoint.py``).

    Returns
    -------
    Labels, shape ``(y, x)``, int32, 0 outside nuclei, numbered 1..n without gaps: ``automatic`` in the raster order of
    each nucleus' first pixel, ``cellprofiler`` in that of the seeds. Without two classes of pixels (flat; for
    ``automatic`` also noise only) all are 0.

    Raises
    ------
    TypeError
        If ``plane`` is not uint8 or uint16.
    ValueError
        If ``plane`` is not two-dimensional, or a parameter is outside its range.
    """
    parameters = {name: value for name, value in locals().items() if name not in ("plane", "drop_border", "flood")}
    check_nuclei(plane, **parameters)
    on_fixpoint = find_fixpoint(flood, "segment_nuclei_fixpoint")
    if on_fixpoint is not None:
        return on_fixpoint(plane, **parameters, drop_border=drop_border)
    nuclei, _ = _find_nuclei(plane, **parameters)
    return _drop_border(nuclei) if drop_border else nuclei


def segment_cells(
    nuclei: Labels,
    plane: Pixels | None,
    *,
    method: str = "automatic",
    threshold: str = "otsu-log",
    threshold_correction: float = 0.5,
    threshold_bounds: tuple[float, float] = (0.0, 1.0),
    adaptive_window_px: float | None = None,
    smoothing_px: float = 1.0,
    expansion_px: float = 10.0,
    rivals: Labels | None = None,
    flood: str = "cellprofiler",
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
    method
        ``automatic``, or ``cellprofiler``: the threshold is corrected from 0 and not from the darkest pixel, pixels at
        the threshold are foreground, planes of noise have a threshold too, and holes of cells are filled.
    threshold, threshold_correction, threshold_bounds, adaptive_window_px
        As in ``segment_nuclei``, for the cell stain. The logarithm keeps dim cells beside bright ones, and half the
        threshold their thin rims: JUMP takes 0.7 times the lower threshold of three classes for that.
    smoothing_px
        Standard deviation of the Gaussian, pixels; 0 does not smooth.
    expansion_px
        How far cells reach beyond their nucleus where no stain shows them, pixels.
    rivals
        Labels of what was found beside the nuclei, shape ``(y, x)``, integer: those on the border of the plane take
        their share of the stain and are left out then, as in CellProfiler. Nuclei are seeds by their number in here.
    flood
        As in ``segment_nuclei``.

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
    parameters = {name: value for name, value in locals().items() if name not in ("nuclei", "plane", "flood")}
    check_cells(nuclei, plane, rivals, expansion_px)
    check_threshold(
        method=method,
        threshold=threshold,
        threshold_correction=threshold_correction,
        threshold_bounds=threshold_bounds,
        adaptive_window_px=adaptive_window_px,
    )
    on_fixpoint = find_fixpoint(flood, "segment_cells_fixpoint")
    if on_fixpoint is not None:
        return on_fixpoint(nuclei, plane, **parameters)
    numbers = np.ascontiguousarray(nuclei, np.int32)
    if plane is not None:
        is_automatic = method == "automatic"
        smooth = smooth_plane(plane, smoothing_px)
        foreground = find_stained(
            smooth, is_automatic, threshold, threshold_correction, threshold_bounds, adaptive_window_px
        )
        if foreground is not None:
            seeds = numbers if rivals is None else _seeds(numbers, np.ascontiguousarray(rivals, np.int32))
            np.logical_or(foreground, seeds, out=foreground)
            cells = grow(~smooth, seeds, foreground)
            cells = cells if is_automatic else fill_holes(cells)
            return cells if rivals is None else _greatest_inside(numbers, cells)
    if not numbers.any():
        return numbers.copy()
    distance, nearest = find_nearest(numbers)
    return np.where(distance <= expansion_px, nearest, 0).astype(np.int32, copy=False)


def segment_cytoplasm(nuclei: Labels, cells: Labels, *, shared_rim: bool = False) -> Numbers:
    """Take the part of each cell outside its nucleus.

    Parameters
    ----------
    nuclei, cells
        Labels, shape ``(y, x)``, integer, one number per cell.
    shared_rim
        True counts the outermost pixels of the nuclei (those with an 8-neighbour of another label, or on the border
        of the plane) to the cytoplasm too, as CellProfiler's IdentifyTertiaryObjects does when it shrinks the smaller
        object. False: cells minus nuclei, no pixel in both.

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
        outside |= outermost(nuclei)
    return np.where(outside, cells, 0).astype(np.int32, copy=False)


def segment_objects(
    nucleus_plane: Pixels,
    cell_plane: Pixels | None,
    *,
    nuclei: Mapping[str, Any],
    cells: Mapping[str, Any] | None = None,
    shared_rim: bool = False,
) -> dict[str, Numbers]:
    """Segment one site: nuclei, cells and cytoplasm with common numbers.

    Parameters
    ----------
    nucleus_plane, cell_plane
        Stains, shape ``(y, x)``, uint8 or uint16, camera counts; no ``cell_plane`` where there is no cell stain.
    nuclei, cells
        Keyword arguments of ``segment_nuclei`` and ``segment_cells``. Nuclei that ``drop_border`` leaves out grow their
        cells first and leave out both. Without ``cells`` there are nuclei alone.
    shared_rim
        As in ``segment_cytoplasm``.

    Returns
    -------
    ``Nuclei`` and, with ``cells``, ``Cells`` and ``Cytoplasm``: labels, shape ``(y, x)``, int32. Where ``drop_border``
    left some out, the nuclei and cells as they were before are ``NucleiIncludingEdges`` and ``CellsIncludingEdges``.

    Raises
    ------
    TypeError, ValueError
        As ``segment_nuclei`` and ``segment_cells``.
    """
    parameters = {**(segment_nuclei.__kwdefaults__ or {}), **nuclei}
    drop_border, flood = parameters.pop("drop_border"), parameters.pop("flood")
    rivals = None
    if find_fixpoint(flood, "segment_nuclei_fixpoint") is not None:
        found = to_host(segment_nuclei(to_device(nucleus_plane), **parameters, flood=flood))
    else:
        check_nuclei(nucleus_plane, **parameters)
        found, rivals = _find_nuclei(nucleus_plane, **parameters)
    labels = {"Nuclei": found}
    if cells is not None:
        labels["Cells"] = _grow_cells(found, cell_plane, {"rivals": rivals, **cells})
    if drop_border:
        keep = np.ones(int(found.max()) + 1, np.bool_)
        keep[border_labels(found)] = False
        labels = {name: keep_labels(image, keep) for name, image in labels.items()} | {
            f"{name}{INCLUDING_EDGES}": image for name, image in labels.items()
        }
    if cells is not None:
        labels["Cytoplasm"] = segment_cytoplasm(labels["Nuclei"], labels["Cells"], shared_rim=shared_rim)
    return labels


def _grow_cells(nuclei: Numbers, plane: Pixels | None, parameters: dict[str, Any]) -> Numbers:
    """Grow cells where their flood runs: beside a GPU on the GPU if it is the fixpoint's."""
    if parameters.get("flood") != "fixpoint":
        return segment_cells(nuclei, plane, **parameters)
    there = None if plane is None else to_device(plane)
    return to_host(segment_cells(to_device(nuclei), there, **parameters))


def find_stained(
    smooth: npt.NDArray[np.uint16],
    is_automatic: bool,
    threshold: str,
    correction: float,
    bounds: tuple[float, float],
    window_px: float | None,
) -> npt.NDArray[np.bool_] | None:
    """Mark what the cell stain shows, shape ``(y, x)``, bool; None where the plane has no two classes of pixels."""
    contrast = MINIMUM_CONTRAST if is_automatic else 0
    level = find_threshold(count_values(smooth), threshold, minimum_contrast=contrast)
    if level is None:
        return None
    levels = level if window_px is None else find_local_thresholds(smooth, level, threshold, window_px=window_px)
    low, high = (bound * _FULL_SCALE for bound in bounds)
    if not is_automatic:
        return smooth >= np.clip(levels * correction, low, high)
    darkest = float(smooth.min())
    return smooth > np.clip(darkest + (levels - darkest) * correction, low, high)


def _find_nuclei(plane: Pixels, *, method: str, **parameters: Any) -> tuple[Numbers, Numbers | None]:
    """Nuclei, those on the border included, and for ``cellprofiler`` all parts before any was dropped."""
    if method == "automatic":
        return nuclei_automatic.find_nuclei(plane, **_only(parameters, nuclei_automatic.find_nuclei)), None
    return nuclei_cellprofiler.find_nuclei(plane, **_only(parameters, nuclei_cellprofiler.find_nuclei))


def _only(parameters: Mapping[str, Any], function: Callable[..., Any]) -> dict[str, Any]:
    """Those parameters that a function takes."""
    return {name: value for name, value in parameters.items() if name in function.__annotations__}


def _drop_border(labels: Numbers) -> Numbers:
    keep = np.ones(int(labels.max()) + 1, np.bool_)
    keep[border_labels(labels)] = False
    return keep_labels(labels, keep)


def _seeds(nuclei: Numbers, rivals: Numbers) -> Numbers:
    """Parts of nuclei, and other parts that touch the border."""
    is_at_border = np.zeros(int(rivals.max()) + 1, np.bool_)
    is_at_border[border_labels(rivals)] = True
    return _keep_seeds(nuclei, rivals, is_at_border)


@compiled
def _keep_seeds(nuclei, rivals, is_at_border):  # pyright: ignore[reportMissingParameterType]
    seeds = np.zeros_like(rivals)
    for y in range(rivals.shape[0]):
        for x in range(rivals.shape[1]):
            if nuclei[y, x] > 0 or is_at_border[rivals[y, x]]:
                seeds[y, x] = rivals[y, x]
    return seeds


@compiled
def _greatest_inside(nuclei, cells):  # pyright: ignore[reportMissingParameterType]
    """Give each cell the greatest number of the nuclei in it; without one it is left out."""
    count = 0
    for y in range(cells.shape[0]):
        for x in range(cells.shape[1]):
            count = max(count, cells[y, x])
    number = np.zeros(count + 1, np.int32)
    for y in range(cells.shape[0]):
        for x in range(cells.shape[1]):
            if cells[y, x] > 0:
                number[cells[y, x]] = max(number[cells[y, x]], nuclei[y, x])
    found = np.zeros_like(cells)
    for y in range(cells.shape[0]):
        for x in range(cells.shape[1]):
            found[y, x] = number[cells[y, x]]
    return found
