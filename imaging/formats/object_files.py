"""An object of a folder as a file: only what is read of it is fetched."""

from __future__ import annotations

import io
from typing import BinaryIO

from imaging.formats.contract import Folder
from imaging.store import StoredObject

_BLOCK = 65_536


def open_object(folder: Folder, item: StoredObject, *, block: int = _BLOCK) -> BinaryIO:
    """Open an object for reading and seeking; it is fetched in blocks of so many bytes, only where it is read."""
    return io.BufferedReader(_Ranges(folder, item), block)


class _Ranges(io.RawIOBase):
    """An object as a raw file: each read is one ranged request of its version."""

    def __init__(self, folder: Folder, item: StoredObject) -> None:
        self._folder, self._item, self._at = folder, item, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._item.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        size = min(len(buffer), self._item.size - self._at)
        if size <= 0:
            return 0
        data = self._folder.read(self._item.key, token=self._item.token, start=self._at, size=size)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
