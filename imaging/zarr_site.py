"""One site as an OME-Zarr 0.5 image: built in memory, written object by object, its own description last.

    <group>/zarr.json                    the image: axes, scales, channels
    <group>/0/zarr.json, 0/c/0/0/0       pixels[c, y, x]; one shard, one chunk per channel and at most 1080 pixels
    <group>/1/zarr.json, 1/c/0/0/0       thumbnails[c, y, x], linear
    <group>/objects/zarr.json            the objects found in it (docs/decisions/002-one-label-image-per-site.md)
    <group>/objects/0/zarr.json, 0/c/0/0/0   labels[set, y, x]; a nucleus and its cell have the same number

Every chunk ends with its CRC-32C and none is left out, also where all pixels are zero: a chunk that is missing was
never written. Nothing is ever overwritten, so the group's name must be fresh.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, Crc32cCodec, ZstdCodec
from zarr.core.buffer import Buffer, default_buffer_prototype
from zarr.storage import MemoryStore

from imaging.errors import StoredDataError
from imaging.fresh_data import Writes
from imaging.names import to_json
from imaging.store import Store

OME_VERSION = "0.5"
MAX_CHUNK = 1080
"""Longest side of a chunk in pixels, where the image's side has a divisor for it."""
_AXES = ("c", "y", "x")


class StoredObjectRecord(TypedDict):
    """An object as the site's manifest records it: key, size in bytes, CRC-32 in 8 hexadecimal digits."""

    key: str
    size_bytes: int
    crc32: str


def write_site(
    store: Writes,
    group_key: str,
    *,
    planes: NDArray[np.uint8 | np.uint16],
    thumbnails: NDArray[np.uint8 | np.uint16],
    factor: int,
    labels: Mapping[str, NDArray[np.int32]],
    channels: Sequence[Mapping[str, Any]],
    pixel_size_um: float | None,
) -> list[StoredObjectRecord]:
    """Write a site under a name that nobody else uses: shards, array descriptions, groups, its own zarr.json last.

    The same input gives the same bytes.

    Parameters
    ----------
    group_key
        Address of the new group, ``images/<experiment>/<plate>.zarr/<row>/<column>/<fresh name>``.
    planes
        Pixels, shape ``(c, y, x)``, uint8 or uint16, camera counts.
    thumbnails
        ``planes`` shrunk by ``factor``, shape ``(c, ceil(y / factor), ceil(x / factor))``.
    labels
        Label images by object set (``Nuclei``, ``Cells``), shape ``(y, x)``, int32, 0 is background. May be empty.
    channels
        One per plane: ``name``, ``color`` (``RRGGBB``, with or without #), ``full_scale`` (count at which the camera
        clips) and optionally ``window``, the counts shown as black and as white (by default 0 and the full scale).
    pixel_size_um
        Side of a pixel of ``planes`` in micrometres, if known.

    Returns
    -------
    What was written, in the order of writing: key, size in bytes, CRC-32 (zlib) in 8 hexadecimal digits.

    Raises
    ------
    ValueError
        If the arrays do not fit each other.
    """
    _check_arguments(planes, thumbnails, factor, labels, channels)
    objects = _encode_array("0", planes) | _encode_array("1", thumbnails)
    if labels:
        stacked = np.stack([label.astype(np.int32, copy=False) for label in labels.values()])
        objects |= _encode_array("objects/0", stacked, is_labels=True)
        objects["objects/zarr.json"] = group_json(_label_attributes(list(labels), pixel_size_um))
    objects["zarr.json"] = group_json(
        _image_attributes(group_key, channels, planes.dtype, factor, pixel_size_um, labels)
    )
    records: list[StoredObjectRecord] = []
    for name in sorted(objects, key=_writing_order):
        data, key = objects[name], f"{group_key}/{name}"
        store.write(key, data)
        records.append({"key": key, "size_bytes": len(data), "crc32": f"{zlib.crc32(data):08x}"})
    return records


def read_array(store: Store, key: str) -> NDArray[Any]:
    """Read an array of a site whole, each chunk checked against its CRC-32C.

    Raises
    ------
    StoredDataError
        If its description or its shard is missing or damaged.
    """
    found: dict[str, Buffer] = {}
    as_buffer = default_buffer_prototype().buffer.from_bytes
    for name in ("zarr.json", "c/0/0/0"):
        try:
            found[name] = as_buffer(store.read(f"{key}/{name}"))
        except FileNotFoundError as error:
            raise StoredDataError("an array of a site is incomplete", key=f"{key}/{name}") from error
    try:
        return np.asarray(zarr.open_array(MemoryStore(found, read_only=True), mode="r")[...])
    except (ValueError, KeyError, RuntimeError) as error:
        raise StoredDataError(f"an array of a site is damaged: {error}", key=key) from error


