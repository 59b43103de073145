"""An OME-Zarr image of any writer, 0.4 (Zarr 2) or 0.5 (Zarr 3): level 0, one plane per channel, read one at a time.

Zarr gives a chunk that is not stored the fill value, without a word. Some writers leave out chunks that are all zero,
so a missing chunk may be black or lost; which one it is cannot be known, but that it is missing can: a plane of which
nothing is stored is refused, and the caller is told of planes that are stored in part.
"""

from __future__ import annotations

import itertools
import json
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from imaging.decode import MAX_PIXELS
from imaging.errors import ConfigurationError, UnreadableImageError
from imaging.plane_arrays import PIXELS, ArrayKind
from imaging.sentences import shorten
from imaging.tiff_layout import MAX_SEGMENTS

_DESCRIPTIONS = ("zarr.json", ".zattrs", ".zgroup", ".zarray")
_OLD_AXES = ("t", "c", "z", "y", "x")
"""Axes before version 0.4, which did not always name them."""
# what zarr-python and its codecs say of descriptions and chunks that are damaged
_DAMAGE = (ValueError, LookupError, TypeError, AttributeError, RuntimeError, OSError, EOFError, zlib.error)


def is_zarr(folder: Path) -> bool:
    """Whether a folder is described as a group or an array of a Zarr."""
    return any((folder / name).is_file() for name in _DESCRIPTIONS)


