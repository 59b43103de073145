"""All that goes into the tables of one publication, and how each site of the plate ended."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa

from imaging.aggregates import SiteResult, sort_sites
from imaging.cell_statistics import well_columns
from imaging.experiment import Experiment
from imaging.illumination_rows import PlateIllumination
from imaging.platemaps import PlateMap
from imaging.suspicions.suspicion import Compared, Suspicion
from imaging.typical import History
from kernels.feature import IMAGE, FeatureDescription


@dataclass(frozen=True)
class PublicationInputs:
    """All that goes into the tables of one publication.

    Parameters
    ----------
    experiment
        What the plate should be.
    plate, recipe, run
        Names that every row carries; ``run`` is the hash of what is published.
    manifests
        Manifests of the measured sites.
    failed
        Sites given up: well, site, reason.
    missing_sites
        Well and site of sites without any image.
    expected
        Sites that should be there with their channels, and the number of planes that should come and that came of each;
        left out, those of the layout.
    waiting
        Sites that are still waited for, with their channels that have arrived; none in a publication.
    faults
        Files that do not count: kind, name, reason, and well, site, channel as far as known. The kind ``unreadable``
        makes a missing image a faulted one.
    decisions
        Decisions that count: kind, well, site, channel, by, reason; of a plane its number, and ``is_whole`` if nothing
        is left of the image.
    plate_map
        What is in the wells, if it is known.
    is_declared
        Whether the experiment's declaration names the plate.
    read_part
        Reads what a manifest's site stored under ``part`` (one row per cell, ``ObjectNumber`` and feature columns) or
        ``image_part`` (one row per image, ``channel`` and feature columns).
    feature_descriptions
        The feature columns, in order; those of the object set ``Image`` belong to ``image_features``.
    history
        What earlier plates gave; left out, the plate is not compared with them.
    illumination
        The plate's own fields of illumination.
    compared, suspicions
        The plates it is compared with as a whole, and what looks wrong with it as a whole.
    manifest_sums
        CRC-32 of each of the manifests as it is stored.
    replaced
        Names, with sums, of manifests that were lost once they were published, and made again under the same names.
    """

    experiment: Experiment
    plate: str
    recipe: str
    run: str
    manifests: tuple[dict[str, Any], ...]
    failed: tuple[dict[str, Any], ...]
    missing_sites: tuple[tuple[str, int], ...]
    waiting: Mapping[tuple[str, int], frozenset[str]]
    faults: tuple[dict[str, Any], ...]
    decisions: tuple[dict[str, Any], ...]
    plate_map: PlateMap | None
    is_declared: bool
    read_part: Callable[[dict[str, Any], str], pa.Table]
    feature_descriptions: Sequence[FeatureDescription]
    history: History | None = None
    illumination: PlateIllumination = field(default_factory=PlateIllumination)
    expected: Mapping[tuple[str, int], Mapping[str, tuple[int, int]]] | None = None
    compared: Compared = field(default_factory=Compared)
    suspicions: tuple[Suspicion, ...] = ()
    manifest_sums: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()

    @property
    def place(self) -> dict[str, str]:
        """Columns that every row carries."""
        return {"experiment": self.experiment.name, "plate": self.plate, "recipe": self.recipe, "run": self.run}

    @cached_property
    def features(self) -> tuple[str, ...]:
        """Names of the feature columns of cells."""
        return tuple(item.name for item in self.feature_descriptions if item.objects != IMAGE)

    @cached_property
    def image_features(self) -> tuple[str, ...]:
        """Names of the feature columns of whole images."""
        return tuple(item.name for item in self.feature_descriptions if item.objects == IMAGE)

    @cached_property
    def well_features(self) -> tuple[str, ...]:
        """Names of the feature columns of wells."""
        return tuple(well_columns(self.features, self.experiment.analysis.wells))


def collect_sites(inputs: PublicationInputs) -> list[SiteResult]:
    """How each site of the plate ended, in plate order; expected sites that nothing is known of are missing."""
    manifests = {(item["well"], item["site"]): item for item in inputs.manifests}
    failed = {(item["well"], item["site"]): item for item in inputs.failed}
    planes = inputs.expected if inputs.expected is not None else dict.fromkeys(inputs.experiment.expected_sites())
    expected = {*planes, *manifests, *failed, *inputs.missing_sites}
    faulted = _channels_by_site(item for item in inputs.faults if item["kind"] == "unreadable")
    missing = _channels_by_site(
        item for item in inputs.decisions if item["kind"] == "missing" and item.get("is_whole", True)
    )
    states = {"done": manifests, "failed": failed, "waiting": inputs.waiting}
    return sort_sites(
        SiteResult(
            well=place[0],
            site=place[1],
            state=next((state for state, places in states.items() if place in places), "missing"),
            manifest=manifests.get(place),
            reason=failed.get(place, {}).get("reason", ""),
            arrived=inputs.waiting.get(place, frozenset()),
            missing=missing.get(place, frozenset()),
            faulted=faulted.get(place, frozenset()),
            planes=planes.get(place),
        )
        for place in expected
    )


def _channels_by_site(items: Iterable[Mapping[str, Any]]) -> dict[tuple[str, int], frozenset[str]]:
    found: dict[tuple[str, int], frozenset[str]] = {}
    for item in items:
        place = item["well"], item["site"]
        found[place] = found.get(place, frozenset()) | {item["channel"]}
    return found
