"""Broken and hostile uploads, made here: what a file may do to a reader, each in a few bytes."""

from __future__ import annotations

import functools
import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable

import numpy as np
import tifffile

GIB = 1024**3


def tiff(pixels: np.ndarray, **options: object) -> bytes:
    """A TIFF file of these pixels."""
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **({"metadata": None} | options))  # pyright: ignore[reportArgumentType]
    return file.getvalue()


def picture(height: int = 64, width: int = 80) -> np.ndarray:
    """Grey noise, shape (y, x), uint16."""
    return np.random.default_rng(7).integers(0, 4096, (height, width)).astype(np.uint16)


def craft_tiff(tags: dict[int, tuple[int, int, int]], *, following: int = 0, fill: bytes = b"") -> bytes:
    """A TIFF of one directory at byte 8: tag -> type, count, value."""
    entries = b"".join(struct.pack("<HHII", tag, *rest) for tag, rest in sorted(tags.items()))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + struct.pack("<I", following) + fill


def plane_tags(height: int, width: int, *, size: int, start: int = 200, compression: int = 1) -> dict[int, tuple]:
    """Tags of one 16-bit plane in one strip."""
    values = {256: width, 257: height, 258: 16, 259: compression, 262: 1, 273: start, 277: 1, 278: height, 279: size}
    return {tag: (4, 1, value) for tag, value in values.items()}


def png(height: int, width: int, data: bytes, *extra: tuple[bytes, bytes]) -> bytes:
    """A PNG file, 16-bit grey, of any (compressed) data."""
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 0, 0, 0, 0)), *extra, (b"IDAT", data), (b"IEND", b"")]
    body = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def c01(pixels: np.ndarray, *, bits: int = 16, extra: bytes = b"") -> bytes:
    """A Cellomics .C01 of these pixels."""
    height, width = pixels.shape
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, 0, 0, 0, 0, 0, 0)
    masks = struct.pack("<3I", 31, 992, 64512) if bits == 16 else b""
    return b"\0\0\0\x10" + zlib.compress(header + masks + pixels.tobytes() + extra)


@functools.cache
def zeros_deflated(size: int) -> bytes:
    """So many zero bytes as a zlib stream, made without holding them."""
    stream = zlib.compressobj(9)
    piece = bytes(1 << 20)
    return b"".join(stream.compress(piece) for _ in range(size >> 20)) + stream.flush()


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """A .zip of these members."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 2, 3, 4, 6)), data, method)
    return file.getvalue()


def tarred(members: dict[str, bytes], *links: tuple[str, str], form: int = tarfile.PAX_FORMAT) -> bytes:
    """A plain .tar of these members and symbolic links (name, target)."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for name, target in links:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
    return file.getvalue()


LAUGHS = b"""<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha">%s]><OME><Image ID="&k;"/></OME>""" % b"".join(
    b'<!ENTITY %c "%s">' % (98 + i, b"&%c;" % (97 + i) * 10) for i in range(10)
)
OUTSIDE = b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY x SYSTEM "file:///etc/passwd">]><OME><Image Name="&x;"/></OME>'
_OME = b"""<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="I"><Pixels
DimensionOrder="XYCZT" SizeX="9" SizeY="9" SizeC="%d" SizeZ="%d" SizeT="%d" Type="uint16"/></Image></OME>"""


def _overlapping_zip() -> bytes:
    """Many entries of a table of contents that all point to the same data."""
    whole = zipped({"a.tif": zeros_deflated(8 << 20)})
    start = struct.unpack_from("<L", whole, len(whole) - 6)[0]
    entry = whole[start : len(whole) - 22]
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 5_000, 5_000, 5_000 * len(entry), start, 0)
    return whole[:start] + entry * 5_000 + end


def _many_directories() -> bytes:
    """A thousand directories of a thousand entries, which all lie over each other."""
    entry = struct.pack("<HHII", 270, 2, 1, 0)
    head = b"II*\0\x08\0\0\0"
    body = bytearray(struct.pack("<H", 1000) + entry * 1000)
    return head + bytes(body) + struct.pack("<I", 8)


def _bigtiff_entries() -> bytes:
    return b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 1 << 60) + bytes(100)


