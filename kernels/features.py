"""All features of the objects and images of one site, under CellProfiler's names, and what each one means."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from kernels.compiled import compiled
from kernels.device import to_device
from kernels.families import Site, families_of
from kernels.feature import Feature, FeatureDescription
from kernels.feature_options import FeatureOptions
from kernels.gpu import Array, gpu_of
from kernels.object_sets import MOST_SETS, ObjectSets, find_outer, list_object_sets
from kernels.object_sets_gpu import GpuObjectSets, list_object_sets_on
from kernels.pieces import Pile, measure_at_once, measure_in_pieces
from kernels.planes import Floats, Labels, Pixels, check_label_image, check_plane
from kernels.relations import count_children, describe_children, describe_parent, find_parents

SETS = ("Nuclei", "Cells", "Cytoplasm")
"""Names of the usual object sets, which share their numbers."""
RELATIONS = (("Nuclei", "Cells"), ("Nuclei", "Cytoplasm"), ("Cells", "Cytoplasm"))
"""Object sets of which the first holds the parents of the second."""
_NUMBERS = re.compile(r"^Neighbors_(First|Second)ClosestObjectNumber_")
"""Columns that hold numbers of objects."""
_MOST_COUNTED = 1 << 24
"""Labels up to this number are looked up in a table of as many entries; greater ones are sorted."""


@dataclass(frozen=True)
class ObjectFeatures:
    """The features of one object set.

    ``numbers`` are the labels that have pixels, ascending, shape ``(k,)``, int32; ``columns`` hold one value each,
    shape ``(k,)``, float64, NaN where a definition has no value, by CellProfiler's name without the set.
    """

    numbers: npt.NDArray[np.int32]
    columns: dict[str, Floats]


@dataclass(frozen=True)
class SiteFeatures:
    """All features of one site: of each object set by its name, and of its images by CellProfiler's name."""

    objects: dict[str, ObjectFeatures] = field(default_factory=dict)
    images: dict[str, float] = field(default_factory=dict)


def measure_objects(
    planes: Mapping[str, Pixels], labels: Mapping[str, Labels], options: FeatureOptions | None = None
) -> dict[str, ObjectFeatures]:
    """Measure every object of one site: ``measure_features`` without its images."""
    return measure_features(planes, labels, options, whole_images=False).objects


def measure_image_features(planes: Mapping[str, Pixels], options: FeatureOptions | None = None) -> dict[str, float]:
    """Measure the images of one site as wholes: ``measure_features`` without objects."""
    return measure_features(planes, {}, options).images


def measure_features(
    planes: Mapping[str, Pixels],
    labels: Mapping[str, Labels],
    options: FeatureOptions | None = None,
    *,
    whole_images: bool = True,
    all_labels: Mapping[str, Labels] | None = None,
    in_pieces: bool = False,
) -> SiteFeatures:
    """Measure every object of one site, and its images as wholes, on the device that this process has chosen.

    Parameters
    ----------
    planes
        Channel name to plane, each of shape ``(y, x)``, uint8 or uint16, camera counts. Measured as they are, without
        background or illumination correction, on CellProfiler's scale: counts over 255 or 65535.
    labels
        Object set to label image, shape ``(y, x)``, integer, 0 outside objects. Sets whose objects are parts of one
        set's objects of the same number (Nuclei and Cytoplasm of Cells) are measured in one pass.
    options
        What is measured; by default all of CellProfiler's families.
    whole_images
        Whether images are measured as wholes too.
    all_labels
        By object set, labels that hold objects besides the measured ones, such as those that a border cuts: neighbours
        are counted among them too (``kernels.neighbors.measure_neighbors``).
    in_pieces
        Whether to measure channel by channel, or pair by pair: the same values, more slowly, in less memory.

    Returns
    -------
    The features of each set, in the order of ``labels``, and those of images in the order of ``planes``.

    Raises
    ------
    TypeError
        If a plane is not uint8 or uint16, or labels are not integer.
    ValueError
        If an array is not two-dimensional or has no pixel, the shapes differ, or a label is negative or 2**31 or more.
    """
    options = options or FeatureOptions()
    _check_shapes(planes, labels, all_labels or {})
    shape = next((image.shape for image in (*planes.values(), *labels.values())), (1, 1))

    def pile(channels: Sequence[str]) -> Array:
        return to_device(stack_planes([planes[channel] for channel in channels], shape))

    planes_at_once = pile(() if in_pieces else tuple(planes))
    groups = [{name: labels[name] for name in group} for group in _group_sets(labels)]
    around = {name: _renumber(image) for name, image in (all_labels or {}).items()}
    found = SiteFeatures()
    for group in groups or [{}]:
        _measure_group(
            planes_at_once,
            list(planes),
            group,
            options,
            found,
            whole_images=whole_images and not found.images,
            all_labels=around,
            pile=pile if in_pieces else None,
        )
    objects = {name: found.objects[name] for name in labels}
    if "Neighbors" in options.families:
        _relate(labels, objects, frozenset(groups[0]) if groups else frozenset())
    return SiteFeatures(objects, found.images)


