"""A first experiment.yaml from a folder of images: names and headers are looked at, no pixel is read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import BinaryIO

from imaging.errors import ConfigurationError
from imaging.image_headers import ImageHeader, read_header
from imaging.instrument_files import MAX_BYTES, NAMES, InstrumentFile, read_instrument_file
from imaging.instruments import CONVENTIONS, NamedImage, read_name, recognise
from imaging.wells import PLATE_SHAPES, Well

_IMAGE = re.compile(r"[^.].*\.(?:tiff?|png)", re.IGNORECASE)
_THUMBNAIL = re.compile(r"_thumb|thumbnail", re.IGNORECASE)
_NUCLEAR = re.compile(r"dapi|hoechst|h33342|\bdna\b|draq5|nucle[iua]|h2b", re.IGNORECASE)
_WHOLE_CELL = re.compile(r"\brna\b|syto|cellmask|cytoplasm", re.IGNORECASE)
_FIRST = (0, 1)


@dataclass(frozen=True, slots=True)
class GuessedChannel:
    """A channel as names and headers tell it; ``is_measured`` is false where the full scale is a guess."""

    name: str
    code: str
    role: str
    full_scale: int
    is_measured: bool


@dataclass(frozen=True, slots=True)
class FolderLook:
    """What a folder seems to hold.

    ``imaged`` holds wells and ranges, ``unknown`` images whose names do not fit, ``notes`` sentences for the user.
    """

    convention: str
    pattern: str
    wells: int
    imaged: tuple[str, ...]
    sites: tuple[int, ...]
    channels: tuple[GuessedChannel, ...]
    pixel_size_um: float | None
    image_count: int
    unknown: tuple[str, ...]
    notes: tuple[str, ...]


def look_at(names: Iterable[str], open_file: Callable[[str], BinaryIO] | None = None) -> FolderLook:
    """Guess how images are named and what the plate is.

    Parameters
    ----------
    names
        Paths of all files inside the folder, with ``/``.
    open_file
        Opens one of them for reading its header; without it nothing but names counts.

    Raises
    ------
    ConfigurationError
        If there is no image, or the names follow no known convention; says how to write a pattern.
    """
    paths = sorted(names)
    images = [path for path in paths if _is_image(path)]
    if not images:
        raise ConfigurationError("the folder holds no image (.tif, .tiff, .png); give the folder of one plate's images")
    found = recognise([_base(path) for path in images])
    if found is None:
        raise ConfigurationError(_how_to_write_a_pattern(_base(images[0])))
    convention, pattern = found
    named = {path: name for path in images if (name := read_name(pattern, _base(path)))}
    unknown = tuple(path for path in images if path not in named)
    told = _read_instrument_files(paths, open_file)
    seen = {name.well for name in named.values()}
    imaged = sorted(seen | set(told.imaged))
    headers = _read_headers(named, open_file)
    sites = tuple(sorted({name.site for name in named.values()}))
    if sites[0] < 1:
        raise ConfigurationError("the names number sites from 0; they must count from 1: rename the files")
    return FolderLook(
        convention=convention.name,
        pattern=_without_single_planes(pattern.pattern, named.values()),
        wells=told.wells or _smallest_plate(imaged),
        imaged=compact_wells(imaged),
        sites=sites,
        channels=_channels(headers, told.channels),
        pixel_size_um=told.pixel_size_um or next((h.pixel_size_um for h in headers.values() if h.pixel_size_um), None),
        image_count=len(named),
        unknown=unknown,
        notes=tuple(_notes(named, unknown, seen, set(told.imaged), sites)),
    )


def compact_wells(wells: Collection[Well]) -> tuple[str, ...]:
    """Name wells by as few ranges as row runs allow: equal runs of neighbouring rows become one rectangle."""
    runs: list[tuple[int, int, int, int]] = []
    for first, last, row in _row_runs(wells):
        above = next((run for run in runs if run[2:] == (first, last) and run[1] == row - 1), None)
        if above is None:
            runs.append((row, row, first, last))
        else:
            runs[runs.index(above)] = (above[0], row, first, last)
    return tuple(_spell_range(Well(top, first), Well(bottom, last)) for top, bottom, first, last in runs)


def _row_runs(wells: Collection[Well]) -> list[tuple[int, int, int]]:
    """Runs of neighbouring columns as (first, last, row), row by row."""
    runs: list[tuple[int, int, int]] = []
    for well in sorted(wells):
        if runs and runs[-1][1:] == (well.column - 1, well.row):
            runs[-1] = (runs[-1][0], well.column, well.row)
        else:
            runs.append((well.column, well.column, well.row))
    return runs


def _spell_range(first: Well, last: Well) -> str:
    return str(first) if first == last else f"{first}-{last}"


def _base(path: str) -> str:
    return path.rpartition("/")[2]


def _is_image(path: str) -> bool:
    base = _base(path)
    return _IMAGE.fullmatch(base) is not None and _THUMBNAIL.search(base) is None


def _how_to_write_a_pattern(example: str) -> str:
    known = ", ".join(convention.example for convention in CONVENTIONS)
    return (
        f"names such as {example!r} follow no convention known here ({known}). Write experiment.yaml by hand, with a "
        "regular expression under files.pattern that fits the whole name: (?P<well>[A-P]\\d\\d) for the well, or "
        "(?P<row>[A-P]) and (?P<column>\\d\\d), and (?P<site>\\d+), (?P<channel>\\w+) where the name has them; for "
        r"B03_s1_DNA.tif it is '(?P<well>[A-P]\d\d)_s(?P<site>\d+)_(?P<channel>\w+)\.tif'"
    )


def _read_instrument_files(paths: list[str], open_file: Callable[[str], BinaryIO] | None) -> InstrumentFile:
    path = next((path for path in paths if NAMES.fullmatch(_base(path))), None)
    if path is None or open_file is None:
        return InstrumentFile()
    with open_file(path) as file:
        return read_instrument_file(_base(path), file.read(MAX_BYTES))


def _read_headers(named: dict[str, NamedImage], open_file: Callable[[str], BinaryIO] | None) -> dict[str, ImageHeader]:
    """The header of each channel's first image, by code."""
    headers: dict[str, ImageHeader] = {}
    for path, name in named.items():
        if name.code in headers:
            continue
        headers[name.code] = ImageHeader()
        if open_file is not None:
            with open_file(path) as file:
                headers[name.code] = read_header(file)
    return dict(sorted(headers.items()))


