"""Which plane inside an object: a word that names it, written and read here, and the plane itself.

    (nothing)                               the object is one plane
    page 3                                  the third page of a TIFF file
    member sub/a.tif; of 7340032            a file in an archive of so many bytes
    member a.tif; at 1536; of 7340032       the same, in a tar, where its entry begins at that byte
    member a.ome.tif; of 4096; page 3       a page of a TIFF file in an archive
    array 0; index 0,2,1                    of a Zarr image its array ``0``, all of y and x at t 0, c 2, z 1

An object's key is its path; the key of a member is the archive's path, a slash and the member's path, and that of a
Zarr's plane is the path of its image. ``%`` and ``;`` in paths are written ``%25`` and ``%3B``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

from imaging.byte_sources import ByteSource, RangedBytes
from imaging.decode import decode_plane, decode_segments, is_image_start, say_what_it_is
from imaging.errors import ChangedObjectError, StoredDataError, UnreadableImageError
from imaging.formats import tar_index, zip_index
from imaging.formats.contract import Folder
from imaging.formats.members import Contents, Member, open_data
from imaging.formats.zarr_planes import fetch_zarr_plane
from imaging.names import digest_of
from imaging.plane_arrays import Plane
from imaging.store import Store
from imaging.tiff_pages import TiffPages, digest_page, read_segments

_START = 4_096
_MAX_KEPT = 64 * 1024 * 1024  # bytes of an unpacked member that are kept for its next page
_PART = re.compile(r"(page|member|at|of|array|index) (.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Inside:
    """A plane inside an object; an empty one is the object itself.

    ``page`` counts from 1, 0 is none; ``start`` is the first byte of a tar's entry, ``archive_size`` the bytes of the
    archive; ``index`` the place of the plane along the axes of ``array`` but y and x, in the array's order, counted
    from 0.
    """

    member: str = ""
    start: int | None = None
    archive_size: int = 0
    page: int = 0
    array: str = ""
    index: tuple[int, ...] = ()

    def __str__(self) -> str:
        parts = []
        if self.member:
            parts.append(f"member {_escape(self.member)}")
        if self.start is not None:
            parts.append(f"at {self.start}")
        if self.archive_size:
            parts.append(f"of {self.archive_size}")
        if self.page:
            parts.append(f"page {self.page}")
        if self.array:
            parts += [f"array {_escape(self.array)}", f"index {','.join(map(str, self.index))}"]
        return "; ".join(parts)


WHOLE = Inside()


def parse_inside(text: str) -> Inside:
    """Read the word that names a plane inside an object.

    Raises
    ------
    StoredDataError
        If it was not written by this module.
    """
    found: dict[str, str] = {}
    for part in text.split("; ") if text else ():
        match = _PART.fullmatch(part)
        if match is None or match[1] in found:
            raise StoredDataError(f"{text!r} names no plane inside an object")
        found[match[1]] = match[2]
    try:
        return Inside(
            member=_unescape(found.get("member", "")),
            start=int(found["at"]) if "at" in found else None,
            archive_size=int(found.get("of", 0)),
            page=int(found.get("page", 0)),
            array=_unescape(found.get("array", "")),
            index=tuple(int(number) for number in found.get("index", "").split(",") if number),
        )
    except ValueError as error:
        raise StoredDataError(f"{text!r} names no plane inside an object") from error


def _escape(path: str) -> str:
    return path.replace("%", "%25").replace(";", "%3B")


def _unescape(path: str) -> str:
    return path.replace("%3B", ";").replace("%25", "%")


@dataclass(frozen=True, slots=True)
class StoredPlane:
    """A plane as it is stored: its content's name, the bytes that make it up, and ``decode`` to make pixels of them.

    ``decode()`` gives shape ``(y, x)``, uint8 or uint16, or raises UnreadableImageError.
    """

    digest: str
    size_bytes: int
    decode: Callable[[], Plane]


def read_plane(store: Store, key: str, *, token: str, inside: str = "", size: int = 0) -> tuple[Plane, str, int]:
    """Fetch and decode a plane: pixels of shape ``(y, x)``, digest of what is stored, bytes that are stored.

    Parameters
    ----------
    store, key, token, inside, size
        As of ``fetch_plane``.

    Raises
    ------
    UnreadableImageError, ChangedObjectError, FileNotFoundError, StoreUnavailableError, ForbiddenFileError
        As ``fetch_plane``; the first also if the pixels are damaged.
    """
    stored = fetch_plane(store, key, token=token, inside=inside, size=size)
    return stored.decode(), stored.digest, stored.size_bytes


def fetch_plane(store: Store, key: str, *, token: str, inside: str = "", size: int = 0) -> StoredPlane:
    """Fetch the bytes of a plane; only those where it is one of several in an object.

    Parameters
    ----------
    store
        Where the object is.
    key
        The object's key; of a member the archive's, a slash and the member's path; of a Zarr's plane its image's.
    token
        The object's version as the listing showed it; of a Zarr's plane the hash of its objects'.
    inside
        Which plane of the object, as ``Inside`` writes it.
    size
        The object's bytes as the listing showed them; needed for a page only.

    Raises
    ------
    UnreadableImageError
        If the object is damaged, or the plane is not in it.
    ChangedObjectError, FileNotFoundError
        If that version is gone.
    StoreUnavailableError, ForbiddenFileError
        If the storage does not answer, or the object may not be read.
    """
    where = parse_inside(inside)
    try:
        if where.array:
            fetched = fetch_zarr_plane(store, key, where.array, where.index, token)
            return StoredPlane(fetched.digest, fetched.size_bytes, fetched.decode)
        if where.page:
            return _fetch_page(open_pages(store, key, token, where, size), where.page)
        if where.member:
            source = open_source(store, key, token, where, size)
            start = source.read(0, _START)
            if not is_image_start(start):  # before all of it is unpacked
                raise UnreadableImageError(say_what_it_is(start, source.size))
            data = source.read(0, source.size)
        else:
            data = store.read(key, token=token)
    except UnreadableImageError as error:
        error.key = key
        raise
    return StoredPlane(digest_of(data), len(data), partial(decode_plane, data, name=key))


def _fetch_page(pages: TiffPages, page: int) -> StoredPlane:
    layout = pages.layout(page)
    fetched, moved = read_segments(pages.source, layout)
    size = int(layout.byte_counts.sum())
    return StoredPlane(digest_page(fetched, moved), size, partial(decode_segments, fetched, moved))


def open_source(folder: Folder, name: str, token: str, where: Inside, size: int) -> ByteSource:
    """Open an object, or a member of an archive, as bytes that are fetched by ranges.

    Parameters
    ----------
    folder, name, token, size
        A folder (a store is one), the object's name in it, its version and bytes.
    where
        Which member, if the object is one.

    Raises
    ------
    UnreadableImageError
        If the archive is damaged or the member is not in it.
    """
    if not where.member:
        return RangedBytes(partial(_fetch, folder, name, token), size)
    archive_name = name.removesuffix(f"/{where.member}")
    archive = _open_archive(folder, archive_name, token, where.archive_size)
    if where.start is not None:
        return open_data(archive, *tar_index.find_data(archive, where.member, where.start))
    member = _zip_members(folder, archive_name, token, where.archive_size).get(where.member)
    if member is None:
        raise UnreadableImageError("the archive holds no such member")
    return open_data(archive, member, zip_index.find_data(archive, member))


def read_contents(folder: Folder, name: str, token: str, size: int) -> Contents:
    """Read what an archive holds, by its ending.

    Raises
    ------
    UnreadableImageError
        If it is damaged or beyond the limits.
    """
    archive = _open_archive(folder, name, token, size)
    return tar_index.read_tar(archive) if name.lower().endswith(".tar") else zip_index.read_zip(archive)


def open_pages(folder: Folder, name: str, token: str, where: Inside, size: int) -> TiffPages:
    """Open a TIFF file of several pages; where they stand is found once per process and version."""
    if not where.member:
        return _kept_pages(folder, name, token, size)
    found = _kept_member_pages(folder, name, token, Inside(where.member, where.start, where.archive_size))
    if found.source.size > _MAX_KEPT:
        _kept_member_pages.cache_clear()
    return found


@lru_cache(maxsize=16)
def _kept_pages(folder: Folder, name: str, token: str, size: int) -> TiffPages:
    return TiffPages(open_source(folder, name, token, WHOLE, size))


@lru_cache(maxsize=2)  # members may be unpacked in memory, up to _MAX_KEPT each
def _kept_member_pages(folder: Folder, name: str, token: str, where: Inside) -> TiffPages:
    return TiffPages(open_source(folder, name, token, where, 0))


@lru_cache(maxsize=16)
def _open_archive(folder: Folder, name: str, token: str, size: int) -> RangedBytes:
    return RangedBytes(partial(_fetch, folder, name, token), size)


@lru_cache(maxsize=4)
def _zip_members(folder: Folder, name: str, token: str, size: int) -> dict[str, Member]:
    return {member.name: member for member in read_contents(folder, name, token, size).members}


def _fetch(folder: Folder, name: str, token: str, start: int, size: int) -> bytes:
    data = folder.read(name, token=token, start=start, size=size)
    if len(data) != size:
        raise ChangedObjectError(
            "the object is shorter than it was listed; it is read again at the next look", key=name
        )
    return data
