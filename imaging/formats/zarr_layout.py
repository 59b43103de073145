"""How an array of a Zarr is stored, from its description alone (Zarr 2 and 3): shape, chunks and the names of them."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imaging.decode import MAX_PIXELS
from imaging.errors import UnreadableImageError
from imaging.sentences import shorten
from imaging.tiff_layout import MAX_SEGMENTS

MAX_DESCRIPTION = 16 * 1024 * 1024
"""Bytes of a description that are read; a consolidated one of a whole plate may be large."""
MAX_CHUNK_BYTES = 2 * MAX_PIXELS
"""Bytes of an unpacked chunk: a plane of 16-bit pixels as large as one may be."""
_TYPES = {
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float16",
    "float32",
    "float64",
}


@dataclass(frozen=True, slots=True)
class ZarrLayout:
    """Shape of an array, sides of what is stored as one object, type, and how those objects are named.

    ``stored`` are the sides of a chunk, of a sharded array those of a shard; ``chunk`` the sides of what is compressed
    as one.
    """

    shape: tuple[int, ...]
    stored: tuple[int, ...]
    chunk: tuple[int, ...]
    dtype: np.dtype[Any]
    prefix: str
    separator: str

    def names(self, axes: Sequence[str], index: Sequence[int]) -> list[str]:
        """Names, inside the array, of the objects that hold a plane.

        Parameters
        ----------
        axes
            Names of the array's axes, ``y`` and ``x`` among them.
        index
            Place of the plane along the other axes, in their order.
        """
        places = iter(index)
        ranges = [
            range(-(-length // side)) if axis in ("y", "x") else (next(places) // side,)
            for axis, length, side in zip(axes, self.shape, self.stored, strict=True)
        ]
        return [self.prefix + self.separator.join(map(str, place)) for place in itertools.product(*ranges)]


def parse_json(data: bytes) -> dict[str, Any]:
    """Read a description as JSON.

    Raises
    ------
    UnreadableImageError
        If it is no JSON object.
    """
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UnreadableImageError("its description is damaged: it is not JSON") from error
    if not isinstance(found, dict):
        raise UnreadableImageError("its description is damaged: it is no JSON object")
    return found


def parse_layout(described: dict[str, Any]) -> ZarrLayout:
    """Read an array's description (``.zarray``, or ``zarr.json`` of an array).

    Raises
    ------
    UnreadableImageError
        If it is damaged, or too large to be planes.
    """
    try:
        layout = _parse_v3(described) if described.get("zarr_format") == 3 else _parse_v2(described)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        what = f"{type(error).__name__} {shorten(str(error))}"
        raise UnreadableImageError(f"its description is damaged: {what}") from error
    sides = (*layout.stored, *layout.chunk)
    if not len(layout.shape) == len(layout.stored) == len(layout.chunk) or min(sides, default=0) < 1:
        raise UnreadableImageError("its description is damaged: shape and chunks do not fit each other")
    if math.prod(layout.chunk) > MAX_PIXELS:
        raise UnreadableImageError(f"its chunks have {math.prod(layout.chunk):,} pixels; {MAX_PIXELS:,} are the limit")
    if math.prod(layout.chunk) * layout.dtype.itemsize > MAX_CHUNK_BYTES:
        raise UnreadableImageError(
            f"its chunks have {math.prod(layout.chunk) * layout.dtype.itemsize:,} bytes; {MAX_CHUNK_BYTES:,} are the "
            "limit"
        )
    return layout


def find_plane_fault(layout: ZarrLayout, axes: Sequence[str]) -> str | None:
    """Say why the planes of an array with these axes are not read, or ``None``."""
    lengths, stored = dict(zip(axes, layout.shape, strict=True)), dict(zip(axes, layout.stored, strict=True))
    if layout.dtype.kind not in "iuf":
        return f"its pixels are of type {layout.dtype}; unsigned 8- or 16-bit are needed"
    if not 0 < lengths["y"] * lengths["x"] <= MAX_PIXELS:
        return f"its description claims {lengths['x']:,} x {lengths['y']:,} pixels; {MAX_PIXELS:,} are the limit"
    parts = math.prod(-(-lengths[axis] // stored[axis]) for axis in ("y", "x"))
    if parts > MAX_SEGMENTS:
        return f"its planes lie in {parts:,} chunks; {MAX_SEGMENTS:,} are the limit"
    return None


def _parse_v2(described: dict[str, Any]) -> ZarrLayout:
    chunks = _sides(described["chunks"])
    separator = described.get("dimension_separator") or "."
    return ZarrLayout(
        _sides(described["shape"]), chunks, chunks, np.dtype(described["dtype"]), "", _separator(separator)
    )


def _parse_v3(described: dict[str, Any]) -> ZarrLayout:
    if described["node_type"] != "array" or described["chunk_grid"]["name"] != "regular":
        raise ValueError("it is no array of regular chunks")
    stored = _sides(described["chunk_grid"]["configuration"]["chunk_shape"])
    encoding = described["chunk_key_encoding"]
    is_default = encoding["name"] == "default"
    separator = encoding.get("configuration", {}).get("separator", "/" if is_default else ".")
    shards = [codec for codec in described["codecs"] if codec["name"] == "sharding_indexed"]
    chunk = _sides(shards[0]["configuration"]["chunk_shape"]) if shards else stored
    if described["data_type"] not in _TYPES:
        raise ValueError(f"type {described['data_type']!r}")
    prefix = f"c{_separator(separator)}" if is_default else ""
    return ZarrLayout(_sides(described["shape"]), stored, chunk, np.dtype(described["data_type"]), prefix, separator)


def _sides(numbers: list[int]) -> tuple[int, ...]:
    if not all(type(number) is int and 0 <= number < 1 << 40 for number in numbers):
        raise ValueError("sides must be whole numbers")
    return tuple(numbers)


def _separator(separator: str) -> str:
    if separator not in (".", "/"):
        raise ValueError(f"separator {separator!r}")
    return separator