@dataclass(frozen=True, slots=True)
class OmeZarrImage:
    """Level 0 of an image: axes of the array, such as ``tczyx``, sides of what is stored as one, channels' names.

    ``kind`` says whether its planes are pixels or labels.
    """

    folder: Path
    array: zarr.Array
    axes: tuple[str, ...]
    sides: tuple[int, ...]
    labels: tuple[str, ...]
    kind: ArrayKind = PIXELS

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of a plane."""
        return self.array.shape[self.axes.index("y")], self.array.shape[self.axes.index("x")]

    def read(self, channel: int) -> NDArray[Any]:
        """Read the plane of a channel, counted from 0: shape ``(y, x)``, uint8 or uint16, labels as whole numbers.

        Raises
        ------
        UnreadableImageError
            If a stored chunk is damaged, none of an image is stored, or values are not of this kind.
        """
        stored, expected = self.count_chunks(channel)
        if not stored and self.kind is PIXELS:
            what = f"none of the plane's {expected:,} chunks is stored"
            message = f"{what}: the copy is incomplete, or all pixels are alike and were left out"
            raise UnreadableImageError(message, key=str(self.folder))
        place = tuple(slice(None) if axis in "yx" else channel if axis == "c" else 0 for axis in self.axes)
        with damage_named(self.folder, "its pixels are damaged"):
            values = np.asarray(self.array[place])
        try:
            return self.kind.convert(values if self.axes.index("y") < self.axes.index("x") else values.T)
        except UnreadableImageError as error:
            error.key = str(self.folder)
            raise

    def count_chunks(self, channel: int) -> tuple[int, int]:
        """Chunks (of a sharded array, shards) of a channel's plane: how many are stored, how many there should be."""
        places = [
            range(-(-length // side)) if axis in "yx" else [channel // side if axis == "c" else 0]
            for axis, length, side in zip(self.axes, self.array.shape, self.sides, strict=True)
        ]
        root = self.folder / self.array.path
        names = [self.array.metadata.encode_chunk_key(place) for place in itertools.product(*places)]
        return sum((root / name).is_file() for name in names), len(names)


def open_ome_zarr(folder: Path) -> OmeZarrImage:
    """Open an image; no pixel is read.

    Raises
    ------
    ConfigurationError
        If the folder is something else of an OME-Zarr (a plate, a well, labels, an array), or has several planes in
        depth or time.
    UnreadableImageError
        If its description is damaged.
    """
    described = read_attributes(folder)
    multiscales = described.get("multiscales")
    if not multiscales:
        raise ConfigurationError(shorten(_what_else(folder, described), 1_000), key=str(folder))
    if "image-label" in described:
        raise ConfigurationError("it holds labels; give the image that they belong to", key=str(folder))
    return open_level(folder, described, PIXELS)


def open_level(folder: Path, described: dict[str, Any], kind: ArrayKind) -> OmeZarrImage:
    """Open level 0 of an image or of a label image, whose attributes are read already.

    Raises
    ------
    ConfigurationError
        If its planes are not of this kind, or there are several in depth or time.
    UnreadableImageError
        If its description is damaged.
    """
    with damage_named(folder, "its description is damaged"):
        path, axes = _level(described["multiscales"][0])
        labels = _labels(described)
    with damage_named(folder, f"its level {path!r} is missing or damaged"):
        array = zarr.open_array(folder, path=path, mode="r")
        sides = array.shards or array.chunks
    axes = axes or _OLD_AXES[-array.ndim :]
    if len(axes) != array.ndim or len(set(axes)) < len(axes) or not {"y", "x"} <= set(axes) <= set(_OLD_AXES):
        named = shorten(", ".join(axes))
        message = f"its description is damaged: the axes {named} do not fit an array of shape {array.shape}"
        raise UnreadableImageError(message, key=str(folder))
    sizes = dict(zip(axes, array.shape, strict=True))
    fault = _find_fault(array, sizes, dict(zip(axes, sides, strict=True)), kind)
    if fault is not None:
        raise ConfigurationError(fault, key=str(folder))
    count = sizes.get("c", 1)
    return OmeZarrImage(folder, array, axes, sides, labels if len(labels) == count else ("",) * count, kind)


def read_attributes(folder: Path) -> dict[str, Any]:
    """Attributes of a group, those of OME's names alone where they stand under ``ome`` as since 0.5."""
    new = folder / "zarr.json"
    file = new if new.is_file() else folder / ".zattrs"
    try:
        described = json.loads(file.read_bytes()) if file.is_file() else {}
    except (ValueError, RecursionError) as error:
        raise UnreadableImageError("its description is damaged: it is not JSON", key=str(file)) from error
    attributes = described.get("attributes", {}) if file == new and isinstance(described, dict) else described
    attributes = attributes.get("ome", attributes) if isinstance(attributes, dict) else None
    if not isinstance(attributes, dict):
        raise UnreadableImageError("its description is damaged: it is no JSON object", key=str(file))
    return attributes


def _what_else(folder: Path, described: dict[str, Any]) -> str:
    """What a folder of a Zarr is when it is no image, and what to give instead."""
    try:
        if "plate" in described:
            well = folder / described["plate"]["wells"][0]["path"]
            image = well / read_attributes(well)["well"]["images"][0]["path"]
            return f"it is a plate; give one of its images, such as {image}"
        if "well" in described:
            return f"it is a well; give one of its images, such as {folder / described['well']['images'][0]['path']}"
    except (KeyError, IndexError, TypeError, UnreadableImageError):
        return "it is a plate or a well whose description is damaged; give one of its images"
    inner = sorted(path.parent.name for name in _DESCRIPTIONS for path in folder.glob(f"*/{name}"))
    if "bioformats2raw.layout" in described and inner:
        return f"it is a collection of images; give one of them, such as {folder / inner[0]}"
    if "multiscales" in read_attributes(folder.parent):
        return f"it is one level of an image; give the image, {folder.parent}"
    return "it is a Zarr, but no OME-Zarr image: its description lists no multiscales"


def _level(multiscale: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    """Path of the largest level, and the axes' names; none where the description has none."""
    path = str(multiscale["datasets"][0]["path"])
    if path.startswith("/") or ".." in path.split("/"):
        raise ValueError(f"its level {path!r} leads out of it")
    axes = (axis["name"] if isinstance(axis, dict) else axis for axis in multiscale.get("axes", []))
    return path, tuple(str(axis).lower() for axis in axes)


def _labels(described: dict[str, Any]) -> tuple[str, ...]:
    """Names of the channels as a viewer shows them; empty text where a channel has none."""
    channels = (described.get("omero") or {}).get("channels") or []
    return tuple(str(channel.get("label") or "") for channel in channels)


def _find_fault(array: zarr.Array, sizes: dict[str, int], sides: dict[str, int], kind: ArrayKind) -> str | None:
    """Why an array is not one plane per channel, or ``None``; its size and that of what is stored by axis."""
    for axis, what in (("z", "planes in depth (z)"), ("t", "points in time (t)")):
        if sizes.get(axis, 1) != 1:
            return f"it has {sizes[axis]:,} {what}; one plane per channel can be measured, so give one alone"
    if sizes.get("c") == 0:
        return "it has no channel"
    fault = kind.find_fault(array.dtype, (sizes["y"], sizes["x"]))
    if fault is not None:
        return fault
    if math.prod(array.chunks) > MAX_PIXELS:
        return f"its chunks have {math.prod(array.chunks):,} pixels; {MAX_PIXELS:,} are the limit"
    stored = math.prod(-(-sizes[axis] // sides[axis]) for axis in "yx")
    if stored > MAX_SEGMENTS:
        return f"its planes lie in {stored:,} chunks; {MAX_SEGMENTS:,} are the limit"
    return None


@contextmanager
def damage_named(folder: Path, what: str) -> Iterator[None]:
    """Give what zarr says of damaged descriptions and chunks our name, and its first line as the reason."""
    try:
        yield
    except _DAMAGE as error:
        reason = shorten(str(error).partition("\n")[0])
        raise UnreadableImageError(f"{shorten(what)}: {reason}", key=str(folder)) from error
