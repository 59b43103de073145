"""The plate map of a plate: the declared files that hold for it, read together, with all faults at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from imaging.errors import ConfigurationError, StoredDataError
from imaging.platemaps.barcodes import NamedMap, find_map, folders_of, read_barcodes
from imaging.platemaps.columns import names_place
from imaging.platemaps.described import DescribedWell, Selection, describe_wells, named_plates, tells_apart
from imaging.platemaps.faults import Faults
from imaging.platemaps.joins import join_table
from imaging.platemaps.map_table import MapTable, read_map_table
from imaging.platemaps.plate_map import PlateMap, PlateMapRow
from imaging.platemaps.sources import Join, PlateMapSource
from imaging.platemaps.suspicions import suspect_plate, suspect_units
from imaging.wells import PLATE_SHAPES, Well

if TYPE_CHECKING:
    from imaging.experiment import Experiment
    from imaging.layouts import Layout


@dataclass(frozen=True, slots=True)
class FoundMap:
    """A file that holds for a plate, the source that declares it, and what a barcode file adds."""

    source: PlateMapSource
    file: str
    map_name: str = ""
    annotations: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DescribedMap:
    """What one file says of wells; ``is_partial`` if another may say more of the same ones."""

    wells: list[DescribedWell]
    is_partial: bool = False


FindInPlate = Callable[[str], "list[tuple[str, bytes]]"]
"""Gives the names and bytes of the files of a plate's own folder that fit a path, whose last part may have ``*``."""


def read_plate_map(
    store_read: Callable[[str], bytes], experiment: Experiment, plate: str, find_in_plate: FindInPlate | None = None
) -> PlateMap:
    """Read what is in the wells of one plate; without a file for it, no well is described.

    Parameters
    ----------
    store_read
        Gives the bytes of a file named as in experiment.yaml (relative to it); ``FileNotFoundError`` if there is none.
    experiment
        The declaration; its layout decides which wells can be.
    plate
        The plate's name; it or its barcode is matched against each source's ``plates`` and barcode files.
    find_in_plate
        Finds maps in the plate's own folder; left out, none is there.

    Raises
    ------
    ConfigurationError
        With every fault in ``problems``.
    """
    reader = MapReader(store_read, experiment, find_in_plate)
    found = reader.read(plate)
    if faults := reader.faults:
        message = f"the plate map has {len(faults)} fault{'s' if len(faults) > 1 else ''}"
        raise ConfigurationError(message, faults.sentences(), experiment=experiment.name, plate=plate)
    return found


