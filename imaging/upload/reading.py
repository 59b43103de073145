"""Reading a file that somebody else may be writing: in pieces, with the file closed in between.

On Windows an open file cannot be renamed or deleted, and the microscope's program must be able to.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from imaging.upload.completeness import IMAGE_SUFFIXES, find_cut
from imaging.upload.source import SourceFile, system_path
from imaging.upload.sums import Summing, Sums

WHOLE = 32 << 20
"""Bytes up to which a file is read at once and sent in one request."""
PIECE = 8 << 20
"""Bytes of each piece of a larger one."""

Open = Callable[[str], BinaryIO]


class NotReadyError(Exception):
    """The file cannot be read now, and may be a little later; says why."""


class LockedFileError(NotReadyError):
    """The system does not let us read the file: another program has it, or we have no permission."""


def open_to_read(path: str) -> BinaryIO:
    """Open a file for reading its bytes."""
    return open(path, "rb")


@dataclass
class Reading:
    """One version of a file.

    Parameters
    ----------
    file
        The version, as the folder's listing told it.
    folder
        The folder that it is in.
    open_file
        How files are opened.

    Attributes
    ----------
    sums
        Sums of what was read, once all was.
    """

    file: SourceFile
    folder: Path
    open_file: Open = open_to_read
    sums: Sums | None = None
    _data: bytes | None = None

    @property
    def is_whole(self) -> bool:
        """Whether it is small enough to be held in memory and sent in one request."""
        return self.file.size <= WHOLE

    def check(self) -> None:
        """Find out whether the file is still this version.

        Raises
        ------
        NotReadyError
            If it changed, is gone, or may not be read.
        """
        with _told():
            state = os.stat(self._path)
        if (state.st_size, state.st_mtime_ns) != (self.file.size, self.file.mtime_ns):
            raise NotReadyError("it changes")

    def find_cut(self) -> str:
        """Why the image is not complete; nothing if it is, or if it is no image.

        Raises
        ------
        NotReadyError
            As ``check``.
        """
        if not self.file.path.lower().endswith(IMAGE_SUFFIXES):
            return ""
        if self.is_whole:
            return find_cut(self.file.path, io.BytesIO(self.data()), self.file.size)
        with _told(), self.open_file(self._path) as file:
            return find_cut(self.file.path, file, self.file.size)

    def data(self) -> bytes:
        """All bytes of the file; they stay in memory.

        Raises
        ------
        NotReadyError
            As ``check``.
        """
        if self._data is None:
            self._data = b"".join(self._read())
        return self._data

    def pieces(self) -> Iterator[bytes]:
        """Bytes of the file in pieces; ``sums`` are there after the last.

        Raises
        ------
        NotReadyError
            As ``check``, before the last piece is given: whoever takes them never has all of a file that changed.
        """
        yield from [self.data()] if self.is_whole else self._read()

    def all_sums(self) -> Sums:
        """Sums of the file, which is read for them if it was not yet."""
        if self.sums is None:
            for _ in self.pieces():
                pass
        assert self.sums is not None
        return self.sums

    @property
    def _path(self) -> str:
        return system_path(self.folder / self.file.path)

    def _read(self) -> Iterator[bytes]:
        summing, size = Summing(), self.file.size
        while True:
            with _told(), self.open_file(self._path) as file:
                file.seek(summing.size)
                piece = file.read(min(size if self.is_whole else PIECE, size - summing.size))
            summing.add(piece)
            if summing.size == size or not piece:
                break
            yield piece
        self.check()
        if summing.size != size:
            raise NotReadyError("it changes")
        self.sums = summing.sums()
        yield piece


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Give the system's errors our names."""
    try:
        yield
    except FileNotFoundError as error:
        raise NotReadyError("it is gone") from error
    except PermissionError as error:
        raise LockedFileError(f"it may not be read ({error.strerror})") from error
    except OSError as error:
        raise NotReadyError(f"it cannot be read ({error.strerror})") from error
