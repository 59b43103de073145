"""An object of a folder as a file: only what is read of it is fetched."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import BinaryIO

from imaging.formats.contract import Folder, FoundPlane
from imaging.formats.inside import open_source, parse_inside
from imaging.store import StoredObject

_BLOCK = 65_536


def open_object(folder: Folder, item: StoredObject, *, block: int = _BLOCK) -> BinaryIO:
    """Open an object for reading and seeking; it is fetched in blocks of so many bytes, only where it is read."""

    def fetch(start: int, size: int) -> bytes:
        return folder.read(item.key, token=item.token, start=start, size=size)

    return io.BufferedReader(_Ranges(fetch, item.size), block)


def open_file_of(folder: Folder, plane: FoundPlane) -> BinaryIO | None:
    """Open the file that a plane is in, an object or a member of an archive; ``None`` for the array of a Zarr.

    Raises
    ------
    UnreadableImageError
        If the archive is damaged.
    """
    where, item = parse_inside(plane.inside), plane.item
    if where.array:
        return None
    source = open_source(folder, item.key, item.token, where, item.size)
    return io.BufferedReader(_Ranges(lambda start, size: bytes(source.read(start, size)), source.size), _BLOCK)


class _Ranges(io.RawIOBase):
    """Bytes as a raw file: each read is one request for a range."""

    def __init__(self, fetch: Callable[[int, int], bytes], size: int) -> None:
        self._fetch, self._size, self._at = fetch, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        size = min(len(buffer), self._size - self._at)
        if size <= 0:
            return 0
        data = self._fetch(self._at, size)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
