"""Faults of a disk and of a clock, switched while processes run: what ``libfaults.c`` does, told from Python."""

from __future__ import annotations

import contextlib
import enum
import errno
import mmap
import os
import struct
import subprocess
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Self

from tests.parts import require

SOURCE = Path(__file__).with_name("libfaults.c")
FLAGS = ("-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror")
_FIELDS = {
    "clock_offset_ns": "q",
    "room_bytes": "q",
    "countdown": "q",
    "seed": "Q",
    "error": "I",
    "chance_ppm": "I",
    "slow_us": "I",
    "kinds": "I",
    "lost": "I",
    "unused": "I",
    "calls": "Q",
    "failures": "Q",
    "word": "128s",
    **{f"root{number}": "512s" for number in range(4)},
}
_PLACES = {
    name: (form, struct.calcsize("<" + "".join(list(_FIELDS.values())[:number])))
    for number, (name, form) in enumerate(_FIELDS.items())
}
SIZE = struct.calcsize("<" + "".join(_FIELDS.values()))


class Calls(enum.IntFlag):
    """Calls of the system that can fail: opening to write, writing, syncing, putting into place, making a folder.

    ``LINK`` are those that put a file into place unless there is one; ``PLACE`` means them as well.
    """

    OPEN = 1
    WRITE = 2
    SYNC = 4
    PLACE = 8
    FOLDER = 16
    LINK = 32


ALL_CALLS = Calls.OPEN | Calls.WRITE | Calls.SYNC | Calls.PLACE | Calls.FOLDER


class Shim:
    """The control file of processes that were started with ``environment()``; every change counts at once.

    Parameters
    ----------
    folder
        Where the library is compiled to and the control file lies.
    roots
        At most four folders whose files are meant by faults of the disk.
    seed
        Decides which calls fail where they fail by chance.
    attach
        Take the control file that somebody else made, e.g. in a process that is to suffer itself.
    """

    def __init__(self, folder: Path, roots: tuple[Path, ...] = (), seed: int = 0, *, attach: bool = False) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "control"
        if not attach:
            path.write_bytes(bytes(SIZE))
        with open(path, "r+b") as file:
            self._map = mmap.mmap(file.fileno(), SIZE)
        self._set(room_bytes=-1, seed=seed, kinds=ALL_CALLS)
        for number, root in enumerate(roots):
            self._set(**{f"root{number}": os.fsencode(root.resolve())})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end_all()

    @cached_property
    def library(self) -> Path:
        """The compiled library; without a C compiler the test that asks is skipped."""
        library = self.folder / "libfaults.so"
        command = [require("gcc"), *FLAGS, "-o", str(library), str(SOURCE), "-ldl"]
        subprocess.run(command, check=True, timeout=60)
        return library

    def environment(self) -> dict[str, str]:
        """Variables for processes that are to suffer, and for all that they start."""
        return {"LD_PRELOAD": str(self.library), "FAULTS_CONTROL": str(self.folder / "control")}

    # ---- clock

    def set_clock(self, ahead_s: float) -> None:
        """Put the clock ahead of the right time, or behind it by a negative number of seconds; 0 sets it right."""
        self._set(clock_offset_ns=round(ahead_s * 1e9))

    # ---- disk

    def fail(
        self,
        error: int = errno.EIO,
        *,
        chance: float = 1.0,
        kinds: Calls = ALL_CALLS,
        word: str = "",
        lost: bool = False,
    ) -> None:
        """Let calls fail from now on, by a chance each; ``lost``: files are put into place all the same."""
        self._set(kinds=kinds, word=word.encode(), lost=int(lost), chance_ppm=round(chance * 1e6), error=error)

    def fail_call(
        self, number: int, error: int = errno.ENOSPC, *, kinds: Calls = ALL_CALLS, word: str = "", lost: bool = False
    ) -> None:
        """Let the call of that number from now on fail, and no other."""
        self._set(kinds=kinds, word=word.encode(), lost=int(lost), chance_ppm=0, countdown=number, error=error)

    def fill(self, room_bytes: int = 0) -> None:
        """Let the disk be full once so many more bytes were written; the last write is cut short."""
        self._set(room_bytes=room_bytes)

    def slow(self, seconds: float) -> None:
        """Let each call take longer."""
        self._set(slow_us=round(seconds * 1e6))

    def mend_disk(self) -> None:
        """Let the disk be well again."""
        self._set(error=0, chance_ppm=0, countdown=0, slow_us=0, room_bytes=-1, lost=0, word=b"", kinds=ALL_CALLS)

    def end_all(self) -> None:
        """Let disk and clock be well again."""
        self.mend_disk()
        self.set_clock(0)

    @contextlib.contextmanager
    def ended(self) -> Iterator[Self]:
        """End all faults after the block."""
        try:
            yield self
        finally:
            self.end_all()

    @property
    def calls(self) -> int:
        """Calls that were meant so far."""
        return self._get("calls")

    @property
    def failures(self) -> int:
        """Calls that failed so far."""
        return self._get("failures")

    def _set(self, **values: int | bytes) -> None:
        for name, value in values.items():
            form, place = _PLACES[name]
            struct.pack_into(f"<{form}", self._map, place, value)

    def _get(self, name: str) -> int:
        form, place = _PLACES[name]
        return struct.unpack_from(f"<{form}", self._map, place)[0]
