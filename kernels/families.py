"""The families of features: what the columns of each are, and how they are measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from kernels.colocalization import describe_colocalization, measure_colocalization
from kernels.feature import Feature
from kernels.feature_options import FeatureOptions
from kernels.gpu import Array
from kernels.granularity import describe_granularity, measure_granularities, measure_image_granularity
from kernels.object_intensity import describe_intensity, measure_intensity
from kernels.object_sets import ObjectSets
from kernels.object_sets_gpu import GpuObjectSets
from kernels.object_shape import measure_shape
from kernels.planes import Floats
from kernels.radial_distribution import describe_radial_distribution, measure_radial_distribution
from kernels.shape_names import describe_shape


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
    whole_images
        Whether the planes are measured as wholes too.
    """

    planes: Array
    channels: tuple[str, ...]
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
    known = [
        _area_shape(options),
        _intensity(),
        _granularity(),
        _radial_distribution(options),
        _correlation(options),
    ]
    return [family for family in known if family.name in options.families]


def _area_shape(options: FeatureOptions) -> Family:
    return Family(
        "AreaShape",
        lambda channels, objects: describe_shape(moments=options.moments),
        lambda site: FamilyValues(
            _objects(site, lambda objects: measure_shape(objects, moments=options.moments)), None
        ),
    )


def _intensity() -> Family:
    def measure(site: Site) -> FamilyValues:
        return FamilyValues(_objects(site, lambda objects: measure_intensity(site.planes, objects)), None)

    return Family("Intensity", lambda channels, objects: describe_intensity(channels), measure)


def _granularity() -> Family:
    def measure(site: Site) -> FamilyValues:
        if site.objects is None:
            return FamilyValues((), measure_image_granularity(site.planes))
        return FamilyValues(*measure_granularities(site.planes, site.objects))

    return Family(
        "Granularity", lambda channels, objects: describe_granularity(channels), measure, describe_granularity
    )


def _radial_distribution(options: FeatureOptions) -> Family:
    chosen = {"bins": options.radial_bins, "centers": options.radial_centers}

    def measure(site: Site) -> FamilyValues:
        return FamilyValues(
            _objects(site, lambda objects: measure_radial_distribution(site.planes, objects, **chosen)), None
        )

    return Family(
        "RadialDistribution", lambda channels, objects: describe_radial_distribution(channels, **chosen), measure
    )


def _correlation(options: FeatureOptions) -> Family:
    chosen = {"costes": options.costes, "slope": options.slope}

    def measure(site: Site) -> FamilyValues:
        return FamilyValues(
            _objects(
                site,
                lambda objects: measure_colocalization(site.planes, objects, channels=site.channels, **chosen),
            ),
            None,
        )

    return Family("Correlation", lambda channels, objects: describe_colocalization(channels, **chosen), measure)


def _objects(site: Site, measure: Callable[[ObjectSets | GpuObjectSets], Floats]) -> Sequence[Floats]:
    return () if site.objects is None else list(measure(site.objects))
