"""Whether a plate's OME-Zarr is whole and says the truth: everything that schema checks do not see.

Schema checks (ome-zarr-models) look at one description at a time. Here the descriptions are compared with each other,
with the site manifests and with the stored bytes: every object against the manifest's CRC-32, every chunk against the
CRC-32C it carries, without decoding a pixel.
"""

from __future__ import annotations

import json
import math
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import google_crc32c
import numpy as np

from imaging.errors import StoredDataError
from imaging.store import Store
from imaging.wells import parse_well
from imaging.zarr_plate import read_attributes, well_path

_ABSENT = np.uint64(2**64 - 1)
"""What a shard's index says in place of the offset and the size of a chunk that was not written."""


def check_plate(store: Store, plate_key: str, manifests: Iterable[Mapping[str, Any]] | None) -> list[str]:
    """Check a plate as it lies in the store.

    Parameters
    ----------
    plate_key
        Address of the plate, ``images/<experiment>/<plate>.zarr``.
    manifests
        Manifests of the sites that the plate's description should list, or ``None`` to check it by itself. Manifests
        of sites without images (``zarr`` is null) are passed over.

    Returns
    -------
    Every problem in words, with its place; empty when there is none.
    """
    recorded = None
    if manifests is not None:
        recorded = {manifest["zarr"]["group"]: manifest for manifest in manifests if manifest.get("zarr")}
    try:
        plate = read_attributes(store, plate_key)["ome"]["plate"]
        rows, columns = ([item["name"] for item in plate[axis]] for axis in ("rows", "columns"))
        wells = [(well["path"], well["rowIndex"], well["columnIndex"]) for well in plate["wells"]]
    except StoredDataError as error:
        return [str(error)]
    except (KeyError, TypeError) as error:
        return [f"plate: its description has no {error}"]
    problems = [*_check_layout(rows, columns, wells)]
    listed: list[str] = []
    for path in dict.fromkeys(path for path, _, _ in wells):
        try:
            images = read_attributes(store, f"{plate_key}/{path}")["ome"]["well"]["images"]
            groups = [f"{path}/{image['path']}" for image in images]
        except StoredDataError:
            problems.append(f"well {path}: the plate lists it, but its description is missing or damaged")
            continue
        except (KeyError, TypeError) as error:
            problems.append(f"well {path}: its description has no {error}")
            continue
        if not groups:
            problems.append(f"well {path}: it lists no images")
        problems += _repeated("well", path, "image", groups)
        listed += groups
    for group in dict.fromkeys(listed):
        if recorded is None:
            problems += check_site(store, plate_key, group)
        elif group in recorded:
            problems += check_site(store, plate_key, group, recorded[group])
        else:
            problems.append(f"site {group}: its well lists it, but no manifest does")
    if recorded is not None:
        problems += [
            f"site {group}: its manifest lists it, but its well does not" for group in sorted({*recorded} - {*listed})
        ]
    return problems


def check_site(store: Store, plate_key: str, group: str, manifest: Mapping[str, Any] | None = None) -> list[str]:
    """Check one site: its descriptions against each other, its objects against the manifest, every chunk's checksum.

    Parameters
    ----------
    group
        Path of the site inside the plate, ``B/3/s1x3fa9c2d4``.
    manifest
        The site's manifest, if there is one.

    Returns
    -------
    Every problem in words; empty when there is none.
    """
    prefix, place = f"{plate_key}/{group}/", f"site {group}"
    objects = {found.key.removeprefix(prefix): store.read(found.key) for found in store.list(prefix).objects}
    problems = [] if manifest is None else [*_check_objects(objects, prefix, place, manifest)]
    try:
        attributes = json.loads(objects["zarr.json"])["attributes"]
        channels = attributes["ome"]["omero"]["channels"]
        levels = [level["path"] for level in attributes["ome"]["multiscales"][0]["datasets"]]
        sets = attributes.get("platestream", {}).get("object_sets", [])
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return [*problems, f"{place}: its own description is missing or damaged"]
    shapes: dict[str, tuple[int, ...]] = {}
    for path in [*levels, *(["objects/0"] if sets else [])]:
        shape, found = _check_array(objects, path)
        problems += [f"{place}, array {path}: {problem}" for problem in found]
        if shape:
            shapes[path] = shape
    problems += [f"{place}: {problem}" for problem in _check_shapes(shapes, levels, len(channels), len(sets))]
    if manifest is not None:
        found = _check_manifest(group, shapes.get(levels[0]), channels, manifest)
        problems += [f"{place}: {problem}" for problem in found]
    return problems


def _check_layout(rows: list[str], columns: list[str], wells: Sequence[tuple[str, int, int]]) -> Iterator[str]:
    yield from _repeated("plate", "", "row", rows)
    yield from _repeated("plate", "", "column", columns)
    yield from _repeated("plate", "", "well", [path for path, _, _ in wells])
    for path, row, column in wells:
        row_name, _, column_name = path.partition("/")
        if row_name not in rows or column_name not in columns:
            yield f"well {path}: its path is no row and column of the plate"
            continue
        if row != rows.index(row_name):
            yield f"well {path}: rowIndex is {row}, but row {row_name} is number {rows.index(row_name)}"
        if column != columns.index(column_name):
            number = columns.index(column_name)
            yield f"well {path}: columnIndex is {column}, but column {column_name} is number {number}"


