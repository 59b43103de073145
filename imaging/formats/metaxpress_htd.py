"""MetaXpress' description of a plate, NAME.HTD: lines of a quoted key and values, in latin-1.

It says which wells, sites, channels, time points and planes were asked for. Not every channel is taken in each time
point and plane, and the file does not tell: what has come decides whether a channel is a stack.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import BinaryIO

from imaging.formats.contract import Address, Told, ToldChannel
from imaging.formats.manifests import UnreadableManifestError
from imaging.wells import PLATE_SHAPES, Well

MAX_HTD_BYTES = 1024 * 1024
MAX_EXPECTED = 2_000_000
_LINE = re.compile(r'\s*"([^"]+)"\s*,\s*(.*?)\s*')


@dataclass(slots=True)
class Arrived:
    """What has come of a measurement: its sites, and of each channel the last plane, 0 outside of ZStep folders."""

    sites: set[int] = field(default_factory=set)
    last_steps: dict[str, int] = field(default_factory=dict)

    def add(self, site: int, code: str, step: int) -> None:
        """Take note of a channel's plane at a site."""
        self.sites.add(site)
        self.last_steps[code] = max(step, self.last_steps.get(code, 0))


@dataclass(frozen=True, slots=True)
class Htd:
    """What the file says; ``selected_sites`` are places in the well's grid, row by row from 1, ``channels`` names."""

    wells: int | None
    imaged: tuple[Well, ...]
    selected_sites: tuple[int, ...]
    channels: dict[str, str]
    time_points: int
    steps: int
    measurement: str

    def told(self, arrived: Arrived, acquisition: str) -> Told:
        """The same in the words of all formats."""
        problems: tuple[str, ...] = ()
        expected: frozenset[Address] | None = None
        steps = {code: self._steps(code, arrived) for code in self.channels}
        sites = self._sites(arrived)
        count = len(self.imaged) * len(sites) * self.time_points * sum(steps.values())
        if count > MAX_EXPECTED:
            problems = (
                f"the .HTD asks for {count:,} images, more than {MAX_EXPECTED:,}; what should come is not known",
            )
        elif count:
            expected = frozenset(
                Address(well, site, code, z, t, acquisition)
                for well, site, t in product(self.imaged, sites, range(1, self.time_points + 1))
                for code, last in steps.items()
                for z in range(1, last + 1)
            )
        return Told(
            measurement=self.measurement,
            instrument="ImageXpress",
            wells=self.wells,
            imaged=self.imaged,
            channels=tuple(ToldChannel(code, name) for code, name in self.channels.items()),
            expected=expected,
            problems=problems,
        )

    def _steps(self, code: str, arrived: Arrived) -> int:
        """Planes of a channel: those asked for, unless what has come shows that it was taken in one.

        Such a channel lies outside of the ZStep folders, or in the first while another channel has reached the last.
        """
        last = arrived.last_steps.get(code)
        is_single = last == 0 or (last == 1 and max(arrived.last_steps.values()) >= self.steps)
        return 1 if is_single else max(self.steps, last or 1)

    def _sites(self, arrived: Arrived) -> tuple[int, ...]:
        """Numbers of sites: 1, 2, 3 of those selected, or their places in the grid where names count so."""
        counted = tuple(range(1, len(self.selected_sites) + 1))
        if arrived.sites <= set(counted) or not arrived.sites <= set(self.selected_sites):
            return counted
        return self.selected_sites


def read_htd(file: BinaryIO) -> Htd:
    """Read a .HTD file.

    Parameters
    ----------
    file
        Its bytes, latin-1; UTF-16 and UTF-8 with a byte order mark are read too.

    Raises
    ------
    UnreadableManifestError
        If it is cut off or does not describe a plate.
    """
    text = _decode(file.read())
    lines = {match[1]: match[2] for line in text.splitlines() if (match := _LINE.fullmatch(line))}
    if "HTSInfoFile" not in lines and "XWells" not in lines:
        raise UnreadableManifestError("is no description of a plate by MetaXpress")
    if not _is_whole(lines):
        raise UnreadableManifestError("ends too early: it does not name all rows of wells")
    columns, rows = _number(lines, "XWells"), _number(lines, "YWells")
    if not (1 <= columns <= 48 and 1 <= rows <= 32):
        raise UnreadableManifestError(f"says {columns} columns and {rows} rows of wells, which no plate has")
    has_series = _is_true(lines.get("ZSeries", ""))
    return Htd(
        wells=next((wells for wells, shape in PLATE_SHAPES.items() if shape == (rows, columns)), None),
        imaged=tuple(Well(row - 1, column) for row, column in _selected(lines, "WellsSelection", rows, columns)),
        selected_sites=_site_places(lines),
        channels=_channels(lines),
        time_points=min(max(1, _number(lines, "TimePoints")), 100_000),
        steps=min(max(1, _number(lines, "ZSteps")), 100_000) if has_series else 1,
        measurement=lines.get("UniquePlateIdentifier", "").strip('"'),
    )


def _decode(data: bytes) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", errors="replace")
    return data.removeprefix(b"\xef\xbb\xbf").decode("latin-1")


def _is_whole(lines: Mapping[str, str]) -> bool:
    return all(f"WellsSelection{row}" in lines for row in range(1, min(_number(lines, "YWells"), 32) + 1))


def _site_places(lines: Mapping[str, str]) -> tuple[int, ...]:
    """Places of the sites in the well's grid, row by row from 1."""
    if not _is_true(lines.get("Sites", "TRUE")):
        return (1,)
    columns, rows = min(_number(lines, "XSites"), 100), min(_number(lines, "YSites"), 100)
    places = [(row - 1) * columns + column for row, column in _selected(lines, "SiteSelection", rows, columns)]
    return tuple(places) or tuple(range(1, max(1, columns * rows) + 1))


def _channels(lines: Mapping[str, str]) -> dict[str, str]:
    """Names of channels by their codes; what is not collected is left out."""
    count = min(_number(lines, "NWavelengths"), 99) if _is_true(lines.get("Waves", "TRUE")) else 1
    named = {
        str(wave): lines.get(f"WaveName{wave}", "").strip('"')
        for wave in range(1, max(1, count) + 1)
        if lines.get(f"WaveCollect{wave}", "1").strip().upper() not in ("0", "FALSE")
    }
    return named or {"1": lines.get("WaveName1", "").strip('"')}


def _selected(lines: Mapping[str, str], key: str, rows: int, columns: int) -> list[tuple[int, int]]:
    """Rows and columns, from 1, that a table of TRUE and FALSE selects."""
    return [
        (row, column)
        for row in range(1, rows + 1)
        for column, flag in enumerate(lines.get(f"{key}{row}", "").split(",")[:columns], 1)
        if _is_true(flag)
    ]


def _is_true(text: str) -> bool:
    return text.strip().strip('"').upper() in ("TRUE", "1", "YES")


def _number(lines: Mapping[str, str], key: str) -> int:
    text = lines.get(key, "").strip().strip('"')
    return int(text) if text.isdecimal() and len(text) < 10 else 0
