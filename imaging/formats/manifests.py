"""Instruments' manifests: read once per version, and never a reason to fail.

A manifest that is damaged, too large or gone is a sentence in ``Told.problems``; what it would have said is unknown.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from typing import Any, BinaryIO, TypeVar

from imaging.errors import ChangedObjectError, ForbiddenFileError, UnreadableImageError
from imaging.formats.contract import Address, Folder, Told, ToldChannel
from imaging.formats.object_files import open_object
from imaging.store import StoredObject

Parsed = TypeVar("Parsed")

KEPT_BYTES = 512 * 1024 * 1024
"""Manifests of so many bytes in all are kept parsed; the index of 100,000 images has 150 MB and keeps 40."""
_BLOCK = 4 * 1024 * 1024


class UnreadableManifestError(ValueError):
    """What is wrong with a manifest: a clause that follows its name."""


def read_manifest(
    folder: Folder, item: StoredObject, parse: Callable[[BinaryIO], Parsed], *, max_bytes: int
) -> tuple[Parsed | None, str]:
    """Read a manifest, or say in a sentence why that cannot be done.

    Parameters
    ----------
    folder, item
        Where it lies and which version is meant.
    parse
        Reads it from a file; raises ``UnreadableManifestError``.
    max_bytes
        A larger one is not opened.

    Returns
    -------
    What it says and an empty text, or ``None`` and the problem.

    Raises
    ------
    StoreUnavailableError
        If the storage does not answer.
    """
    if item.size > max_bytes:
        return None, f"{item.key} has {item.size:,} bytes, at most {max_bytes:,} are read; what it says is not known"
    key = (folder, item.key, item.token, item.size, parse)
    if (kept := _KEPT.get(key)) is not None:
        return kept
    try:
        with open_object(folder, item, block=_BLOCK) as file:
            result: tuple[Parsed | None, str] = parse(file), ""
    except UnreadableManifestError as error:
        result = None, f"{item.key} {error}; what it says is not known"
    except UnreadableImageError as error:  # a member of a damaged archive
        result = None, f"{item.key} cannot be read: {error.message}"
    except (ChangedObjectError, FileNotFoundError):
        return None, f"{item.key} changed while it was read; it is read again at the next look"
    except ForbiddenFileError:
        return None, f"{item.key} may not be read; give the pipeline's user permission"
    _KEPT.put(key, result, item.size)
    return result


class _Kept:
    """What was parsed last, as much as ``KEPT_BYTES`` of manifests."""

    def __init__(self) -> None:
        self._results: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Any:
        with self._lock:
            if key not in self._results:
                return None
            self._results.move_to_end(key)
            return self._results[key][0]

    def put(self, key: Hashable, result: Any, size: int) -> None:
        with self._lock:
            self._size += size - self._results.pop(key, (None, 0))[1]
            self._results[key] = result, size
            while self._size > KEPT_BYTES and len(self._results) > 1:
                self._size -= self._results.popitem(last=False)[1][1]


_KEPT = _Kept()


def tell_all(told: Iterable[Told]) -> Told:
    """What the manifests of several measurements say together: the first that says something, sets united.

    Nothing is expected unless each of them says what should come.
    """
    parts = tuple(told)
    if len(parts) == 1:
        return parts[0]
    channels: dict[str, ToldChannel] = {}
    positions: dict[tuple[str, int], tuple[float, float]] = {}
    for part in parts:
        for channel in part.channels:
            channels.setdefault(channel.code, channel)
        positions = part.positions_um | positions
    known = [part.expected for part in parts if part.expected is not None]
    return Told(
        plate=_common(part.plate for part in parts),
        measurement=_common(part.measurement for part in parts),
        instrument=_first(part.instrument for part in parts) or "",
        wells=max((part.wells for part in parts if part.wells), default=None),
        imaged=tuple(sorted({well for part in parts for well in part.imaged})),
        channels=tuple(channels.values()),
        pixel_size_um=_first(part.pixel_size_um for part in parts),
        z_step_um=_first(part.z_step_um for part in parts),
        expected=frozenset().union(*known) if known and len(known) == len(parts) else None,
        positions_um=positions,
        manifests=tuple(name for part in parts for name in part.manifests),
        not_taken={address: words for part in parts for address, words in part.not_taken.items()},
        problems=tuple(text for part in parts for text in part.problems),
        remarks=tuple(text for part in parts for text in part.remarks),
    )


def in_acquisition(address: Address, acquisition: str) -> Address:
    """The same place in a named acquisition."""
    return Address(address.well, address.site, address.code, address.z, address.t, acquisition)


def _first(values: Iterable[Any]) -> Any:
    return next((value for value in values if value), None)


def _common(values: Iterable[str]) -> str:
    """The text that all which have one share, else nothing."""
    found = {value for value in values if value}
    return found.pop() if len(found) == 1 else ""
