"""Image files: TIFF, PNG, Cellomics' bitmaps, archives of arrays; and archives of images."""

from __future__ import annotations

import io
import tempfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from imaging.byte_sources import WholeBytes
from imaging.decode import MAX_PIXELS, decode_labels, decode_plane, decode_segments
from imaging.formats.archives import read_through_archives
from imaging.formats.contents_check import find_content_fault
from imaging.formats.inside import parse_inside, read_plane
from imaging.formats.ome_tiff import OME_TIFF
from imaging.image_headers import read_header
from imaging.npz_planes import find_npz_arrays, read_npz_array
from imaging.tiff_pages import TiffPages, read_segments
from tests.fuzz.damage import change, damaged, edits
from tests.fuzz.promise import Target, answer, check_sentence
from tests.fuzz.uploads import upload
from tests.odd_files import c01, picture, png, tarred, tiff, zipped

SMALL = picture(12, 17)
STACK = np.stack([SMALL, SMALL + 1, SMALL + 2])
WAYS: list[dict[str, Any]] = [
    {},
    {"compression": "lzw"},
    {"compression": "zlib", "predictor": True, "rowsperstrip": 5},
    {"compression": "packbits"},
    {"tile": (16, 16), "compression": "zlib"},
    {"bigtiff": True},
    {"byteorder": ">", "rowsperstrip": 3},
    {"description": '<OME><Pixels PhysicalSizeX="0.3"><Channel Name="DNA"/></Pixels></OME>'},
]
TIFFS = (
    *(tiff(SMALL, **options) for options in WAYS),
    tiff(SMALL.astype(np.uint8)),
    tiff(STACK, photometric="minisblack"),
    tiff(STACK, photometric="minisblack", tile=(16, 16), compression="zlib"),
)
LABELS = (*(tiff(SMALL.astype(kind)) for kind in ("uint8", "int16", "uint32", "int32")),)
_ROWS = b"".join(b"\0" + row.astype(">u2").tobytes() for row in SMALL)
PNGS = (png(12, 17, zlib.compress(_ROWS)), png(12, 17, zlib.compress(_ROWS), (b"tEXt", b"a\0b")))
C01S = (c01(SMALL), c01(SMALL.astype(np.uint8), bits=8))


def try_plane(data: bytes) -> None:
    """A plane of unsigned pixels of the header's shape, and what the look at its arrival says of it agrees."""
    plane = answer(decode_plane, data, name="a.tif")
    header = read_header(io.BytesIO(data))
    assert header.pixel_size_um is None or 0 < header.pixel_size_um <= 1000
    objects, folder = upload({"a.tif": data})
    fault = find_content_fault(folder, "a.tif", objects[0].token, len(data))
    if fault is not None:
        check_sentence(fault)
    if plane is None:
        return
    assert fault is None, f"the pixels can be read, and yet it is said of the file: {fault}"
    assert plane.ndim == 2
    assert 0 < plane.size <= MAX_PIXELS
    assert plane.dtype in (np.uint8, np.uint16)
    assert plane.dtype.isnative
    again, digest, _ = read_plane(folder.store, "a.tif", token=objects[0].token)
    assert np.array_equal(again, plane)
    assert digest


def try_pages(data: bytes) -> None:
    """Each page is a plane or a sentence, whatever number is asked for."""
    pages = answer(TiffPages, WholeBytes(data))
    for page in (1, 2, 3, 70_000) if pages is not None else ():
        answer(lambda page=page: decode_segments(*read_segments(pages.source, pages.layout(page))))
    if pages is not None:
        assert len(answer(pages.description, 1_000) or b"") <= 1_000


def try_labels(data: bytes) -> None:
    """Whole numbers in two dimensions."""
    labels = answer(decode_labels, data, name="labels.tif")
    assert labels is None or (labels.ndim == 2 and labels.dtype.kind in "iu")


def repair_sums(data: bytes) -> bytes:
    """Make the checksums of a PNG's parts right again, so that what is behind them is reached."""
    place, parts = 8, [data[:8]]
    while place + 12 <= len(data):
        end = place + 8 + int.from_bytes(data[place : place + 4], "big")
        if end + 4 > len(data):
            break
        parts += [data[place:end], zlib.crc32(data[place + 4 : end]).to_bytes(4, "big")]
        place = end + 4
    return b"".join(parts) + data[place:]


@st.composite
def bitmaps(draw: st.DrawFn) -> bytes:
    """Cellomics' files whose bitmap is damaged before it is packed, or the packed file is."""
    whole = draw(st.sampled_from(C01S))
    inner = change(zlib.decompress(whole[4:]), draw(edits(most=3)), whole)
    return draw(st.sampled_from([whole[:4] + zlib.compress(inner), inner, change(whole, draw(edits(most=2)), whole)]))


ARCHIVED = {"P/B03_s1.ome.tif": TIFFS[0], "P/B03_s2.ome.tif": TIFFS[2], "note.txt": b"hello" * 40}
ZIPS = (zipped(ARCHIVED), zipped(ARCHIVED, 8))
TARS = (tarred(ARCHIVED), tarred({"d" * 120 + "/B03_s1.ome.tif": TIFFS[0]}), tarred(ARCHIVED, form=1))


def try_archive(case: tuple[str, bytes]) -> None:
    """Every member is a plane, passed over or refused, and planes that are named can be read or are faults."""
    name, data = case
    objects, folder = upload({name: data})
    delivery = read_through_archives(OME_TIFF, objects, folder)
    for passed in delivery.passed_over:
        check_sentence(passed.reason)
        assert passed.name.isprintable()
    for plane in delivery.planes[:4]:
        assert str(parse_inside(plane.inside)) == plane.inside
        answer(read_plane, folder.store, name, token=objects[0].token, inside=plane.inside, size=len(data))


def _npz(**options: Any) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **options) if len(options) > 1 else np.savez(file, **options)
    return file.getvalue()


NPZS = (_npz(a=SMALL), _npz(a=SMALL, b=SMALL.astype(np.uint8)))


def try_npz(data: bytes) -> None:
    """Arrays that are found are read, or are faults."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.npz")
        path.write_bytes(data)
        for name in answer(find_npz_arrays, path) or ():
            plane = answer(read_npz_array, path, name)
            assert plane is None or plane.ndim == 2


TARGETS = (
    Target("TIFF", damaged(*TIFFS), try_plane),
    Target("TIFF pages", damaged(*TIFFS), try_pages),
    Target("label images", damaged(*LABELS, *TIFFS[:2]), try_labels),
    Target("PNG", damaged(*PNGS).map(repair_sums) | damaged(*PNGS), try_plane),
    Target("C01 and DIB", bitmaps(), try_plane),
    Target("zip", st.tuples(st.just("a.zip"), damaged(*ZIPS)), try_archive),
    Target("tar", st.tuples(st.just("a.tar"), damaged(*TARS)), try_archive),
    Target("npz", damaged(*NPZS), try_npz),
)
