"""From counts to pictures: contrast limits, grey between them, channels laid over each other in their colours.

Everything is a pure function of arrays on the host, and encoded there: the same pixels give the same bytes. What is
stored stays linear; contrast is applied only here, when a picture is made.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

LEVELS = 65536
LOW_PERCENT, HIGH_PERCENT = 0.5, 99.8
"""Share of a channel's pixels at or below the contrast limits: sparse bright cells stay below the upper one."""

GREY_SPREAD = 24
"""A colour whose strongest part exceeds the weakest by less than this is grey (``page_files/pictures.js``, isGrey)."""

WEBP_MAX_SIDE_PX = 16383
_PNG_COMPRESSION = 6


def count_levels(picture: np.ndarray) -> np.ndarray:
    """Count the pixels of each camera count.

    Parameters
    ----------
    picture
        Shape ``(y, x)``, uint8 or uint16, camera counts.

    Returns
    -------
    Pixels per count, shape ``(65536,)``, int64. Sums of such histograms are those of the pictures together.

    Raises
    ------
    ValueError
        If ``picture`` has another shape or type.
    """
    _check_counts(picture)
    return np.bincount(picture.ravel(), minlength=LEVELS)


def find_limits(histogram: np.ndarray) -> tuple[int, int]:
    """Choose the contrast limits of a channel, in camera counts.

    Parameters
    ----------
    histogram
        Pixels per count, shape ``(65536,)``, of all pictures that are to be compared.

    Returns
    -------
    The lowest counts that at least 0.5 % and 99.8 % of the pixels do not exceed; the second is above the first. Without
    a pixel 0 and 1.
    """
    below = np.cumsum(histogram)
    low, high = (int(np.searchsorted(below, below[-1] * percent / 100)) for percent in (LOW_PERCENT, HIGH_PERCENT))
    return low, max(high, low + 1)


def render(picture: np.ndarray, low: int, high: int) -> np.ndarray:
    """Render counts as grey, linear between two limits.

    Parameters
    ----------
    picture
        Shape ``(y, x)``, uint8 or uint16, camera counts.
    low, high
        Counts shown as black and as white; ``high`` is above ``low``.

    Returns
    -------
    Shape ``(y, x)``, uint8: 0 at ``low`` and below, 255 at ``high`` and above.

    Raises
    ------
    ValueError
        If ``picture`` has another shape or type, or ``high`` is not above ``low``.
    """
    _check_counts(picture)
    if high <= low:
        raise ValueError(f"high must be above low, got {low} and {high}")
    return _grey(low, high)[picture]


def composite(greys: Sequence[np.ndarray], colors: Sequence[str]) -> np.ndarray:
    """Lay channels over each other: each grey times its colour, summed, clipped.

    Parameters
    ----------
    greys
        One picture per channel, all of shape ``(y, x)``, uint8.
    colors
        Colour of each channel, six hexadecimal digits with or without ``#``.

    Returns
    -------
    Shape ``(y, x, 3)``, uint8: red, green, blue.

    Raises
    ------
    ValueError
        If there is no channel, not one colour per channel, or the pictures differ in shape or are not uint8.
    """
    if not greys or len(greys) != len(colors):
        raise ValueError(f"greys and colors must be one or more and as many, got {len(greys)} and {len(colors)}")
    shape = greys[0].shape
    if len(shape) != 2 or any(grey.shape != shape or grey.dtype != np.uint8 for grey in greys):
        raise ValueError(f"greys must have one shape (y, x), uint8, got {[(grey.shape, grey.dtype) for grey in greys]}")
    sums = np.zeros((*shape, 3), np.uint32)
    for grey, color in zip(greys, colors, strict=True):
        for part, strength in enumerate(read_color(color)):
            if strength:
                sums[..., part] += grey.astype(np.uint32) * np.uint32(strength)
    return np.minimum((sums + 127) // 255, 255).astype(np.uint8)


def in_composite(colors: Sequence[str]) -> tuple[int, ...]:
    """Places of the channels that a composite shows: a grey one (transmitted light) would wash out the colours.

    All of them where there are only grey ones.
    """
    spread = [max(color) - min(color) for color in map(read_color, colors)]
    coloured = tuple(place for place, value in enumerate(spread) if value >= GREY_SPREAD)
    return coloured or tuple(range(len(colors)))


def read_color(color: str) -> tuple[int, int, int]:
    """Red, green and blue, 0 to 255, of six hexadecimal digits with or without ``#``."""
    red, green, blue = bytes.fromhex(color.removeprefix("#"))
    return red, green, blue


def encode_webp(image: np.ndarray, *, quality: int = 80) -> bytes:
    """Encode a picture as lossy WebP.

    Parameters
    ----------
    image
        Shape ``(y, x)`` or ``(y, x, 3)``, uint8, sides up to 16,383 pixels.
    quality
        WebP's, 0 to 100.

    Raises
    ------
    ValueError
        If ``image`` has another shape or type.
    """
    _check_picture(image, WEBP_MAX_SIDE_PX)
    buffer = io.BytesIO()
    # method 2 encodes twice as fast as Pillow's default 4 and its files are 5 % larger
    Image.fromarray(image).save(buffer, "WEBP", quality=quality, method=2)
    return buffer.getvalue()


def encode_png(image: np.ndarray) -> bytes:
    """Encode a picture as PNG, exactly.

    Parameters
    ----------
    image
        Shape ``(y, x)`` or ``(y, x, 3)``, uint8.

    Raises
    ------
    ValueError
        If ``image`` has another shape or type.
    """
    _check_picture(image, 2**31 - 1)
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", compress_level=_PNG_COMPRESSION)
    return buffer.getvalue()


def encode_within(image: np.ndarray, max_bytes: int) -> bytes:
    """Encode a picture as WebP of at most so many bytes: in lower quality first, then smaller.

    Parameters
    ----------
    image
        Shape ``(y, x)`` or ``(y, x, 3)``, uint8.
    max_bytes
        Greatest size of the file; a picture of one pixel has some 50 bytes.
    """
    picture = Image.fromarray(image)
    while True:
        for quality in (80, 60, 40):
            data = encode_webp(np.asarray(picture), quality=quality)
            if len(data) <= max_bytes or picture.size == (1, 1):
                return data
        smaller = [max(1, side * 3 // 4) for side in picture.size]
        picture = picture.resize((smaller[0], smaller[1]), Image.Resampling.BOX)


def _check_counts(picture: np.ndarray) -> None:
    if picture.ndim != 2 or picture.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"a picture must have shape (y, x), uint8 or uint16, got {picture.shape} {picture.dtype}")


def _check_picture(image: np.ndarray, max_side: int) -> None:
    is_picture = image.ndim == 2 or image.shape[2:] == (3,)
    if not is_picture or image.dtype != np.uint8 or min(image.shape) < 1 or max(image.shape) > max_side:
        raise ValueError(
            f"image must have shape (y, x) or (y, x, 3), sides from 1 to {max_side}, uint8, "
            f"got {image.shape} {image.dtype}"
        )


@functools.lru_cache(maxsize=64)
def _grey(low: int, high: int) -> np.ndarray:
    """Grey value of each camera count, shape (65536,), uint8: 0 at ``low``, 255 at ``high``."""
    share = (np.arange(LEVELS, dtype=np.float64) - low) / (high - low)
    return np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)
