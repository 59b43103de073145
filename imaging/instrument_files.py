"""Files that instruments lay beside their images: Harmony's Index.xml, MetaXpress' .HTD.

Only what a declaration needs is looked for: the plate's shape, the wells to be imaged, names of channels, size of a
pixel. They are searched as text; a file of another version says less, and nothing fails.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from imaging.wells import PLATE_SHAPES, Well

MAX_BYTES = 8 * 1024 * 1024
"""As much of a file is read: Harmony lists its wells first, and then every image."""

NAMES = re.compile(r"(?:Index(?:\.idx)?\.xml|[^/]*\.HTD)", re.IGNORECASE)
"""Base names of these files."""


@dataclass(frozen=True, slots=True)
class InstrumentFile:
    """What the instrument was told; empty where the file does not say it. ``channels``: names by code."""

    wells: int | None = None
    imaged: tuple[Well, ...] = ()
    channels: dict[str, str] = field(default_factory=dict)
    pixel_size_um: float | None = None


def read_instrument_file(base_name: str, data: bytes) -> InstrumentFile:
    """Read an instrument's file by the ending of its name."""
    return _read_htd(data.decode("latin-1")) if base_name.upper().endswith(".HTD") else _read_index(data)


def _read_index(data: bytes) -> InstrumentFile:
    text = data.decode("utf-8", errors="replace")
    rows, columns = (_number(text, rf"<{tag}>(\d+)</{tag}>") for tag in ("PlateRows", "PlateColumns"))
    wells = re.findall(r"<Row>(\d+)</Row>\s*<Col>(\d+)</Col>", text.partition("<Images>")[0])
    named = re.findall(r"<ChannelID>(\d+)</ChannelID>(?:(?!</Image>).)*?<ChannelName>([^<]+)</ChannelName>", text, re.S)
    size = re.search(r'<ImageResolutionX Unit="m">([0-9.]+(?:[eE][+-]?\d+)?)<', text)
    return InstrumentFile(
        wells=_plate_of(rows, columns),
        imaged=tuple(sorted({Well(int(row) - 1, int(column)) for row, column in wells})),
        channels=dict(named),
        pixel_size_um=round(float(size[1]) * 1e6, 6) if size else None,
    )


def _read_htd(text: str) -> InstrumentFile:
    columns, rows = (_number(text, rf'"{key}",\s*(\d+)') for key in ("XWells", "YWells"))
    selected = re.findall(r'"WellsSelection(\d+)",([^\r\n]*)', text)
    names = re.findall(r'"WaveName(\d+)",\s*"([^"]*)"', text)
    return InstrumentFile(
        wells=_plate_of(rows, columns),
        imaged=tuple(
            Well(int(row) - 1, column)
            for row, flags in selected
            for column, flag in enumerate(flags.split(","), 1)
            if flag.strip() == "TRUE"
        ),
        channels={code: name for code, name in names if name},
    )


def _plate_of(rows: int | None, columns: int | None) -> int | None:
    return next((wells for wells, shape in PLATE_SHAPES.items() if shape == (rows, columns)), None)


def _number(text: str, pattern: str) -> int | None:
    match = re.search(pattern, text)
    return int(match[1]) if match else None
