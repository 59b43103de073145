"""All features of the cells of one site, under CellProfiler's names, and what each one means."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from kernels.intensity import INTENSITY_FEATURES, LOCATION_FEATURES, measure_intensity
from kernels.objects import inner_edge, list_pixels
from kernels.planes import Floats, Labels, Pixels, check_label_image, check_plane
from kernels.shape import SHAPE_FEATURES, measure_shape
from kernels.translocation import list_ring, measure_nucleus_cytoplasm_ratio

COMPARTMENTS = ("Nuclei", "Cells", "Cytoplasm")
RATIO = "NucleusCytoplasmRatio"
RATIO_DEFINITION = (
    "Mean over the nucleus over the mean over a ring around it, both above the background (first percentile of the "
    "smoothed plane). The ring is what is nearest to this nucleus, outside all nuclei and, unless the recipe says "
    "otherwise, more than 1 and at most 6 pixels away. NULL without a ring, or if it is not above the background."
)


class FeatureDescription(NamedTuple):
    """One column of the feature dictionary; ``channel`` is empty for features of form."""

    name: str
    family: str
    objects: str
    channel: str
    unit: str
    definition: str


def measure_objects(
    planes: Mapping[str, Pixels],
    *,
    nuclei: Labels,
    cells: Labels,
    cytoplasm: Labels,
    ring_gap_px: float = 1.0,
    ring_width_px: float = 5.0,
) -> dict[str, Floats]:
    """Measure every cell of one site.

    Parameters
    ----------
    planes
        Channel name to plane, each of shape ``(y, x)``, uint8 or uint16, camera counts. Measured as they are, without
        background or illumination correction, on CellProfiler's scale: counts over 255 or 65535.
    nuclei, cells, cytoplasm
        Labels of the three compartments, shape ``(y, x)``, integer, one number per cell.
    ring_gap_px, ring_width_px
        Ring of ``Cells_Intensity_NucleusCytoplasmRatio``, see ``kernels.translocation.list_ring``, pixels.

    Returns
    -------
    One array per column of ``describe_features(planes)``, in that order, shape ``(n,)``, float64, where n is the
    greatest number among the labels: index i is the cell numbered i + 1. NaN throughout for a compartment that a cell
    does not have (a cytoplasm without pixels), and where a definition has no value.

    Raises
    ------
    TypeError
        If a plane is not uint8 or uint16, or labels are not integer.
    ValueError
        If an array is not two-dimensional or the shapes differ.
    """
    labels: dict[str, Labels] = {"Nuclei": nuclei, "Cells": cells, "Cytoplasm": cytoplasm}
    _check_shapes(planes, labels)
    count = max((int(image.max()) for image in labels.values() if image.size), default=0)
    features: dict[str, Floats] = {}
    for objects, image in labels.items():
        pixels = list_pixels(image, count)
        edge = list_pixels(image, count, inner_edge(image))
        form = measure_shape(image, pixels)
        features |= {f"{objects}_AreaShape_{name}": values for name, values in form.items()}
        for channel, plane in planes.items():
            brightness = measure_intensity(plane, pixels, edge)
            features |= {_column(objects, name, channel): values for name, values in brightness.items()}
    nucleus = list_pixels(nuclei, count)
    ring = list_ring(nuclei, count, gap_px=ring_gap_px, width_px=ring_width_px)
    for channel, plane in planes.items():
        ratio = measure_nucleus_cytoplasm_ratio(plane, nucleus=nucleus, ring=ring)
        features[_column("Cells", RATIO, channel)] = ratio
    return features


def describe_features(channels: Iterable[str]) -> list[FeatureDescription]:
    """Describe the columns of ``measure_objects`` for these channels, in their order."""
    channels = list(channels)
    described = []
    for objects in COMPARTMENTS:
        for name, (unit, definition) in SHAPE_FEATURES.items():
            column = f"{objects}_AreaShape_{name}"
            described.append(FeatureDescription(column, "AreaShape", objects, "", unit, definition))
        for channel in channels:
            for name, (unit, definition) in (INTENSITY_FEATURES | LOCATION_FEATURES).items():
                column = _column(objects, name, channel)
                described.append(FeatureDescription(column, _family(name), objects, channel, unit, definition))
    for channel in channels:
        column = _column("Cells", RATIO, channel)
        described.append(FeatureDescription(column, "Intensity", "Cells", channel, "1", RATIO_DEFINITION))
    return described


def _family(name: str) -> str:
    return "Location" if name in LOCATION_FEATURES else "Intensity"


def _column(objects: str, name: str, channel: str) -> str:
    return f"{objects}_{_family(name)}_{name}_{channel}"


def _check_shapes(planes: Mapping[str, Pixels], labels: Mapping[str, Labels]) -> None:
    shape = labels["Nuclei"].shape
    for objects, image in labels.items():
        check_label_image(objects.lower(), image)
    for channel, plane in planes.items():
        check_plane(f"planes[{channel!r}]", plane)
    named = {objects.lower(): image.shape for objects, image in labels.items()}
    named |= {f"planes[{channel!r}]": plane.shape for channel, plane in planes.items()}
    for name, other in named.items():
        if other != shape:
            raise ValueError(f"{name} must have the shape of nuclei, {shape}, got {other}")
