"""The description of a plate's OME-Zarr against the manifests of the publication that wrote it, byte by byte."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from obstore.store import MemoryStore

from imaging.damage import is_damage
from imaging.errors import PlateError
from imaging.projection import describe_images
from imaging.store import Store
from imaging.wells import PLATE_SHAPES
from imaging.zarr_plate import read_attributes

MISSING = "is missing"
_LEFT_OUT = {"time_point": 1}
"""What descriptions of earlier versions did not say, and meant."""


def check_descriptions(
    store: Store, plate_key: str, manifests: Sequence[Mapping[str, Any]], sizes: Mapping[str, int]
) -> Iterator[tuple[str, str]]:
    """Compare the descriptions of plate, rows and wells with what they should be.

    Parameters
    ----------
    store, plate_key
        Where the plate's OME-Zarr is.
    manifests
        Manifests of the publication's sites.
    sizes
        Size of each object of the store that belongs to the plate.

    Yields
    ------
    Address of each description that is not as it should be, and what is wrong with it, as the end of a sentence.
    """
    with_images = [manifest for manifest in manifests if manifest.get("zarr")]
    if not with_images:
        return
    root = f"{plate_key}/zarr.json"
    layout = _layout(store, plate_key)
    if layout is None:
        yield root, MISSING if not store.exists(root) else "cannot be read"
        return
    written = Store("memory://description", MemoryStore())
    name = plate_key.rpartition("/")[2].removesuffix(".zarr")
    describe_images(written, plate_key, name, layout, with_images)
    for item in written.list("").objects:
        if item.key not in sizes and not store.exists(item.key):  # listed before it was written
            yield item.key, MISSING
        elif fault := _compare(store, item.key, written.read(item.key)):
            yield item.key, fault


def _compare(store: Store, key: str, wanted: bytes) -> str:
    """What is wrong with a description; empty where nothing is."""
    try:
        found = store.read(key)
    except FileNotFoundError:
        return MISSING
    except PlateError as error:
        if not is_damage(store, error):
            raise
        return f"cannot be read: {error.message}"
    return "" if _says_same(found, wanted) else "does not say what it should"


def _layout(store: Store, plate_key: str) -> int | None:
    """Number of wells that the plate's description gives it; ``None`` if it cannot be read."""
    try:
        plate = read_attributes(store, plate_key)["ome"]["plate"]
        shape = len(plate["rows"]), len(plate["columns"])
    except PlateError as error:
        if not is_damage(store, error):
            raise
        return None
    except (KeyError, TypeError, AttributeError):
        return None
    return next((wells for wells, known in PLATE_SHAPES.items() if known == shape), None)


def _says_same(found: bytes, wanted: bytes) -> bool:
    """Compare contents: what an earlier version said besides, or in another order, is no damage."""
    try:
        return _holds(json.loads(found), json.loads(wanted))
    except ValueError:
        return False


def _holds(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(
            _holds(found.get(name, _LEFT_OUT.get(name)), value) for name, value in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(found, list)
            and len(found) == len(wanted)
            and all(_holds(one, other) for one, other in zip(found, wanted, strict=True))
        )
    return found == wanted
