"""A plate's portrait: what of it later plates are compared with, as a small record that is written once.

    portraits/<experiment>/<plate>/<recipe>/<map>-<sketch>-<content>.json

The name tells what a listing is searched by: the plate map's digest, and the 16 least digests of the plate's images.
Two plates that share a part of their images share some of their least digests (a bottom-k sketch; Broder 1997, On the
resemblance and containment of documents), so finding a plate's twin among thousands costs a listing and no reading.
"""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from imaging.names import hash_of, to_json
from imaging.platemaps import PlateMap
from imaging.store import Store
from imaging.suspicions.places import Values, label_of, rank_values

MEASURES = ("StdIntensity", "MedianIntensity")
"""Metrics of each channel that a portrait holds by well, beside the number of nuclei."""
PORTRAITS = "portraits/"
COUNT = "nuclei_count"
DIGESTS = 64
"""Digests of images that a portrait holds, the least ones; a share found in them is known to some 6 %."""
_IN_NAME = 16
_NAME_DIGITS, _DIGITS = 6, 12
_KEY = re.compile(r"(?P<plate>[^/]+)/(?P<recipe>[^/]+)/(?P<map>[^-/]+)-(?P<sketch>[0-9a-f]*)-[0-9a-f]+[.]json")

Manifests = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class PortraitName:
    """What a portrait's address says: plate, recipe, digest of the plate map, least digests; and when it was made."""

    key: str
    plate: str
    recipe: str
    plate_map: str
    sketch: frozenset[str]
    made_at: float


def portraits_folder(experiment: str) -> str:
    """Folder of an experiment's portraits."""
    return f"{PORTRAITS}{experiment}/"


def list_portraits(store: Store, experiment: str) -> list[PortraitName]:
    """The portraits of an experiment's plates, the newest first."""
    folder = portraits_folder(experiment)
    found = []
    for item in store.list(folder).objects:
        if match := _KEY.fullmatch(item.key.removeprefix(folder)):
            text = match["sketch"]
            sketch = frozenset(text[at : at + _NAME_DIGITS] for at in range(0, len(text), _NAME_DIGITS))
            found.append(PortraitName(item.key, match["plate"], match["recipe"], match["map"], sketch, item.modified))
    return sorted(found, key=lambda item: (-item.made_at, item.key))


def portrait_key(experiment: str, plate: str, recipe: str, manifests: Manifests, plate_map: PlateMap | None) -> str:
    """Address of the portrait that a plate with these sites has; it can be told without making it."""
    sketch = "".join(digest[:_NAME_DIGITS] for digest in least_digests(manifests)[:_IN_NAME])
    content = hash_of([[item["well"], item["site"], item["content"]] for item in manifests])[:8]
    described = map_name(plate_map)
    return f"{portraits_folder(experiment)}{plate}/{recipe}/{described}-{sketch}-{content}.json"


def map_name(plate_map: PlateMap | None) -> str:
    """Name of what a plate map says; ``none`` where it says nothing."""
    return plate_map.digest[:8] if plate_map and plate_map.rows else "none"


def least_digests(manifests: Manifests) -> list[str]:
    """The least digests of a plate's images, without flat images and those that it has twice, which tell nothing."""
    flat = {
        (item["well"], item["site"], row["channel"])
        for item in manifests
        for row in item["image_metrics"]
        if row.get("MinIntensity") is not None and row["MinIntensity"] == row.get("MaxIntensity")
    }
    counted = Counter(
        image["digest"][:_DIGITS]
        for item in manifests
        for image in item["images"]
        if (item["well"], item["site"], image["channel"]) not in flat
    )
    return sorted(digest for digest, count in counted.items() if count == 1)[:DIGESTS]


def measure_wells(manifests: Manifests) -> dict[str, dict[str, float]]:
    """Measure -> well -> value: nuclei per site (mean) and metrics of each channel (median over sites)."""
    seen: dict[str, dict[str, list[float]]] = {}
    for item in manifests:
        count = (item.get("counts") or {}).get("Nuclei")
        values = [(COUNT, count)]
        for row in item["image_metrics"]:
            values += [(f"{row['channel']} {name}", row.get(name)) for name in MEASURES]
        for measure, value in values:
            if value is not None:
                seen.setdefault(measure, {}).setdefault(item["well"], []).append(float(value))
    middle = {COUNT: statistics.fmean}
    return {
        measure: {well: middle.get(measure, statistics.median)(values) for well, values in wells.items()}
        for measure, wells in seen.items()
    }


def make_portrait(
    plate: str, manifests: Manifests, plate_map: PlateMap | None, looks: Mapping[str, str]
) -> dict[str, Any]:
    """Make a plate's portrait.

    Parameters
    ----------
    plate
        The acquisition.
    manifests
        Manifests of its measured sites.
    plate_map
        What is in its wells; with it, what each treatment gave is held by measure, as ranks among the plate's wells.
    looks
        Fingerprint of each sampled site's nuclei, by ``<well>-<site>``.
    """
    rows = plate_map.rows if plate_map else {}
    by_label: dict[str, dict[str, float]] = {}
    for measure, wells in measure_wells(manifests).items():
        ranks = dict(zip(wells, rank_values(list(wells.values())).tolist(), strict=True))
        seen: dict[str, list[float]] = {}
        for well, rank in ranks.items():
            if (row := rows.get(well)) is not None and (label := label_of(row)) is not None:
                seen.setdefault(label, []).append(rank)
        by_label[measure] = {label: round(statistics.median(values), 4) for label, values in seen.items()}
    return {
        "plate": plate,
        "images": sum(len(item["images"]) for item in manifests),
        "digests": least_digests(manifests),
        "looks": dict(looks),
        "gave": by_label,
    }


def write_portrait(store: Store, key: str, portrait: Mapping[str, Any]) -> None:
    """Write a portrait unless it is there."""
    store.create(key, to_json(dict(portrait)))


def expect_from(portraits: Iterable[Mapping[str, Any]]) -> Values:
    """What some plates lead to expect of each treatment: the median of what it gave on them, by measure."""
    seen: dict[str, dict[str, list[float]]] = {}
    for portrait in portraits:
        for measure, by_label in portrait["gave"].items():
            for label, value in by_label.items():
                seen.setdefault(measure, {}).setdefault(label, []).append(value)
    return {
        measure: {label: statistics.median(values) for label, values in by_label.items()}
        for measure, by_label in seen.items()
    }
