"""The families of features: what the columns of each are, and how they are measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from kernels.colocalization import describe_colocalization, measure_colocalization
from kernels.device import to_host
from kernels.feature import IMAGE, Feature
from kernels.feature_options import FeatureOptions
from kernels.gpu import Array
from kernels.granularity import describe_granularity, measure_granularities, measure_image_granularity
from kernels.image_intensity import describe_image_intensity, measure_image_intensity
from kernels.intensity import describe_intensity, measure_intensity
from kernels.intensity_zernikes import describe_intensity_zernikes, measure_intensity_zernikes
from kernels.neighbors import Distance, describe_neighbors, measure_neighbors
from kernels.object_sets import ObjectSets
from kernels.object_sets_gpu import GpuObjectSets
from kernels.planes import Floats, Labels
from kernels.radial_distribution import describe_radial_distribution, measure_radial_distribution
from kernels.shape import measure_shape
from kernels.shape_names import describe_shape
from kernels.texture import describe_texture, measure_image_texture, measure_texture


@dataclass(frozen=True)
class Site:
    """What a family measures.

    Parameters
    ----------
    planes
        Shape ``(c, y, x)``, uint16, 65535 is 1, on either device.
    channels
        Their names.
    objects
        Objects on the same device; ``None`` where only images are measured.
    sets
        Names of the object sets, in the order of ``objects.labels``.
    all_labels
        By object set, the labels that neighbours are counted among, where they hold objects that are not measured.
    whole_images
        Whether the planes are measured as wholes too.
    """

    planes: Array
    channels: tuple[str, ...]
    objects: ObjectSets | GpuObjectSets | None
    sets: tuple[str, ...]
    whole_images: bool
    all_labels: Mapping[str, Labels] = field(default_factory=dict)


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
    ``channels_at_once`` says how many channels one of its values depends on: none, one, or a pair of them.
    """

    name: str
    describe: Callable[[Sequence[str], str], list[Feature]]
    measure: Callable[[Site], FamilyValues]
    describe_images: Callable[[Sequence[str]], list[Feature]] = lambda channels: []
    channels_at_once: int = 1


NEIGHBORS: dict[str, tuple[Distance, ...]] = {"Nuclei": (1,), "Cells": ("adjacent", 5), "Cytoplasm": ()}
"""How far from an object others are its neighbours, pixels, by object set; the JUMP consortium's settings."""
_OTHER_NEIGHBORS: tuple[Distance, ...] = ("adjacent",)


def families_of(options: FeatureOptions) -> list[Family]:
    """Give the families that are chosen, in the order of their columns."""
    known = [
        _area_shape(options),
        _intensity(options),
        _texture(options),
        _granularity(),
        _radial_distribution(options),
        *([_intensity_zernikes()] if options.intensity_zernikes else []),
        _correlation(options),
        _neighbors(),
    ]
    return [family for family in known if family.name in options.families]


def _area_shape(options: FeatureOptions) -> Family:
    """CellProfiler gives the centre twice, as AreaShape and as Location."""
    described = describe_shape(moments=options.moments)
    names = [feature.name for feature in described]
    x, y = (names.index(f"AreaShape_Center_{axis}") for axis in "XY")
    centers = [
        described[at]._replace(name=f"Location_Center_{axis}", family="Location") for at, axis in ((x, "X"), (y, "Y"))
    ]
    slices = centers[0]._replace(name="Location_Center_Z", definition="Slice of the centre: 0 in two dimensions.")

    def measure(site: Site) -> FamilyValues:
        shapes = _of_objects(site, lambda objects: measure_shape(objects, moments=options.moments))
        return FamilyValues([np.vstack([values, values[[x, y]], 0 * values[[x]]]) for values in shapes], None)

    return Family("AreaShape", lambda channels, objects: [*described, *centers, slices], measure, channels_at_once=0)


