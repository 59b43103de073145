"""Members of an archive: what they are called, where they lie, and their bytes; nothing is unpacked to a disk.

A name that could leave the folder, a link, an encrypted or nested archive, a size that cannot be true: such a member is
refused, in a sentence, and the others are taken.
"""

from __future__ import annotations

import posixpath
import re
import zlib
from dataclasses import dataclass
from typing import Literal

from imaging.byte_sources import ByteSource, PartOfBytes
from imaging.errors import UnreadableImageError
from imaging.store import RefusedName

MAX_MEMBERS = 200_000
MAX_MEMBER_BYTES = 1024**3
MAX_UNPACKED = 300 * 1024**2
"""Bytes of a deflated member, which is unpacked in memory; those of a stored one are read where they are needed."""
MAX_NAME_BYTES = 1_024
MAX_DEFLATION = 1_100
"""Bytes that deflate can make of one; it reaches 1,032."""
_PIECE = 1024 * 1024

_DRIVE = re.compile(r"[A-Za-z]:")
ARCHIVES = (".zip", ".tar")
"""Endings of archives that are read in place, in small letters."""
COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".lz4", ".tar.z", ".tgz", ".tbz", ".tbz2", ".txz", ".7z", ".rar")
"""Endings of archives that are not: nothing in them can be found without unpacking all before it."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file in an archive: name, bytes unpacked, and where it lies.

    ``start`` is the first byte of its own header in the archive; ``stored`` the bytes of its data there, ``crc`` their
    checksum unpacked where the archive has one.
    """

    name: str
    size: int
    start: int
    stored: int
    method: Literal["stored", "deflated"] = "stored"
    crc: int | None = None


@dataclass(frozen=True, slots=True)
class Contents:
    """What an archive holds."""

    members: tuple[Member, ...]
    refused: tuple[RefusedName, ...] = ()


def find_name_fault(name: str) -> str | None:
    """Say why a member of this name is not taken, or ``None``."""
    if len(name.encode(errors="replace")) > MAX_NAME_BYTES:
        return f"its name has more than {MAX_NAME_BYTES:,} bytes"
    if not name.isprintable():
        return "its name has a control character; rename the file and pack it again"
    if name.startswith(("/", "\\")) or _DRIVE.match(name):
        return "its name is an absolute path, which could lead out of the folder"
    if ".." in re.split(r"[/\\]", name):
        return "its name leads out of the folder (..)"
    if posixpath.normpath(name) != name:
        return "its name is no plain path"
    if name.lower().endswith((*ARCHIVES, *COMPRESSED)):
        return "it is an archive inside an archive, which is not read; unpack it once"
    return None


def find_size_fault(member: Member, archive_size: int) -> str | None:
    """Say why a member's sizes cannot be true or are too large, or ``None``."""
    if member.start + member.stored > archive_size:
        return "the archive is cut off: the member reaches beyond its end"
    if member.size > MAX_MEMBER_BYTES:
        return f"it has {member.size:,} bytes unpacked; {MAX_MEMBER_BYTES:,} are the limit"
    if member.method == "deflated" and member.size > MAX_UNPACKED:
        return f"it has {member.size:,} bytes unpacked; {MAX_UNPACKED:,} are the limit, so pack it without compression"
    if member.method == "deflated" and member.size > MAX_DEFLATION * max(member.stored, 16):
        return f"it claims {member.size:,} bytes packed in {member.stored:,}, which no packer reaches"
    if member.method == "stored" and member.size != member.stored:
        return "its header is damaged: it is not packed and has two sizes"
    return None


def take_members(members: list[Member], refused: list[RefusedName], archive_size: int) -> Contents:
    """Refuse members of bad names and sizes, and all of one name but the first."""
    taken: dict[str, Member] = {}
    for member in members:
        fault = find_name_fault(member.name) or find_size_fault(member, archive_size)
        if fault is None and member.name in taken:
            fault = "it is a second member of this name; the first one is taken"
        if fault is None:
            taken[member.name] = member
        else:
            refused.append(RefusedName(show(member.name), fault))
    return Contents(tuple(taken.values()), tuple(refused))


def show(name: str) -> str:
    """Printable form of a name, cut where it is very long."""
    printable = name if name.isprintable() else name.encode("unicode_escape").decode()
    return printable if len(printable) <= 300 else f"{printable[:297]}..."


def open_data(archive: ByteSource, member: Member, data_start: int) -> ByteSource:
    """Bytes of a member whose data begin at a byte: a part of the archive, or unpacked in memory and checked.

    Raises
    ------
    UnreadableImageError
        If they are damaged or cut off.
    """
    if data_start + member.stored > archive.size:
        raise UnreadableImageError("the archive is cut off: the member reaches beyond its end")
    part = PartOfBytes(archive, data_start, member.stored)
    return part if member.method == "stored" else DeflatedBytes(part, member)


class DeflatedBytes:
    """A deflated member; its beginning is unpacked by itself, for mostly nothing else is looked at."""

    def __init__(self, part: PartOfBytes, member: Member) -> None:
        self.size = member.size
        self._part = part
        self._member = member
        self._head: bytes | None = None
        self._whole: memoryview | None = None

    def read(self, start: int, size: int) -> memoryview | bytes:
        """Give a piece, from the beginning if it lies there.

        Raises
        ------
        UnreadableImageError
            If the member is damaged.
        """
        if self._whole is None and start + size <= _PIECE:
            if self._head is None:
                self._head = bytes(_inflate(self._part, self._member, min(_PIECE, self.size)))
            return self._head[start : start + size]
        if self._whole is None:
            self._whole = memoryview(_inflate(self._part, self._member, self.size))
        return self._whole[start : start + size]


def _inflate(part: PartOfBytes, member: Member, most: int) -> bytearray:
    """Unpack so many bytes of a member; all of them are checked."""
    unpacked, end, crc, stream = bytearray(most), 0, 0, zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        for start in range(0, part.size, _PIECE):
            stored = part.read(start, _PIECE)
            while end < most:  # also without more to unpack: it may hold back what did not fit into the last piece
                piece = stream.decompress(stored, min(_PIECE, most - end))
                if not piece:
                    break
                unpacked[end : end + len(piece)] = piece
                crc, end, stored = zlib.crc32(piece, crc), end + len(piece), stream.unconsumed_tail
            if end == most or stream.eof:  # what lies behind the end would be gathered in memory
                break
        is_whole = most < member.size or (not stream.decompress(stored, 1) and stream.eof) if part.size else most == 0
    except zlib.error as error:
        raise UnreadableImageError("the member is damaged: its data cannot be unpacked") from error
    if end != most or not is_whole:
        raise UnreadableImageError(f"the member is damaged: it does not unpack to the {member.size:,} bytes it should")
    if most == member.size and crc != member.crc:
        raise UnreadableImageError("the member is damaged: its checksum differs")
    return unpacked
