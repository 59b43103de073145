"""Features of the objects that label images number, as one table per object set, and one of the images.

    features.Nuclei.parquet    ImageNumber, Metadata_ImageSet, ObjectNumber, then CellProfiler's columns without the set
    features.Image.parquet     the metrics of imaging.measure_images, Count_Nuclei ..., features of whole images

Columns of features say in their metadata what they hold, where they are NULL and where the definition is from. Object
tables have a row for each number that has pixels. An image set's labels are measured all or not at all: where
one of them cannot be, the image set has no rows, and ``not_measured`` of the image table says why. Every column is
always there; that of an image which is missing or cannot be read is NULL.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from imaging.errors import ConfigurationError, UnreadableImageError
from imaging.image_sets import ImageSet, ImageSets
from imaging.label_sets import LabelSets
from imaging.measure_images import Unmeasured, measure_image_set, metrics_table, scale_of
from imaging.plane_arrays import LabelImage, Plane, rescale
from imaging.table_files import check_out, schema_of, writing_table
from imaging.table_schema import INTEGER, NUMBER, TEXT, Column, Table, table_of
from kernels.feature import Feature, FeatureDescription
from kernels.feature_options import FeatureOptions
from kernels.features import (
    ObjectFeatures,
    SiteFeatures,
    describe_features,
    describe_image_features,
    measure_features,
)
from kernels.label_distances import GREATEST_SIDE
from kernels.segmentation import INCLUDING_EDGES
from kernels.texture_terms import MOST_PIXELS

IMAGE = "Image"
"""Name of the table of images, beside those of object sets."""
_ROWS_AT_ONCE = 5_000
_PROBLEMS_TOLD = 20


@dataclass(frozen=True, slots=True)
class WrittenFeatures:
    """What was written: files and rows by table, image sets and images, and what could not be measured."""

    files: Mapping[str, Path]
    rows: Mapping[str, int]
    sets: int
    images: int
    unmeasured: tuple[Unmeasured, ...]


@dataclass(slots=True)
class _Measured:
    """One image set: its row, its tables, and what could not be measured."""

    row: dict[str, Any]
    tables: dict[str, pa.Table] = field(default_factory=dict)
    unmeasured: list[Unmeasured] = field(default_factory=list)


def object_table(
    objects: str, channels: Iterable[str], options: FeatureOptions | None = None, *, sets: Iterable[str] = ()
) -> Table:
    """Declare the columns of an object set that is measured beside others of ``sets``, its parents and children."""
    return Table(
        objects,
        "One row per object.",
        (
            Column("ImageNumber", INTEGER, "", "number of the image set, counted from 1"),
            Column("Metadata_ImageSet", TEXT, "", "image set: what the wildcards matched, or the file's name"),
            Column("ObjectNumber", INTEGER, "", f"number of the object in the label image {objects}"),
            *(_column(name, feature) for name, feature in _described(objects, channels, options, sets).items()),
        ),
    )


def image_table(channels: tuple[str, ...], objects: Iterable[str], options: FeatureOptions | None = None) -> Table:
    """Declare the columns of image sets: metrics, counts of objects, features of whole images, reasons."""
    *metrics, reasons = metrics_table(channels).columns
    counts = [Column(f"Count_{name}", INTEGER, "", f"objects in the label image {name}") for name in objects]
    features = [_column(name, feature) for name, feature in _described(IMAGE, channels, options).items()]
    return Table(IMAGE, "One row per image set.", (*metrics, *counts, *features, reasons))


def _described(
    objects: str, channels: Iterable[str], options: FeatureOptions | None, sets: Iterable[str] = ()
) -> dict[str, Feature | FeatureDescription]:
    """Features of an object set, or of whole images, by the name of their column."""
    if objects == IMAGE:
        return {feature.name: feature for feature in describe_image_features(channels, options)}
    described = describe_features(channels, tuple(sets) or (objects,), options)
    return {one.name.removeprefix(f"{objects}_"): one for one in described if one.objects == objects}


def _column(name: str, feature: Feature | FeatureDescription) -> Column:
    return Column(name, NUMBER, "" if feature.unit == "1" else feature.unit, feature.definition)


def _schema(table: Table, channels: Iterable[str], options: FeatureOptions | None, sets: Iterable[str]) -> pa.Schema:
    described = _described(table.name, channels, options, sets)
    return schema_of(
        table, {name: {"null_when": one.null_when, "source": one.source} for name, one in described.items()}
    )


def measure_label_sets(
    images: ImageSets, labels: LabelSets, options: FeatureOptions | None = None, *, full_scale: int | None = None
) -> dict[str, pa.Table]:
    """Measure the objects of all image sets.

    Parameters
    ----------
    images
        Image sets, as ``imaging.image_sets.open_image_sets`` finds them: planes of shape ``(y, x)``, uint8 or uint16,
        camera counts.
    labels
        Their labels, as ``imaging.label_sets.open_label_sets`` finds them: shape ``(y, x)``, whole numbers, 0 outside
        objects.
    options
        What is measured; by default all of CellProfiler's families.
    full_scale
        Count that is 1 on the scale of intensities, such as 4095 of a 12-bit camera (see
        ``imaging.plane_arrays.rescale``); by default the greatest of the image's type, 255 or 65,535.

    Returns
    -------
    A table per object set and ``Image``, with the columns of ``object_table`` and ``image_table``: float64, lengths in
    pixels, intensities from 0 to 1, NULL where a feature has no value.
    """
    work = _Work(images, labels, options, full_scale)
    found = {name: [work.schemas[name].empty_table()] for name in work.tables}
    for measured in work.measure():
        for name, table in measured.tables.items():
            found[name].append(table)
    return {name: pa.concat_tables(parts) for name, parts in found.items()}


def write_object_features(
    images: ImageSets,
    labels: LabelSets,
    out: Path,
    options: FeatureOptions | None = None,
    *,
    full_scale: int | None = None,
    on_set: Callable[[int], None] = lambda number: None,
) -> WrittenFeatures:
    """Measure the objects of all image sets into files, which appear when they are whole.

    Parameters
    ----------
    images, labels, options, full_scale
        As in ``measure_label_sets``.
    out
        Name ending in ``.parquet`` or ``.csv``: ``features.parquet`` stands for ``features.Nuclei.parquet``, ... and
        ``features.Image.parquet``.
    on_set
        Called with the number of sets that are measured.

    Raises
    ------
    ConfigurationError
        If the files cannot be there, or the labels of no image set can be measured; then nothing is written.
    StoreUnavailableError
        If they cannot be written.
    """
    check_out(out)
    work = _Work(images, labels, options, full_scale)
    files = {name: out.with_suffix(f".{name}{out.suffix}") for name in work.tables}
    unmeasured: list[Unmeasured] = []
    counts = dict.fromkeys(work.tables, 0)
    with contextlib.ExitStack() as stack:
        parts = {
            name: _Part(stack.enter_context(writing_table(files[name], schema)), schema)
            for name, schema in work.schemas.items()
        }
        for number, measured in enumerate(work.measure(), start=1):
            unmeasured += measured.unmeasured
            for name, table in measured.tables.items():
                counts[name] += table.num_rows
                parts[name].add(table)
            on_set(number)
        if images.sets and not any(parts[name].has_rows_of_sets for name in labels.objects):
            problems = [f"{one.channel} of {one.image_set}: {one.reason}" for one in unmeasured[:_PROBLEMS_TOLD]]
            raise ConfigurationError("no objects can be measured, so nothing is written", tuple(problems))
        for part in parts.values():
            part.flush()
    images_measured = sum(len(one.files) for one in images.sets)
    return WrittenFeatures(files, counts, len(images.sets), images_measured, tuple(unmeasured))


class _Part:
    """Rows of a file, written in groups that are neither tiny nor the whole."""

    def __init__(self, write: Callable[[pa.Table], None], schema: pa.Schema) -> None:
        self._write = write
        self._waiting = [schema.empty_table()]
        self.has_rows_of_sets = False
        """Whether an image set was added, with objects or without."""

    def add(self, rows: pa.Table) -> None:
        self.has_rows_of_sets = True
        self._waiting.append(rows)
        if sum(waiting.num_rows for waiting in self._waiting) >= _ROWS_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        self._write(pa.concat_tables(self._waiting).combine_chunks())
        self._waiting = self._waiting[:1]


class _Work:
    """What is measured, and the tables it gives: that of images first."""

    def __init__(
        self, images: ImageSets, labels: LabelSets, options: FeatureOptions | None, full_scale: int | None
    ) -> None:
        self.images, self.labels, self.options, self.full_scale = images, labels, options, full_scale
        self.tables = {IMAGE: image_table(images.channels, labels.objects, options)}
        self.tables |= {
            name: object_table(name, images.channels, options, sets=labels.objects) for name in labels.objects
        }
        self.schemas = {
            name: _schema(table, images.channels, options, labels.objects) for name, table in self.tables.items()
        }

    def measure(self) -> Iterator[_Measured]:
        """Measure image set by image set."""
        for number, one in enumerate(self.images.sets, start=1):
            measured, site = self._measure_set(number, one)
            for name, features in site.objects.items():
                measured.row[f"Count_{name}"] = len(features.numbers)
                measured.tables[name] = _rows(features, measured.row, self.schemas[name])
            row = table_of(self.tables[IMAGE], [measured.row])
            measured.tables[IMAGE] = pa.Table.from_arrays(row.columns, schema=self.schemas[IMAGE])
            yield measured

    def _measure_set(self, number: int, one: ImageSet) -> tuple[_Measured, SiteFeatures]:
        """Measure the images and objects of one image set."""
        planes: dict[str, Plane] = {}
        row, failed = measure_image_set(number, one, self.images, self.full_scale, planes=planes)
        measured = _Measured(row, unmeasured=failed)
        scaled = self._scale(planes, one, measured)
        found = _read_labels(one, self.labels, scaled, measured)
        kept = _keep_shape(scaled, found, one, measured)
        if not kept and found:
            measured.row["not_measured"].append("objects: no image of the image set can be measured")
        if not kept:
            return measured, SiteFeatures()
        around = {name.removesuffix(INCLUDING_EDGES): found.pop(name) for name in self.labels.around if name in found}
        site = measure_features(kept, found, self.options, all_labels=around)
        measured.row.update(site.images)
        return measured, site

    def _scale(self, planes: Mapping[str, Plane], one: ImageSet, measured: _Measured) -> dict[str, Plane]:
        """Planes on the scale of features, but for those with counts beyond it and those that are too large."""
        scaled: dict[str, Plane] = {}
        for channel, plane in planes.items():
            try:
                _refuse_size(plane.shape)
                scaled[channel] = rescale(plane, scale_of(channel, self.images, self.full_scale))
            except UnreadableImageError as error:
                _fail(measured, one.name, channel, one.files[channel], error.message, of="objects of ")
        return scaled


def _refuse_size(shape: tuple[int, ...]) -> None:
    if max(shape) > GREATEST_SIDE or shape[0] * shape[1] > MOST_PIXELS:
        raise UnreadableImageError(
            f"it is {_size(shape)} pixels (rows x columns); objects are measured in images of up to {MOST_PIXELS:,} "
            f"pixels with sides of up to {GREATEST_SIDE:,}, so cut the image and its labels into tiles"
        )


def _read_labels(
    one: ImageSet, labels: LabelSets, planes: Mapping[str, Plane], measured: _Measured
) -> dict[str, LabelImage]:
    """Labels of an image set, none of them if one cannot be measured."""
    there = labels.sets.get(one.name)
    shapes = {plane.shape for plane in planes.values()}
    found: dict[str, LabelImage] = {}
    is_whole = True
    for name in (*labels.objects, *labels.around):
        if there is None or name not in there.files:
            if name in labels.around:
                continue
            measured.row["not_measured"].append(f"{name}: the image set has no labels of this object set")
            continue
        try:
            found[name] = there.read(name)
            _refuse_shape(found[name], shapes)
        except UnreadableImageError as error:
            is_whole = False
            _fail(measured, one.name, name, there.files[name], error.message)
        else:
            shapes = {found[name].shape}
    return found if is_whole else {}


def _refuse_shape(labels: LabelImage, shapes: set[tuple[int, ...]]) -> None:
    if shapes and labels.shape not in shapes:
        sizes = " and ".join(_size(shape) for shape in sorted(shapes))
        raise UnreadableImageError(
            f"its labels are {_size(labels.shape)} pixels (rows x columns), the images {sizes}; give the labels of "
            "these images, or scale them to the images' size without interpolation"
        )


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(f"{length:,}" for length in shape)


def _keep_shape(
    planes: Mapping[str, Plane], labels: Mapping[str, LabelImage], one: ImageSet, measured: _Measured
) -> dict[str, Plane]:
    """Planes of the labels' shape, or of the first plane's where there are no labels."""
    first = next(iter((*labels.values(), *planes.values())), None)
    kept = {channel: plane for channel, plane in planes.items() if first is not None and plane.shape == first.shape}
    for channel in [channel for channel in planes if channel not in kept]:
        reason = f"its image is {_size(planes[channel].shape)} pixels, unlike the others of the image set"
        _fail(measured, one.name, channel, one.files[channel], reason, of="objects of ")
    return kept


def _fail(measured: _Measured, image_set: str, name: str, file: str, reason: str, *, of: str = "") -> None:
    measured.unmeasured.append(Unmeasured(image_set, name, file, reason))
    measured.row["not_measured"].append(f"{of}{name}: {reason}")


def _rows(features: ObjectFeatures, row: Mapping[str, Any], schema: pa.Schema) -> pa.Table:
    """Objects of one image set as rows: NaN becomes NULL, as do columns of channels that are not there."""
    count = len(features.numbers)
    columns = {
        "ImageNumber": pa.array(np.full(count, row["ImageNumber"], np.int64)),
        "Metadata_ImageSet": pa.array([row["Metadata_ImageSet"]] * count, pa.string()),
        "ObjectNumber": pa.array(features.numbers, pa.int64()),
    }
    columns |= {name: pa.array(values, mask=~np.isfinite(values)) for name, values in features.columns.items()}
    unknown = columns.keys() - set(schema.names)
    if unknown:
        raise ValueError(f"features must be described, got {sorted(unknown)}")
    missing = pa.nulls(count, pa.float64())
    return pa.Table.from_arrays([columns.get(name, missing) for name in schema.names], schema=schema)