def _intensity(options: FeatureOptions) -> Family:
    ties = options.ties

    def measure(site: Site) -> FamilyValues:
        of_objects = _of_objects(site, lambda objects: measure_intensity(site.planes, objects, ties=ties))
        return FamilyValues(of_objects, measure_image_intensity(site.planes) if site.whole_images else None)

    return Family(
        "Intensity",
        lambda channels, objects: describe_intensity(channels, ties=ties),
        measure,
        describe_image_intensity,
    )


def _texture(options: FeatureOptions) -> Family:
    scales, scaling = options.texture_scales_px, options.texture_scaling

    def describe(channels: Sequence[str], objects: str = IMAGE) -> list[Feature]:
        return describe_texture(channels, scales_px=scales, scaling=scaling)

    def measure(site: Site) -> FamilyValues:
        of_objects = _of_objects(
            site, lambda objects: measure_texture(site.planes, objects, scales_px=scales, scaling=scaling)
        )
        if not site.whole_images:
            return FamilyValues(of_objects, None)
        return FamilyValues(of_objects, measure_image_texture(site.planes, scales_px=scales, scaling=scaling))

    return Family("Texture", describe, measure, describe)


def _granularity() -> Family:
    def measure(site: Site) -> FamilyValues:
        if site.objects is None:
            return FamilyValues((), measure_image_granularity(site.planes))
        of_objects, of_images = measure_granularities(site.planes, site.objects)
        return FamilyValues(list(of_objects), of_images)

    return Family(
        "Granularity", lambda channels, objects: describe_granularity(channels), measure, describe_granularity
    )


def _radial_distribution(options: FeatureOptions) -> Family:
    bins, centers = options.radial_bins, options.ties

    def measure(site: Site) -> FamilyValues:
        return FamilyValues(
            _of_objects(
                site, lambda objects: measure_radial_distribution(site.planes, objects, bins=bins, centers=centers)
            ),
            None,
        )

    return Family(
        "RadialDistribution",
        lambda channels, objects: describe_radial_distribution(channels, bins=bins, centers=centers),
        measure,
    )


def _intensity_zernikes() -> Family:
    def measure(site: Site) -> FamilyValues:
        return FamilyValues(_of_objects(site, lambda objects: measure_intensity_zernikes(site.planes, objects)), None)

    return Family("RadialDistribution", lambda channels, objects: describe_intensity_zernikes(channels), measure)


def _correlation(options: FeatureOptions) -> Family:
    costes, slope = options.costes, options.slope

    def measure(site: Site) -> FamilyValues:
        return FamilyValues(
            _of_objects(
                site,
                lambda objects: measure_colocalization(
                    site.planes, objects, channels=site.channels, costes=costes, slope=slope
                ),
            ),
            None,
        )

    return Family(
        "Correlation",
        lambda channels, objects: describe_colocalization(channels, costes=costes, slope=slope),
        measure,
        channels_at_once=2,
    )


def _neighbors() -> Family:
    """Neighbours are found on the host, whatever the device."""

    def describe(channels: Sequence[str], objects: str) -> list[Feature]:
        return [feature for distance in _distances(objects) for feature in describe_neighbors(distance=distance)]

    def measure(site: Site) -> FamilyValues:
        if site.objects is None:
            return FamilyValues((), None)
        labels = to_host(site.objects.labels)
        return FamilyValues([_measure_neighbors(site, name, labels[z]) for z, name in enumerate(site.sets)], None)

    return Family("Neighbors", describe, measure, channels_at_once=0)


def _distances(objects: str) -> tuple[Distance, ...]:
    return NEIGHBORS.get(objects, _OTHER_NEIGHBORS)


def _measure_neighbors(site: Site, objects: str, labels: Labels) -> Floats:
    assert site.objects is not None
    count = site.objects.count
    values = np.full((len(_distances(objects)), 7, count), np.nan)
    for index, distance in enumerate(_distances(objects)):
        found = measure_neighbors(labels, distance=distance, all_labels=site.all_labels.get(objects))
        values[index, :, : found.shape[-1]] = found
    return values


def _of_objects(site: Site, measure: Callable[[ObjectSets | GpuObjectSets], Floats]) -> Sequence[Floats]:
    return () if site.objects is None else list(measure(site.objects))
