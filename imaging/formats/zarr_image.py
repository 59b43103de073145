"""What the description of an OME-Zarr image says: the path and axes of its largest level, channels, size of a pixel."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from imaging.errors import UnreadableImageError
from imaging.formats.contract import ToldChannel
from imaging.sentences import shorten

_AXES = ("t", "c", "z", "y", "x")
_MICROMETRES = {
    "micrometer": 1.0,
    "micron": 1.0,
    "um": 1.0,
    "µm": 1.0,
    "nanometer": 1e-3,
    "nm": 1e-3,
    "millimeter": 1e3,
}
_MICROMETRES |= {"meter": 1e6, "m": 1e6, "mm": 1e3, "centimeter": 1e4, "angstrom": 1e-4, "": 1.0}


@dataclass(frozen=True, slots=True)
class ZarrImage:
    """Path of level 0 inside the image, its axes in order, and what is told of channels and sizes."""

    path: str
    axes: tuple[str, ...]
    channels: tuple[ToldChannel, ...] = ()
    pixel_size_um: float | None = None
    z_step_um: float | None = None

    def count_planes(self, shape: tuple[int, ...]) -> int:
        """Count the planes of an array of this shape.

        Raises
        ------
        UnreadableImageError
            If the axes do not fit it.
        """
        return math.prod(length for _, length in self._others(shape))

    def planes(self, shape: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], int, int, int]]:
        """Yield the place of each plane along the axes but y and x, and its c, z, t counted from 1."""
        others = self._others(shape)
        for index in itertools.product(*(range(length) for _, length in others)):
            at = {axis: place + 1 for (axis, _), place in zip(others, index, strict=True)}
            yield index, at.get("c", 1), at.get("z", 1), at.get("t", 1)

    def _others(self, shape: tuple[int, ...]) -> list[tuple[str, int]]:
        """Axes but y and x, with their lengths."""
        if len(shape) != len(self.axes):
            raise UnreadableImageError(f"its axes {', '.join(self.axes)} do not fit an array of shape {shape}")
        return [(axis, length) for axis, length in zip(self.axes, shape, strict=True) if axis not in ("y", "x")]


def parse_image(described: dict[str, Any]) -> ZarrImage:
    """Read the attributes of an image.

    Raises
    ------
    UnreadableImageError
        If they describe no image, or axes that are not read.
    KeyError, IndexError, TypeError, AttributeError, ValueError
        If they are damaged.
    """
    if not described.get("multiscales"):
        raise UnreadableImageError("its description lists no multiscales, so it is no OME-Zarr image")
    multiscale = described["multiscales"][0]
    dataset = multiscale["datasets"][0]
    named = multiscale.get("axes") or []
    axes = tuple(str(axis["name"] if isinstance(axis, dict) else axis).lower() for axis in named)
    if not {"y", "x"} <= set(axes) <= set(_AXES) or len(set(axes)) < len(axes):
        listed = shorten(", ".join(axes)) or "not listed"
        raise UnreadableImageError(f"its axes are {listed}; they must be of t, c, z, y, x")
    units = [str(axis.get("unit") or "") if isinstance(axis, dict) else "" for axis in named]
    scales = _scales(dataset, multiscale, len(axes))
    sizes = {axis: _micrometres(size, unit) for axis, size, unit in zip(axes, scales, units, strict=True)}
    channels = tuple(
        ToldChannel(str(number), name=str(channel.get("label") or ""))
        for number, channel in enumerate((described.get("omero") or {}).get("channels") or [], start=1)
    )
    return ZarrImage(str(dataset["path"]), axes, channels, sizes.get("x"), sizes.get("z"))


def _scales(dataset: dict[str, Any], multiscale: dict[str, Any], n_axes: int) -> list[float | None]:
    """Product of the scales of a level and of all levels together, by axis; ``None`` where none is said."""
    found: list[float | None] = [None] * n_axes
    for transforms in (dataset.get("coordinateTransformations"), multiscale.get("coordinateTransformations")):
        for transform in transforms or []:
            if transform.get("type") == "scale" and len(transform.get("scale", ())) == n_axes:
                found = [
                    (1.0 if old is None else old) * float(new)
                    for old, new in zip(found, transform["scale"], strict=True)
                ]
    return found


def _micrometres(size: float | None, unit: str) -> float | None:
    factor = _MICROMETRES.get(unit.lower())
    return round(size * factor, 9) if size and factor and 0 < size * factor <= 1_000 else None