class MapReader:
    """Reads the maps of an experiment's plates; each file is read once, whatever number of plates it holds for."""

    def __init__(
        self, store_read: Callable[[str], bytes], experiment: Experiment, find_in_plate: FindInPlate | None = None
    ) -> None:
        self.experiment = experiment
        self._find_in_plate = find_in_plate
        self.faults = Faults()
        self._read = store_read
        self._files: dict[str, bytes | None] = {}
        self._named: dict[int, list[NamedMap]] = {}
        self._tables: dict[tuple[int, str], MapTable | None] = {}
        self._described: dict[tuple[int, str, Selection], DescribedMap] = {}

    def read(self, plate: str, sources: tuple[PlateMapSource, ...] | None = None) -> PlateMap:
        """Read the map of a plate; what is wrong or suspicious is added to ``faults``.

        Parameters
        ----------
        plate
            The plate's name or barcode.
        sources
            Sources that hold for it, where it is no real plate; left out, those whose ``plates`` name it.
        """
        maps = [found for source in sources or self.sources_of(plate) for found in self.maps_of(source, plate)]
        if not maps:
            self._suspect_barcode(plate)
        union = _Union(self.faults)
        for found in maps:
            union.add(found, self.describe(found, plate))
        if union.rows:
            suspect_plate(
                union.rows, self.experiment, ", ".join(dict.fromkeys(item.file for item in maps)), self.faults
            )
        wells = sorted(union.rows)
        return PlateMap(
            {str(well): union.rows[well] for well in wells},
            {str(well): union.annotations[well] for well in wells if union.annotations[well]},
            self.faults.warnings(),
        )

    def sources_of(self, plate: str) -> tuple[PlateMapSource, ...]:
        """Sources that may say something of a plate, by its name or its barcode."""
        barcode = self.experiment.barcode_of(plate)
        return tuple(item for item in self.experiment.plate_maps if item.holds_for(plate) or item.holds_for(barcode))

    def maps_of(self, source: PlateMapSource, plate: str) -> list[FoundMap]:
        """The files of a source that hold for a plate."""
        if source.file is not None:
            return [FoundMap(source, source.file)]
        if source.in_plate is not None:
            return self._maps_in_plate(source, source.in_plate)
        names = {plate, self.experiment.barcode_of(plate)}
        found: list[tuple[NamedMap, str, bytes]] = []
        for named in (item for item in self.named_maps(source) if item.barcode in names):
            where = find_map(named, source, self.bytes_of)
            if where is None:
                folders = ", ".join(folder or "the folder of experiment.yaml" for folder in folders_of(named, source))
                sentence = f"the plate map {named.map_name!r} is not there yet; it is looked for in {folders}"
                self.faults.warn(named.file, named.line, sentence)
            elif not found:
                found.append((named, *where))
            elif where[1] != found[0][2] and not _is_told(named, found[0][0]):
                sentence = (
                    f"the plate {named.barcode!r} has the map {where[0]} here and {found[0][1]} in {found[0][0].place}"
                )
                self.faults.add(named.file, named.line, f"{sentence}; keep one, or say which batches count")
        return [FoundMap(source, file, named.map_name, named.annotations) for named, file, _ in found]

    def _maps_in_plate(self, source: PlateMapSource, path: str) -> list[FoundMap]:
        """The map in the plate's own folder; several would have to be read as one."""
        if self._find_in_plate is None:
            return []
        found = self._find_in_plate(path)
        if not found:
            self.faults.warn(path, 0, "is not in the plate's folder yet")
        if len(found) > 1:
            shown = ", ".join(name for name, _ in found[:3])
            self.faults.add(path, 0, f"is {len(found)} files of the plate's folder ({shown}); say which one it is")
            return []
        self._files.update(found)
        return [FoundMap(source, name) for name, _ in found]

    def named_maps(self, source: PlateMapSource) -> list[NamedMap]:
        """Rows of a source's barcode files."""
        key = self.experiment.plate_maps.index(source)
        if key not in self._named:
            self._named[key] = []
            for file in source.barcodes:
                data = self._declared_bytes(file)
                self._named[key] += read_barcodes(data, file, source, self.faults) if data is not None else []
        return self._named[key]

    def describe(self, found: FoundMap, plate: str) -> DescribedMap:
        """What a file says of a plate's wells."""
        number = self.experiment.plate_maps.index(found.source)
        table = self._table(number, found)
        if table is None:
            return DescribedMap([])
        selection = Selection()  # mostly a file says the same of every plate that it holds for
        if tells_apart(table, found.source):
            selection = Selection((plate, self.experiment.barcode_of(plate)), found.map_name)
        key = (number, found.file, selection)
        if key not in self._described:
            wells = describe_wells(
                table, found.source, found.file, self.faults, selection, self.experiment.layout.wells
            )
            suspect_units(wells, found.file, self.faults)
            self._described[key] = DescribedMap(self._check_wells(wells, found.file), table.is_partial)
        return self._described[key]

    def plates_in(self, found: FoundMap) -> list[str]:
        """Plates that a file itself names, where it describes their wells one after the other."""
        table = self._table(self.experiment.plate_maps.index(found.source), found)
        return named_plates(table, found.source) if table is not None else []

    def bytes_of(self, file: str) -> bytes | None:
        """A file beside experiment.yaml; ``None`` if there is none."""
        if file not in self._files:
            try:
                self._files[file] = self._read(file)
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError, StoredDataError):  # none, or a folder
                self._files[file] = None
        return self._files[file]

    def _declared_bytes(self, file: str) -> bytes | None:
        data = self.bytes_of(file)
        if data is None:
            self.faults.add(file, 0, "does not exist beside experiment.yaml; put it there or correct plate_maps")
        return data

    def _table(self, number: int, found: FoundMap) -> MapTable | None:
        """A map's table with those that are joined to it."""
        key = number, found.file
        if key not in self._tables:
            self._tables[key] = self._read_table(found)
        return self._tables[key]

    def _read_table(self, found: FoundMap) -> MapTable | None:
        source, file, faults = found.source, found.file, self.faults
        data = self._declared_bytes(file)
        if data is None:
            return None
        columns = source.columns.model_dump(exclude_none=True)
        table = read_map_table(
            data,
            file,
            faults,
            is_header=lambda cells: names_place(cells, columns),
            sheet=source.sheet if not source.barcodes or data.startswith(b"PK") else None,
            grid=source.grid or "treatment",
        )
        if table is not None and source.grid is not None and not table.is_partial:
            faults.add(file, 0, "is not laid out as a plate, with 1, 2, 3, ... in the header and A, B, C, ... below")
        if table is not None:
            for join in source.join:
                table = self._join(table, join, file)
        return table

    def _join(self, table: MapTable, join: Join, file: str) -> MapTable:
        data = self._declared_bytes(join.file)
        other = read_map_table(data, join.file, self.faults, sheet=join.sheet) if data is not None else None
        return join_table(table, other, join, self.faults, file) if other is not None else table

    def _check_wells(self, wells: list[DescribedWell], file: str) -> list[DescribedWell]:
        """The wells of one file that can be; those that lie outside or stand twice are faults."""
        layout = self.experiment.layout
        if wells and not {item.well for item in wells} & set(layout.imaged_wells):
            sentence = "describes none of the imaged wells (layout.imaged); is it this plate's map?"
            self.faults.add(file, 0, sentence)
        sound: dict[Well, DescribedWell] = {}
        for item in wells:
            if item.well in sound:
                first = _place(file, sound[item.well].line)
                self.faults.add(file, item.line, f"well {item.well} is described already in {first}; keep one")
            elif not _lies_on(item.well, layout):
                sentence = f"well {item.well} lies outside a plate of {layout.wells} wells"
                self.faults.add(file, item.line, sentence)
            else:
                sound[item.well] = item
        return list(sound.values())

    def _suspect_barcode(self, plate: str) -> None:
        """A plate that barcode files should name and do not."""
        barcode = self.experiment.barcode_of(plate)
        for source in self.sources_of(plate):
            named = {item.barcode for item in self.named_maps(source)}
            if source.barcodes and not named & {plate, barcode}:
                more = f", nor do {len(source.barcodes) - 1} other barcode files" if len(source.barcodes) > 1 else ""
                self.faults.warn(next(iter(source.barcodes)), 0, f"names no map for the plate {barcode!r}{more}")


