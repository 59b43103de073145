"""What the cells of a plate map's table say of wells."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from imaging.declared import did_you_mean
from imaging.platemaps.columns import MAP_NAMES, choose_columns, choose_place, plain_name, unit_in_name
from imaging.platemaps.faults import Faults
from imaging.platemaps.joins import BLANK
from imaging.platemaps.map_table import MapTable
from imaging.platemaps.plate_map import CONTROLS, Control, PlateMapRow
from imaging.platemaps.sources import Controls, PlateMapSource
from imaging.wells import Well, parse_row, parse_well

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]*,[0-9]+(?:[eE][+-]?[0-9]+)?")
_NUMBERED = re.compile(r"0*([1-9][0-9]?)(?:\.0+)?")
_MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_LIKE_DATE = re.compile(rf"[0-9]{{1,2}}-(?:{_MONTHS})|(?:{_MONTHS})-[0-9]{{1,2}}", re.IGNORECASE)
_USUAL_CONTROLS: tuple[tuple[str, Control], ...] = (
    (r"neg(?:ative)?(?:con(?:trol)?)?", "negcon"),
    (r"pos(?:itive)?(?:con(?:trol)?)?", "poscon"),
    (r"negcon.*", "negcon"),
    (r"poscon.*", "poscon"),
    (r"empty|emptywell", "empty"),
    (r"trt|treated|treatment", "trt"),
)
"""Values of control columns as they are compared: lower case, without blanks, ``_`` and ``-``."""
_WITH_SOLVENT = "broadsample"
"""Column of treatments in which an empty cell means a well with solvent alone."""
_PLACES = ("well", "row", "column")
_VALUES = ("treatment", "concentration", "unit", "control")
_NO_DATES = (*_PLACES, *_VALUES)


@dataclass(frozen=True, slots=True)
class DescribedWell:
    """One row of a map: its line, its well, what is in it, and its annotations by name."""

    line: int
    well: Well
    row: PlateMapRow
    annotations: dict[str, str]


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows of a file count: those of a plate by any of its names, and those of a map."""

    plates: tuple[str, ...] = ()
    map_name: str = ""


def describe_wells(
    table: MapTable, source: PlateMapSource, file: str, faults: Faults, selection: Selection, most: int
) -> list[DescribedWell]:
    """Read the wells that a map describes.

    Parameters
    ----------
    table
        The map, with the columns of joined tables.
    source
        Its declaration: names of columns, values of controls, unit.
    file, faults
        Take what is wrong with it, by line.
    selection
        The plate, where the file may describe several.
    most
        Number of wells of a plate: more rows are a fault, and twice as many are read.
    """
    columns = source.columns.model_dump(exclude_none=True)
    if source.barcodes:
        columns = {role: name for role, name in columns.items() if role not in ("barcode", "map")}
    chosen = choose_columns(table.header, columns, MAP_NAMES, file, faults)
    if chosen is None or not choose_place(table.header, chosen, columns, file, faults):
        return []
    if source.grid is not None and source.grid not in _VALUES:
        chosen = {role: place for role, place in chosen.items() if role in _PLACES}  # the grid is an annotation
    rows = _select(table, chosen, selection, is_declared="barcode" in columns)
    _suspect_other_plate(table, chosen, selection, file, faults)
    if not rows and table.rows:
        faults.warn(file, 0, f"has no row of the plate {selection.plates[0]!r} in {table.header[chosen['barcode']]}")
    named = _annotated(table, chosen, source, file, faults)
    reader = _Reader(
        source, chosen, unit_in_name(table.header[chosen["concentration"]]) if "concentration" in chosen else None
    )
    reader.has_commas = _has_commas(table, chosen, file, faults)
    reader.has_solvent = "treatment" in chosen and plain_name(table.header[chosen["treatment"]]) == _WITH_SOLVENT
    if len(rows) > most:
        remedy = "take out those too many, or correct layout.wells"
        faults.add(file, 0, f"has {len(rows)} rows for a plate of {most} wells; {remedy}")
    found = []
    for line, cells in rows[: 2 * most]:
        _find_dates(table, chosen, line, cells, file, faults)
        well, row = reader.read({role: cells[place] for role, place in chosen.items()}, file, line, faults)
        if well is not None:
            found.append(DescribedWell(line, well, row, {name: cells[place] for name, place in named if cells[place]}))
    return found


