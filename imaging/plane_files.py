"""The planes of a site's images from their files: read, decoded, projected over z, and described for its manifest."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from imaging.arrivals import ImageFile
from imaging.errors import UnreadableImageError
from imaging.formats.inside import StoredPlane, fetch_plane
from imaging.names import hash_of
from imaging.planning import SitePlan
from imaging.store import Store

Plane = np.ndarray
FORBIDDEN = "the file may not be read; give permission, then touch the file"
_READERS = 6
"""Files of a site that are read and decoded at once."""


class _ReadFile(NamedTuple):
    """A plane as it was read: pixels, the hash of what it came from, bytes."""

    plane: Plane
    digest: str
    size_bytes: int


@dataclass
class SiteReading:
    """What reading the files of a site gave.

    ``planes`` are pixels by channel, projected; ``images`` what the manifest says of each; ``digests`` those of single
    planes by channel and z.
    """

    planes: dict[str, Plane] = field(default_factory=dict)
    images: list[dict[str, Any]] = field(default_factory=list)
    faults: list[tuple[str, ImageFile, str]] = field(default_factory=list)
    digests: dict[tuple[str, int], str] = field(default_factory=dict)


def read_site(raw: Store, folder: str, plan: SitePlan, recipe: dict[str, Any]) -> SiteReading:
    """Read and decode the files of a site, a few at once: an object store answers late, and decoders let others run.

    Parameters
    ----------
    raw, folder
        Store and prefix of the plate's uploaded files.
    plan
        The site.
    recipe
        The recipe as it is pinned; its ``projection`` says how one plane is made of a stack.

    Raises
    ------
    ChangedObjectError, FileNotFoundError
        If a file is no longer the one that was planned with.
    """
    reading, stacks = SiteReading(), dict(plan.stacks)
    single = [(name, file) for name, file in plan.files.items() if name not in stacks]
    batches = [single, *([(name, file) for file in files] for name, files in plan.stacks)]
    described: dict[str, dict[str, Any]] = {}
    with ThreadPoolExecutor(_READERS) as pool:
        for batch in batches:  # one stack is held at a time
            read = pool.map(partial(_read, raw, folder), (file for _, file in batch))
            for name, files in _readable(batch, read, reading).items():
                plane = _make_plane(name, files, recipe.get("projection"), reading)
                if plane is not None:
                    reading.planes[name], described[name] = plane
    reading.planes = {name: reading.planes[name] for name in plan.files if name in reading.planes}
    reading.images = [{"channel": name} | described[name] for name in reading.planes]
    return reading


_Files = list[tuple[ImageFile, _ReadFile]]


def _readable(
    batch: Iterable[tuple[str, ImageFile]], read: Iterable[_ReadFile | str], reading: SiteReading
) -> dict[str, _Files]:
    """Planes by channel; what cannot be read is noted, and its channel left out."""
    found: dict[str, _Files] = {}
    faulted = set()
    for (name, file), plane in zip(batch, read, strict=True):
        if isinstance(plane, str):
            reading.faults.append((name, file, plane))
            faulted.add(name)
        else:
            reading.digests[name, file.z] = plane.digest
            found.setdefault(name, []).append((file, plane))
    return {name: files for name, files in found.items() if name not in faulted}


def _make_plane(
    name: str, files: _Files, method: str | None, reading: SiteReading
) -> tuple[Plane, dict[str, Any]] | None:
    """The plane of a channel and what is recorded of it; ``None`` if its planes do not fit each other."""
    if len(files) == 1:
        file, found = files[0]
        return found.plane, _describe(file, found)
    if fault := _odd_plane(files):
        reading.faults.append((name, *fault))
        return None
    return _project(files, method)


def compare_others(raw: Store, folder: str, plan: SitePlan, reading: SiteReading) -> list[dict[str, Any]]:
    """Compare further files of the same planes by content; one that is no image is at fault like any other."""
    compared = []
    for channel, file in plan.others:
        try:
            stored = _fetch(raw, folder, file)
            is_same = stored.digest == reading.digests.get((channel, file.z))
            if not is_same:
                stored.decode()
        except PermissionError:
            reading.faults.append((channel, file, FORBIDDEN))
            continue
        except UnreadableImageError as error:
            reading.faults.append((channel, file, error.message))
            continue
        compared.append({"channel": channel, "name": file.shown, "same_bytes": is_same})
    return compared


def read_plane(raw: Store, folder: str, file: ImageFile) -> Plane:
    """Pixels of a file, or of a plane inside one, shape ``(y, x)``, uint8 or uint16.

    Raises
    ------
    UnreadableImageError
        If they cannot be read.
    ChangedObjectError, FileNotFoundError, PermissionError
        If that version is gone, or may not be read.
    """
    return _read_file(raw, folder, file).plane


def _read(raw: Store, folder: str, file: ImageFile) -> _ReadFile | str:
    """A plane, or what is wrong with it."""
    try:
        return _read_file(raw, folder, file)
    except PermissionError:
        return FORBIDDEN
    except UnreadableImageError as error:
        return error.message


def _read_file(raw: Store, folder: str, file: ImageFile) -> _ReadFile:
    stored = _fetch(raw, folder, file)
    return _ReadFile(stored.decode(), stored.digest, stored.size_bytes)


def _fetch(raw: Store, folder: str, file: ImageFile) -> StoredPlane:
    return fetch_plane(raw, folder + file.name, token=file.token, inside=file.inside, size=file.size_bytes)


def _describe(file: ImageFile, found: _ReadFile) -> dict[str, Any]:
    plane = found.plane
    return {
        "name": file.shown,
        "token": file.token,
        "size_bytes": found.size_bytes,
        "digest": found.digest,
        "height": plane.shape[0],
        "width": plane.shape[1],
        "dtype": str(plane.dtype),
        "modified": file.modified,
    }


def _odd_plane(files: _Files) -> tuple[ImageFile, str] | None:
    """The first plane of a stack that has another size or type than its first, and what is wrong with it."""
    first = files[0][1].plane
    for file, found in files[1:]:
        plane = found.plane
        if (plane.shape, plane.dtype) != (first.shape, first.dtype):
            kind, other = (f"{item.shape[1]} x {item.shape[0]} {item.dtype}" for item in (plane, first))
            return file, f"the plane is {kind}, the first plane of its stack {other}"
    return None


def _project(files: _Files, method: Any) -> tuple[Plane, dict[str, Any]]:
    """One plane of a stack, and what is recorded of it: of the sharpest plane its own name, else the first's."""
    from kernels.projection import find_sharpest, project  # loads kernels: only who has stacks pays for it

    planes = np.stack([found.plane for _, found in files])
    chosen = find_sharpest(planes) if method == "best-focus" else 0
    file, found = files[chosen]
    described = _describe(file, found) | {
        "size_bytes": sum(item.size_bytes for _, item in files),
        "modified": max(item.modified for item, _ in files),
        "digest": hash_of([method, *(item.digest for _, item in files)]),
        "planes": [{"name": item.shown, "z": item.z, "token": item.token, "digest": its.digest} for item, its in files],
    }
    if method == "best-focus":
        return found.plane, described | {"z": file.z}
    return project(planes, method), described
