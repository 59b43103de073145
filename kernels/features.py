"""All features of the objects of one site, under CellProfiler's names, and what each one means."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kernels.device import to_device
from kernels.feature import Feature
from kernels.feature_options import FeatureOptions
from kernels.gpu import Array, gpu_of
from kernels.object_sets import MOST_SETS, ObjectSets, find_outer, list_object_sets
from kernels.object_sets_gpu import GpuObjectSets, list_object_sets_on
from kernels.objects import list_pixels
from kernels.planes import Floats, Labels, Pixels, check_label_image, check_plane
from kernels.shape import SHAPE_FEATURES, measure_shape

SETS = ("Nuclei", "Cells", "Cytoplasm")
"""Names of the usual object sets, which share their numbers."""
_MOST_COUNTED = 1 << 24
"""Labels up to this number are looked up in a table of as many entries; greater ones are sorted."""

Objects = ObjectSets | GpuObjectSets


class FeatureDescription(NamedTuple):
    """One column of the feature dictionary; ``channel`` is empty for features of form, ``DNA,ER`` for those of two."""

    name: str
    family: str
    objects: str
    channel: str
    unit: str
    definition: str
    null_when: str
    source: str


@dataclass(frozen=True)
class ObjectFeatures:
    """The features of one object set.

    ``numbers`` are the labels that have pixels, ascending, shape ``(k,)``, int32; ``columns`` hold one value each, shape
    ``(k,)``, float64, NaN where a definition has no value, by CellProfiler's name without the set.
    """

    numbers: npt.NDArray[np.int32]
    columns: dict[str, Floats]


@dataclass(frozen=True)
class Family:
    """A family of features: what its columns are, and how they are measured in planes (c, y, x) of 16 bits."""

    describe: Callable[[Sequence[str]], list[Feature]]
    measure: Callable[[Array, Objects], Floats]


def families_of(options: FeatureOptions) -> dict[str, Family]:
    """Give the families that are chosen, by name."""
    known = {"AreaShape": Family(_describe_old_shape, _measure_old_shape)}
    return {name: family for name, family in known.items() if name in options.families}


def measure_objects(
    planes: Mapping[str, Pixels], labels: Mapping[str, Labels], options: FeatureOptions | None = None
) -> dict[str, ObjectFeatures]:
    """Measure every object of one site, on the device that this process has chosen.

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

    Returns
    -------
    The features of each set, in the order of ``labels``.

    Raises
    ------
    TypeError
        If a plane is not uint8 or uint16, or labels are not integer.
    ValueError
        If an array is not two-dimensional, the shapes differ, or a label is negative.
    """
    options = options or FeatureOptions()
    _check_shapes(planes, labels)
    stack = to_device(stack_planes(planes.values())) if planes else None
    measured: dict[str, ObjectFeatures] = {}
    for group in _group_sets(labels):
        measured |= _measure_group(stack, list(planes), {name: labels[name] for name in group}, options)
    return {name: measured[name] for name in labels}


def stack_planes(planes: Iterable[Pixels]) -> npt.NDArray[np.uint16]:
    """Put planes on one scale, on which 65535 is 1.

    Parameters
    ----------
    planes
        Shape ``(y, x)`` each, uint8 or uint16.

    Returns
    -------
    Shape ``(c, y, x)``, uint16. 8-bit planes are multiplied by 257: ``v / 255`` is ``257 v / 65535``, also rounded.
    """
    wide = [plane.astype(np.uint16) * np.uint16(257) if plane.dtype == np.uint8 else plane for plane in planes]
    return np.stack(wide)


def describe_features(
    channels: Iterable[str], sets: Sequence[str] = SETS, options: FeatureOptions | None = None
) -> list[FeatureDescription]:
    """Describe the columns that ``measure_objects`` gives for these channels and object sets, in their order."""
    channels, options = list(channels), options or FeatureOptions()
    columns = [feature for family in families_of(options).values() for feature in family.describe(channels)]
    return [_described(objects, feature) for objects in sets for feature in columns]


def _described(objects: str, feature: Feature) -> FeatureDescription:
    name, family, channel, *rest = feature
    return FeatureDescription(f"{objects}_{name}", family, objects, channel, *rest)


def _check_shapes(planes: Mapping[str, Pixels], labels: Mapping[str, Labels]) -> None:
    for channel, plane in planes.items():
        check_plane(f"planes[{channel!r}]", plane)
    for objects, image in labels.items():
        check_label_image(f"labels[{objects!r}]", image)
        if image.size and int(image.min()) < 0:
            raise ValueError(f"labels[{objects!r}] must be 0 or more, got {int(image.min())}")
    named = {f"planes[{name!r}]": plane.shape for name, plane in planes.items()}
    named |= {f"labels[{name!r}]": image.shape for name, image in labels.items()}
    first = next(iter(named), "")
    for name, shape in named.items():
        if shape != named[first]:
            raise ValueError(f"{name} must have the shape of {first}, {named[first]}, got {shape}")


def _group_sets(labels: Mapping[str, Labels]) -> list[tuple[str, ...]]:
    """Sets that can be measured in one pass."""
    usual = tuple(name for name in labels if name in SETS)
    if 1 < len(usual) <= MOST_SETS and find_outer([labels[name] for name in usual]) is not None:
        return [usual, *((name,) for name in labels if name not in SETS)]
    return [(name,) for name in labels]


def _measure_group(
    stack: Array | None, channels: list[str], labels: Mapping[str, Labels], options: FeatureOptions
) -> dict[str, ObjectFeatures]:
    numbers, dense = _number_densely(list(labels.values()))
    outer = find_outer(dense) or 0
    objects = list_object_sets(np.stack(dense), outer)
    on_device = _on_device_of(stack, objects)
    found = [(family.describe(channels), family.measure(stack, on_device)) for family in families_of(options).values()]
    measured = {}
    for index, name in enumerate(labels):
        is_there = objects.area[index] > 0
        columns = {
            feature.name: values
            for described, measured_values in found
            for feature, values in zip(
                described, measured_values[index].reshape(-1, objects.count)[:, is_there], strict=True
            )
        }
        measured[name] = ObjectFeatures(numbers[is_there], columns)
    return measured


def _on_device_of(stack: Array | None, objects: ObjectSets) -> Objects:
    gpu = gpu_of(stack) if stack is not None else None
    return objects if gpu is None else list_object_sets_on(gpu, gpu.put(objects.labels), objects.outer, objects.count)


def _number_densely(labels: Sequence[Labels]) -> tuple[npt.NDArray[np.int32], list[npt.NDArray[np.int32]]]:
    """Number the objects of sets from 1 without gaps: which number each had, and the label images renumbered."""
    greatest = max((int(image.max()) for image in labels if image.size), default=0)
    if greatest > np.iinfo(np.int32).max:
        raise ValueError(f"labels must be below 2**31, got {greatest}")
    if greatest <= _MOST_COUNTED:
        present = np.zeros(greatest + 1, bool)
        for image in labels:
            present[image] = True
        present[0] = False
        numbers = np.flatnonzero(present).astype(np.int32)
        if numbers.size == greatest:
            return numbers, [image.astype(np.int32) for image in labels]
        return numbers, [np.where(present, np.cumsum(present), 0).astype(np.int32)[image] for image in labels]
    numbers = np.unique(np.concatenate([np.unique(image) for image in labels])).astype(np.int32)
    numbers = numbers[numbers > 0]
    return numbers, [np.where(image > 0, np.searchsorted(numbers, image) + 1, 0).astype(np.int32) for image in labels]


def _describe_old_shape(channels: Sequence[str]) -> list[Feature]:
    return [
        Feature(f"AreaShape_{name}", "AreaShape", "", unit, definition, "", "")
        for name, (unit, definition) in SHAPE_FEATURES.items()
    ]


def _measure_old_shape(planes: Array, objects: Objects) -> Floats:
    return np.stack(
        [np.stack(list(measure_shape(image, list_pixels(image, objects.count)).values())) for image in objects.labels]
    )
