"""Plate maps: which treatment, concentration and control lies in which well, from CSV or TSV files.

experiment.yaml names the files and, where their columns have names of their own, which column is what. All faults of
a plate's maps are reported at once, each with its file and line.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator

from imaging.declared import Declared, Texts
from imaging.errors import ConfigurationError
from imaging.names import hash_of
from imaging.platemap_files import Faults, MapFile, read_map_file
from imaging.wells import PLATE_SHAPES, Well, parse_row, parse_well

if TYPE_CHECKING:
    from imaging.experiment import Experiment
    from imaging.layouts import Layout

Control = Literal["negcon", "poscon", "empty", "trt"]
CONTROLS: tuple[Control, ...] = ("negcon", "poscon", "empty", "trt")

_BLANK = ("", "na", "nan", "n/a")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


class Columns(Declared):
    """Names of a file's columns; those left out are found by their usual names."""

    well: str | None = Field(None, description="column with wells such as B03")
    row: str | None = Field(None, description="column with rows, as letters or numbers")
    column: str | None = Field(None, description="column with column numbers")
    treatment: str | None = Field(None, description="column with the name of what was added")
    concentration: str | None = Field(None, description="column with concentrations")
    unit: str | None = Field(None, description="column with units of the concentrations")
    control: str | None = Field(None, description="column that tells controls from treatments")


class Controls(Declared):
    """Which values of the control column mean what; ``*`` stands for any text, ``''`` for an empty cell."""

    negcon: Texts = Field((), description="values of negative controls")
    poscon: Texts = Field((), description="values of positive controls")
    empty: Texts = Field((), description="values of wells without cells")
    trt: Texts = Field((), description="values of treated wells")


class PlateMapSource(Declared):
    """One plate map file and the plates it holds for."""

    file: str = Field(description="path of a CSV or TSV file beside experiment.yaml, such as platemaps/a.csv")
    plates: Texts = Field(("*",), description="plates it holds for; * stands for any text")
    columns: Columns = Field(Columns.model_validate({}), description="names of the file's columns")
    concentration_unit: str | None = Field(None, description="unit of all concentrations, such as uM, or index")
    controls: Controls = Field(Controls.model_validate({}), description="which values of the control column mean what")
    blank_treatment: str | None = Field(None, description="treatment of wells with an empty cell, such as DMSO")

    @field_validator("file")
    @classmethod
    def _beside(cls, file: str) -> str:
        parts = file.split("/")
        if "\\" in file or not file.isprintable() or any(part.strip(" .") == "" for part in parts):
            raise ValueError(f"must be a path beside experiment.yaml, such as platemaps/a.csv, got {file!r}")
        return file

    def holds_for(self, plate: str) -> bool:
        """Whether the file describes this plate."""
        return any(fnmatchcase(plate, pattern) for pattern in self.plates)


@dataclass(frozen=True, slots=True)
class PlateMapRow:
    """What is in one well; ``None`` where the file says nothing."""

    well: str
    treatment: str | None = None
    concentration: float | None = None
    concentration_unit: str | None = None
    control: Control | None = None


@dataclass(frozen=True, slots=True)
class PlateMap:
    """The wells of one plate, by name in plate order, and a hash of all they say."""

    rows: dict[str, PlateMapRow]

    @property
    def empty_wells(self) -> frozenset[str]:
        """Wells that hold no cells."""
        return frozenset(well for well, row in self.rows.items() if row.control == "empty")

    @property
    def digest(self) -> str:
        """Hash of the content: the same for two files that say the same."""
        return hash_of([asdict(row) for row in self.rows.values()])


def read_plate_map(store_read: Callable[[str], bytes], experiment: Experiment, plate: str) -> PlateMap:
    """Read what is in the wells of one plate; without a file for it, no well is described.

    Parameters
    ----------
    store_read
        Gives the bytes of a file named as in experiment.yaml (relative to it); ``FileNotFoundError`` if there is none.
    experiment
        The declaration; its layout decides which wells can be.
    plate
        The plate's name, matched against each source's ``plates``.

    Raises
    ------
    ConfigurationError
        With every fault in ``problems``.
    """
    faults = Faults()
    sources = [source for source in experiment.plate_maps if source.holds_for(plate)]
    rows = _read_sources(store_read, sources, experiment.layout, faults)
    if faults:
        message = f"the plate map has {len(faults)} fault{'s' if len(faults) > 1 else ''}"
        raise ConfigurationError(message, faults.sentences(), experiment=experiment.name, plate=plate)
    return PlateMap({str(well): rows[well] for well in sorted(rows)})


