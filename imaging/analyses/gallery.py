"""Pictures of hits, each beside negative controls of its own plate in the same contrast.

A picture is the first site of a well, its channels laid over each other in their colours. Contrast limits are chosen
for each plate and channel from all pictures of that plate that the gallery shows, so whatever stands side by side
compares by eye. Plates are gone through one after the other: the pictures of one plate are held at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from imaging.analyses.report import plain, rank_hits
from imaging.atlas import name_by_content
from imaging.errors import StoredDataError
from imaging.job import PlateJob
from imaging.publication import read_manifests, read_publication
from imaging.records import publication_numbers
from imaging.render import LEVELS, composite, count_levels, encode_webp, find_limits, in_composite, render
from imaging.wells import parse_well
from imaging.zarr_plate import read_thumbnail

MOST_HITS = 60
"""Hits that have pictures: 60 with two controls each are half a megabyte to two."""
CONTROLS, TILE_PX, QUALITY = 2, 200, 75

Pictures = Mapping[str, np.ndarray]
ReadWell = Callable[[str, str], Pictures | None]
"""Plate and well -> channel -> picture (y, x), camera counts; ``None`` where there is none."""


@dataclass(frozen=True)
class GalleryTile:
    """The picture of a well and the file that it is in."""

    well: str
    file: str


@dataclass(frozen=True)
class GalleryHit:
    """A hit's picture beside those of negative controls of its plate; limits of each channel in camera counts."""

    treatment: str
    concentration: float | None
    plate: str
    tile: GalleryTile
    controls: tuple[GalleryTile, ...]
    contrast: tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, eq=False)
class HitGallery:
    """Hits in their order, their files (name -> WebP), the channels and their colours."""

    hits: tuple[GalleryHit, ...] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)
    channels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class _Shown:
    row: int
    treatment: str
    concentration: float | None
    plate: str
    well: str


def build_gallery(
    hits: pd.DataFrame,
    wells: pd.DataFrame,
    read: ReadWell,
    *,
    channels: Sequence[tuple[str, str]],
    most: int = MOST_HITS,
    tile_px: int = TILE_PX,
) -> HitGallery:
    """Draw the pictures of hits and of negative controls beside them.

    Parameters
    ----------
    hits
        Rows with ``treatment``, ``concentration`` and ``is_hit``; the best come first, see `rank_hits`.
    wells
        One row per well: ``plate``, ``well``, ``treatment``, ``concentration``, ``control``.
    read
        Reads the picture of a well.
    channels
        Name and colour (``#rrggbb``) of each channel.
    most
        Hits that are shown at most.
    tile_px
        Longer side of a picture in pixels.

    Returns
    -------
    Hits that have a picture. A hit's well is its first replicate, by plate and well, that has one.
    """
    chosen = [channels[place] for place in in_composite([color for _, color in channels])] if channels else []
    if not chosen:
        return HitGallery()
    names = {name for name, _ in chosen}

    def read_shown(plate: str, well: str) -> Pictures | None:
        picture = read(plate, well)
        return picture if picture and names & picture.keys() else None

    candidates = _choose(rank_hits(hits), wells, most)
    shown: dict[int, GalleryHit] = {}
    files: dict[str, bytes] = {}
    for plate in sorted({each.plate for each in candidates}):
        wanted = [each for each in candidates if each.plate == plate and each.row not in shown]
        drawn, drawn_files = _draw_plate(plate, wanted, wells, read_shown, chosen, tile_px)
        shown |= drawn
        files |= drawn_files
    return HitGallery(tuple(shown[row] for row in sorted(shown)), dict(sorted(files.items())), tuple(chosen))


def _choose(hits: pd.DataFrame, wells: pd.DataFrame, most: int) -> list[_Shown]:
    """The wells of the first hits, by plate and well."""
    places = pd.Series([parse_well(name) for name in wells["well"]], index=wells.index, dtype=object)
    placed = wells.assign(_place=places).sort_values(["plate", "_place"])
    found: dict[tuple[str, float | None], list[tuple[str, str]]] = {}
    for plate, well, treatment, dose in placed[["plate", "well", "treatment", "concentration"]].itertuples(index=False):
        for key in {(treatment, _dose(dose)), (treatment, None)}:  # a hit without a dose is of all of them
            found.setdefault(key, []).append((plate, well))
    doses = hits["concentration"] if "concentration" in hits else [None] * len(hits)
    named = [(treatment, _dose(dose)) for treatment, dose in zip(hits["treatment"], doses, strict=True)]
    chosen = [name for name, is_hit in zip(named, hits["is_hit"], strict=True) if plain(is_hit) is True][:most]
    return [_Shown(row, *name, *place) for row, name in enumerate(chosen) for place in found.get(name, ())]


def _dose(value: Any) -> float | None:
    """A concentration that finds its equals: NaN is none."""
    return None if value is None or pd.isna(value) else float(value)


