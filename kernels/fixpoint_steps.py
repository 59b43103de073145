"""The steps of the ``fixpoint`` segmentation: what each gives, to the bit, on the device of its arrays.

Every step is defined in whole numbers and by sets of pixels, never by an order of visiting them, so that threads of a
GPU and loops of a CPU end in the same labels. ``kernels/fixpoint_cpu.py`` and ``kernels/fixpoint_gpu.py`` do them.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from kernels.fixpoint_tables import Ints, Words
from kernels.gpu import Array


class Steps(Protocol):
    """Steps from pixels to labels. Planes and labels have shape (y, x) and stay on the device; tables are NumPy's.

    A *class image* is int32: above 0 in a region, which is what touches (8 neighbours) with one and the same class;
    0 or less in the background (4 neighbours), where minus the class is what a pixel becomes if its hole is filled.
    A *region image* has 1 + the index of each region's first pixel, int32, and 0 in the background.
    """

    def smooth(self, plane: Array, weights: npt.NDArray[np.uint32], stretch: int = 1) -> Array:
        """Smooth with whole-number weights of sum 4096, the plane mirrored beyond its border; uint16.

        Counts are multiplied by ``stretch`` first, those of 8 bits also by 257; all must stay below 65536. Rows are
        rounded to 1/16 of a count, then columns to counts.
        """
        ...

    def reduce(self, plane: Array, step: int) -> npt.NDArray[np.uint16]:
        """Average blocks of step x step pixels, the last ones of a side smaller, rounded; on the host, in 16 bits."""
        ...

    def flatten(self, plane: Array, background: npt.NDArray[np.uint16], step: int) -> Array:
        """Raise a plane to the greatest value of its background everywhere, up to 65535; uint16.

        The background is given for the middles of blocks of step x step pixels. Between middles it is interpolated
        linearly and rounded; beyond the outermost ones it stays.
        """
        ...

    def count(self, plane: Array) -> npt.NDArray[np.int64]:
        """Count how often each of the 65,536 values of a plane occurs."""
        ...

    def count_windows(self, plane: Array, down: int, across: int) -> npt.NDArray[np.uint32]:
        """Count values as ``count`` in each window of a grid, shape ``(down, across, 65536)``.

        Row k of windows begins at row ``k * height // down`` of the plane, and columns alike.
        """
        ...

    def divide(self, plane: Array, limit: int) -> Array:
        """Give the class image of what is above a limit: 1 there, -1 elsewhere."""
        ...

    def divide_locally(self, plane: Array, limits: Ints) -> Array:
        """Give the class image of what is above limits in 1/16 counts, one per window of a grid, shape (down, across).

        Between the middles of windows they are interpolated linearly, without rounding; beyond the outermost middles
        they stay.
        """
        ...

    def cut(self, classes: Array, smooth: Array, share: int, twice_zero: int) -> Array:
        """Give the class image without pixels whose curvature surpasses a share (in 1/65536) of their brightness.

        Curvature is the sum of the 4 neighbours less 4 times the pixel, mirrored beyond the border; brightness is what
        is above ``twice_zero`` / 2. Pixels that are cut become background that holes may give back.
        """
        ...

    def fill(self, classes: Array, hole_area: int) -> None:
        """Fill background of less than ``hole_area`` pixels that does not reach the plane's border, in place."""
        ...

    def connect(self, classes: Array) -> tuple[Array, Array]:
        """Give the region image, and the regions' sizes as ``list_regions`` reads them."""
        ...

    def list_regions(self, regions: Array, sizes: Array) -> Words:
        """List the regions as ``first pixel << 32 | size``, sorted; the size with ``TOUCHES_BORDER``."""
        ...

    def measure_heights(self, classes: Array) -> Array:
        """Give the distance to the nearest pixel of the background, in whole 1/64 pixels, rounded down, uint16.

        What lies beyond the plane is no background; 65535 is as far as it goes.
        """
        ...

    def find_seeds(self, height: Array, regions: Array, offsets: Ints) -> tuple[Array, Words]:
        """Find pixels that no other of their region, in a disk around them, surpasses.

        Of two pixels as high as each other the first in raster order surpasses. Returns an image with 1 + its index at
        each seed and 0 elsewhere, int32, and the table ``index << 32 | height``, sorted.
        """
        ...

    def flood(self, height: Array, classes: Array, seeds: Array) -> Array:
        """Grow labelled seeds from high to low where classes are above 0; see ``kernels/fixpoint_flood.py``."""
        ...

    def list_joins(self, height: Array, parts: Array, neck: int, twice_base: int) -> Words:
        """List the 8-neighbours of two parts with a saddle that reaches ``neck`` of the lower seed's height.

        Parts are labelled by 1 + their seed's index. What a row says: ``kernels.fixpoint_tables.join_parts``.
        """
        ...

    def renumber(self, parts: Array, first: Ints, number: Ints) -> Array:
        """Give each part ``1 + first[k]`` its ``number[k]``; 0 stays."""
        ...

    def trim(self, labels: Array, count: int, plane: Array, twice_base: int, fraction: int) -> Array:
        """Give the class image of objects 1..count where dim pixels are background: minus the label there.

        Dim is below ``fraction`` (in 1/65536) of the object's upper quartile, both above the base. The upper quartile
        is the value at index 3 n // 4 of the n sorted ones.
        """
        ...

    def expand(self, labels: Array, reach: int, most_squared: int) -> Array:
        """Give each pixel the nearest label within a squared distance of ``most_squared``, of several the smallest.

        ``reach`` is the greatest whole distance within it.
        """
        ...

    def subtract(self, nuclei: Array, cells: Array, shared_rim: bool) -> Array:
        """Give cells where no nucleus is, with ``shared_rim`` also on pixels with an 8-neighbour of another label.

        What lies beyond the plane counts as another label.
        """
        ...
