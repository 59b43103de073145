"""Declarations and files of plate maps, for their tests."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any

import openpyxl
import pytest

from imaging.errors import ConfigurationError
from imaging.experiment import Experiment, read_experiment
from imaging.platemaps import MapsCheck, PlateMap, check_plate_maps, read_plate_map

EXPERIMENT = r"""
name: screen
channels: [{{name: DNA, full_scale: 255}}]
layout: {{wells: {wells}, imaged: [{imaged}], sites: 1}}
files: {{pattern: '(?P<well>...)\.tif'}}
plate_maps:
{maps}
{more}
"""


def declare(maps: str, *, wells: int = 96, imaged: str = "A01-B03", more: str = "") -> Experiment:
    """An experiment with these entries of ``plate_maps``, each a line that begins with a dash."""
    lines = "\n".join(f"  {line}" for line in maps.splitlines())
    return read_experiment(EXPERIMENT.format(maps=lines, wells=wells, imaged=imaged, more=more).encode())


def reader(files: Mapping[str, str | bytes]) -> Callable[[str], bytes]:
    """Reads these files and no others."""

    def read(name: str) -> bytes:
        if name not in files:
            raise FileNotFoundError(name)
        content = files[name]
        return content if isinstance(content, bytes) else content.encode()

    return read


def read_map(maps: str, files: Mapping[str, str | bytes], plate: str = "P1", **declared: Any) -> PlateMap:
    """The map of a plate."""
    return read_plate_map(reader(files), declare(maps, **declared), plate)


def read_one(content: str | bytes, extra: str = "", **declared: Any) -> PlateMap:
    """The map of a plate that one file ``m`` gives; ``extra`` follows its name in the declaration."""
    return read_map(f"- {{file: m{extra}}}", {"m": content}, **declared)


def faults_in(maps: str, files: Mapping[str, str | bytes], plate: str = "P1", **declared: Any) -> tuple[str, ...]:
    """What is wrong with the map of a plate."""
    with pytest.raises(ConfigurationError) as caught:
        read_map(maps, files, plate, **declared)
    return caught.value.problems


def faults_of(content: str | bytes, extra: str = "", **declared: Any) -> tuple[str, ...]:
    """What is wrong with the file ``m``."""
    return faults_in(f"- {{file: m{extra}}}", {"m": content}, **declared)


def check(maps: str, files: Mapping[str, str | bytes], plates: tuple[str, ...] = (), **declared: Any) -> MapsCheck:
    """What ``platestream check`` says of an experiment's maps."""
    return check_plate_maps(reader(files), declare(maps, **declared), plates)


def spoken(found: PlateMap) -> list[str]:
    """Warnings of a map as one text each."""
    return [f"{file}{sentence}" for file, sentence in found.warnings]


def workbook(*sheets: list[list[Any]], merge: str = "") -> bytes:
    """An .xlsx file with these rows, one list per sheet."""
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for number, rows in enumerate(sheets, start=1):
        sheet = book.create_sheet(f"Sheet{number}")
        for row in rows:
            sheet.append(row)
        if merge:
            sheet.merge_cells(merge)
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()