def _repeated(kind: str, place: str, what: str, names: Iterable[str]) -> list[str]:
    where = f"{kind} {place}".rstrip()
    return [f"{where}: {what} {name} is listed {n} times" for name, n in Counter(names).items() if n > 1]


def _check_objects(objects: Mapping[str, bytes], prefix: str, place: str, manifest: Mapping[str, Any]) -> Iterator[str]:
    """Compare each object with what the manifest recorded, and the manifest's list with what there is."""
    records = {record["key"].removeprefix(prefix): record for record in manifest["zarr"]["objects"]}
    for name, record in records.items():
        if name not in objects:
            yield f"{place}: {name} is missing"
        elif len(objects[name]) != record["size_bytes"]:
            yield f"{place}: {name} has {len(objects[name]):,} bytes, its manifest says {record['size_bytes']:,}"
        elif f"{zlib.crc32(objects[name]):08x}" != record["crc32"]:
            yield f"{place}: {name} is not what was written: its CRC-32 differs from the manifest's"
    for name in sorted({*objects} - {*records}):
        yield f"{place}: {name} is in no manifest"


def _check_array(objects: Mapping[str, bytes], path: str) -> tuple[tuple[int, ...] | None, list[str]]:
    """Shape of an array and what is wrong with its description and its shard."""
    if f"{path}/zarr.json" not in objects:
        return None, ["its description is missing"]
    try:
        described = json.loads(objects[f"{path}/zarr.json"])
        shape = tuple(described["shape"])
        sharding = described["codecs"][0]
        grid = tuple(n // m for n, m in zip(shape, sharding["configuration"]["chunk_shape"], strict=True))
        is_whole = tuple(described["chunk_grid"]["configuration"]["chunk_shape"]) == shape and all(
            n % m == 0 for n, m in zip(shape, sharding["configuration"]["chunk_shape"], strict=True)
        )
        has_checksums = sharding["configuration"]["codecs"][-1]["name"] == "crc32c"
    except (ValueError, KeyError, IndexError, TypeError, ZeroDivisionError):
        return None, ["its description is damaged, or not one of a sharded array"]
    if not (is_whole and has_checksums and sharding["name"] == "sharding_indexed" and len(shape) == 3):
        return shape, ["it is not one shard of whole chunks that end with their CRC-32C"]
    if f"{path}/c/0/0/0" not in objects:
        return shape, ["its shard is missing"]
    return shape, [*_check_shard(objects[f"{path}/c/0/0/0"], grid)]


def _check_shard(shard: bytes, grid: tuple[int, ...]) -> Iterator[str]:
    """Check the index at the end of a shard, and each chunk that it points to."""
    n_chunks = math.prod(grid)
    index_size = 16 * n_chunks + 4
    if len(shard) < index_size or not _ends_with_checksum(shard[-index_size:]):
        yield "its shard is damaged: the checksum of its index differs"
        return
    index = np.frombuffer(shard, "<u8", 2 * n_chunks, len(shard) - index_size).reshape(n_chunks, 2)
    for number, (start, size) in enumerate(index.tolist()):
        chunk = "chunk " + "/".join(str(place) for place in np.unravel_index(number, grid))
        if start == _ABSENT and size == _ABSENT:
            yield f"{chunk} was never written"
        elif start + size > len(shard) - index_size or not _ends_with_checksum(shard[start : start + size]):
            yield f"{chunk} is damaged: its checksum differs"


def _ends_with_checksum(data: bytes) -> bool:
    return len(data) >= 4 and google_crc32c.value(data[:-4]) == int.from_bytes(data[-4:], "little")


def _check_shapes(
    shapes: Mapping[str, tuple[int, ...]], levels: Sequence[str], n_channels: int, n_sets: int
) -> Iterator[str]:
    """Channels and sizes of levels and labels must fit each other."""
    full = shapes.get(levels[0])
    if full is None:
        return
    if full[0] != n_channels:
        yield f"it names {n_channels} channels, but its pixels have {full[0]}"
    for smaller in levels[1:]:
        shape = shapes.get(smaller, full)
        if shape[0] != full[0] or any(n > m for n, m in zip(shape, full, strict=True)):
            yield f"level {smaller} has shape {shape}, which is no smaller copy of {full}"
    labels = shapes.get("objects/0")
    if labels is not None and labels[1:] != full[1:]:
        yield f"its labels have shape {labels[1:]}, its image {full[1:]}"
    if labels is not None and labels[0] != n_sets:
        yield f"it names {n_sets} object sets, but its labels have {labels[0]}"


def _check_manifest(
    group: str, shape: tuple[int, ...] | None, channels: Sequence[Mapping[str, Any]], manifest: Mapping[str, Any]
) -> Iterator[str]:
    """The site must be the one its manifest speaks of: its well, its channels, its size."""
    if group.rpartition("/")[0] != well_path(parse_well(manifest["well"])):
        yield f"its manifest is one of well {manifest['well']}"
    names, expected = [channel.get("label") for channel in channels], [image["channel"] for image in manifest["images"]]
    if names != expected:
        yield f"its channels are {names}, its manifest's {expected}"
    sizes = {(image["height"], image["width"]) for image in manifest["images"]}
    if shape is not None and sizes != {shape[1:]}:
        yield f"its pixels have shape {shape[1:]}, its manifest's images {sorted(sizes)}"
