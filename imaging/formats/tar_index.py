"""The entries of a plain .tar, found one behind the other (POSIX ustar and pax, GNU long names)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from imaging.byte_sources import ByteSource
from imaging.errors import UnreadableImageError
from imaging.formats.members import MAX_MEMBERS, Contents, Member, show, take_members
from imaging.store import RefusedName

_BLOCK = 512
_MAX_RECORD = 64 * 1024  # bytes of a long name or of pax records
_REASONS = {
    "1": "it is a link, which is not followed; pack the file itself",
    "2": "it is a link, which is not followed; pack the file itself",
    "S": "it is packed as a sparse file, which is not read",
}
_PAX = re.compile(rb"(\d{1,5}) ([^=]+)=", re.DOTALL)
_MAX_RECORDS = 16  # entries that only say something of the one behind them


@dataclass
class _Pending:
    """What entries before a member say of it."""

    name: str | None = None
    size: int | None = None
    is_sparse: bool = False


@dataclass
class _Walk:
    members: list[Member] = field(default_factory=list)
    refused: list[RefusedName] = field(default_factory=list)


def read_tar(source: ByteSource) -> Contents:
    """Read what a plain .tar holds; folders are left out.

    Raises
    ------
    UnreadableImageError
        If it is no plain .tar, has too many entries, or its first entry is damaged. An archive that is cut off later
        gives the members before the cut, and one that is refused.
    """
    walk, place, seen = _Walk(), 0, 0
    while True:
        try:
            entry = read_entry(source, place)
        except UnreadableImageError as error:
            if not walk.members:
                raise
            walk.refused.append(RefusedName(f"(what follows {show(walk.members[-1].name)})", error.message))
            break
        if entry is None:
            break
        seen += 1
        if seen > MAX_MEMBERS:
            raise UnreadableImageError(f"the archive has more than {MAX_MEMBERS:,} members, which is the limit")
        member, kind, place = entry
        if kind in ("0", "\0", "7"):
            walk.members.append(member)
        elif kind not in ("5", "g"):
            walk.refused.append(RefusedName(show(member.name), _REASONS.get(kind, "it is no regular file")))
    return take_members(walk.members, walk.refused, source.size)


def read_entry(source: ByteSource, place: int) -> tuple[Member, str, int] | None:
    """Read the entry that begins at a byte: the member, its kind, and where the next entry begins; ``None`` at the end.

    A member's ``start`` is that of its first header, which may hold its long name.

    Raises
    ------
    UnreadableImageError
        If there is no entry, or it is damaged.
    """
    pending, start = _Pending(), place
    for _ in range(_MAX_RECORDS):
        header = bytes(source.read(place, _BLOCK))
        if not header.strip(b"\0"):
            return None
        _check(header, place)
        kind, size = chr(header[156]), _number(header[124:136])
        data = place + _BLOCK
        following = data + -(-size // _BLOCK) * _BLOCK
        if kind in ("L", "x", "K"):
            if size > _MAX_RECORD:
                raise UnreadableImageError(f"the archive is damaged: a name of {size:,} bytes at byte {place:,}")
            _remember(pending, kind, bytes(source.read(data, size)))
            place = following
            continue
        if pending.size is not None:
            size = pending.size
            following = data + -(-size // _BLOCK) * _BLOCK
        if kind == "S":
            following += _BLOCK * _count_maps(source, header, data)
        name = pending.name or _name(header)
        kind = "5" if name.endswith("/") and kind == "0" else "S" if pending.is_sparse else kind
        return Member(name.removeprefix("./"), size, start, size), kind, following
    raise UnreadableImageError(f"the archive is damaged: more than {_MAX_RECORDS} records of names at byte {start:,}")


def find_data(source: ByteSource, name: str, start: int) -> tuple[Member, int]:
    """Find the member whose entry begins at a byte, and the first byte of its data.

    Raises
    ------
    UnreadableImageError
        If another entry stands there.
    """
    entry = read_entry(source, start)
    if entry is None or entry[0].name != name:
        raise UnreadableImageError("the archive is damaged: another member stands at the place of this one")
    return entry[0], entry[2] - -(-entry[0].size // _BLOCK) * _BLOCK


def _check(header: bytes, place: int) -> None:
    if len(header) < _BLOCK:
        raise UnreadableImageError(f"the archive is cut off at byte {place:,}, inside an entry")
    total = sum(header) - sum(header[148:156]) + 8 * 32
    try:
        claimed = _number(header[148:156])
    except UnreadableImageError:
        claimed = -1
    if claimed != total:
        what = "it is no plain .tar" if place == 0 else f"its entry at byte {place:,} is damaged"
        raise UnreadableImageError(f"the archive cannot be read: {what}")


def _number(digits: bytes) -> int:
    """Octal digits, or, as GNU writes large numbers, a binary one."""
    if digits[:1] == b"\x80":
        return int.from_bytes(digits[1:], "big")
    text = digits.strip(b"\0 ") or b"0"
    if re.fullmatch(rb"[0-7]+", text) is None:
        raise UnreadableImageError("the archive is damaged: a size is no number")
    return int(text, 8)


def _name(header: bytes) -> str:
    name = header[:100].partition(b"\0")[0]
    prefix = header[345:500].partition(b"\0")[0] if header[257:263] == b"ustar\0" else b""
    return (prefix + b"/" + name if prefix else name).decode("utf-8", "backslashreplace")


def _remember(pending: _Pending, kind: str, data: bytes) -> None:
    if kind == "L":
        pending.name = data.rstrip(b"\0").decode("utf-8", "backslashreplace")
    if kind == "x":
        for key, value in _records(data):
            if key == b"path":
                pending.name = value.decode("utf-8", "backslashreplace")
            elif key == b"size" and value.isdigit() and len(value) < 20:
                pending.size = int(value)
            elif key.startswith(b"GNU.sparse."):
                pending.is_sparse = True


def _records(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of pax records; each says how long it is, for values may have any bytes."""
    place = 0
    while (found := _PAX.match(data, place)) is not None and int(found[1]) > found.end() - place:
        end = place + int(found[1])
        yield found[2], data[found.end() : end].removesuffix(b"\n")
        place = end


def _count_maps(source: ByteSource, header: bytes, data: int) -> int:
    """Blocks between the header of a sparse file as GNU packs it and its data: more of the map of its holes."""
    count, is_more = 0, header[482]
    while is_more and len(block := bytes(source.read(data + count * _BLOCK, _BLOCK))) == _BLOCK:
        count, is_more = count + 1, block[504]
    return count
