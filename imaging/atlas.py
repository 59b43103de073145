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

import functools
import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from imaging.names import digest_of
from imaging.wells import parse_well

Thumbnails = Callable[[], Iterable[tuple[str, int, Mapping[str, np.ndarray]]]]
"""Called twice; yields well name, site number and channel -> picture (y, x), uint8 or uint16 camera counts."""

WEBP_MAX_SIDE_PX = 16383
LOW_PERCENT, HIGH_PERCENT = 0.5, 99.8
"""Share of a channel's pixels at or below the contrast limits: sparse bright cells stay below the upper one."""

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
    """What a page has to know to show a plate's pictures; sizes in pixels."""

    channels: tuple[ChannelPicture, ...]
    rows: int
    columns: int
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
    survey = _survey(thumbnails, shape, sites, channels)
    atlases = _empty_atlases(survey, shape, channels, tile_px)
    for well, site, pictures in thumbnails():
        _draw_overview(atlases, well, list(sites).index(site), len(sites), pictures)
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
    survey = _survey(thumbnails, shape, sites, channels)
    atlases = _empty_atlases(survey, shape, channels, tile_px or (160 if shape[0] * shape[1] <= 96 else 80))
    layout = plan_sheets(
        sorted({well for well, _ in survey.found}, key=parse_well),
        sites=sites,
        n_channels=len(channels),
        thumbnail_shape=(survey.height, survey.width),
    )
    sheets = _Sheets(layout, atlases, survey.found)
    encoded: dict[str, bytes] = {}
    for well, site, pictures in thumbnails():
        _draw_overview(atlases, well, layout.sites.index(site), len(sites), pictures)
        finished = sheets.draw(well, site, pictures)
        if finished is not None:
            encoded[finished[0]] = encode_webp(finished[1], quality=quality)
    names = {name: _name_by_content(name, data) for name, data in encoded.items()}
    files = {names[name]: data for name, data in encoded.items()}
    overviews = []
    for number, (channel, atlas) in enumerate(atlases.items(), start=1):
        data = encode_webp(atlas.image, quality=quality)
        overviews.append(ChannelPicture(channel, _name_by_content(f"overview-{number}", data), atlas.low, atlas.high))
        files[overviews[-1].file] = data
    layout = replace(layout, files=tuple(names[name] for name in layout.files))
    return PlatePictures(PictureLayout(tuple(overviews), *shape, layout), dict(sorted(files.items())))


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


def encode_webp(image: np.ndarray, *, quality: int = 80) -> bytes:
    """Encode a grey picture (y, x) uint8 as lossy WebP; the same pixels give the same bytes.

    Raises
    ------
    ValueError
        If it is not (y, x) uint8 or a side is above 16,383 pixels.
    """
    if image.ndim != 2 or image.dtype != np.uint8 or max(image.shape) > WEBP_MAX_SIDE_PX:
        raise ValueError(
            f"image must have shape (y, x), sides to {WEBP_MAX_SIDE_PX}, uint8, got {image.shape} {image.dtype}"
        )
    buffer = io.BytesIO()
    # method 2 encodes twice as fast as Pillow's default 4 and its files are 5 % larger
    Image.fromarray(image).save(buffer, "WEBP", quality=quality, method=2)
    return buffer.getvalue()


def _survey(thumbnails: Thumbnails, shape: tuple[int, int], sites: Sequence[int], channels: Sequence[str]) -> _Survey:
    """First pass: contrast limits from whole-plate histograms, which sites there are, the largest picture."""
    histograms = {channel: np.zeros(65536, dtype=np.int64) for channel in channels}
    found = set()
    height = width = 0
    for well, site, pictures in thumbnails():
        place = parse_well(well)
        if place.row >= shape[0] or place.column > shape[1]:
            raise ValueError(f"wells must lie on a plate of {shape[0]} rows and {shape[1]} columns, got {well}")
        if site not in sites:
            raise ValueError(f"sites must be among {list(sites)}, got site {site} of well {well}")
        if (well, site) in found:
            raise ValueError(f"each site must come once, got site {site} of well {well} twice")
        for channel in histograms.keys() & pictures.keys():
            picture = pictures[channel]
            if picture.ndim != 2 or picture.dtype not in (np.uint8, np.uint16):
                raise ValueError(
                    f"thumbnails must have shape (y, x), uint8 or uint16, got {picture.shape} {picture.dtype}"
                )
            histograms[channel] += np.bincount(picture.ravel(), minlength=65536)
            height, width = max(height, picture.shape[0]), max(width, picture.shape[1])
        found.add((well, site))
    limits = {channel: _limits(histogram) for channel, histogram in histograms.items()}
    return _Survey(limits, frozenset(found), height, width)


def _limits(histogram: np.ndarray) -> tuple[int, int]:
    below = np.cumsum(histogram)
    low, high = (int(np.searchsorted(below, below[-1] * percent / 100)) for percent in (LOW_PERCENT, HIGH_PERCENT))
    return low, max(high, low + 1)


def _empty_atlases(survey: _Survey, shape: tuple[int, int], channels: Sequence[str], tile_px: int) -> dict[str, Atlas]:
    rows, columns = shape
    side = min(tile_px, WEBP_MAX_SIDE_PX // max(shape))
    return {
        channel: Atlas(np.zeros((rows * side, columns * side), np.uint8), *survey.limits[channel], side, columns, rows)
        for channel in channels
    }


def _draw_overview(
    atlases: Mapping[str, Atlas], well: str, index: int, n_sites: int, pictures: Mapping[str, np.ndarray]
) -> None:
    place = parse_well(well)
    across = math.ceil(math.sqrt(n_sites))
    for channel in atlases.keys() & pictures.keys():
        atlas = atlases[channel]
        side = atlas.tile_px // across
        above = (atlas.tile_px - side * math.ceil(n_sites / across)) // 2
        top = place.row * atlas.tile_px + above + index // across * side
        left = (place.column - 1) * atlas.tile_px + index % across * side
        _paint(atlas.image[top : top + side, left : left + side], pictures[channel], atlas)


def _name_by_content(name: str, data: bytes) -> str:
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
    scale = min(tile.shape[0] / picture.shape[0], tile.shape[1] / picture.shape[1])
    height = max(1, min(tile.shape[0], round(picture.shape[0] * scale)))
    width = max(1, min(tile.shape[1], round(picture.shape[1] * scale)))
    grey = Image.fromarray(_grey(contrast.low, contrast.high)[picture])
    top, left = (tile.shape[0] - height) // 2, (tile.shape[1] - width) // 2
    tile[top : top + height, left : left + width] = np.asarray(grey.resize((width, height), Image.Resampling.BOX))


@functools.lru_cache(maxsize=64)
def _grey(low: int, high: int) -> np.ndarray:
    """Grey value of each camera count, shape (65536,), uint8: 0 at ``low``, 255 at ``high``."""
    share = (np.arange(65536, dtype=np.float64) - low) / (high - low)
    return np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)
