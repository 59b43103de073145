"""What the header of an image says: full scale, size of a pixel, stain, wavelength, exposure."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest

from imaging.image_headers import ImageHeader, read_header
from tests.imaging.looks import BITS, METASERIES, OME, PLANE, WAVE, tiff
from tests.odd_files import craft_tiff, plane_tags


@pytest.mark.parametrize(
    ("file", "full_scale"),
    [
        (tiff(PLANE), 65535),
        (tiff(PLANE.astype(np.uint8)), 255),
        (tiff(PLANE, extratags=[(281, 3, 1, 4095, True)]), 4095),
        (tiff(PLANE, extratags=[(281, 3, 1, 20000, True)]), 65535),
        (tiff(PLANE.astype(np.int16)), None),
        (tiff(PLANE.astype(np.float32)), None),
        (io.BytesIO(b"\x89PNG\r\n\x1a\n" + b"\0" * 16 + bytes([16, 0])), 65535),
        (io.BytesIO(b"\x89PNG\r\n\x1a\n"), None),
        (io.BytesIO(b"no image at all"), None),
        (io.BytesIO(b""), None),
        (io.BytesIO(b"II*\0" + struct.pack("<I", 10**6)), None),
        (io.BytesIO(b"II*"), None),
        (io.BytesIO(craft_tiff(plane_tags(4, 4, size=32) | {277: (4, 3, 8)}, fill=bytes(300))), None),
    ],
)
def test_the_full_scale_comes_from_the_header(file: io.BytesIO, full_scale: int | None) -> None:
    assert read_header(file).full_scale == full_scale


def test_a_header_is_read_without_any_pixel() -> None:
    whole = tiff(np.zeros((512, 512), np.uint8)).getvalue()
    assert read_header(io.BytesIO(whole[:512])).full_scale == 255


@pytest.mark.parametrize(
    ("text", "header"),
    [
        (METASERIES, ImageHeader(65535, 0.65, "DAPI")),
        (METASERIES + WAVE, ImageHeader(65535, 0.65, "DAPI", 452.0, 0.1)),
        (METASERIES + WAVE.replace("100 ms", "2 s"), ImageHeader(65535, 0.65, "DAPI", 452.0, 2.0)),
        (METASERIES + WAVE.replace("100 ms", "soon"), ImageHeader(65535, 0.65, "DAPI", 452.0)),
        (METASERIES + BITS, ImageHeader(4095, 0.65, "DAPI")),
        (METASERIES + BITS + '<prop id="camera-binning-x" value="1"/>', ImageHeader(4095, 0.65, "DAPI")),
        (METASERIES + BITS + '<prop id="camera-binning-x" value="2"/>', ImageHeader(65535, 0.65, "DAPI")),
        (METASERIES.replace('value="um"', 'value="pixel"'), ImageHeader(65535, None, "DAPI")),
        (OME, ImageHeader(65535, 0.3, "Hoechst")),
        (OME.replace("µm", "mm"), ImageHeader(65535, None, "Hoechst")),
        (OME.replace("0.3", "0"), ImageHeader(65535, None, "Hoechst")),
        (OME.replace("0.3", "1e-e"), ImageHeader(65535, None, "Hoechst")),
        ("a plain description", ImageHeader(65535)),
    ],
)
def test_pixel_size_and_stain_come_from_the_description(text: str, header: ImageHeader) -> None:
    assert read_header(tiff(PLANE, description=text.encode(), metadata=None)) == header
