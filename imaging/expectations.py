"""Which planes of which images should come: what the instrument's manifest lists, or else the layout.

A manifest goes before the layout of experiment.yaml, whenever it comes. It speaks of declared channels and time points
only: what is declared is what is wanted.
"""

from __future__ import annotations

from collections.abc import Mapping

from imaging.experiment import Experiment
from imaging.formats.contract import Address, Told
from imaging.time_points import join_site
from imaging.wells import PLATE_SHAPES, Well

SiteKey = tuple[str, int]
"""Well name and number of a site (``imaging.time_points``)."""
Expected = Mapping[SiteKey, Mapping[str, tuple[int, ...]]]
"""Planes that are wanted of each channel of each site, in plate order; no plane stands for all that come."""


def find_expected(experiment: Experiment, told: Told) -> tuple[Expected, bool]:
    """Planes that are wanted of each site, and whether the instrument told so; otherwise the layout did."""
    if told.expected:
        codes = {channel.code: channel.name for channel in experiment.channels}
        expected = _told_sites(experiment, told.expected, codes)
        if expected:
            return expected, True
    return expected_by_layout(experiment), False


def expected_by_layout(experiment: Experiment) -> Expected:
    """Planes that the layout of experiment.yaml wants of each site."""
    layout = experiment.layout
    planes = experiment.recipe.planes_of(tuple(range(1, layout.z + 1)) if layout.z else ())
    channels = {channel.name: planes for channel in experiment.channels}
    return dict.fromkeys(experiment.expected_sites(), channels)


def _told_sites(experiment: Experiment, told: frozenset[Address], codes: Mapping[str, str]) -> Expected:
    """What a manifest expects of declared channels and time points on the plate, in plate order."""
    planes: dict[tuple[Well, int], dict[str, set[int]]] = {}
    bounds, times = PLATE_SHAPES[experiment.layout.wells], frozenset(experiment.layout.time_points)
    alone = next(iter(codes.values()))
    for address in told:
        channel = codes.get(address.code) if address.code else alone
        if channel is not None and address.t in times and _is_on_plate(address.well, bounds):
            key = address.well, join_site(address.site, address.t)
            planes.setdefault(key, {}).setdefault(channel, set()).add(address.z)
    order = [channel.name for channel in experiment.channels]
    wanted = experiment.recipe.planes_of
    return {
        (str(well), number): {
            name: wanted(tuple(sorted(planes[well, number][name]))) for name in order if name in planes[well, number]
        }
        for well, number in sorted(planes)
    }


def _is_on_plate(well: Well, shape: tuple[int, int]) -> bool:
    return well.row < shape[0] and 1 <= well.column <= shape[1]


def say_told(experiment: Experiment, expected: Expected, told: Told) -> str:
    """What a manifest changed, in words: ``9987.HTD expects 16 planes: 0 that the layout does not, without 8 ...``."""
    ours, theirs = _planes(expected_by_layout(experiment)), _planes(expected)
    names = ", ".join(name.rpartition("/")[2] for name in told.manifests[:3]) or "the instrument"
    more = f" and {len(told.manifests) - 3} more" if len(told.manifests) > 3 else ""
    return (
        f"{names}{more} expects {len(theirs)} planes: {len(theirs - ours)} more than the layout and "
        f"{len(ours - theirs)} fewer"
    )


def _planes(expected: Expected) -> set[tuple[str, int, str, int]]:
    """Every plane; of a stack whose planes nobody told, one."""
    return {
        (*site, channel, z)
        for site, channels in expected.items()
        for channel, planes in channels.items()
        for z in planes or (1,)
    }