def stack_planes(planes: Iterable[Pixels], shape: tuple[int, ...] = (1, 1)) -> npt.NDArray[np.uint16]:
    """Put planes on one scale, on which 65535 is 1.

    Parameters
    ----------
    planes
        Shape ``(y, x)`` each, uint8 or uint16.
    shape
        ``(y, x)`` of the stack if there is no plane.

    Returns
    -------
    Shape ``(c, y, x)``, uint16. 8-bit planes are multiplied by 257: ``v / 255`` is ``257 v / 65535``, also rounded.
    """
    wide = [plane.astype(np.uint16) * np.uint16(257 if plane.dtype == np.uint8 else 1) for plane in planes]
    return np.stack(wide) if wide else np.zeros((0, *shape), np.uint16)


def describe_features(
    channels: Iterable[str], sets: Sequence[str] = SETS, options: FeatureOptions | None = None
) -> list[FeatureDescription]:
    """Describe the columns that ``measure_objects`` gives for these channels and object sets, in their order."""
    channels, options = list(channels), options or FeatureOptions()
    families = families_of(options)
    described = []
    for objects in sets:
        features = [feature for family in families for feature in family.describe(channels, objects)]
        features += _describe_relations(objects, sets) if "Neighbors" in options.families else []
        described += [_described(objects, feature) for feature in features]
    return described


def describe_image_features(channels: Iterable[str], options: FeatureOptions | None = None) -> list[Feature]:
    """Describe what ``measure_image_features`` gives for these channels, in its order."""
    channels, options = list(channels), options or FeatureOptions()
    families = families_of(options)
    return [feature for channel in channels for family in families for feature in family.describe_images([channel])]


def _relate(labels: Mapping[str, Labels], objects: Mapping[str, ObjectFeatures], alike: frozenset[str]) -> None:
    """Add the numbers of parents and the counts of children of the sets that are there.

    Between sets that are numbered alike the number says it: a cytoplasm shares no pixel with its nucleus.
    """
    for parent, child in RELATIONS:
        if parent in objects and child in objects:
            of_parents, of_children = objects[parent].numbers, objects[child].numbers
            if {parent, child} <= alike:
                place = np.searchsorted(of_parents, of_children)
                index = np.where(np.isin(of_children, of_parents), place + 1, 0)
            else:
                index = find_parents(_renumber(labels[child]), _renumber(labels[parent]))
            objects[child].columns[f"Parent_{parent}"] = np.concatenate([[0.0], of_parents])[index]
            counts = count_children(index, len(of_parents))
            objects[parent].columns[f"Children_{child}_Count"] = counts.astype(np.float64)


def _describe_relations(objects: str, sets: Sequence[str]) -> list[Feature]:
    """Describe what ``_relate`` adds to a set, in its order."""
    described = []
    for parent, child in RELATIONS:
        if {parent, child} <= set(sets):
            described += [describe_parent(parent)] if child == objects else []
            described += [describe_children(child)] if parent == objects else []
    return described


def _described(objects: str, feature: Feature) -> FeatureDescription:
    name, family, channel, *rest = feature
    return FeatureDescription(f"{objects}_{name}", family, objects, channel, *rest)


def _check_shapes(planes: Mapping[str, Pixels], labels: Mapping[str, Labels], all_labels: Mapping[str, Labels]) -> None:
    named: dict[str, npt.NDArray[np.integer]] = {}
    for channel, plane in planes.items():
        named[f"planes[{channel!r}]"] = plane
        check_plane(f"planes[{channel!r}]", plane)
    for argument, images in (("labels", labels), ("all_labels", all_labels)):
        for objects, image in images.items():
            named[f"{argument}[{objects!r}]"] = image
            _check_labels(f"{argument}[{objects!r}]", image)
    first = next(iter(named), "")
    for name, image in named.items():
        if image.shape != named[first].shape:
            raise ValueError(f"{name} must have the shape of {first}, {named[first].shape}, got {image.shape}")


