"""One plane of a Zarr array out of a store: exactly the objects that make it up, each of the version that was listed.

Zarr fills a chunk that is not stored with zeros, without a word; here it is a fault. The version of a plane is the hash
of the versions of its objects, so an object that comes later, or is replaced, makes it another version.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import zarr
from zarr.core.buffer import default_buffer_prototype
from zarr.storage import MemoryStore

from imaging.errors import ChangedObjectError, UnreadableImageError
from imaging.formats.zarr_codecs import refuse_bombs
from imaging.formats.zarr_layout import MAX_DESCRIPTION, ZarrLayout, find_plane_fault, parse_json, parse_layout
from imaging.names import hash_of
from imaging.plane_arrays import PIXELS, Plane
from imaging.sentences import shorten
from imaging.store import Store, StoredObject

DESCRIPTIONS = (".zarray", "zarr.json")
HERE = "."
"""The array's path where the key is the array's own: its image is the folder that it lies in."""
_MAX_STORED = 1024**3
_PIECE = 1024 * 1024
# what zarr-python and its codecs say of descriptions and chunks that are damaged
_DAMAGE = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RuntimeError,
    OSError,
    EOFError,
    ArithmeticError,
    zlib.error,
    struct.error,
)


@dataclass(frozen=True, slots=True)
class FetchedZarrPlane:
    """The objects of a plane, in memory: ``objects`` by their names inside the array."""

    objects: dict[str, bytes]
    axes: tuple[str, ...]
    index: tuple[int, ...]
    layout: ZarrLayout
    digest: str

    @property
    def size_bytes(self) -> int:
        """Bytes of all its objects but the description."""
        return sum(len(data) for name, data in self.objects.items() if name not in DESCRIPTIONS)

    def decode(self) -> Plane:
        """Pixels, shape ``(y, x)``, uint8 or uint16.

        Raises
        ------
        UnreadableImageError
            If a chunk is damaged, or the values are no pixels.
        """
        place = iter(self.index)
        chosen = tuple(slice(None) if axis in ("y", "x") else next(place) for axis in self.axes)
        buffers = default_buffer_prototype().buffer
        try:
            chunks = dict(self.objects)
            described = next(chunks.pop(name) for name in DESCRIPTIONS if name in chunks)
            refuse_bombs(parse_json(described), self.layout, chunks)
            held = MemoryStore({name: buffers.from_bytes(data) for name, data in self.objects.items()}, read_only=True)
            values = np.asarray(zarr.open_array(held, mode="r")[chosen])
        except UnreadableImageError:
            raise
        except _DAMAGE as error:
            raise UnreadableImageError(
                f"its pixels are damaged: {shorten(str(error).partition(chr(10))[0])}"
            ) from error
        except MemoryError as error:
            raise UnreadableImageError("its pixels are damaged: a chunk claims more than memory holds") from error
        return PIXELS.convert(values if self.axes.index("y") < self.axes.index("x") else values.T)


def token_of(objects: Iterable[StoredObject], folder: str) -> str:
    """Version of a plane: the hash over names and tokens of the objects that make it up, relative to its array."""
    return hash_of(sorted((item.key.removeprefix(folder), item.token) for item in objects))


def fetch_zarr_plane(store: Store, key: str, array: str, index: tuple[int, ...], token: str) -> FetchedZarrPlane:
    """Fetch the objects of a plane.

    Parameters
    ----------
    store, key
        The store and the key of the image, a folder.
    array
        Path of the array inside the image; ``index`` the plane's place along its axes but the last two, ``y`` and ``x``
        (see ``axes`` in the image's description: the array's word counts only with it).
    token
        The plane's version, as ``token_of`` makes it.

    Raises
    ------
    UnreadableImageError
        If the description is missing or damaged, or a chunk is not stored.
    ChangedObjectError
        If the plane has another version by now.
    """
    image, folder = (key.rpartition("/")[0], f"{key}/") if array == HERE else (key, f"{key}/{array}/")
    try:
        return _fetch(store, _listed(store, image, folder), folder, index, token)
    except (ChangedObjectError, UnreadableImageError):
        _listed.cache_clear()  # what is kept may be old
        return _fetch(store, _listed(store, image, folder), folder, index, token)


@lru_cache(maxsize=16)
def _listed(store: Store, image: str, folder: str) -> tuple[dict[str, StoredObject], tuple[str, ...]]:
    """Objects of an array by their names in it, and its axes; kept, for its planes are fetched one by one."""
    return {item.key.removeprefix(folder): item for item in store.list(folder).objects}, read_axes(store, image)


def _fetch(
    store: Store,
    kept: tuple[dict[str, StoredObject], tuple[str, ...]],
    folder: str,
    index: tuple[int, ...],
    token: str,
) -> FetchedZarrPlane:
    listed, axes = kept
    description = next((name for name in DESCRIPTIONS if name in listed), None)
    if description is None:
        raise UnreadableImageError("the description of its array is missing")
    described = store.read(folder + description, token=listed[description].token, size=MAX_DESCRIPTION)
    layout = parse_layout(parse_json(described))
    names = plane_objects(layout, axes, index)
    there = [listed[name] for name in (description, *names) if name in listed]
    if token_of(there, folder) != token:
        raise ChangedObjectError("the plane's objects changed after they were listed", key=folder)
    if len(there) - 1 < len(names):
        what = f"{len(names) - len(there) + 1:,} of the plane's {len(names):,} chunks are not stored"
        raise UnreadableImageError(f"{what}: the copy is incomplete, or its writer left out chunks of one value")
    if sum(item.size for item in there) > _MAX_STORED:
        raise UnreadableImageError(f"its chunks have more than {_MAX_STORED:,} bytes")
    objects = {name: store.read(folder + name, token=listed[name].token) for name in names}
    content = hashlib.sha256(described)
    for name, data in objects.items():
        content.update(f"\n{name} {len(data)}\n".encode())
        content.update(data)
    return FetchedZarrPlane({description: described} | objects, axes, index, layout, content.hexdigest()[:32])


def plane_objects(layout: ZarrLayout, axes: tuple[str, ...], index: tuple[int, ...]) -> list[str]:
    """Names of a plane's objects inside its array.

    Raises
    ------
    UnreadableImageError
        If the axes do not fit the array, or its planes are not read.
    """
    if len(axes) != len(layout.shape) or not {"y", "x"} <= set(axes) or len(set(axes)) != len(axes):
        raise UnreadableImageError(
            f"its axes {shorten(', '.join(axes))} do not fit an array of shape {shorten(str(layout.shape))}"
        )
    fault = find_plane_fault(layout, axes)
    if fault:
        raise UnreadableImageError(fault)
    lengths = [length for axis, length in zip(axes, layout.shape, strict=True) if axis not in ("y", "x")]
    if len(lengths) != len(index) or any(place >= length for place, length in zip(index, lengths, strict=True)):
        raise UnreadableImageError(f"its array of shape {shorten(str(layout.shape))} has no plane {index}")
    return layout.names(axes, index)


def read_axes(store: Store, key: str) -> tuple[str, ...]:
    """Names of an image's axes, from its description.

    Raises
    ------
    UnreadableImageError
        If it is missing or damaged.
    """
    for name in ("zarr.json", ".zattrs"):
        try:
            described = parse_json(store.read(f"{key}/{name}", size=MAX_DESCRIPTION))
        except FileNotFoundError:
            continue
        found = parse_axes(described)
        if found:
            return found
    raise UnreadableImageError("the image's description is missing or lists no axes")


def parse_axes(described: dict[str, Any]) -> tuple[str, ...]:
    """Names of the axes in the description of an image; none where it lists none."""
    try:
        attributes = described.get("attributes", described) if described.get("zarr_format") == 3 else described
        axes = attributes.get("ome", attributes)["multiscales"][0].get("axes", [])
        return tuple(str(axis["name"] if isinstance(axis, dict) else axis).lower() for axis in axes)
    except (KeyError, IndexError, TypeError, AttributeError):
        return ()