def chunk_side(length: int) -> int:
    """Longest side of equal chunks that fill a side exactly, at most ``MAX_CHUNK`` if they need not be tiny."""
    for parts in range(-(-length // MAX_CHUNK), 8 * length // MAX_CHUNK + 1):
        if length % parts == 0:
            return length // parts
    return length


def _check_arguments(
    planes: NDArray[Any],
    thumbnails: NDArray[Any],
    factor: int,
    labels: Mapping[str, NDArray[Any]],
    channels: Sequence[Mapping[str, Any]],
) -> None:
    if planes.ndim != 3 or planes.size == 0 or planes.dtype not in (np.dtype(np.uint8), np.dtype(np.uint16)):
        raise ValueError(f"planes must be uint8 or uint16 of shape (c, y, x), got {planes.dtype} {planes.shape}")
    shrunk = (len(planes), -(-planes.shape[1] // factor), -(-planes.shape[2] // factor))
    if thumbnails.shape != shrunk or thumbnails.dtype != planes.dtype:
        raise ValueError(
            f"thumbnails must be {planes.dtype} of shape {shrunk}, got {thumbnails.dtype} {thumbnails.shape}"
        )
    if len(channels) != len(planes):
        raise ValueError(f"channels must be one per plane: {len(planes)}, got {len(channels)}")
    for name, label in labels.items():
        if label.shape != planes.shape[1:]:
            raise ValueError(f"labels {name!r} must have shape {planes.shape[1:]}, got {label.shape}")


def _encode_array(name: str, values: NDArray[Any], *, is_labels: bool = False) -> dict[str, bytes]:
    """Encode an array as its description and one shard."""
    encoded: dict[str, Buffer] = {}
    compressor = (
        ZstdCodec(level=1)
        if is_labels
        else BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle", typesize=values.dtype.itemsize)
    )
    array = zarr.create_array(
        MemoryStore(encoded),
        shape=values.shape,
        dtype=values.dtype,
        chunks=(1, chunk_side(values.shape[1]), chunk_side(values.shape[2])),
        shards=values.shape,
        compressors=(compressor, Crc32cCodec()),
        fill_value=0,
        dimension_names=_AXES,
        zarr_format=3,
        config={"write_empty_chunks": True},
    )
    array[...] = values
    return {f"{name}/{key}": buffer.to_bytes() for key, buffer in encoded.items()}


def _writing_order(name: str) -> tuple[int, str]:
    """Shards first, then arrays, then groups, the site itself last: what is described is there already."""
    if not name.endswith("zarr.json"):
        return 0, name
    return {"zarr.json": 3, "objects/zarr.json": 2}.get(name, 1), name


def group_json(attributes: dict[str, Any]) -> bytes:
    """Describe a Zarr group, as the bytes of its zarr.json."""
    return to_json({"zarr_format": 3, "node_type": "group", "attributes": attributes})


def _image_attributes(
    group_key: str,
    channels: Sequence[Mapping[str, Any]],
    dtype: np.dtype[Any],
    factor: int,
    pixel_size_um: float | None,
    labels: Mapping[str, Any],
) -> dict[str, Any]:
    row, column, name = group_key.rsplit("/", 3)[-3:]
    multiscale = {
        "name": f"{row}{column} {name}",
        "axes": _axes(pixel_size_um),
        "datasets": [_dataset("0", 1, pixel_size_um), _dataset("1", factor, pixel_size_um)],
        "type": "area mean",
        "metadata": {"factor": factor, "rounding": "half up"},
    }
    omero = {"channels": [_omero_channel(channel, dtype) for channel in channels], "rdefs": {"model": "color"}}
    attributes: dict[str, Any] = {"ome": {"version": OME_VERSION, "multiscales": [multiscale], "omero": omero}}
    if labels:
        attributes["platestream"] = {"objects": "objects", "object_sets": list(labels)}
    return attributes


def _label_attributes(sets: list[str], pixel_size_um: float | None) -> dict[str, Any]:
    multiscale = {"name": "objects", "axes": _axes(pixel_size_um), "datasets": [_dataset("0", 1, pixel_size_um)]}
    return {
        "ome": {
            "version": OME_VERSION,
            "multiscales": [multiscale],
            "image-label": {"version": OME_VERSION, "source": {"image": "../"}},
        },
        "platestream": {
            "object_sets": sets,
            "rule": "one object set per index of axis c; a pixel's value is the ObjectNumber, alike in every set; "
            "0 is background",
        },
    }


def _axes(pixel_size_um: float | None) -> list[dict[str, str]]:
    unit = {} if pixel_size_um is None else {"unit": "micrometer"}
    return [{"name": "c", "type": "channel"}, *({"name": axis, "type": "space"} | unit for axis in "yx")]


def _dataset(path: str, factor: int, pixel_size_um: float | None) -> dict[str, Any]:
    """Level and its place: the centre of a shrunk pixel lies (factor - 1) / 2 pixels inside the image."""
    pixel = pixel_size_um or 1.0
    transforms: list[dict[str, Any]] = [{"type": "scale", "scale": [1.0, factor * pixel, factor * pixel]}]
    if factor > 1:
        shift = (factor - 1) / 2 * pixel
        transforms.append({"type": "translation", "translation": [0.0, shift, shift]})
    return {"path": path, "coordinateTransformations": transforms}


def _omero_channel(channel: Mapping[str, Any], dtype: np.dtype[Any]) -> dict[str, Any]:
    start, end = channel.get("window") or (0, channel["full_scale"])
    return {
        "label": channel["name"],
        "color": channel["color"].removeprefix("#").upper(),
        "active": True,
        "coefficient": 1,
        "family": "linear",
        "inverted": False,
        "window": {"min": 0, "max": int(np.iinfo(dtype).max), "start": start, "end": end},
    }
