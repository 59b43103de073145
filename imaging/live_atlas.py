"""The overview of a plate that is still being imaged: it grows with the sites, and its contrast follows.

Sites come in any order, and again when they are measured again. Each is kept as a small tile that is still linear in
the counts, beside one histogram per channel of the thumbnails as they came; contrast limits are those of all sites so
far, so at the end they are those of the published atlas. There are no sheets: the page cuts a site out of the overview.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from PIL import Image

from imaging.atlas import ChannelPicture, PictureLayout, PlatePictures, SheetLayout, name_by_content
from imaging.overview import fit_inside, make_grid
from imaging.render import LEVELS, composite, count_levels, encode_webp, find_limits, in_composite, render

LIVE_PICTURE = "live-"
"""How the name of a picture begins that only a live page shows."""

LARGE_PLATE_WELLS, LARGE_PLATE_TILE_PX = 384, 40
"""Above so many wells a tile has so many pixels: 1,536 wells in six channels take 29 MB."""

Pictures = Mapping[str, np.ndarray]
"""Channel -> picture (y, x), uint8 or uint16, camera counts."""


class LiveAtlas:
    """Tiles and histograms of the sites so far.

    Parameters
    ----------
    shape
        Rows and columns of the plate.
    sites
        Site numbers of a well in the order of their tiles.
    channels
        Channels to draw, each with its colour, six hexadecimal digits.

    ``wells`` holds the names of the wells that have a picture.
    """

    def __init__(self, *, shape: tuple[int, int], sites: Sequence[int], channels: Mapping[str, str]) -> None:
        is_large = shape[0] * shape[1] > LARGE_PLATE_WELLS
        self.grid = make_grid(shape, tuple(sites), LARGE_PLATE_TILE_PX if is_large else None)
        self.channels = dict(channels)
        self.wells: set[str] = set()
        self._tiles = {channel: np.zeros(self.grid.shape_px, np.uint16) for channel in channels}
        self._histograms = {channel: np.zeros(LEVELS, np.int64) for channel in channels}

    def add(self, well: str, site: int, pictures: Pictures, *, instead_of: Pictures | None = None) -> None:
        """Draw a site.

        Parameters
        ----------
        well, site
            Its place.
        pictures
            Its thumbnails; a channel without one becomes black, channels that are not drawn are passed over.
        instead_of
            The thumbnails that were added for this site before, if they are known: they no longer count.

        Raises
        ------
        ValueError
            If the place is not on the plate, or a picture is not (y, x), uint8 or uint16.
        """
        box = self.grid.box(well, site)
        counted = {channel: count_levels(pictures[channel]) for channel in self._tiles.keys() & pictures.keys()}
        for channel, picture in (instead_of or {}).items():
            if channel in self._histograms:
                self._histograms[channel] -= count_levels(picture)
        self.wells.add(well)
        for channel, canvas in self._tiles.items():
            tile = canvas[box]
            tile[...] = 0
            if channel in counted:
                self._histograms[channel] += counted[channel]
                inside = tile[fit_inside(tile.shape[:2], pictures[channel].shape[:2])]
                inside[...] = _shrink(pictures[channel], inside.shape[:2])

    @property
    def limits(self) -> dict[str, tuple[int, int]]:
        """Contrast limits of each channel, camera counts."""
        return {channel: find_limits(histogram) for channel, histogram in self._histograms.items()}

    def draw(self, *, quality: int = 80) -> PlatePictures:
        """Draw and encode the overview of each channel as it is now; ``quality`` is WebP's, 0 to 100."""
        overviews, files = [], {}
        for number, (channel, (low, high)) in enumerate(self.limits.items(), start=1):
            data = encode_webp(render(self._tiles[channel], low, high), quality=quality)
            overviews.append(ChannelPicture(channel, name_by_content(f"{LIVE_PICTURE}{number}", data), low, high))
            files[overviews[-1].file] = data
        grid = self.grid
        sheets = SheetLayout((), (), grid.sites, wells_per_file=0, across=1, tile_height=1, tile_width=1)
        layout = PictureLayout(tuple(overviews), grid.rows, grid.columns, grid.tile_px, sheets)
        return PlatePictures(layout, files)

    def composite(self, *, max_side_px: int) -> np.ndarray:
        """Lay the coloured channels over each other.

        Returns
        -------
        The whole plate, shape ``(y, x, 3)``, uint8, its longer side at most ``max_side_px``.
        """
        names = [list(self.channels)[place] for place in in_composite(list(self.channels.values()))]
        height, width = self.grid.shape_px
        scale = min(1.0, max_side_px / max(height, width))
        shape = max(1, round(height * scale)), max(1, round(width * scale))
        limits = self.limits
        greys = (render(self._tiles[name], *limits[name]) for name in names)
        return composite(list(_shrunk(greys, shape)), [self.channels[name] for name in names])


def _shrink(picture: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Counts averaged over boxes, shape as asked, uint16; linear, so any contrast can be applied later."""
    linear = Image.fromarray(picture.astype(np.float32))
    return np.rint(np.asarray(linear.resize((shape[1], shape[0]), Image.Resampling.BOX))).astype(np.uint16)


def _shrunk(greys: Iterable[np.ndarray], shape: tuple[int, int]) -> Iterable[np.ndarray]:
    for grey in greys:
        yield np.asarray(Image.fromarray(grey).resize((shape[1], shape[0]), Image.Resampling.BOX))
