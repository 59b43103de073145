"""What was found equal before, one line per file, on the microscope's computer: it saves reading files again.

Nothing depends on it. It may be lost, cut short, or written by two at once: a line that makes no sense is passed over,
and one that is no longer true does not agree with the file and the store, which are looked at each time.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from imaging.names import hash_of
from imaging.upload.sums import Sums


@dataclass(frozen=True, slots=True)
class Noted:
    """A version of a file, its sums, and the token of the object that was equal to it."""

    size: int
    mtime_ns: int
    sums: Sums
    token: str


class Journal:
    """The journal of one folder and one destination; a context manager. A folder of ``None`` keeps none."""

    def __init__(self, folder: Path | None, source: Path, destination: str) -> None:
        name = hash_of([str(source.absolute()), destination])
        self.path = folder / f"{name}.jsonl" if folder else None
        self._noted: dict[str, Noted] = {}
        self._file = None

    def __enter__(self) -> Self:
        if self.path is not None:
            try:
                self._noted = dict(_read(self.path))
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._file = self.path.open("a", encoding="utf-8")
                self._file.write("\n")  # after a line that a kill cut short
            except OSError:  # a full or read-only disk: then there is no journal
                self._file = None
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def get(self, path: str, size: int, mtime_ns: int) -> Noted | None:
        """What was noted of this version of a file."""
        noted = self._noted.get(path)
        return noted if noted is not None and (noted.size, noted.mtime_ns) == (size, mtime_ns) else None

    def note(self, path: str, mtime_ns: int, sums: Sums, token: str) -> None:
        """Note that an object is equal to a version of a file."""
        if self._file is None:
            return
        line = json.dumps([path, sums.size, mtime_ns, sums.md5, sums.crc32c, token])
        try:
            self._file.write(line + "\n")
            self._file.flush()
        except OSError:  # the disk is full: no more is noted
            self._file = None


def _read(path: Path) -> list[tuple[str, Noted]]:
    found = []
    if not path.exists():
        return found
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            name, size, mtime_ns, md5, crc32c, token = json.loads(line)
        except (ValueError, TypeError):  # cut short by a kill, or written by two at once
            continue
        if isinstance(name, str):
            found.append((name, Noted(size, mtime_ns, Sums(size, md5, crc32c), token)))
    return found
