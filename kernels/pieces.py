"""A family of features of a site, at once or piece by piece: the same values in less memory.

A piece is what a value of the family depends on: one channel, a pair of channels, or the objects alone. Object sets
stay together: sums of granularity and of Zernike moments run over the pixels of all sets, and are rounded in order.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from kernels.device import free_memory
from kernels.families import Family, Site
from kernels.gpu import Array
from kernels.planes import Floats

Pile = Callable[[Sequence[str]], Array]
"""Gives the planes of channels as one array on the device, shape ``(c, y, x)``, uint16."""


class NamedValues(NamedTuple):
    """What a family measured, by name: columns of each object set, and values of each channel's image."""

    objects: list[dict[str, Floats]]
    images: dict[str, dict[str, float]]


def measure_at_once(family: Family, site: Site) -> NamedValues:
    """Measure a family on all planes of a site."""
    of_objects, of_images = family.measure(site)
    objects = [
        dict(zip(_columns(family, site, name), _rows(values), strict=True))
        for name, values in zip(site.sets, of_objects, strict=True)
    ]
    if of_images is None:
        return NamedValues(objects, {})
    images = {}
    for channel, values in zip(site.channels, of_images, strict=True):
        names = [feature.name for feature in family.describe_images([channel])]
        images[channel] = dict(zip(names, values.ravel().tolist(), strict=True))
    return NamedValues(objects, images)


def measure_in_pieces(family: Family, site: Site, pile: Pile) -> NamedValues:
    """Measure a family piece by piece on planes from a pile; the planes of the site itself are not looked at."""
    found = NamedValues([{} for _ in site.sets], {})
    for channels in itertools.combinations(site.channels, family.channels_at_once):
        measured = measure_at_once(family, replace(site, planes=pile(channels), channels=channels))
        for columns, more in zip(found.objects, measured.objects, strict=True):
            columns.update(more)
        found.images.update(measured.images)
        free_memory()
    ordered = [
        {column: columns[column] for column in _columns(family, site, name)}
        for name, columns in zip(site.sets, found.objects, strict=True)
    ]
    return NamedValues(ordered, found.images)


def _columns(family: Family, site: Site, objects: str) -> list[str]:
    return [feature.name for feature in family.describe(site.channels, objects)]


def _rows(values: Floats) -> Floats:
    """Values of one set as one row per column."""
    return values.reshape(int(np.prod(values.shape[:-1])), values.shape[-1])