class _Union:
    """Wells of several files; one that two describe is a fault, unless each says another thing of it."""

    def __init__(self, faults: Faults) -> None:
        self.rows: dict[Well, PlateMapRow] = {}
        self.annotations: dict[Well, dict[str, str]] = {}
        self._faults = faults
        self._first: dict[Well, tuple[str, bool]] = {}

    def add(self, found: FoundMap, described: DescribedMap) -> None:
        """Add what one file describes."""
        for item in described.wells:
            row = item.row
            place, is_partial = self._first.setdefault(item.well, (_place(found.file, item.line), described.is_partial))
            if item.well in self.rows:
                row = _merge(self.rows[item.well], row) if is_partial or described.is_partial else None
            if row is None:
                self._faults.add(found.file, item.line, f"well {item.well} is described already in {place}; keep one")
                continue
            self.rows[item.well] = row
            others = self.annotations.get(item.well, {})
            self.annotations[item.well] = {**found.annotations, **item.annotations, **others}


def _is_told(named: NamedMap, other: NamedMap) -> bool:
    """Whether reading the barcode file has found already that the two name different maps for one plate."""
    return named.file == other.file and named.map_name != other.map_name


def _place(file: str, line: int) -> str:
    """File and line; an assay layout has no lines."""
    return f"{file} line {line}" if line else file


def _merge(first: PlateMapRow, second: PlateMapRow) -> PlateMapRow | None:
    """Two rows of a well that say different things of it; ``None`` if both say one thing."""
    pairs = [(getattr(first, name), getattr(second, name)) for name in PlateMapRow.__slots__ if name != "well"]
    if any(one is not None and other is not None for one, other in pairs):
        return None
    return PlateMapRow(first.well, *(one if one is not None else other for one, other in pairs))


def _lies_on(well: Well, layout: Layout) -> bool:
    rows, columns = PLATE_SHAPES[layout.wells]
    return well.row < rows and well.column <= columns
