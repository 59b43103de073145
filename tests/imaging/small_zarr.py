"""A small plate of OME-Zarr images for tests: 6 wells' layout, sites 1 and 2 of A01 and B03, two channels, labels."""

from __future__ import annotations

import copy
import functools
from typing import Any

import numpy as np

from imaging.store import Store, open_store
from imaging.wells import parse_well
from imaging.zarr_plate import well_path, write_plate_metadata
from imaging.zarr_site import write_site

PLATE = "images/screen/P1.zarr"
CHANNELS = [
    {"name": "DNA", "color": "#0000ff", "full_scale": 4095},
    {"name": "RNA", "color": "00FF00", "full_scale": 4095, "window": (100, 900)},
]
SITES = (("A01", 1), ("A01", 2), ("B03", 1), ("B03", 2))
HEIGHT, WIDTH, FACTOR = 40, 50, 4


def group_of(well: str, site: int) -> str:
    return f"{well_path(parse_well(well))}/s{site}x3fa9c2d4"


def planes(seed: int = 0, dtype: Any = np.uint16) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 200, (2, HEIGHT, WIDTH), dtype=dtype)


def labels() -> dict[str, np.ndarray]:
    nuclei, cells = np.zeros((2, HEIGHT, WIDTH), np.int32)
    nuclei[5:9, 5:9], cells[3:12, 3:12] = 1, 1
    nuclei[20:24, 30:35], cells[20:24, 30:40] = 70_000, 70_000
    return {"Nuclei": nuclei, "Cells": cells}


def arguments(seed: int = 0, **changes: Any) -> dict[str, Any]:
    pixels = planes(seed)
    given: dict[str, Any] = {"planes": pixels, "thumbnails": pixels[:, ::FACTOR, ::FACTOR], "factor": FACTOR}
    return given | {"labels": labels(), "channels": CHANNELS, "pixel_size_um": 0.5} | changes


def manifest(well: str, site: int, objects: list[Any]) -> dict[str, Any]:
    images = [{"channel": channel["name"], "height": HEIGHT, "width": WIDTH} for channel in CHANNELS]
    return {
        "well": well,
        "site": site,
        "images": images,
        "zarr": {"group": group_of(well, site), "objects": objects},
    }


def write_plate(store: Store) -> list[dict[str, Any]]:
    """Write the plate; return its manifests."""
    objects, manifests = _plate()
    for key, data in objects.items():
        store.write(key, data)
    return copy.deepcopy(manifests)


@functools.cache
def _plate() -> tuple[dict[str, bytes], list[dict[str, Any]]]:
    """Objects and manifests of the plate, encoded once."""
    store = open_store("memory://small-zarr")
    manifests = []
    for seed, (well, site) in enumerate(SITES):
        objects = write_site(store, f"{PLATE}/{group_of(well, site)}", **arguments(seed))
        manifests.append(manifest(well, site, objects))
    describe_plate(store)
    return {found.key: store.read(found.key) for found in store.list(PLATE).objects}, manifests


def describe_plate(store: Store) -> None:
    wells: dict[str, list[tuple[int, str]]] = {}
    for well, site in reversed(SITES):
        wells.setdefault(well, []).append((site, group_of(well, site).rpartition("/")[2]))
    write_plate_metadata(store, PLATE, plate_name="P1", layout_wells=6, wells=wells)
