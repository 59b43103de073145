"""Pictures of a whole plate in few files: an overview per channel, and sheets with every site for a closer look.

Overview: one WebP per channel, a tile per well at its place on the plate, the well's sites inside the tile.
Sheets: WebP files of equal tiles without gaps, one tile per site and channel. All channels of a well stand side by
side in one sheet, so opening a well loads one file; ``SheetLayout`` says where.

Both are 8-bit and linear between two contrast limits per channel that hold for the whole plate, so wells compare by
eye. The thumbnails are gone through twice, first for the limits, then for the pixels; a sheet is encoded and let go
as soon as its last site came, so in plate order one sheet is held at a time.

A file's name ends in a hash of its content: a layout always meets the pictures it was made with, even where a browser
kept others or two writers met.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from imaging.names import digest_of
from imaging.overview import OverviewGrid, fit_inside, make_grid
from imaging.render import LEVELS, count_levels, encode_webp, find_limits, render
from imaging.wells import parse_well

Thumbnails = Callable[[], Iterable[tuple[str, int, Mapping[str, np.ndarray]]]]
"""Called twice; yields well name, site number and channel -> picture (y, x), uint8 or uint16 camera counts."""

SHEET_MAX_PX = 16_000_000
"""Pixels of a sheet: 64 MB once a browser has decoded it, a fraction of a second."""
MAX_SHEETS = 12
SHEET_TILES_PX = (320, 288, 256, 224, 192, 160, 144, 128, 112, 96, 80, 64, 48, 32, 16)
"""Longer side of a sheet's tile: the largest that is not above the thumbnails' own and needs ``MAX_SHEETS`` or less."""


@dataclass(frozen=True, eq=False)
class Atlas:
    """Overview of one channel: ``image`` (rows * tile_px, columns * tile_px) uint8, 0 to 255 between the limits.

    ``low`` and ``high`` are camera counts, ``tile_px`` is the side of a well's tile.
    """

    image: np.ndarray
    low: int
    high: int
    tile_px: int
    columns: int
    rows: int


@dataclass(frozen=True)
class SheetLayout:
    """Where the tile of a well, site and channel lies; the same rule is in ``page_files/pictures.js``.

    Well ``w`` of ``wells``, site ``s`` of ``sites`` and channel ``c`` of the plate's channels lie in file
    ``files[w // wells_per_file]`` as tile ``((w % wells_per_file) * len(sites) + s) * n_channels + c``, counted row by
    row with ``across`` tiles in a row.
    """

    files: tuple[str, ...]
    wells: tuple[str, ...]
    sites: tuple[int, ...]
    wells_per_file: int
    across: int
    tile_height: int
    tile_width: int


@dataclass(frozen=True)
class ChannelPicture:
    """Overview file of a channel and its contrast limits in camera counts."""

    channel: str
    file: str
    low: int
    high: int


@dataclass(frozen=True)
class PictureLayout:
    """What a page has to know to show a plate's pictures; sizes in pixels.

    ``tile_px`` is the side of a well's tile in the overviews. Sheets without files: a site is cut out of the overview.
    """

    channels: tuple[ChannelPicture, ...]
    rows: int
    columns: int
    tile_px: int
    sheets: SheetLayout


@dataclass(frozen=True, eq=False)
class PlatePictures:
    """The files of a plate's pictures (name -> WebP) and how to read them."""

    layout: PictureLayout
    files: dict[str, bytes]


@dataclass(frozen=True)
class _Survey:
    limits: dict[str, tuple[int, int]]
    found: frozenset[tuple[str, int]]
    height: int
    width: int


def build_atlas(
    thumbnails: Thumbnails,
    *,
    shape: tuple[int, int],
    sites: Sequence[int],
    channels: Sequence[str],
    tile_px: int = 80,
) -> dict[str, Atlas]:
    """Draw the overview of each channel.

    Parameters
    ----------
    thumbnails
        Called twice; yields well name, site number and channel -> picture (y, x), uint8 or uint16, camera counts.
        Channels that are not asked for are passed over.
    shape
        Rows and columns of the plate.
    sites
        Site numbers of a well in the order of their tiles: row by row in a square inside the well's tile.
    channels
        Channels to draw.
    tile_px
        Side of a well's tile; made smaller where the plate would not fit into a WebP.

    Returns
    -------
    Overview per channel. What has no thumbnail is black.

    Raises
    ------
    ValueError
        If a well lies outside the plate, a site is not among ``sites`` or comes twice, or a picture is not (y, x)
        uint8 or uint16.
    """
    grid = make_grid(shape, tuple(sites), tile_px)
    survey = _survey(thumbnails, grid, channels)
    atlases = _empty_atlases(survey, grid)
    for well, site, pictures in thumbnails():
        _draw_overview(atlases, grid.box(well, site), pictures)
    return atlases


def build_pictures(
    thumbnails: Thumbnails,
    *,
    shape: tuple[int, int],
    sites: Sequence[int],
    channels: Sequence[str],
    tile_px: int | None = None,
    quality: int = 80,
) -> PlatePictures:
    """Draw and encode the overview of each channel and the sheets with every site.

    The parameters and errors are those of :func:`build_atlas`; without ``tile_px`` a well gets 160 pixels on plates of
    up to 96 wells, 80 on larger ones. ``quality`` is WebP's, 0 to 100.
    """
    grid = make_grid(shape, tuple(sites), tile_px)
    survey = _survey(thumbnails, grid, channels)
    atlases = _empty_atlases(survey, grid)
    layout = plan_sheets(
        sorted({well for well, _ in survey.found}, key=parse_well),
        sites=sites,
        n_channels=len(channels),
        thumbnail_shape=(survey.height, survey.width),
    )
    sheets = _Sheets(layout, atlases, survey.found)
    encoded: dict[str, bytes] = {}
    for well, site, pictures in thumbnails():
        _draw_overview(atlases, grid.box(well, site), pictures)
        finished = sheets.draw(well, site, pictures)
        if finished is not None:
            encoded[finished[0]] = encode_webp(finished[1], quality=quality)
    names = {name: name_by_content(name, data) for name, data in encoded.items()}
    files = {names[name]: data for name, data in encoded.items()}
    overviews = []
    for number, (channel, atlas) in enumerate(atlases.items(), start=1):
        data = encode_webp(atlas.image, quality=quality)
        overviews.append(ChannelPicture(channel, name_by_content(f"overview-{number}", data), atlas.low, atlas.high))
        files[overviews[-1].file] = data
    layout = replace(layout, files=tuple(names[name] for name in layout.files))
    return PlatePictures(PictureLayout(tuple(overviews), *shape, grid.tile_px, layout), dict(sorted(files.items())))


def plan_sheets(
    wells: Sequence[str], *, sites: Sequence[int], n_channels: int, thumbnail_shape: tuple[int, int]
) -> SheetLayout:
    """Choose the tile size and the number of sheets for the wells that have pictures.

    Parameters
    ----------
    wells, sites
        Well names and site numbers in the order of their tiles.
    n_channels
        Tiles per site.
    thumbnail_shape
        Largest height and width of a thumbnail, pixels; tiles keep its proportions.

    Returns
    -------
    The layout; its files are named by their number alone.
    """
    height, width = thumbnail_shape
    longer = max(height, width, 1)
    tiles_per_well = max(1, len(sites) * n_channels)
    smaller = [side for side in SHEET_TILES_PX if side < longer]
    for side in [min(longer, SHEET_TILES_PX[0]), *smaller]:
        tile_height, tile_width = max(1, round(side * height / longer)), max(1, round(side * width / longer))
        fitting = SHEET_MAX_PX // (tiles_per_well * tile_height * tile_width)
        if fitting and math.ceil(len(wells) / fitting) <= MAX_SHEETS:
            break
    count = math.ceil(len(wells) / max(1, fitting))
    wells_per_file = math.ceil(len(wells) / count) if count else 0
    sites_across = math.sqrt(wells_per_file * tiles_per_well * tile_height / tile_width) / max(1, n_channels)
    return SheetLayout(
        files=tuple(f"sheet-{number + 1}" for number in range(count)),
        wells=tuple(wells),
        sites=tuple(sites),
        wells_per_file=wells_per_file,
        across=max(1, math.ceil(sites_across)) * max(1, n_channels),
        tile_height=tile_height,
        tile_width=tile_width,
    )


def _survey(thumbnails: Thumbnails, grid: OverviewGrid, channels: Sequence[str]) -> _Survey:
    """First pass: contrast limits from whole-plate histograms, which sites there are, the largest picture."""
    histograms = {channel: np.zeros(LEVELS, dtype=np.int64) for channel in channels}
    found = set()
    height = width = 0
    for well, site, pictures in thumbnails():
        grid.check(well, site)
        if (well, site) in found:
            raise ValueError(f"each site must come once, got site {site} of well {well} twice")
        for channel in histograms.keys() & pictures.keys():
            picture = pictures[channel]
            histograms[channel] += count_levels(picture)
            height, width = max(height, picture.shape[0]), max(width, picture.shape[1])
        found.add((well, site))
    limits = {channel: find_limits(histogram) for channel, histogram in histograms.items()}
    return _Survey(limits, frozenset(found), height, width)


def _empty_atlases(survey: _Survey, grid: OverviewGrid) -> dict[str, Atlas]:
    return {
        channel: Atlas(np.zeros(grid.shape_px, np.uint8), *limits, grid.tile_px, grid.columns, grid.rows)
        for channel, limits in survey.limits.items()
    }


def _draw_overview(atlases: Mapping[str, Atlas], box: tuple[slice, slice], pictures: Mapping[str, np.ndarray]) -> None:
    for channel in atlases.keys() & pictures.keys():
        _paint(atlases[channel].image[box], pictures[channel], atlases[channel])


def name_by_content(name: str, data: bytes) -> str:
    """Name of a picture's file that ends in a hash of its bytes."""
    return f"{name}-{digest_of(data)[:8]}.webp"


class _Sheets:
    """Sheets being drawn; each is handed out once, when its last site has come."""

    def __init__(self, layout: SheetLayout, atlases: Mapping[str, Atlas], found: Iterable[tuple[str, int]]) -> None:
        self.layout, self.atlases = layout, atlases
        self._places = {well: divmod(i, layout.wells_per_file) for i, well in enumerate(layout.wells)}
        self._awaited: list[set[tuple[str, int]]] = [set() for _ in layout.files]
        for well, site in found:
            self._awaited[self._places[well][0]].add((well, site))
        self._canvases: dict[int, np.ndarray] = {}

    def draw(self, well: str, site: int, pictures: Mapping[str, np.ndarray]) -> tuple[str, np.ndarray] | None:
        """Draw the channels of one site; return file name and pixels (y, x) of a sheet that is finished with it."""
        layout = self.layout
        number, place = self._places[well]
        if number not in self._canvases:
            self._canvases[number] = self._blank(number)
        first = (place * len(layout.sites) + layout.sites.index(site)) * len(self.atlases)
        for tile, channel in enumerate(self.atlases, start=first):
            if channel in pictures:
                top, left = tile // layout.across * layout.tile_height, tile % layout.across * layout.tile_width
                box = self._canvases[number][top : top + layout.tile_height, left : left + layout.tile_width]
                _paint(box, pictures[channel], self.atlases[channel])
        self._awaited[number].discard((well, site))
        return None if self._awaited[number] else (layout.files[number], self._canvases.pop(number))

    def _blank(self, number: int) -> np.ndarray:
        layout = self.layout
        n_wells = min(layout.wells_per_file, len(layout.wells) - number * layout.wells_per_file)
        down = math.ceil(n_wells * len(layout.sites) * len(self.atlases) / layout.across)
        return np.zeros((down * layout.tile_height, layout.across * layout.tile_width), np.uint8)


def _paint(tile: np.ndarray, picture: np.ndarray, contrast: Atlas) -> None:
    """Fill a tile (y, x) with a picture between the contrast limits, proportions kept, in the middle."""
    inside = tile[fit_inside(tile.shape[:2], picture.shape[:2])]
    grey = Image.fromarray(render(picture, contrast.low, contrast.high))
    inside[...] = np.asarray(grey.resize((inside.shape[1], inside.shape[0]), Image.Resampling.BOX))
