"""One plate under two names: the same images in two acquisitions, or the same cells imaged or saved again."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from typing import Any

from imaging.suspicions.suspicion import Suspicion

FEWEST_IMAGES = 4
FEWEST_LOOKS = 8
"""Images, or sites, that two plates must at least have in common to be compared."""
_BITS = 64


def suspect_same_images(own: Mapping[str, Any], others: Iterable[Mapping[str, Any]], limit: float) -> Suspicion | None:
    """Say which other plate has most images in common with this one, if it is more than a share of them.

    Parameters
    ----------
    own, others
        Portraits; the least digests of two plates are a sample of both.
    limit
        Share of equal images above which it is told.
    """
    found = []
    for other in others:
        share, sampled = _share(own["digests"], other["digests"])
        if sampled >= FEWEST_IMAGES and share > limit:
            found.append((share, other["plate"], sampled))
    if not found:
        return None
    share, plate, sampled = max(found)
    evidence = (
        f"{round(share * sampled)} of {sampled} compared images have the same content as images of {plate}; was one "
        "plate uploaded under two names?"
    )
    return Suspicion("same images", plate, evidence, share, limit)


def _share(own: list[str], other: list[str]) -> tuple[float, int]:
    """Share of images that both have among the least digests of either, and how many those are."""
    least = sorted({*own, *other})[: min(len(own), len(other))]
    both = set(own) & set(other)
    return (sum(digest in both for digest in least) / len(least) if least else 0.0), len(least)


def suspect_same_look(own: Mapping[str, Any], others: Iterable[Mapping[str, Any]], limit: float) -> Suspicion | None:
    """Say which plate of another barcode shows nuclei in the same places at the same sites.

    Parameters
    ----------
    own, others
        Portraits, each with its ``barcode``.
    limit
        Share of bits, averaged over sites that both have, below which two plates look the same; unlike ones differ in
        half of them.
    """
    found = []
    for other in others:
        common = sorted(set(own["looks"]) & set(other["looks"]))
        if other["barcode"] == own["barcode"] or len(common) < FEWEST_LOOKS:
            continue
        different = statistics.fmean(_differ(own["looks"][site], other["looks"][site]) for site in common)
        if different < limit:
            found.append((different, other["plate"], len(common)))
    if not found:
        return None
    different, plate, n_sites = min(found)
    evidence = (
        f"at {n_sites} compared sites the nuclei lie where those of {plate} do ({100 * different:.0f} % of the bits of "
        "their fingerprints differ, of unlike plates 50 %), though the barcodes differ; is it one plate with two names?"
    )
    return Suspicion("same look", plate, evidence, different, limit)


def _differ(one: str, other: str) -> float:
    return (int(one, 16) ^ int(other, 16)).bit_count() / _BITS


def suspect_acquisitions(
    own: Mapping[str, Any], others: Iterable[Mapping[str, Any]], rule: str | None
) -> Suspicion | None:
    """Say that a barcode has several acquisitions and no rule says which is current."""
    same = sorted({other["plate"] for other in others if other["barcode"] == own["barcode"]} - {own["plate"]})
    if rule is not None or not same:
        return None
    evidence = (
        f"{', '.join(same)} {'has' if len(same) == 1 else 'have'} the barcode {own['barcode']} too, and "
        "experiment.yaml has no current_acquisition: views show the newest complete one"
    )
    return Suspicion("several acquisitions", same[0], evidence, len(same) + 1.0, 2.0)
