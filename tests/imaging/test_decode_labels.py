"""Label images of TIFF and PNG files: whole numbers of any size, everything else a sentence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from imaging.decode import decode_labels
from imaging.errors import UnreadableImageError
from tests.imaging.test_decode import picture, png, tiff


@pytest.mark.parametrize("dtype", ["u1", "u2", ">u2", "u4", ">u4", "i1", "i2", "i4"])
@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"compression": "lzw", "predictor": True}])
def test_labels_of_any_whole_type_are_read(dtype: str, options: dict[str, Any]) -> None:
    labels = np.arange(12 * 17).reshape(12, 17).astype(dtype) % 100
    labels[3, 4] = np.iinfo(labels.dtype).max
    read = decode_labels(tiff(labels, **options), name="a.tif")
    np.testing.assert_array_equal(read, labels)
    assert read.dtype == labels.dtype.newbyteorder("=")


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.ones((8, 8), np.float32), "its pixels are floating-point numbers; convert labels to whole numbers"),
        (np.ones((8, 8), np.uint64), "it has 64 bits per pixel; 8, 16 or 32 are needed"),
        (np.ones((8, 8, 3), np.uint8), "it has 3 samples per pixel"),
    ],
)
def test_other_label_files_are_refused(labels: np.ndarray, words: str) -> None:
    with pytest.raises(UnreadableImageError, match=words) as caught:
        decode_labels(tiff(labels), name="a.tif")
    assert caught.value.key == "a.tif"


def test_label_pictures_may_be_png() -> None:
    np.testing.assert_array_equal(decode_labels(png(picture()), name="a.png"), picture())
