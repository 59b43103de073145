"""Image metrics of image sets as a table with CellProfiler's columns, one row per set.

    ImageNumber, Metadata_ImageSet              which set
    FileName_DNA, Height_DNA, Width_DNA         which file, and its size in pixels; alike for every channel
    ImageQuality_FocusScore_DNA, ...            the metrics of kernels.image_quality; alike for every channel
    not_measured                                why values are NULL

Every column is always there. A set without an image of a channel, or with one that cannot be read, has NULL in that
channel's columns and says why. One plane is in memory at a time, and rows are written as they come.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from imaging.errors import UnreadableImageError
from imaging.image_sets import ImageSet, ImageSets
from imaging.plane_arrays import Plane
from imaging.table_files import check_out, schema_of, writing_table
from imaging.table_schema import INTEGER, NUMBER, TEXT, TEXTS, Column, Table, table_of
from kernels.device import to_device
from kernels.image_quality import describe_image_metrics, explain_missing, measure_image_quality

_SETS_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Unmeasured:
    """An image that could not be measured: its set, channel, file, and why."""

    image_set: str
    channel: str
    file: str
    reason: str


@dataclass(frozen=True, slots=True)
class WrittenMetrics:
    """What was written: image sets, and which images could not be measured."""

    sets: int
    images: int
    unmeasured: tuple[Unmeasured, ...]


def metric_column(metric: str, channel: str) -> str:
    """Name a metric's column as CellProfiler does: ``Correlation_20`` of DNA is ``ImageQuality_Correlation_DNA_20``."""
    name, _, scale = metric.partition("_")
    return "_".join(part for part in ("ImageQuality", name, channel, scale) if part)


def metrics_table(channels: tuple[str, ...]) -> Table:
    """Declare the columns that these channels give."""
    columns = [
        Column("ImageNumber", INTEGER, "", "number of the image set, counted from 1"),
        Column("Metadata_ImageSet", TEXT, "", "image set: what the wildcards matched, or the file's name"),
    ]
    for channel in channels:
        columns.append(Column(f"FileName_{channel}", TEXT, "", f"file of {channel}, as a path inside IMAGES"))
    for channel in channels:
        columns.append(Column(f"Height_{channel}", INTEGER, "px", f"rows of {channel}"))
        columns.append(Column(f"Width_{channel}", INTEGER, "px", f"columns of {channel}"))
    for channel in channels:
        for metric in describe_image_metrics():
            unit = "" if metric.unit == "1" else metric.unit
            columns.append(Column(metric_column(metric.name, channel), NUMBER, unit, metric.definition))
    columns.append(Column("not_measured", TEXTS, "", "why values are NULL, one sentence each"))
    return Table("image_metrics", "One row per image set.", tuple(columns))


def measure_image_sets(images: ImageSets, *, full_scale: int | None = None) -> pa.Table:
    """Measure all image sets.

    Parameters
    ----------
    images
        Image sets, as ``imaging.image_sets.open_image_sets`` finds them: planes of shape ``(y, x)``, uint8 or uint16,
        camera counts.
    full_scale
        Count that pixels are divided by and at which they are saturated; by default the greatest of the image's type,
        255 or 65,535.

    Returns
    -------
    One row per set with the columns of ``metrics_table``: intensities from 0 to 1, shares in %, areas in pixels, NULL
    where a metric has no value.
    """
    table = metrics_table(images.channels)
    return _as_table(table, [row for row, _ in _measure_sets(images, full_scale)])