def tells_apart(table: MapTable, source: PlateMapSource) -> bool:
    """Whether a column names plates, or one names several maps."""
    columns = source.columns.model_dump(exclude_none=True)
    chosen = choose_columns(table.header, columns, MAP_NAMES, "", Faults()) or {}
    return "barcode" in chosen or ("map" in chosen and len({cells[chosen["map"]] for _, cells in table.rows}) > 1)


def named_plates(table: MapTable, source: PlateMapSource) -> list[str]:
    """Plates that a column of the map names, where wells are described for several of them."""
    columns = source.columns.model_dump(exclude_none=True)
    chosen = choose_columns(table.header, columns, MAP_NAMES, "", Faults()) or {}
    is_several = "barcode" in chosen and ("barcode" in columns or _repeats_wells(table.rows, chosen))
    return list(dict.fromkeys(cells[chosen["barcode"]] for _, cells in table.rows)) if is_several else []


def annotation_name(column: str) -> str:
    """Name of an annotation: the column's, without a leading ``Metadata_``."""
    return re.sub(r"^(?:image_)?metadata_", "", column.strip(), flags=re.IGNORECASE)


def is_annotation(name: str, source: PlateMapSource) -> bool:
    """Whether the declaration keeps a column."""
    wanted = source.annotations
    return wanted is None or name in wanted or plain_name(name) in {plain_name(item) for item in wanted}


def _select(
    table: MapTable, chosen: Mapping[str, int], selection: Selection, *, is_declared: bool
) -> tuple[tuple[int, tuple[str, ...]], ...]:
    """Rows of the plate and the map, where a column names several.

    A column called ``plate`` may name the plates that a library came from, so without a row of this plate the file is
    read as a whole, unless the column is declared, or wells would be described twice.
    """
    rows = table.rows
    for role, wanted in (("barcode", selection.plates), ("map", (selection.map_name,))):
        place = chosen.get(role)
        if place is None or not any(wanted):
            continue
        of_plate = tuple(row for row in rows if row[1][place] in wanted)
        if of_plate or (role == "barcode" and (is_declared or _repeats_wells(rows, chosen))):
            rows = of_plate
    return rows


def _suspect_other_plate(
    table: MapTable, chosen: Mapping[str, int], selection: Selection, file: str, faults: Faults
) -> None:
    """A map whose only plate is another one; a pattern of names is no plate."""
    named = {cells[chosen["barcode"]] for _, cells in table.rows} - {""} if "barcode" in chosen else set()
    is_plate = selection.plates and not any("*" in plate for plate in selection.plates)
    if is_plate and len(named) == 1 and not named & {*selection.plates, selection.map_name}:
        column, plate = table.header[chosen["barcode"]], selection.plates[-1]
        faults.warn(
            file, 0, f"names the plate {next(iter(named))!r} in {column}, and not {plate!r}; is it this plate's map?"
        )


def _repeats_wells(rows: tuple[tuple[int, tuple[str, ...]], ...], chosen: Mapping[str, int]) -> bool:
    """Whether one well stands beside several plates."""
    place = chosen["barcode"]
    of_plates = {cells[place] for _, cells in rows}
    wells = {tuple(cells[chosen[role]] for role in _PLACES if role in chosen) for _, cells in rows}
    return len(of_plates) > 1 and len(wells) < len(rows)


def _annotated(
    table: MapTable, chosen: Mapping[str, int], source: PlateMapSource, file: str, faults: Faults
) -> list[tuple[str, int]]:
    """Names and positions of the columns that are kept: all but those of the place, or the declared ones."""
    places = {chosen[role] for role in _PLACES if role in chosen}
    found: dict[str, int] = {}
    for place, column in enumerate(table.header):
        if column and place not in places and is_annotation(annotation_name(column), source):
            found.setdefault(annotation_name(column), place)
    kept = {plain_name(name) for name in found}
    for wanted in source.annotations or ():
        if plain_name(wanted) not in kept and not source.barcodes:
            faults.add(file, 1, f"has no column {wanted!r}, an annotation; {did_you_mean(wanted, table.header)}")
    return list(found.items())


def _has_commas(table: MapTable, chosen: Mapping[str, int], file: str, faults: Faults) -> bool:
    """Whether concentrations have decimal commas, which they can where semicolons separate cells."""
    if not table.has_decimal_commas or "concentration" not in chosen:
        return False
    place = chosen["concentration"]
    commas = [line for line, cells in table.rows if _DECIMAL_COMMA.fullmatch(cells[place])]
    points = [line for line, cells in table.rows if "." in cells[place]]
    if commas and points:
        faults.add(file, points[0], f"has a decimal point and line {commas[0]} a comma; write all numbers in one way")
    return bool(commas)


