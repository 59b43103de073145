"""The families of features: what the columns of each are, and how they are measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from kernels.feature import Feature
from kernels.feature_options import FeatureOptions
from kernels.gpu import Array
from kernels.object_sets import ObjectSets
from kernels.object_sets_gpu import GpuObjectSets
from kernels.objects import list_pixels
from kernels.planes import Floats
from kernels.shape import SHAPE_FEATURES, measure_shape


@dataclass(frozen=True)
class Site:
    """What a family measures.

    Parameters
    ----------
    planes
        Shape ``(c, y, x)``, uint16, 65535 is 1, on either device.
    objects
        Objects on the same device; ``None`` where only images are measured.
    sets
        Names of the object sets, in the order of ``objects.labels``.
    whole_images
        Whether the planes are measured as wholes too.
    """

    planes: Array
    objects: ObjectSets | GpuObjectSets | None
    sets: tuple[str, ...]
    whole_images: bool


class FamilyValues(NamedTuple):
    """What a family measured, on the host.

    ``objects`` one array per object set, shape ``(..., k)``, whose flattened leading axes are the columns of
    ``describe``; ``images`` shape ``(c, ...)``, or ``None`` where the family has no feature of whole images.
    """

    objects: Sequence[Floats]
    images: Floats | None


@dataclass(frozen=True)
class Family:
    """A family of features.

    ``describe`` gives the columns of an object set for channels, ``describe_images`` those of whole images.
    """

    name: str
    describe: Callable[[Sequence[str], str], list[Feature]]
    measure: Callable[[Site], FamilyValues]
    describe_images: Callable[[Sequence[str]], list[Feature]] = lambda channels: []


def families_of(options: FeatureOptions) -> list[Family]:
    """Give the families that are chosen, in the order of their columns."""
    known = [Family("AreaShape", _describe_old_shape, _measure_old_shape)]
    return [family for family in known if family.name in options.families]


def _describe_old_shape(channels: Sequence[str], objects: str) -> list[Feature]:
    return [
        Feature(f"AreaShape_{name}", "AreaShape", "", unit, definition, "", "")
        for name, (unit, definition) in SHAPE_FEATURES.items()
    ]


def _measure_old_shape(site: Site) -> FamilyValues:
    objects = site.objects
    assert objects is not None
    return FamilyValues(
        [np.stack(list(measure_shape(image, list_pixels(image, objects.count)).values())) for image in objects.labels],
        None,
    )