MADE: dict[str, Callable[[], bytes]] = {
    "empty.tif": lambda: b"",
    "zero filled.tif": lambda: bytes(1 << 20),
    "zero filled after its header.tif": lambda: tiff(picture(), compression="zlib")[:16] + bytes(6000),
    "cut in half.tif": lambda: tiff(picture())[:5_000],
    "cut in half.png": lambda: png(64, 80, zlib.compress(bytes(64 * 161)))[:60],
    "10 GB in 1 kB.tif": lambda: craft_tiff(plane_tags(70_000, 76_000, size=800), fill=bytes(1024)),
    "10 GB in 1 kB.png": lambda: png(70_000, 76_000, zlib.compress(bytes(900))),
    "250 MB in 1 kB.tif": lambda: craft_tiff(plane_tags(11_000, 12_000, size=800, compression=8), fill=bytes(1024)),
    "as many pixels as can be, as differences.tif": lambda: craft_tiff(
        plane_tags(8_192, 12_288, start=134, size=len(zeros_deflated(192 << 20)), compression=8) | {317: (3, 1, 2)},
        fill=zeros_deflated(192 << 20),
    ),
    "as many pixels as can be.png": lambda: png(8_192, 12_288, zlib.compress(bytes(8_192 * (1 + 2 * 12_288)))),
    "as many pixels as can be.C01": lambda: c01(np.zeros((8_192, 12_288), np.uint16)),
    "deflate that does not end.tif": lambda: craft_tiff(
        plane_tags(64, 64, start=122, size=100_000, compression=8), fill=zeros_deflated(GIB)[:100_000]
    ),
    "more data than pixels.png": lambda: png(16, 16, zeros_deflated(GIB)),
    "text that unpacks to 1 GB.png": lambda: png(
        16, 16, zlib.compress(bytes(16 * 33)), (b"zTXt", b"a\0\0" + zeros_deflated(GIB))
    ),
    "profile that unpacks to 1 GB.png": lambda: png(
        16, 16, zlib.compress(bytes(16 * 33)), (b"iCCP", b"a\0\0" + zeros_deflated(GIB))
    ),
    "directories in a circle.tif": lambda: craft_tiff(
        plane_tags(4, 4, start=122, size=32), following=8, fill=bytes(40)
    ),
    "directories over each other.tif": _many_directories,
    "a directory of 2^60 entries.tif": _bigtiff_entries,
    "more data than pixels.C01": lambda: c01(np.zeros((8, 8), np.uint16), extra=bytes(200 << 20)),
    "cut in half.C01": lambda: c01(picture())[:3_000],
    "10 GB in 1 kB.C01": lambda: b"\0\0\0\x10" + zlib.compress(struct.pack("<IiiHHI20x", 40, 70_000, 76_000, 1, 16, 0)),
    "no bitmap.C01": lambda: b"\0\0\0\x10" + zeros_deflated(GIB),
    "entities.companion.ome": lambda: LAUGHS,
    "entity of a file.companion.ome": lambda: OUTSIDE,
    "entities.mlf": lambda: LAUGHS,
    "entities in its description.ome.tif": lambda: tiff(picture(), description=LAUGHS),
    "a billion planes.companion.ome": lambda: _OME % (1000, 1000, 1000),
    "deep.companion.ome": lambda: b"<a>" * 100_000,
    "1 GB.zip": lambda: zipped({"B03_s1.tif": zeros_deflated(GIB)}),
    "250 MB of zeros.zip": lambda: zipped({"B03_s1.ome.tif": bytes(250 << 20)}, zipfile.ZIP_DEFLATED),
    "400 MB of zeros.zip": lambda: zipped({"B03_s1.tif": bytes(400 << 20)}, zipfile.ZIP_DEFLATED),
    "overlapping.zip": _overlapping_zip,
    "outside.zip": lambda: zipped({"../B03.tif": b"x", "/etc/B03.tif": b"x", "C:/B03.tif": b"x", "in.zip": b"x"}),
    "cut.zip": lambda: zipped({"a.tif": tiff(picture())})[:9_000],
    "links.tar": lambda: tarred({"a.tif": tiff(picture())}, ("b.tif", "/etc/passwd"), ("c.tif", "../d.tif")),
    "cut.tar": lambda: tarred({"a.tif": tiff(picture()), "b.tif": tiff(picture())})[:15_000],
    "no tar.tar": lambda: bytes(range(256)) * 40,
}
"""Makers of odd files by name."""
