"""Where a site lies in the overview of a plate: a tile per well at its place, the well's sites row by row inside it.

The same rule is in ``page_files/pictures.js``, which cuts a site out of the overview while a plate has no sheets.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from imaging.render import WEBP_MAX_SIDE_PX
from imaging.wells import parse_well

SMALL_PLATE_WELLS = 96
TILE_PX, SMALL_PLATE_TILE_PX = 80, 160
"""Side of a well's tile, and the same on plates of up to 96 wells."""


@dataclass(frozen=True)
class OverviewGrid:
    """The tiles of a plate's overview: rows and columns of wells, sites of a well, side of a well's tile in pixels."""

    rows: int
    columns: int
    sites: tuple[int, ...]
    tile_px: int

    @property
    def shape_px(self) -> tuple[int, int]:
        """Height and width of the overview, pixels."""
        return self.rows * self.tile_px, self.columns * self.tile_px

    @property
    def sites_across(self) -> int:
        """Sites in one row of a well's tile."""
        return math.ceil(math.sqrt(len(self.sites)))

    @property
    def site_px(self) -> int:
        """Side of a site's box, pixels."""
        return self.tile_px // self.sites_across

    def box(self, well: str, site: int) -> tuple[slice, slice]:
        """Rows and columns of pixels that belong to a site.

        Raises
        ------
        ValueError
            If the well lies outside the plate or the site is not among ``sites``.
        """
        self.check(well, site)
        place, index, across, side = parse_well(well), self.sites.index(site), self.sites_across, self.site_px
        above = (self.tile_px - side * math.ceil(len(self.sites) / across)) // 2
        top = place.row * self.tile_px + above + index // across * side
        left = (place.column - 1) * self.tile_px + index % across * side
        return slice(top, top + side), slice(left, left + side)

    def check(self, well: str, site: int) -> None:
        """Refuse a place that the plate does not have.

        Raises
        ------
        ValueError
            If the well lies outside the plate or the site is not among ``sites``.
        """
        place = parse_well(well)
        if place.row >= self.rows or place.column > self.columns:
            raise ValueError(f"wells must lie on a plate of {self.rows} rows and {self.columns} columns, got {well}")
        if site not in self.sites:
            raise ValueError(f"sites must be among {list(self.sites)}, got site {site} of well {well}")


def make_grid(shape: tuple[int, int], sites: tuple[int, ...], tile_px: int | None = None) -> OverviewGrid:
    """Choose the tiles of a plate's overview.

    Parameters
    ----------
    shape
        Rows and columns of the plate.
    sites
        Site numbers of a well, in the order of their boxes.
    tile_px
        Side of a well's tile, made smaller where the plate would not fit into a WebP; left out, 160 pixels on plates of
        up to 96 wells and 80 on larger ones.
    """
    wanted = tile_px or (SMALL_PLATE_TILE_PX if shape[0] * shape[1] <= SMALL_PLATE_WELLS else TILE_PX)
    return OverviewGrid(*shape, sites, min(wanted, WEBP_MAX_SIDE_PX // max(shape)))


def fit_inside(box: tuple[int, int], picture: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of a box (height, width) that a picture (height, width) fills, centred, proportions kept."""
    scale = min(box[0] / picture[0], box[1] / picture[1])
    height = max(1, min(box[0], round(picture[0] * scale)))
    width = max(1, min(box[1], round(picture[1] * scale)))
    top, left = (box[0] - height) // 2, (box[1] - width) // 2
    return slice(top, top + height), slice(left, left + width)
