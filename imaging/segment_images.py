"""Nuclei, cells and cytoplasm of image sets, found and written as label images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from imaging.errors import ConfigurationError, UnreadableImageError
from imaging.image_sets import ImageSet, ImageSets
from imaging.label_files import check_labels_out, writing_labels
from imaging.measure_images import Unmeasured
from imaging.plane_arrays import LabelImage, Plane
from kernels.fixpoint_tables import MOST_PIXELS
from kernels.segmentation import segment_objects

Flood = Literal["cellprofiler", "fixpoint"]
FLOODS: tuple[Flood, ...] = ("cellprofiler", "fixpoint")
DIAMETER_PX = (8.0, 100.0)
"""Least and greatest diameter of nuclei where none is given, pixels."""
_PROBLEMS_TOLD = 20


@dataclass(frozen=True, slots=True)
class Segmentation:
    """How objects are found.

    Parameters
    ----------
    nucleus
        Channel of the nuclear stain.
    cell
        Channel that shows whole cells; without one, cells are what lies within 10 pixels of a nucleus.
    diameter_px
        Least and greatest diameter of a nucleus, pixels.
    drop_border
        Whether nuclei that touch the border of the image are left out, with their cells.
    flood
        How pixels are divided between touching objects: in CellProfiler's order, or so that no order matters.
    """

    nucleus: str
    cell: str | None = None
    diameter_px: tuple[float, float] = DIAMETER_PX
    drop_border: bool = False
    flood: Flood = "cellprofiler"


@dataclass(frozen=True, slots=True)
class WrittenLabels:
    """What was written: objects by image set and object set, and the image sets that could not be segmented."""

    counts: Mapping[str, Mapping[str, int]]
    unmeasured: tuple[Unmeasured, ...]


def segment_planes(nucleus: Plane, cell: Plane | None, how: Segmentation) -> dict[str, LabelImage]:
    """Find the objects of one image set.

    Parameters
    ----------
    nucleus, cell
        Planes of the nuclear stain and of the one that shows whole cells, shape ``(y, x)``, uint8 or uint16.
    how
        How they are found.

    Returns
    -------
    Label images Nuclei, Cells and Cytoplasm, shape ``(y, x)``, int32, 0 outside; one number per cell, from 1 without
    gaps. All are 0 where there is no nucleus.
    """
    nuclei = {"diameter_px": how.diameter_px, "drop_border": how.drop_border, "flood": how.flood}
    found = segment_objects(nucleus, cell, nuclei=nuclei, cells={"flood": how.flood})
    return {name: found[name] for name in ("Nuclei", "Cells", "Cytoplasm")}


def segment_image_set(one: ImageSet, how: Segmentation) -> dict[str, LabelImage]:
    """Read and segment one image set; see ``segment_planes``.

    Raises
    ------
    UnreadableImageError
        If an image is missing or cannot be read, or the two have different shapes.
    """
    planes: list[Plane | None] = []
    for channel in (how.nucleus, how.cell):
        if channel is not None and channel not in one.files:
            raise UnreadableImageError(f"the image set has no file of {channel}", channel=channel)
        planes.append(None if channel is None else one.read(channel))
    nucleus, cell = planes
    assert nucleus is not None
    if cell is not None and cell.shape != nucleus.shape:
        message = f"{how.nucleus} has shape {nucleus.shape} and {how.cell} {cell.shape}; channels must fit each other"
        raise UnreadableImageError(message, key=one.files[how.nucleus])
    if how.flood == "fixpoint" and nucleus.size > MOST_PIXELS:
        message = f"it has {nucleus.size:,} pixels and the flood fixpoint takes {MOST_PIXELS:,}; take cellprofiler's"
        raise UnreadableImageError(message, key=one.files[how.nucleus])
    return segment_planes(nucleus, cell, how)


def write_labels(
    images: ImageSets,
    how: Segmentation,
    out: Path,
    *,
    on_set: Callable[[str, Mapping[str, int]], None] = lambda name, counts: None,
) -> WrittenLabels:
    """Segment all image sets into files that ``imaging.label_sets.open_label_sets`` reads.

    Parameters
    ----------
    images
        Image sets, as ``imaging.image_sets.open_image_sets`` finds them.
    how
        How objects are found.
    out
        File or folder; see ``imaging.label_files``.
    on_set
        Called with the name of each image set that is segmented, and its objects by object set.

    Raises
    ------
    ConfigurationError
        If a channel is not there, the labels cannot be written so, or no image set can be segmented; then nothing is
        written.
    StoreUnavailableError
        If they cannot be written.
    """
    refuse_channels(images, how)
    names = [one.name for one in images.sets]
    check_labels_out(out, names)
    counts: dict[str, dict[str, int]] = {}
    failed: list[Unmeasured] = []
    with writing_labels(out, names) as write:
        for one in images.sets:
            try:
                labels = segment_image_set(one, how)
            except UnreadableImageError as error:
                channel = error.channel or how.nucleus
                failed.append(Unmeasured(one.name, channel, error.key or one.files.get(channel, ""), error.message))
                continue
            write(one.name, labels)
            counts[one.name] = {name: _count(image) for name, image in labels.items()}
            on_set(one.name, counts[one.name])
        if images.sets and not counts:
            problems = tuple(f"{one.image_set}: {one.reason}" for one in failed[:_PROBLEMS_TOLD])
            raise ConfigurationError("no image set can be segmented, so nothing is written", problems)
    return WrittenLabels(counts, tuple(failed))


def refuse_channels(images: ImageSets, how: Segmentation) -> None:
    """Refuse channels that the images do not have.

    Raises
    ------
    ConfigurationError
        If one is not there.
    """
    absent = [channel for channel in (how.nucleus, how.cell) if channel is not None and channel not in images.channels]
    if absent:
        raise ConfigurationError(
            f"there is no channel {' and no channel '.join(absent)}; there is {', '.join(images.channels)}"
        )


def _count(image: LabelImage) -> int:
    """Objects of a label image, which may lack numbers: a cell may have no cytoplasm."""
    return int((np.bincount(image.ravel())[1:] > 0).sum())
