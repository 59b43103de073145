"""Barcode files: which plate map holds for which plate, one row per plate.

    Assay_Plate_Barcode,Plate_Map_Name
    SQ00015054,C-7161-01-LM6-027

Names of maps have their file's ending or not, and lie in a folder ``platemap`` beside the barcode file, or in the one
that is declared.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from imaging.platemaps.columns import BARCODE_NAMES, choose_columns, plain_name
from imaging.platemaps.described import annotation_name, is_annotation
from imaging.platemaps.faults import Faults
from imaging.platemaps.map_table import read_map_table
from imaging.platemaps.sources import PlateMapSource

ENDINGS = (".txt", ".tsv", ".csv", ".xlsx", ".xml")

_MAP_NAME = re.compile(r"(?!\.)[^/\\\x00-\x1f]{1,200}")


@dataclass(frozen=True, slots=True)
class NamedMap:
    """One row of a barcode file: a plate's barcode and the name of its map, where it stands, and its other columns."""

    barcode: str
    map_name: str
    file: str
    line: int
    annotations: dict[str, str] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """File and line, for messages."""
        return f"{self.file} line {self.line}"


def read_barcodes(data: bytes, file: str, source: PlateMapSource, faults: Faults) -> list[NamedMap]:
    """Read the rows of a barcode file that count.

    Parameters
    ----------
    data, file
        The file and its name.
    source
        Its declaration: names of columns, and batches.
    faults
        Takes what is wrong with it, by line.
    """
    columns = source.columns.model_dump(include={"barcode", "map"}, exclude_none=True)
    sheet = source.sheet if data.startswith(b"PK") else None
    table = read_map_table(data, file, faults, is_header=lambda cells: _is_header(cells, columns), sheet=sheet)
    chosen = choose_columns(table.header, columns, BARCODE_NAMES, file, faults) if table else None
    if table is None or chosen is None:
        return []
    lacking = [role for role in ("barcode", "map") if role not in chosen]
    if lacking:
        shown = ", ".join(table.header)
        faults.add(file, 1, f"has no column of the {lacking[0]}; it has {shown}; say which under plate_maps.columns")
        return []
    if source.batches and "batch" not in chosen:
        faults.add(file, 1, "has no column batch; leave plate_maps.batches out")
    kept = [
        (annotation_name(name), place)
        for place, name in enumerate(table.header)
        if place not in (chosen["barcode"], chosen["map"])
    ]
    kept = [(name, place) for name, place in kept if name and is_annotation(name, source)]
    found = []
    for line, cells in table.rows:
        barcode, map_name = cells[chosen["barcode"]], cells[chosen["map"]]
        if source.batches and "batch" in chosen and cells[chosen["batch"]] not in source.batches:
            continue
        if not barcode:
            faults.add(file, line, "has no barcode")
        elif not map_name:
            faults.warn(file, line, f"names no map for the plate {barcode!r}")
        elif _MAP_NAME.fullmatch(map_name) is None:
            faults.add(file, line, f"the map's name {map_name!r} is refused; it must name a file in the folder of maps")
        else:
            annotations = {name: cells[place] for name, place in kept if cells[place]}
            found.append(NamedMap(barcode, map_name, file, line, annotations))
    _find_repeated(found, faults)
    return found


def find_map(named: NamedMap, source: PlateMapSource, read: Callable[[str], bytes | None]) -> tuple[str, bytes] | None:
    """Find the file of a map: its path beside experiment.yaml and its bytes; ``None`` if there is none yet."""
    for path in _candidates(named, source):
        data = read(path)
        if data is not None:
            return path, data
    return None


def folders_of(named: NamedMap, source: PlateMapSource) -> tuple[str, ...]:
    """Folders that a map is looked for in, each ending in ``/`` but for that of experiment.yaml."""
    if source.folder is not None:
        return (f"{source.folder}/",)
    beside = named.file.rpartition("/")[0]
    beside = f"{beside}/" if beside else ""
    return (f"{beside}platemap/", f"{beside}platemaps/", beside)


def _candidates(named: NamedMap, source: PlateMapSource) -> Iterator[str]:
    has_ending = named.map_name.casefold().endswith(ENDINGS)
    endings = ("", *ENDINGS) if has_ending else (*ENDINGS, "")
    for folder in folders_of(named, source):
        for ending in endings:
            yield f"{folder}{named.map_name}{ending}"


def _is_header(cells: Sequence[str], columns: dict[str, str]) -> bool:
    usual = {name for group in BARCODE_NAMES["barcode"] for name in group}
    return any(cell.strip() == columns.get("barcode") or plain_name(cell) in usual for cell in cells)


def _find_repeated(found: list[NamedMap], faults: Faults) -> None:
    """A barcode that stands twice in a file is a fault if its maps differ."""
    first: dict[str, NamedMap] = {}
    for item in found:
        other = first.setdefault(item.barcode, item)
        if other is item:
            continue
        if other.map_name != item.map_name:
            sentence = f"the plate {item.barcode!r} has the map {item.map_name!r}, and {other.map_name!r} in line"
            faults.add(item.file, item.line, f"{sentence} {other.line}; keep one")
        else:
            faults.warn(item.file, item.line, f"the plate {item.barcode!r} stands in line {other.line} already")
