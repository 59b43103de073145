"""An object of any store as a file of Python's, read piece by piece."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from typing import BinaryIO, cast

from imaging.store import Store

AHEAD_BYTES = 8_000_000
"""Bytes that are fetched at once from an object store, where an answer takes tens of milliseconds."""


@contextlib.contextmanager
def opened(store: Store, key: str) -> Iterator[BinaryIO]:
    """Open an object to be read piece by piece.

    Raises
    ------
    FileNotFoundError
        If there is no such object.
    StoreUnavailableError
        If the storage does not answer, also while the object is being read.
    """
    path = store.local_path(key)
    if path is not None:
        with open(path, "rb") as file:
            yield file
        return
    found = next((item for item in store.list(key.rpartition("/")[0]).objects if item.key == key), None)
    if found is None:
        raise FileNotFoundError(key)
    with io.BufferedReader(_Ranges(store, key, found.size), AHEAD_BYTES) as reader:
        yield cast(BinaryIO, reader)


class _Ranges(io.RawIOBase):
    """Reads ranges of an object."""

    def __init__(self, store: Store, key: str, size: int) -> None:
        self._store, self._key, self._size, self._place = store, key, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._place = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        return self._place

    def tell(self) -> int:
        return self._place

    def readinto(self, buffer: memoryview) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        size = min(len(buffer), max(0, self._size - self._place))
        data = self._store.read(self._key, start=self._place, size=size) if size else b""
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)