def write_image_metrics(
    images: ImageSets,
    out: Path,
    *,
    full_scale: int | None = None,
    on_set: Callable[[int], None] = lambda number: None,
) -> WrittenMetrics:
    """Measure all image sets into a file, which appears when it is whole; one that is there is replaced.

    Parameters
    ----------
    images, full_scale
        As in ``measure_image_sets``.
    out
        File ending in ``.parquet`` or ``.csv``. In CSV a NULL is empty, and sentences of ``not_measured`` are joined by
        ``"; "``.
    on_set
        Called with the number of sets that are measured.

    Raises
    ------
    ConfigurationError
        If the file has another ending or cannot be there.
    StoreUnavailableError
        If it cannot be written.
    """
    check_out(out)
    table = metrics_table(images.channels)
    unmeasured: list[Unmeasured] = []
    rows = _measure_sets(images, full_scale)
    with writing_table(out, schema_of(table)) as write:
        for number in range(0, max(len(images.sets), 1), _SETS_AT_ONCE):
            batch = []
            for done, (row, failed) in enumerate(itertools.islice(rows, _SETS_AT_ONCE), start=number + 1):
                batch.append(row)
                unmeasured += failed
                on_set(done)
            write(_as_table(table, batch))
    return WrittenMetrics(len(images.sets), sum(len(one.files) for one in images.sets), tuple(unmeasured))


def _measure_sets(images: ImageSets, full_scale: int | None) -> Iterator[tuple[dict[str, Any], list[Unmeasured]]]:
    """Measure set by set: the row, and images that are there and could not be measured."""
    for number, one in enumerate(images.sets, start=1):
        yield measure_image_set(number, one, images, full_scale)


def measure_image_set(
    number: int,
    one: ImageSet,
    images: ImageSets,
    full_scale: int | None = None,
    *,
    planes: dict[str, Plane] | None = None,
) -> tuple[dict[str, Any], list[Unmeasured]]:
    """Measure the images of one image set.

    Parameters
    ----------
    number, one
        The image set, and its number among ``images``.
    images, full_scale
        As in ``measure_image_sets``.
    planes
        Where the planes that were read are put, by channel; without it one is in memory at a time.

    Returns
    -------
    The row, and the images that are there and could not be measured.
    """
    row: dict[str, Any] = {"ImageNumber": number, "Metadata_ImageSet": one.name}
    reasons: list[str] = []
    failed: list[Unmeasured] = []
    for channel in images.channels:
        if channel not in one.files:
            reasons.append(f"{channel}: the image set has no file of this channel")
            continue
        row[f"FileName_{channel}"] = one.files[channel]
        try:
            plane = one.read(channel)
            metrics = _measure_plane(plane, scale_of(channel, images, full_scale))
        except UnreadableImageError as error:
            reasons.append(f"{channel}: {error.message}")
            failed.append(Unmeasured(one.name, channel, one.files[channel], error.message))
            continue
        if planes is not None:
            planes[channel] = plane
        row |= dict(zip((f"Height_{channel}", f"Width_{channel}"), plane.shape, strict=True))
        row |= {metric_column(name, channel): value for name, value in metrics.items()}
        unknown = [name for name, value in metrics.items() if not np.isfinite(value)]
        reasons += [f"{channel} {explain_missing(name, plane.shape)}" for name in unknown]
    return row | {"not_measured": reasons}, failed


def scale_of(channel: str, images: ImageSets, full_scale: int | None) -> int | None:
    """Full scale of a channel: what was given, but for intensities from 0 to 1, which have their own."""
    return None if channel in images.rounded else full_scale


def _measure_plane(plane: Plane, full_scale: int | None) -> dict[str, float]:
    """Metrics of one plane, NaN where one has no value, computed on the device that this process has chosen."""
    scale = full_scale or int(np.iinfo(plane.dtype).max)
    if scale > np.iinfo(plane.dtype).max:
        plane = plane.astype(np.uint16)  # 8 bits of a camera with more: the same counts, divided by its full scale
    measured = measure_image_quality(to_device(plane[np.newaxis]), full_scale=scale, divisor=scale)
    return {name: float(values[0]) for name, values in measured.items()}


def _as_table(table: Table, rows: list[dict[str, Any]]) -> pa.Table:
    """Rows as a table whose columns carry their unit and description."""
    return pa.Table.from_arrays(table_of(table, rows).columns, schema=schema_of(table))