def check_plate_maps(store_read: Callable[[str], bytes], experiment: Experiment) -> dict[str, int]:
    """Read every plate map file of an experiment, whether its plates are known yet or not.

    Returns
    -------
    Number of described wells by file.

    Raises
    ------
    ConfigurationError
        With every fault of every file in ``problems``; overlaps of files on the declared plates count too.
    """
    faults = Faults()
    counts = {
        source.file: len(_read_sources(store_read, [source], experiment.layout, faults))
        for source in experiment.plate_maps
    }
    for plate in experiment.plates if not faults else ():
        _read_sources(store_read, [s for s in experiment.plate_maps if s.holds_for(plate)], experiment.layout, faults)
    if faults:
        message = f"the plate maps have {len(faults)} fault{'s' if len(faults) > 1 else ''}"
        raise ConfigurationError(message, faults.sentences(), experiment=experiment.name)
    return counts


def _read_sources(
    store_read: Callable[[str], bytes], sources: list[PlateMapSource], layout: Layout, faults: Faults
) -> dict[Well, PlateMapRow]:
    rows: dict[Well, PlateMapRow] = {}
    first: dict[Well, str] = {}
    for source in sources:
        try:
            data = store_read(source.file)
        except FileNotFoundError:
            faults.add(source.file, 0, "does not exist beside experiment.yaml; put it there or correct plate_maps")
            continue
        file = read_map_file(data, source.file, source.columns.model_dump(exclude_none=True), faults)
        described = _read_rows(file, source, faults) if file else []
        for line, well, row in described:
            if well in first:
                faults.add(source.file, line, f"well {well} is described already in {first[well]}; keep one")
            elif not _lies_on(well, layout):
                faults.add(source.file, line, f"well {well} lies outside a plate of {layout.wells} wells")
            else:
                rows[well], first[well] = row, f"{source.file} line {line}"
        if described and not {well for _, well, _ in described} & set(layout.imaged_wells):
            faults.add(source.file, 0, "describes none of the imaged wells (layout.imaged); is it this plate's map?")
    return rows


def _read_rows(file: MapFile, source: PlateMapSource, faults: Faults) -> list[tuple[int, Well, PlateMapRow]]:
    rows = []
    for line, cells in file.rows:
        treatment = cells.get("treatment") or source.blank_treatment or None
        unit = cells.get("unit") or source.concentration_unit or None
        try:
            well = _well(cells)
        except ValueError as error:
            faults.add(source.file, line, str(error))
            well = None
        concentration = control = None
        try:
            concentration = _concentration(cells.get("concentration", ""), unit)
        except ValueError as error:
            faults.add(source.file, line, str(error))
        try:
            control = _control(cells["control"], source.controls) if "control" in cells else None
        except ValueError as error:
            faults.add(source.file, line, str(error))
        if well is not None:
            unit_here = unit if concentration is not None else None
            rows.append((line, well, PlateMapRow(str(well), treatment, concentration, unit_here, control)))
    return rows


def _well(cells: Mapping[str, str]) -> Well:
    if "well" in cells:
        return parse_well(cells["well"])
    row, column = cells["row"], cells["column"]
    if not re.fullmatch(r"0*[1-9][0-9]?", column):
        raise ValueError(f"a column must be a number from 1, got {column!r}")
    if re.fullmatch(r"0*[1-9][0-9]?", row):
        return Well(int(row) - 1, int(column))
    return Well(parse_row(row), int(column))


def _lies_on(well: Well, layout: Layout) -> bool:
    rows, columns = PLATE_SHAPES[layout.wells]
    return well.row < rows and well.column <= columns


def _concentration(text: str, unit: str | None) -> float | None:
    if text.casefold() in _BLANK:
        return None
    if not _NUMBER.fullmatch(text):
        is_comma = re.fullmatch(r"[0-9]+,[0-9]+", text) is not None
        hint = "write a decimal point, not a comma" if is_comma else "leave unknown ones empty"
        raise ValueError(f"a concentration must be a number, got {text!r}; {hint}")
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"a concentration must be a finite number, got {text!r}")
    if value < 0 and not (unit or "").casefold().startswith("log"):
        raise ValueError(f"a concentration must be 0 or more, got {text!r}; logarithms need a unit such as log10(M)")
    return value


def _control(text: str, controls: Controls) -> Control | None:
    for name in CONTROLS:
        if any(_means(text, value) for value in getattr(controls, name)):
            return name
    if text.casefold() in _BLANK:
        return None
    for name in CONTROLS:
        if text.casefold() == name:
            return name
    raise ValueError(
        f"the control value {text!r} is not known; write negcon, poscon, empty or trt, or name the value under "
        "plate_maps.controls"
    )


def _means(text: str, value: str) -> bool:
    return fnmatchcase(text.casefold(), value.casefold())
