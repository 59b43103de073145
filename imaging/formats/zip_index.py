"""The table of contents of a .zip, read from its end, and where a member's data begin (APPNOTE 6.3, with Zip64)."""

from __future__ import annotations

import struct

from imaging.byte_sources import ByteSource
from imaging.errors import UnreadableImageError
from imaging.formats.members import MAX_MEMBERS, Contents, Member, show, take_members
from imaging.store import RefusedName

_END = struct.Struct("<4s4H2LH")  # mark, disk, disk of the table, entries here, entries, bytes, start, comment
_END64 = struct.Struct("<4sQ2H2L4Q")
_FINDER64 = struct.Struct("<4sLQL")
_ENTRY = struct.Struct("<4s4B4HL2L5H2L")
_LOCAL = struct.Struct("<4s5HL2L2H")
_MAX_COMMENT = 65_535
_MAX_TABLE = 400 * MAX_MEMBERS
_ENCRYPTED, _UTF8 = 0x1, 0x800
_METHODS = {0: "stored", 8: "deflated"}
_LINK = 0o120000


def read_zip(source: ByteSource) -> Contents:
    """Read what a .zip holds; folders are left out.

    Raises
    ------
    UnreadableImageError
        If the table of contents is missing, damaged or beyond the limits.
    """
    start, size, count = _find_table(source)
    if count > MAX_MEMBERS or size > _MAX_TABLE:
        raise UnreadableImageError(f"the archive has {count:,} members; {MAX_MEMBERS:,} are the limit")
    table = bytes(source.read(start, size))
    members: list[Member] = []
    refused: list[RefusedName] = []
    place = seen = 0
    while place + _ENTRY.size <= len(table) and table[place : place + 4] == b"PK\x01\x02":
        seen += 1
        if seen > MAX_MEMBERS:
            raise UnreadableImageError(f"the archive has more than {MAX_MEMBERS:,} members, which is the limit")
        place = _read_entry(table, place, members, refused)
    if seen != count and seen & 0xFFFF != count:
        raise UnreadableImageError(f"the archive is damaged: its table of contents has {seen:,} of {count:,} members")
    return take_members(members, refused, source.size)


def find_data(source: ByteSource, member: Member) -> int:
    """First byte of a member's data; its own header must carry the name of the table of contents.

    Raises
    ------
    UnreadableImageError
        If there is no such header.
    """
    header = bytes(source.read(member.start, _LOCAL.size))
    if len(header) < _LOCAL.size or header[:4] != b"PK\x03\x04":
        raise UnreadableImageError("the archive is damaged: the member's header is missing")
    _, _, flags, *_, name_size, extra_size = _LOCAL.unpack(header)
    name = bytes(source.read(member.start + _LOCAL.size, name_size))
    if _decode_name(name, flags) != member.name:
        raise UnreadableImageError("the archive is damaged: the member's header has another name")
    return member.start + _LOCAL.size + name_size + extra_size


def _find_table(source: ByteSource) -> tuple[int, int, int]:
    """First byte, bytes and members of the table of contents."""
    tail_start = max(0, source.size - _MAX_COMMENT - _END.size)
    tail = bytes(source.read(tail_start, source.size - tail_start))
    place = tail.rfind(b"PK\x05\x06")
    if place < 0 or place + _END.size > len(tail):
        raise UnreadableImageError("the archive is cut off or no .zip: its table of contents at the end is missing")
    _, _, _, _, count, size, start, _ = _END.unpack_from(tail, place)
    end = tail_start + place
    if 0xFFFF in (count,) or 0xFFFFFFFF in (size, start):
        count, size, start, end = _find_table64(source, end) or (count, size, start, end)
    if start + size > end:
        raise UnreadableImageError("the archive is damaged: its table of contents reaches beyond its end")
    return start, size, count


def _find_table64(source: ByteSource, end: int) -> tuple[int, int, int, int] | None:
    finder = bytes(source.read(end - _FINDER64.size, _FINDER64.size)) if end >= _FINDER64.size else b""
    if finder[:4] != b"PK\x06\x07":
        return None
    _, _, place, _ = _FINDER64.unpack(finder)
    record = bytes(source.read(place, _END64.size)) if place < source.size else b""
    if len(record) < _END64.size or record[:4] != b"PK\x06\x06":
        raise UnreadableImageError("the archive is damaged: its Zip64 table of contents is missing")
    *_, count, size, start = _END64.unpack(record)
    return count, size, start, place


def _read_entry(table: bytes, place: int, members: list[Member], refused: list[RefusedName]) -> int:
    """Read one entry of the table, and say where the next one begins."""
    fields = _ENTRY.unpack_from(table, place)
    system, flags, method, crc, stored, size = fields[2], fields[5], fields[6], fields[9], fields[10], fields[11]
    name_size, extra_size, comment_size, attributes, start = fields[12], fields[13], fields[14], fields[17], fields[18]
    first = place + _ENTRY.size
    following = first + name_size + extra_size + comment_size
    if following > len(table):
        raise UnreadableImageError("the archive is damaged: its table of contents is cut off")
    name = _decode_name(table[first : first + name_size], flags)
    if name.endswith("/"):
        return following
    size, stored, start = _widen(table[first + name_size : first + name_size + extra_size], size, stored, start)
    reason = None
    if flags & _ENCRYPTED:
        reason = "it is encrypted; pack it again without a password"
    elif method not in _METHODS:
        reason = f"its packing method {method} is not read; use none or deflate"
    elif system == 3 and (attributes >> 16) & 0o170000 == _LINK:
        reason = "it is a link, which is not followed; pack the file itself"
    if reason:
        refused.append(RefusedName(show(name), reason))
    else:
        members.append(Member(name, size, start, stored, "deflated" if method == 8 else "stored", crc))
    return following


def _widen(extra: bytes, size: int, stored: int, start: int) -> tuple[int, int, int]:
    """Take from the Zip64 field what did not fit into 32 bits."""
    place = 0
    while place + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, place)
        if kind == 1:
            wide = iter(
                struct.unpack_from(
                    f"<{length // 8}Q", extra[place + 4 : place + 4 + length // 8 * 8].ljust(length // 8 * 8, b"\0")
                )
            )
            size, stored, start = (
                next(wide, value) if value == 0xFFFFFFFF else value for value in (size, stored, start)
            )
        place += 4 + length
    return size, stored, start


def _decode_name(name: bytes, flags: int) -> str:
    """Read a name as UTF-8 where it is, else as packers of DOS wrote it; backslashes of Windows are slashes."""
    try:
        text = name.decode("utf-8")
    except UnicodeDecodeError:
        text = name.decode("utf-8", "backslashreplace") if flags & _UTF8 else name.decode("cp437")
    return text.replace("\\", "/") if "/" not in text else text
