"""Bytes that are read piece by piece: a file in memory, an object of a store, a part of either.

A header of a few hundred bytes says what is in a file of gigabytes, so whoever reads headers takes a source: it knows
its size and gives any piece. A piece that reaches beyond the end comes back shorter, as of a file.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

BLOCK = 64 * 1024
"""Bytes that are fetched at once where a header is walked: small pieces lie close to each other."""
_MAX_BLOCKS = 64


class ByteSource(Protocol):
    """Something with a size that gives pieces of itself."""

    @property
    def size(self) -> int:
        """Bytes in all."""
        ...

    def read(self, start: int, size: int) -> memoryview | bytes:
        """Bytes from ``start`` on, at most ``size``; fewer at the end, none beyond it."""
        ...


class WholeBytes:
    """Bytes that are in memory already; pieces are views of them."""

    def __init__(self, data: bytes | memoryview) -> None:
        self._view = memoryview(data)
        self.size = len(self._view)

    def read(self, start: int, size: int) -> memoryview:
        """Give a view."""
        return self._view[start : start + size]


class RangedBytes:
    """An object that is fetched by ranges, small ones in blocks that are kept for the next.

    Parameters
    ----------
    fetch
        Gives the bytes from a start, at most so many.
    size
        Bytes of the whole object.
    """

    def __init__(self, fetch: Callable[[int, int], bytes], size: int) -> None:
        self._fetch = fetch
        self.size = size
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, start: int, size: int) -> bytes:
        """Fetch a piece, or take it from the blocks that were fetched."""
        size = max(0, min(size, self.size - start))
        if size > BLOCK:
            return self._fetch(start, size)
        first, last = start // BLOCK, (start + size - 1) // BLOCK
        joined = b"".join(self._block(number) for number in range(first, last + 1)) if size else b""
        return joined[start - first * BLOCK : start - first * BLOCK + size]

    def _block(self, number: int) -> bytes:
        with self._lock:
            if number in self._blocks:
                self._blocks.move_to_end(number)
                return self._blocks[number]
        block = self._fetch(number * BLOCK, min(BLOCK, self.size - number * BLOCK))
        with self._lock:
            self._blocks[number] = block
            while len(self._blocks) > _MAX_BLOCKS:
                self._blocks.popitem(last=False)
        return block


@dataclass(frozen=True, slots=True)
class PartOfBytes:
    """A part of another source, such as a member of an archive."""

    whole: ByteSource
    start: int
    size: int

    def read(self, start: int, size: int) -> memoryview | bytes:
        """Give a piece of the part, nothing behind it."""
        return self.whole.read(self.start + start, max(0, min(size, self.size - start)))
