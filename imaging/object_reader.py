"""An object of an object store as a file of Python's, read piece by piece."""

from __future__ import annotations

import io
import os
from typing import Any


class ObjectReader(io.RawIOBase):
    """What libraries that read files take; obstore's own reader has ``closed`` as a method.

    Parameters
    ----------
    file
        A reader of obstore's.
    """

    def __init__(self, file: Any) -> None:
        self._file = file

    def readable(self) -> bool:
        """It can be read."""
        return True

    def seekable(self) -> bool:
        """It can be read at any place."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place; return it, in bytes from the beginning."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """The place, in bytes from the beginning."""
        return self._file.tell()

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer; return how many bytes came."""
        data = self._file.read(len(buffer))
        buffer[: len(data)] = bytes(data)
        return len(data)