def _draw_plate(
    plate: str,
    wanted: Iterable[_Shown],
    wells: pd.DataFrame,
    read: ReadWell,
    channels: Sequence[tuple[str, str]],
    tile_px: int,
) -> tuple[dict[int, GalleryHit], dict[str, bytes]]:
    """Draw the hits of one plate and its controls between common limits."""
    pictures: dict[int, tuple[_Shown, Pictures]] = {}
    for each in wanted:
        if each.row not in pictures and (picture := read(plate, each.well)):
            pictures[each.row] = each, picture
    if not pictures:
        return {}, {}
    controls = _read_controls(plate, wells, read)
    everything = [picture for _, picture in [*pictures.values(), *controls]]
    limits = {name: _limits(name, everything) for name, _ in channels}
    files: dict[str, bytes] = {}

    def tile(well: str, picture: Pictures) -> GalleryTile:
        data = encode_webp(_draw_tile(picture, channels, limits, tile_px), quality=QUALITY)
        name = name_by_content("hit", data)
        files[name] = data
        return GalleryTile(well, name)

    beside = tuple(tile(well, picture) for well, picture in controls)
    contrast = tuple((name, *limits[name]) for name, _ in channels)
    drawn = {
        row: GalleryHit(each.treatment, each.concentration, plate, tile(each.well, picture), beside, contrast)
        for row, (each, picture) in pictures.items()
    }
    return drawn, files


def _read_controls(plate: str, wells: pd.DataFrame, read: ReadWell) -> list[tuple[str, Pictures]]:
    """Negative controls of a plate that have a picture, spread over their list."""
    of_plate = wells.loc[(wells["plate"] == plate) & (wells["control"] == "negcon"), "well"]
    names = sorted(set(of_plate), key=parse_well)
    spread = [names[len(names) * number // CONTROLS] for number in range(CONTROLS)] if names else []
    found: list[tuple[str, Pictures]] = []
    for name in dict.fromkeys([*spread, *names]):
        if len(found) == CONTROLS:
            break
        if picture := read(plate, name):
            found.append((name, picture))
    return found


def _limits(channel: str, pictures: Iterable[Pictures]) -> tuple[int, int]:
    histogram = np.zeros(LEVELS, dtype=np.int64)
    for picture in pictures:
        if channel in picture:
            histogram += count_levels(picture[channel])
    return find_limits(histogram)


def _draw_tile(
    picture: Pictures,
    channels: Sequence[tuple[str, str]],
    limits: Mapping[str, tuple[int, int]],
    tile_px: int,
) -> np.ndarray:
    """Lay the channels of a picture over each other, its longer side at most ``tile_px``."""
    greys: list[np.ndarray] = []
    for name, _ in channels:
        if name in picture:
            grey = Image.fromarray(render(picture[name], *limits[name]))
            scale = min(1.0, tile_px / max(grey.size))
            size = max(1, round(grey.width * scale)), max(1, round(grey.height * scale))
            greys.append(np.asarray(grey.resize(size, Image.Resampling.BOX)))
    return composite(greys, [color for name, color in channels if name in picture])


class WellPictures:
    """Reads the thumbnails of wells from the current publications of plates.

    Parameters
    ----------
    job
        Opens a plate by its name; ``None`` where there is no such one.
    """

    def __init__(self, job: Callable[[str], PlateJob | None]) -> None:
        self._job = job
        self._known: dict[str, tuple[PlateJob, dict[str, str]] | None] = {}

    def __call__(self, plate: str, well: str) -> Pictures | None:
        """The picture of a well's first site; ``None`` where its pixels are gone, or the plate has no publication."""
        if plate not in self._known:
            self._known[plate] = self._open(plate)
        known = self._known[plate]
        if known is None or well not in known[1]:
            return None
        job, names = known
        try:
            [manifest] = read_manifests(job.store, job.prefix, [names[well]])
            if not manifest["zarr"]:
                return None
            planes = read_thumbnail(job.store, job.zarr, manifest["zarr"]["group"])
        except StoredDataError:  # somebody deleted the pixels; the page does without
            return None
        return dict(zip([image["channel"] for image in manifest["images"]], planes, strict=True))

    def _open(self, plate: str) -> tuple[PlateJob, dict[str, str]] | None:
        job = self._job(plate)
        if job is None:
            return None
        numbers = publication_numbers(job.prefix, job.store.list(f"{job.prefix}publications/"))
        if not numbers:
            return None
        first: dict[str, tuple[int, str]] = {}
        for key in read_publication(job, numbers[-1]).manifests:
            name = key.rsplit("/", 1)[-1].removesuffix(".json")
            well, site, *_ = name.split("-")
            first[well] = min(first.get(well, (int(site), name)), (int(site), name))
        return job, {well: name for well, (_, name) in first.items()}