def _channels(headers: dict[str, ImageHeader], told: dict[str, str]) -> tuple[GuessedChannel, ...]:
    """Channels in the order of their codes; at most one nucleus and one cell channel.

    A stain is what the instrument's file, the header or the name says; one that two channels share names neither.
    """
    stains = {
        code: told.get(code.lstrip("0")) or header.stain or (code if not code.isdigit() else "")
        for code, header in headers.items()
    }
    names = {code: _channel_name(stain, code) for code, stain in stains.items()}
    counts = Counter(name.casefold() for name in names.values())
    channels: list[GuessedChannel] = []
    for code, header in headers.items():
        stain, name = stains[code], names[code]
        if counts[name.casefold()] > 1:
            stain, name = "", _channel_name("", code)
        roles = {channel.role for channel in channels}
        role = next((r for r, words in _ROLE_WORDS if words.search(stain) and r not in roles), "other")
        channels.append(GuessedChannel(name, code, role, header.full_scale or 65535, header.full_scale is not None))
    return tuple(channels)


_ROLE_WORDS = (("nucleus", _NUCLEAR), ("cell", _WHOLE_CELL))


def _channel_name(stain: str, code: str) -> str:
    """A stain's name in letters, digits and ``_``; a channel without one is named by its code."""
    plain = re.sub(r"[^A-Za-z0-9]+", "_", stain).strip("_")[:32]
    return plain if re.match(r"[A-Za-z]", plain) else re.sub(r"[^A-Za-z0-9]+", "_", f"Channel{code}")


def _without_single_planes(pattern: str, names: Iterable[NamedImage]) -> str:
    """Uncapture z or t where all names have one value that is not the first: it is then no stack."""
    images = list(names)
    for group in ("z", "t"):
        values = {getattr(image, group) for image in images}
        if len(values) == 1 and not values & set(_FIRST):
            pattern = pattern.replace(f"(?P<{group}>", "(?:")
    return pattern


def _smallest_plate(wells: Collection[Well]) -> int:
    rows, columns = max(well.row for well in wells) + 1, max(well.column for well in wells)
    fitting = [n for n, shape in PLATE_SHAPES.items() if n >= 96 and rows <= shape[0] and columns <= shape[1]]
    if not fitting:
        largest = max(wells, key=lambda well: (well.column, well.row))
        raise ConfigurationError(f"well {largest} lies outside a plate of 1536 wells; the names are read wrongly")
    return fitting[0]


def _notes(
    named: dict[str, NamedImage], unknown: tuple[str, ...], seen: set[Well], planned: set[Well], sites: tuple[int, ...]
) -> Iterable[str]:
    if unknown:
        yield f"{len(unknown)} image names do not fit the pattern and will be listed as unknown, such as {unknown[0]}"
    if any(image.z not in _FIRST or image.t not in _FIRST for image in named.values()):
        yield "there are several planes (z) or time points (t): only the first is processed"
    if repeated := _first_repeated(named):
        yield (
            f"the same image lies in several folders ({', '.join(repeated)}): give the folder of one plate, plane and "
            "time point, or put the folder into files.pattern; else the newest counts"
        )
    sites_of = Counter(well for well, _ in {(image.well, image.site) for image in named.values()})
    if len(set(sites_of.values())) > 1:
        yield f"not all wells have all {len(sites)} sites; those missing will be waited for"
    if planned - seen:
        yield f"the instrument's file names {len(planned - seen)} wells that have no image yet; they will be waited for"


def _first_repeated(named: dict[str, NamedImage]) -> tuple[str, ...]:
    """Folders of the first image that occurs in more than one."""
    folders: dict[NamedImage, list[str]] = {}
    for path, image in named.items():
        folders.setdefault(image, []).append(path.rpartition("/")[0] or ".")
    return tuple(next((places for places in folders.values() if len(places) > 1), ()))
