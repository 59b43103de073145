"""A plate's own field of illumination, from the thumbnails of its measured sites.

Whole numbers are added over the set of sites, so neither their order nor who adds them matters. The sites are also
added in two halves, by a hash of well and site: how far the fields of the halves differ says how well the field is
known.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imaging.errors import StoredDataError
from imaging.illumination import VARIANTS, Variant
from imaging.illumination_field import PlateField
from imaging.store import Store
from imaging.zarr_plate import read_thumbnail
from kernels.fields import background_field, compare_fields, mean_field, weigh_background
from kernels.thumbnails import thumbnail_factor

_READERS, _BATCH = 8, 32
"""Sites that are read at once, and that are held at once."""


@dataclass(frozen=True)
class ChannelEstimate:
    """The field of one channel.

    Parameters
    ----------
    values
        Relative brightness on the grid of the thumbnails, shape ``(y, x)``, float32.
    n_sites
        Sites that it comes from.
    error_percent
        How well it is known: half the greatest relative difference between the fields of two halves of the sites;
        ``None`` where one half is empty.
    """

    values: NDArray[np.float32]
    n_sites: int
    error_percent: float | None


@dataclass(frozen=True)
class PlateEstimate:
    """Fields of a plate by variant and channel, and the size of the planes they belong to, in pixels."""

    height: int = 0
    width: int = 0
    channels: Mapping[tuple[Variant, str], ChannelEstimate] = field(default_factory=dict)

    def field_of(self, variant: Variant) -> PlateField | None:
        """The fields of all channels of one variant; ``None`` where there is none."""
        fields = {name: found.values for (kind, name), found in self.channels.items() if kind == variant}
        return PlateField(self.height, self.width, fields) if fields else None


@dataclass
class _Sums:
    """What is added over some sites, for one channel; all whole numbers."""

    shape: tuple[int, int]
    pixels: NDArray[np.uint64] = field(init=False)
    background: NDArray[np.uint64] = field(init=False)
    counts: NDArray[np.uint64] = field(init=False)
    n_sites: int = 0
    n_background: int = 0

    def __post_init__(self) -> None:
        self.pixels, self.background, self.counts = (np.zeros(self.shape, np.uint64) for _ in range(3))

    def add_site(self, thumbnail: NDArray[Any], weighed: NDArray[np.uint32]) -> None:
        """Add one site: its thumbnail, and what ``weigh_background`` makes of it."""
        self.pixels += thumbnail
        self.background += weighed
        self.counts += weighed > 0
        self.n_sites += 1
        self.n_background += bool(weighed.any())

    def __add__(self, other: _Sums) -> _Sums:
        added = _Sums(self.shape)
        for name in ("pixels", "background", "counts", "n_sites", "n_background"):
            setattr(added, name, getattr(self, name) + getattr(other, name))
        return added

    def n_sites_of(self, variant: Variant) -> int:
        return self.n_sites if variant == "mean" else self.n_background

    def field_of(self, variant: Variant) -> NDArray[np.float32] | None:
        return mean_field(self.pixels) if variant == "mean" else background_field(self.background, self.counts)


class _Halves:
    """Both halves of a plate's sites for one channel."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.halves = (_Sums(shape), _Sums(shape))

    @cached_property
    def whole(self) -> _Sums:
        return self.halves[0] + self.halves[1]

    def estimate(self, variant: Variant) -> ChannelEstimate | None:
        """The field of one variant; ``None`` where the sites give none."""
        values = self.whole.field_of(variant)
        if values is None:
            return None
        first, second = (half.field_of(variant) for half in self.halves)
        error = None
        if first is not None and second is not None:
            error = 50 * max(compare_fields(first, second), compare_fields(second, first))
        return ChannelEstimate(values, self.whole.n_sites_of(variant), error)


def estimate_plate(
    store: Store,
    zarr: str,
    manifests: Iterable[Mapping[str, Any]],
    channels: Sequence[str],
    *,
    on_lost: Callable[[Mapping[str, Any]], None] = lambda manifest: None,
) -> PlateEstimate:
    """Estimate the fields of a plate.

    Parameters
    ----------
    store, zarr
        Where the plate's OME-Zarr is.
    manifests
        Manifests of measured sites, in any order. Sites whose planes have another size than most, without stored
        thumbnails, or whose thumbnails are gone or damaged, are left out.
    channels
        Names of the channels, in the order of the declaration.
    on_lost
        Called with the manifest of each site whose thumbnails are gone or damaged.
    """
    usable = [item for item in manifests if item.get("zarr") and item["images"]]
    if not usable:
        return PlateEstimate()
    height, width = _usual_size(usable)
    factor = thumbnail_factor(height, width)
    shape = (-(-height // factor), -(-width // factor))
    sums = {channel: _Halves(shape) for channel in channels}
    chosen = [item for item in usable if _size(item) == (height, width)]
    for manifest, thumbnails, weighed in _read_sites(store, zarr, chosen):
        if not thumbnails:
            on_lost(manifest)
            continue
        for image, thumbnail, background in zip(manifest["images"], thumbnails, weighed, strict=True):
            if thumbnail.shape == shape and image["channel"] in sums:
                half = sums[image["channel"]].halves[half_of(manifest["well"], manifest["site"])]
                half.add_site(thumbnail, background)
    found: dict[tuple[Variant, str], ChannelEstimate] = {
        (variant, channel): estimate
        for variant in VARIANTS
        for channel in channels
        if (estimate := sums[channel].estimate(variant)) is not None
    }
    return PlateEstimate(height, width, found)


def half_of(well: str, site: int) -> int:
    """Which half of a plate's sites one belongs to, 0 or 1, whatever other sites there are."""
    return zlib.crc32(f"{well}-{site}".encode()) & 1


def _size(manifest: Mapping[str, Any]) -> tuple[int, int]:
    image = manifest["images"][0]
    return image["height"], image["width"]


def _usual_size(manifests: Iterable[Mapping[str, Any]]) -> tuple[int, int]:
    """The size of most sites' planes, of equally many the greater one."""
    counts = Counter(_size(manifest) for manifest in manifests)
    return max(counts, key=lambda size: (counts[size], size))


_Site = tuple[Mapping[str, Any], Sequence[NDArray[Any]], list[NDArray[np.uint32]]]


def _read_sites(store: Store, zarr: str, manifests: Sequence[Mapping[str, Any]]) -> Iterator[_Site]:
    """Manifest, thumbnails and weighed background of each site, a batch at a time; of lost thumbnails none."""

    def read(manifest: Mapping[str, Any]) -> _Site:
        try:
            thumbnails = list(read_thumbnail(store, zarr, manifest["zarr"]["group"]))
        except StoredDataError:
            return manifest, [], []
        if len(thumbnails) != len(manifest["images"]):
            return manifest, [], []
        return manifest, thumbnails, [weigh_background(thumbnail) for thumbnail in thumbnails]

    with ThreadPoolExecutor(_READERS) as pool:
        for start in range(0, len(manifests), _BATCH):
            yield from pool.map(read, manifests[start : start + _BATCH])
