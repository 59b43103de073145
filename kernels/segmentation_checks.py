"""What parameters of a segmentation may be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module, util
from typing import Any

from kernels.planes import Labels, Pixels, check_label_image, check_plane
from kernels.thresholds import METHODS

SEGMENTATION_METHODS = ("automatic", "cellprofiler")
FLOODS = ("cellprofiler", "fixpoint")
DECLUMP_METHODS = ("shape", "intensity", "none")
DIVIDES = ("intensity", "shape")


def check_nuclei(
    plane: Pixels,
    *,
    diameter_px: tuple[float, float],
    declump: str,
    valley: float,
    neck: float,
    edge_fraction: float,
    background_block_px: float,
    background_smoothing_px: float,
    divide: str,
    suppress_px: float | None,
    smoothing_px: float | None,
    **threshold: Any,
) -> None:
    """Raise unless these are parameters of ``segment_nuclei``."""
    check_plane("plane", plane)
    least, greatest = diameter_px
    if not 0 < least < greatest:
        raise ValueError(f"diameter_px must be (min, max) with 0 < min < max, got {diameter_px}")
    _check_choice("declump", declump, DECLUMP_METHODS)
    _check_choice("divide", divide, DIVIDES)
    for name, share in (("neck", neck), ("edge_fraction", edge_fraction)):
        if not 0 <= share <= 1:
            raise ValueError(f"{name} must be from 0 to 1, got {share}")
    check_least("valley", valley)
    check_least("background_block_px", background_block_px)
    check_least("background_smoothing_px", background_smoothing_px)
    check_least("suppress_px", 0 if suppress_px is None else suppress_px)
    check_least("smoothing_px", 0 if smoothing_px is None else smoothing_px)
    check_threshold(**threshold)


def check_cells(nuclei: Labels, plane: Pixels | None, rivals: Labels | None, expansion_px: float) -> None:
    """Raise unless these are arguments of ``segment_cells``."""
    check_label_image("nuclei", nuclei)
    check_least("expansion_px", expansion_px)
    if plane is not None:
        check_plane("plane", plane)
    if rivals is not None:
        check_label_image("rivals", rivals)
    for name, other in (("plane", plane), ("rivals", rivals)):
        if other is not None and other.shape != nuclei.shape:
            raise ValueError(f"{name} must have the shape of nuclei, {nuclei.shape}, got {other.shape}")


def check_threshold(
    *,
    method: str,
    threshold: str,
    threshold_correction: float,
    threshold_bounds: tuple[float, float],
    adaptive_window_px: float | None,
) -> None:
    """Raise unless these are parameters of a threshold."""
    _check_choice("method", method, SEGMENTATION_METHODS)
    _check_choice("threshold", threshold, tuple(METHODS))
    if not threshold_correction > 0:
        raise ValueError(f"threshold_correction must be above 0, got {threshold_correction}")
    low, high = threshold_bounds
    if not 0 <= low <= high <= 1:
        raise ValueError(f"threshold_bounds must be (low, high) with 0 <= low <= high <= 1, got {threshold_bounds}")
    if adaptive_window_px is not None and not adaptive_window_px >= 1:
        raise ValueError(f"adaptive_window_px must be 1 or more, got {adaptive_window_px}")


def check_least(name: str, value: float) -> None:
    """Raise unless a parameter is 0 or more."""
    if not value >= 0:
        raise ValueError(f"{name} must be 0 or more, got {value}")


def find_fixpoint(flood: str, name: str) -> Callable[..., Any] | None:
    """Give the function of ``kernels.fixpoint`` that segments with this flood, or None for the host's.

    Raises
    ------
    ValueError
        If the flood is not known, or this installation lacks it.
    """
    _check_choice("flood", flood, FLOODS)
    if flood != "fixpoint":
        return None
    if util.find_spec("kernels.fixpoint") is None:
        raise ValueError("flood fixpoint is not part of this installation, take cellprofiler")
    return getattr(import_module("kernels.fixpoint"), name)


def _check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
