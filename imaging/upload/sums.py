"""Sums of what is sent: the two that Google Cloud Storage tells of its objects."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import google_crc32c


@dataclass(frozen=True, slots=True)
class Sums:
    """Size in bytes, MD5 in hexadecimal digits, CRC32C in base64 as Google writes it."""

    size: int
    md5: str
    crc32c: str

    @classmethod
    def of(cls, pieces: Iterable[bytes]) -> Self:
        """Sums of bytes that come in pieces."""
        summing = Summing()
        for piece in pieces:
            summing.add(piece)
        return cls(summing.size, *summing.digests())


class Summing:
    """Sums of bytes that pass by."""

    def __init__(self) -> None:
        self.size = 0
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._crc = 0

    def add(self, piece: bytes) -> None:
        """Take the next bytes."""
        self.size += len(piece)
        self._md5.update(piece)
        self._crc = google_crc32c.extend(self._crc, piece)

    def digests(self) -> tuple[str, str]:
        """MD5 and CRC32C so far, written as in ``Sums``."""
        return self._md5.hexdigest(), base64.b64encode(self._crc.to_bytes(4, "big")).decode()

    def sums(self) -> Sums:
        """Size and sums so far."""
        return Sums(self.size, *self.digests())
