"""Channels that are swapped against the declared stains: the nuclei's channel looks like cells, another like nuclei.

At each sampled site each other channel is held against the declared one. It is suspected where

- the declared channel's signal goes on around its objects and not the other way round (``kernels.channel_looks``), and
  its objects are compact, no smaller than nuclei, and no fewer than half as many; or
- it shows objects of the declared size of nuclei, compact and five times as many as the declared channel shows any.

The first is what a stain of the cell gives in the place of a stain of the nucleus, the second one that marks few cells
or nothing. Beside a right stain of all nuclei, one of some nuclei only (a mitotic marker) has too few objects, and one
of parts of nuclei (nucleoli, foci) too small ones.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from imaging.suspicions.suspicion import Suspicion
from kernels.channel_looks import BrightObjects, find_bright_objects, overhang

COMPACT = 0.4
"""Compactness from which on objects may be nuclei; discs have 1, nuclei on thumbnails 0.6 to 0.75."""
VERY_COMPACT = 0.55
FEWEST_OBJECTS = 15
"""Objects of the suspected channel in all sites together, below which nothing is said."""
MANY_MORE = 5.0


Objects = Mapping[str, BrightObjects]
"""Bright objects of the channels of a site."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """A channel at all sites together: number of objects, their median area in pixels, and how compact they are."""

    count: int
    area_px: float
    compactness: float


def suspect_channels(
    sites: Iterable[Mapping[str, np.ndarray]],
    nucleus: str,
    threshold: float,
    *,
    nucleus_area_px: tuple[float, float] | None = None,
) -> Suspicion | None:
    """Say whether another channel looks more like nuclei than the declared one.

    Parameters
    ----------
    sites
        Thumbnails of some sites: channel name to plane, shape ``(y, x)``, unsigned integers, counts.
    nucleus
        The channel that is declared to show the nuclei.
    threshold
        Mean overhang from which on a channel is suspected.
    nucleus_area_px
        Smallest and largest area of a nucleus in pixels of the thumbnails; left out, objects of any size may be nuclei,
        and no channel is suspected for the number of its objects.
    """
    found = [
        {name: find_bright_objects(plane) for name, plane in planes.items()} for planes in sites if nucleus in planes
    ]
    seen = {name: _look_at(found, name) for name in dict.fromkeys(name for objects in found for name in objects)}
    others = {name: item for name, item in seen.items() if name != nucleus and _may_be_nuclei(item, nucleus_area_px)}
    inside = {name: score for name in others if (score := _overhang(found, nucleus, name)) >= threshold}
    inside = {
        name: score
        for name, score in inside.items()
        if seen[nucleus].compactness < COMPACT or 2 * others[name].count >= seen[nucleus].count
    }
    if inside:
        name = _most_nuclear(found, {name: others[name] for name in inside})
        return _reaches_beyond(nucleus, name, seen, len(found), inside[name], threshold)
    if nucleus_area_px is None:
        return None
    many = {
        name: item
        for name, item in others.items()
        if item.compactness >= VERY_COMPACT
        and item.count >= MANY_MORE * max(seen[nucleus].count, 1)
        and item.area_px <= nucleus_area_px[1]
    }
    return _shows_few(nucleus, _most_nuclear(found, many), seen, len(found)) if many else None


def _look_at(sites: Sequence[Objects], name: str) -> _Seen:
    objects = [site[name] for site in sites if name in site]
    areas = np.concatenate([item.areas for item in objects])
    compactness = statistics.fmean(item.compactness for item in objects)
    return _Seen(len(areas), float(np.median(areas)) if len(areas) else 0.0, compactness)


def _may_be_nuclei(seen: _Seen, nucleus_area_px: tuple[float, float] | None) -> bool:
    is_large = nucleus_area_px is None or seen.area_px >= nucleus_area_px[0]
    return seen.count >= FEWEST_OBJECTS and seen.compactness >= COMPACT and is_large


def _overhang(sites: Sequence[Objects], outer: str, inner: str) -> float:
    """Mean overhang of a channel over the objects of another, at the sites that have both."""
    values = [overhang(site[outer], site[inner]) for site in sites if outer in site and inner in site]
    return statistics.fmean(values) if values else 0.0


def _most_nuclear(sites: Sequence[Objects], suspected: Mapping[str, _Seen]) -> str:
    """The suspected channel whose objects lie inside those of the others; not one that marks a few cells only."""
    most = max(item.count for item in suspected.values())
    names = sorted(name for name, item in suspected.items() if 2 * item.count >= most)
    return max(names, key=lambda name: sum(_overhang(sites, other, name) for other in names if other != name))


def _reaches_beyond(
    nucleus: str, name: str, seen: Mapping[str, _Seen], n_sites: int, score: float, threshold: float
) -> Suspicion:
    evidence = (
        f"{nucleus} is declared as the nuclei's channel, but the objects of {name} ({seen[name].count} at "
        f"{_sites(n_sites)}) lie inside those of {nucleus} ({seen[nucleus].count}): around them {nucleus} goes on at "
        f"{100 * score:.0f} % of its brightness more than {name} does around its own; are the codes of the two "
        "channels swapped?"
    )
    return Suspicion("swapped channels", name, evidence, score, threshold)


def _shows_few(nucleus: str, name: str, seen: Mapping[str, _Seen], n_sites: int) -> Suspicion:
    evidence = (
        f"{nucleus} is declared as the nuclei's channel, but shows {seen[nucleus].count} objects at {_sites(n_sites)}, "
        f"and {name} {seen[name].count} compact ones of the size of nuclei; are the codes of the two channels swapped?"
    )
    return Suspicion("swapped channels", name, evidence, seen[name].count / max(seen[nucleus].count, 1), MANY_MORE)


def _sites(count: int) -> str:
    return "1 site" if count == 1 else f"{count} sites"