def _check_labels(name: str, labels: Labels) -> None:
    check_label_image(name, labels)
    if labels.size == 0:
        raise ValueError(f"{name} must have at least one pixel, got {labels.shape}")
    if int(labels.min()) < 0:
        raise ValueError(f"{name} must be 0 or more, got {int(labels.min())}")
    if int(labels.max()) > np.iinfo(np.int32).max:
        raise ValueError(f"{name} must be below 2**31, got {int(labels.max())}")


def _group_sets(labels: Mapping[str, Labels]) -> list[tuple[str, ...]]:
    """Sets that can be measured in one pass."""
    usual = tuple(name for name in labels if name in SETS)
    if 1 < len(usual) <= MOST_SETS and find_outer([labels[name] for name in usual]) is not None:
        return [usual, *((name,) for name in labels if name not in SETS)]
    return [(name,) for name in labels]


def _measure_group(
    stack: Array,
    channels: list[str],
    labels: Mapping[str, Labels],
    options: FeatureOptions,
    found: SiteFeatures,
    *,
    whole_images: bool,
    all_labels: Mapping[str, Labels],
    pile: Pile | None,
) -> None:
    """Measure sets that share one pass, and images where they are wanted, into what is found; in pieces of a pile."""
    numbers, dense = _number_densely(list(labels.values()))
    listed = list_object_sets(np.stack(dense), find_outer(dense) or 0) if dense else None
    site = Site(stack, tuple(channels), _on_device_of(stack, listed), tuple(labels), whole_images, all_labels)
    measured = [
        measure_in_pieces(family, site, pile) if pile else measure_at_once(family, site)
        for family in families_of(options)
    ]
    for index, name in enumerate(labels):
        assert listed is not None
        is_there = listed.area[index] > 0
        columns = {
            column: values[is_there] for of_objects, _ in measured for column, values in of_objects[index].items()
        }
        for column in columns:
            if _NUMBERS.search(column):
                columns[column] = _as_numbered(columns[column], numbers)
        found.objects[name] = ObjectFeatures(numbers[is_there], columns)
    for channel in channels if whole_images else ():
        for _, of_images in measured:
            found.images.update(of_images.get(channel, {}))


def _as_numbered(values: Floats, numbers: npt.NDArray[np.int32]) -> Floats:
    """Give for objects that are numbered from 1 without gaps the numbers that they had; 0 stays 0, NaN stays NaN."""
    table = np.concatenate([[0.0], numbers])
    return np.where(np.isnan(values), np.nan, table[np.nan_to_num(values).astype(np.int64)])


def _on_device_of(stack: Array, objects: ObjectSets | None) -> ObjectSets | GpuObjectSets | None:
    gpu = gpu_of(stack)
    return (
        objects
        if gpu is None or objects is None
        else list_object_sets_on(gpu, gpu.put(objects.labels), objects.outer, objects.count)
    )


def _number_densely(labels: Sequence[Labels]) -> tuple[npt.NDArray[np.int32], list[npt.NDArray[np.int32]]]:
    """Number the objects of sets from 1 without gaps: which number each had, and the label images renumbered."""
    greatest = max((int(image.max()) for image in labels), default=0)
    if greatest <= _MOST_COUNTED:
        present = np.zeros(greatest + 1, np.bool_)
        for image in labels:
            _mark(image.ravel(), present)
        present[0] = False
        numbers = np.flatnonzero(present).astype(np.int32)
        if numbers.size == greatest:
            return numbers, [image.astype(np.int32, copy=False) for image in labels]
        return numbers, [np.where(present, np.cumsum(present), 0).astype(np.int32)[image] for image in labels]
    numbers = np.unique(np.concatenate([np.unique(image) for image in labels])).astype(np.int32)
    numbers = numbers[numbers > 0]
    return numbers, [np.where(image > 0, np.searchsorted(numbers, image) + 1, 0).astype(np.int32) for image in labels]


def _renumber(labels: Labels) -> npt.NDArray[np.int32]:
    """Number the objects of a label image from 1 without gaps, in their order: tables then have an entry per object."""
    return _number_densely([labels])[1][0]


@compiled
def _mark(labels, present):  # pyright: ignore[reportMissingParameterType]
    for index in range(labels.size):
        present[labels[index]] = True
