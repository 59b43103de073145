"""Plates whose images lie together in one folder: they differ in what stands before the well.

One odd prefix is no plate: somebody copied an image under another name. A plate is a prefix with at least a quarter as
many images as the greatest one, some of which have the places of another's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from imaging.formats.contract import Address, FoundPlane
from imaging.formats.manifests import in_acquisition

_FEWEST = 3
"""As many images of a plate must have the places of another one's."""
_SHARE = 4


def split_plates(
    planes: Sequence[FoundPlane], prefix_of: Callable[[FoundPlane], str]
) -> tuple[tuple[FoundPlane, ...], frozenset[str]]:
    """Tell plates apart by their names, where one folder holds several.

    Parameters
    ----------
    planes
        Planes of a delivery.
    prefix_of
        What the name of a plane's object says before the well, without separators at its end.

    Returns
    -------
    The planes, those of each plate in an acquisition of its name, and the names of these; none where all are of one.
    """
    prefixes = [prefix_of(plane) for plane in planes]
    if len(set(prefixes)) < 2:
        return tuple(planes), frozenset()
    holders: dict[Address, set[str]] = {}
    counts: dict[str, int] = {}
    for plane, prefix in zip(planes, prefixes, strict=True):
        holders.setdefault(plane.address, set()).add(prefix)
        counts[prefix] = counts.get(prefix, 0) + 1
    shared = dict.fromkeys(counts, 0)
    for plane, prefix in zip(planes, prefixes, strict=True):
        shared[prefix] += len(holders[plane.address]) > 1
    greatest = max(counts.values())
    if sum(shared[name] >= _FEWEST and _SHARE * count >= greatest for name, count in counts.items()) < 2:
        return tuple(planes), frozenset()
    apart = tuple(_apart(plane, prefix) for plane, prefix in zip(planes, prefixes, strict=True))
    return apart, frozenset(plane.address.acquisition for plane in apart)


def _apart(plane: FoundPlane, plate: str) -> FoundPlane:
    address = plane.address
    return replace(plane, address=in_acquisition(address, join_acquisition(address.acquisition, plate)))


def join_acquisition(measurement: str, plate: str) -> str:
    """Acquisition of a plate in a measurement's folder."""
    return "/".join(part for part in (measurement, plate) if part)
