"""Reading what the checks need of a plate that is to be published, and of the plates that it is compared with.

Everything is bounded: thumbnails of `SITES` sites, portraits of `PORTRAITS` other plates. Which those are is decided at
the plate's first publication and kept by later ones.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import numpy as np

from imaging.errors import PlateError, StoredDataError
from imaging.job import PlateJob
from imaging.names import hash_of
from imaging.platemaps import PlateMap
from imaging.publication_records import read_publication_record
from imaging.suspicions.channels import suspect_channels
from imaging.suspicions.declared import SuspicionLimits
from imaging.suspicions.places import label_of, suspect_place
from imaging.suspicions.portrait import (
    Manifests,
    PortraitName,
    expect_from,
    list_portraits,
    make_portrait,
    map_name,
    measure_wells,
    portrait_key,
    write_portrait,
)
from imaging.suspicions.suspicion import Compared, Suspicion
from imaging.suspicions.twins import suspect_acquisitions, suspect_same_images, suspect_same_look
from imaging.zarr_plate import read_thumbnail
from kernels.channel_looks import difference_hash
from kernels.thumbnails import thumbnail_factor

SITES = 24
"""Sites whose thumbnails are looked at."""
TWINS, SAME_MAP, NEWEST = 5, 8, 12
"""Other plates that are read: those with equal images, those with the same plate map, and the newest of all."""
_READERS = 16

Thumbnails = Mapping[tuple[str, int], Mapping[str, np.ndarray]]
"""Well and site -> channel -> thumbnail, shape ``(y, x)``."""


def choose_compared(
    job: PlateJob, manifests: Manifests, plate_map: PlateMap | None, numbers: Sequence[int]
) -> Compared:
    """Choose the portraits that a plate is compared with: those of its newest publication that names any, or anew.

    The plate's own portrait is laid before others are looked for, so that of two plates that are published at once at
    least one sees the other.
    """
    own = portrait_key(job.experiment.name, job.plate, job.recipe, manifests, plate_map)
    if not job.store.exists(own):
        thumbnails = _read_thumbnails(job, manifests)
        write_portrait(job.store, own, make_portrait(job.plate, manifests, plate_map, _looks(job, thumbnails)))
    for number in sorted(numbers, reverse=True):
        try:
            record = read_publication_record(job, number)
        except (FileNotFoundError, StoredDataError):  # damaged: what it was compared with is not known any more
            continue
        if "compared" in record:
            return Compared(own, tuple(record["compared"]))
    return Compared(own, tuple(_find_others(job, own, plate_map)))


def _find_others(job: PlateJob, own: str, plate_map: PlateMap | None) -> list[str]:
    """Addresses of the portraits to compare with: one for each plate, the newest, under this recipe if it has one."""
    listed = list_portraits(job.store, job.experiment.name)
    sketch = next((item.sketch for item in listed if item.key == own), frozenset())
    newest: dict[str, PortraitName] = {}
    for item in sorted(listed, key=lambda item: item.recipe != job.recipe):  # stable: the newest of a recipe first
        newest.setdefault(item.plate, item)
    others = sorted(
        (item for item in newest.values() if item.plate != job.plate), key=lambda item: (-item.made_at, item.key)
    )
    barcode = job.experiment.barcode_of(job.plate)
    twins = sorted((item for item in others if item.sketch & sketch), key=lambda item: -len(item.sketch & sketch))
    acquired = [item for item in others if job.experiment.barcode_of(item.plate) == barcode]
    described = map_name(plate_map)
    mapped = [item for item in others if item.plate_map == described and item.recipe == job.recipe]
    chosen = [*twins[:TWINS], *acquired[:TWINS], *mapped[:SAME_MAP], *others[:NEWEST]]
    return list(dict.fromkeys(item.key for item in chosen))


def find_suspicions(
    job: PlateJob, manifests: Manifests, plate_map: PlateMap | None, compared: Compared
) -> tuple[Suspicion, ...]:
    """Check a plate as a whole.

    Parameters
    ----------
    job
        The plate.
    manifests
        Manifests of its measured sites.
    plate_map
        What is in its wells, if it is known.
    compared
        What it is compared with; portraits that are gone or damaged are passed over.
    """
    limits = job.experiment.analysis.suspicions
    own, *others = _read_portraits(job, (compared.own, *compared.others))
    known = [item for item in others if item is not None]
    found = [
        _check_channels(job, manifests, limits),
        _check_place(job, manifests, plate_map, known, limits),
    ]
    if own is not None:
        found += [
            suspect_same_images(own, known, limits.same_images) if limits.same_images >= 0 else None,
            suspect_same_look(own, known, limits.same_look) if limits.same_look >= 0 else None,
            suspect_acquisitions(own, known, job.experiment.current_acquisition),
        ]
    return tuple(item for item in found if item is not None)


def _check_channels(job: PlateJob, manifests: Manifests, limits: SuspicionLimits) -> Suspicion | None:
    nucleus = job.experiment.nucleus_channel
    if nucleus is None or limits.swapped_channels < 0:
        return None
    thumbnails = _read_thumbnails(job, manifests)
    area = _nucleus_area_px(job, manifests)
    return suspect_channels(thumbnails.values(), nucleus.name, limits.swapped_channels, nucleus_area_px=area)


def _check_place(
    job: PlateJob,
    manifests: Manifests,
    plate_map: PlateMap | None,
    others: Sequence[Mapping[str, Any]],
    limits: SuspicionLimits,
) -> Suspicion | None:
    if plate_map is None or max(limits.moved_plate, limits.moved_map) < 0:
        return None
    labels = {label_of(row) for row in plate_map.rows.values()}
    telling = [item for item in others if any(labels & by_label.keys() for by_label in item["gave"].values())]
    return suspect_place(
        measure_wells(manifests),
        plate_map.rows,
        job.experiment.layout.wells,
        expect_from(telling),
        moved_plate=limits.moved_plate,
        moved_map=limits.moved_map,
        other_plates=len(telling),
    )


def _read_portraits(job: PlateJob, keys: Sequence[str]) -> list[dict[str, Any] | None]:
    def read(key: str) -> dict[str, Any] | None:
        with suppress(FileNotFoundError, ValueError):
            found = json.loads(job.store.read(key))
            return found | {"barcode": job.experiment.barcode_of(found["plate"])} if isinstance(found, dict) else None
        return None

    with ThreadPoolExecutor(_READERS) as pool:
        return list(pool.map(read, keys))


def _sample(job: PlateJob, manifests: Manifests) -> list[Mapping[str, Any]]:
    """Sites with thumbnails, spread over the plate, and alike for plates of one layout."""
    kept = [item for item in manifests if item["zarr"]]
    return sorted(kept, key=lambda item: hash_of([item["well"], item["site"]]))[:SITES]


def _read_thumbnails(job: PlateJob, manifests: Manifests) -> Thumbnails:
    """Thumbnails of the sampled sites; those that are gone or damaged are passed over."""

    def read(item: Mapping[str, Any]) -> tuple[tuple[str, int], dict[str, np.ndarray]] | None:
        try:
            planes = read_thumbnail(job.store, job.zarr, item["zarr"]["group"])
        except StoredDataError:
            return None
        return (item["well"], item["site"]), dict(
            zip((image["channel"] for image in item["images"]), planes, strict=True)
        )

    with ThreadPoolExecutor(_READERS) as pool:
        return dict(found for found in pool.map(read, _sample(job, manifests)) if found is not None)


def _looks(job: PlateJob, thumbnails: Thumbnails) -> dict[str, str]:
    """Fingerprints of the nuclei, or else of the first channel, by ``<well>-<site>``."""
    nucleus = job.experiment.nucleus_channel
    wanted = nucleus.name if nucleus else job.experiment.channels[0].name
    return {
        f"{well}-{site}": f"{difference_hash(planes[wanted]):016x}"
        for (well, site), planes in sorted(thumbnails.items())
        if wanted in planes
    }


def _nucleus_area_px(job: PlateJob, manifests: Manifests) -> tuple[float, float] | None:
    """Area of the declared smallest and largest nucleus on thumbnails; ``None`` where it is not known."""
    nuclei, images = job.experiment.recipe.nuclei, next((item["images"] for item in manifests if item["images"]), [])
    if nuclei is None or not images:
        return None
    with suppress(PlateError, ValueError):
        least, most = nuclei.diameter_in_px(job.experiment.layout.pixel_size_um)
        factor = thumbnail_factor(images[0]["height"], images[0]["width"])
        return math.pi / 4 * (least / factor) ** 2, math.pi / 4 * (most / factor) ** 2
    return None