def _find_dates(
    table: MapTable, chosen: Mapping[str, int], line: int, cells: tuple[str, ...], file: str, faults: Faults
) -> None:
    for role in _NO_DATES:
        place = chosen.get(role)
        if place is not None and (line, place) in table.dates:
            faults.add(
                file, line, f"the {role} is the date {cells[place]}; Excel makes dates of texts: type it as text"
            )
    text = cells[chosen["treatment"]] if "treatment" in chosen else ""
    if _LIKE_DATE.fullmatch(text):
        faults.warn(file, line, f"the treatment {text!r} looks like a date: was it a gene's name that Excel changed?")


@dataclass
class _Reader:
    """Reads the cells of one row after the other."""

    source: PlateMapSource
    chosen: Mapping[str, int]
    named_unit: str | None
    has_commas: bool = False
    has_solvent: bool = False

    def read(self, cells: Mapping[str, str], file: str, line: int, faults: Faults) -> tuple[Well | None, PlateMapRow]:
        """The well of a row and what is in it; ``None`` for a well that is at fault."""
        well = concentration = control = None
        unit = cells.get("unit") or self.source.concentration_unit or self.named_unit
        treatment, is_solvent = self._treatment(cells)
        try:
            well = _well(cells)
        except ValueError as error:
            faults.add(file, line, str(error))
        try:
            concentration = _concentration(cells.get("concentration", ""), unit, has_commas=self.has_commas)
        except ValueError as error:
            faults.add(file, line, str(error))
        try:
            control = _control(cells, self.source.controls)
        except ValueError as error:
            faults.add(file, line, str(error))
        if control is None and self.has_solvent and "solvent" in cells and treatment and not cells.get("control"):
            control = "negcon" if is_solvent else "trt"
        unit_here = unit if concentration is not None else None
        return well, PlateMapRow(str(well), treatment, concentration, unit_here, control)

    def _treatment(self, cells: Mapping[str, str]) -> tuple[str | None, bool]:
        """The treatment of a row, and whether it is the solvent alone."""
        text = cells.get("treatment", "")
        if text:
            return text, False
        if self.source.blank_treatment:
            return self.source.blank_treatment, self.has_solvent
        solvent = cells.get("solvent", "") if self.has_solvent else ""
        return solvent or None, bool(solvent)


def _well(cells: Mapping[str, str]) -> Well:
    if "well" in cells:
        return parse_well(cells["well"])
    row, column = cells["row"], cells["column"]
    number = _NUMBERED.fullmatch(column)
    if number is None:
        raise ValueError(f"a column must be a number from 1, got {column!r}")
    numbered_row = _NUMBERED.fullmatch(row)
    return Well(int(numbered_row[1]) - 1 if numbered_row else parse_row(row), int(number[1]))


def _concentration(text: str, unit: str | None, *, has_commas: bool) -> float | None:
    if text.casefold() in BLANK:
        return None
    is_comma = _DECIMAL_COMMA.fullmatch(text) is not None
    if is_comma and has_commas:
        text = text.replace(",", ".")
    if not _NUMBER.fullmatch(text):
        hint = "write a decimal point, not a comma" if is_comma else "leave unknown ones empty"
        raise ValueError(f"a concentration must be a number, got {text!r}; {hint}")
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"a concentration must be a finite number, got {text!r}")
    if value < 0 and not (unit or "").casefold().startswith("log"):
        raise ValueError(f"a concentration must be 0 or more, got {text!r}; logarithms need a unit such as log10(M)")
    return value


def _control(cells: Mapping[str, str], controls: Controls) -> Control | None:
    """What the control column says, and where it is empty, the one that tells treated wells from controls."""
    text, kind = cells.get("control"), cells.get("kind", "")
    if text is not None:
        for name in _declared(text, controls):
            return name
    for value in (text or "", kind):
        if value.casefold() not in BLANK:
            plain = re.sub(r"[ _-]", "", value.casefold())
            usual: Control | None = next(
                (name for pattern, name in _USUAL_CONTROLS if re.fullmatch(pattern, plain)), None
            )
            if usual is not None:
                return usual
            if value == text:
                raise ValueError(
                    f"the control value {text!r} is not known; write negcon, poscon, empty or trt, or name the value "
                    "under plate_maps.controls"
                )
    return None


def _declared(text: str, controls: Controls) -> Iterator[Control]:
    for name in CONTROLS:
        if any(fnmatchcase(text.casefold(), value.casefold()) for value in getattr(controls, name)):
            yield name
