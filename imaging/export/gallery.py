"""Folders as in the Cell Painting Gallery, which the field's programs take a plate from.

    <project>/<source>/
      images/<batch>/images/<plate>/...                             the images, where they are copied
      workspace/load_data_csv/<batch>/<plate>/load_data.csv         where images are, for CellProfiler's LoadData
      workspace/metadata/platemaps/<batch>/barcode_platemap.csv     which plate map a plate has
      workspace/metadata/platemaps/<batch>/platemap/<map>.txt       what is in its wells
      workspace/profiles/<batch>/<plate>/<plate>.csv.gz             one row per well

The structure is the Gallery's own (documentation/data_structure.md of github.com/broadinstitute/cellpainting-gallery).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imaging.errors import ConfigurationError, StoredDataError
from imaging.export.rows import open_rows, read_wells, read_whole
from imaging.export.selection import Published
from imaging.export.tabular import write_csv
from imaging.names import check_name, raw_prefix
from imaging.store import Store
from imaging.table_files import replacing
from imaging.tables import WELLS
from imaging.wells import parse_well

SOURCE = "source_1"
_MAP_COLUMNS = ("treatment", "concentration", "concentration_unit", "control")
_PLACED = ("plate_map_name", "well_position")
_BARCODES = ("Assay_Plate_Barcode", "Plate_Map_Name")

Row = dict[str, Any]


@dataclass(frozen=True)
class Gallery:
    """Where plates of an experiment lie in the Gallery's structure.

    Parameters
    ----------
    root
        Folder that holds the project.
    project, source, batch
        Names of the folders: whose data, from which site, and which plates were imaged together.
    copies_images
        Whether the images are copied into it; else their places in the store are named.
    """

    root: Path
    project: str
    batch: str
    source: str = SOURCE
    copies_images: bool = False

    def __post_init__(self) -> None:
        for kind in ("project", "batch", "source"):
            check_name(kind, getattr(self, kind))

    @property
    def workspace(self) -> Path:
        """Folder of everything that is no image."""
        return self.root / self.project / self.source / "workspace"

    def load_data(self, plate: str) -> Path:
        """The list of a plate's images."""
        return self.workspace / "load_data_csv" / self.batch / plate / "load_data.csv"

    def profiles(self, plate: str) -> Path:
        """The profiles of a plate."""
        return self.workspace / "profiles" / self.batch / plate / f"{plate}.csv.gz"

    def plate_map(self, plate: str) -> Path:
        """What is in the wells of a plate."""
        return self.barcodes.parent / "platemap" / f"{plate}.txt"

    @property
    def barcodes(self) -> Path:
        """The list of the batch's plates."""
        return self.workspace / "metadata" / "platemaps" / self.batch / "barcode_platemap.csv"

    def images(self, plate: str) -> Path:
        """Folder of a plate's images."""
        return self.root / self.project / self.source / "images" / self.batch / "images" / plate


@dataclass(frozen=True)
class LoadData:
    """Rows of a plate's load_data.csv, the images that they name, and how many sites are not among them."""

    rows: tuple[Row, ...]
    names: tuple[str, ...]
    left_out: int


def plate_files(gallery: Gallery, plate: str) -> list[Path]:
    """Files that are written for a plate, without its images and the batch's list of plates."""
    return [gallery.load_data(plate), gallery.plate_map(plate), gallery.profiles(plate)]


def write_plate(gallery: Gallery, published: Published) -> Iterator[tuple[Path, int, str]]:
    """Write a plate; tell of each file, images as one folder, how many rows it has and what it lacks.

    Raises
    ------
    StoredDataError
        If a published table or an image is gone or damaged.
    StoreUnavailableError
        If a file cannot be written.
    """
    plate = published.plate
    listed = list_images(published, gallery)
    if gallery.copies_images:
        for name in listed.names:
            _copy_image(published, name, gallery.images(plate) / name)
        yield gallery.images(plate), len(listed.names), ""
    yield gallery.load_data(plate), _write_rows(gallery.load_data(plate), listed.rows), _say_left_out(plate, listed)
    described = {row["well_position"]: row for row in _map_rows(published)}.values()  # once for all time points
    yield gallery.plate_map(plate), _write_rows(gallery.plate_map(plate), described, delimiter="\t"), ""
    profiles = open_rows(published, "profiles")
    gallery.profiles(plate).parent.mkdir(parents=True, exist_ok=True)
    write_csv(profiles, gallery.profiles(plate))
    yield gallery.profiles(plate), profiles.count, ""
    yield gallery.barcodes, _add_barcode(gallery.barcodes, plate), ""


def list_images(published: Published, gallery: Gallery) -> LoadData:
    """List a plate's sites with all their images; one that lacks an image would stop CellProfiler.

    Returns
    -------
    Rows with ``FileName_Orig<channel>`` and ``PathName_Orig<channel>``, or ``URL_Orig<channel>`` where the images lie
    on an object store and are not copied.
    """
    sites: dict[tuple[Any, ...], dict[str, str | None]] = {}
    for row in read_whole(published, "images").to_pylist():
        is_there = row["state"] == "arrived" and not row.get("inside")
        key = row["well"], row.get("time_point") or 1, row["site"]
        sites.setdefault(key, {})[row["channel"]] = row["name"] if is_there else None
    has_times = any(time > 1 for _, time, _ in sites)
    rows: list[Row] = []
    names: list[str] = []
    for (well, time, site), channels in sorted(sites.items(), key=lambda item: (parse_well(item[0][0]), item[0][1:])):
        there = {channel: name for channel, name in channels.items() if name is not None}
        if len(there) < len(channels):
            continue
        names += there.values()
        row: Row = {}
        for channel, name in there.items():
            row |= _place_of(published, gallery, channel, name)
        row |= {"Metadata_Plate": published.plate, "Metadata_Well": well, "Metadata_Site": site}
        row |= {"Metadata_Row": parse_well(well).row + 1, "Metadata_Col": parse_well(well).column}
        rows.append(row | ({"Metadata_Timepoint": time} if has_times else {}))
    return LoadData(tuple(rows), tuple(names), len(sites) - len(rows))


def _say_left_out(plate: str, listed: LoadData) -> str:
    if not listed.left_out:
        return ""
    sites = "1 site is" if listed.left_out == 1 else f"{listed.left_out} sites are"
    return f"{plate}: {sites} not in load_data.csv, as images of it are missing or are no files of their own"


def _place_of(published: Published, gallery: Gallery, channel: str, name: str) -> Row:
    """Columns that say where an image is."""
    key = raw_prefix(published.experiment, published.plate) + name
    path = gallery.images(published.plate) / name if gallery.copies_images else published.store.local_path(key)
    if path is None:
        return {f"URL_Orig{channel}": _address(published.store, key)}
    path = path.resolve()
    return {f"FileName_Orig{channel}": path.name, f"PathName_Orig{channel}": str(path.parent)}


def _address(store: Store, key: str) -> str:
    """Address of an object; a stand-in's endpoint is no part of it."""
    return f"{store.url.partition('?')[0].rstrip('/')}/{key}"


def _map_rows(published: Published) -> list[Row]:
    """What the plate map says of each well, all its columns."""
    wells = read_wells(published)
    own = {*_PLACED, *(column.name for column in WELLS.columns)}
    columns = [*_MAP_COLUMNS, *(name for name in wells.column_names if name not in own)]
    return [
        {**dict(zip(_PLACED, (published.plate, row["well"]), strict=True)), **{name: row.get(name) for name in columns}}
        for row in wells.to_pylist()
    ]


def _copy_image(published: Published, name: str, out: Path) -> None:
    key = raw_prefix(published.experiment, published.plate) + name
    try:
        data = published.store.read(key)
    except FileNotFoundError as error:
        message = "an image that was measured is gone; export without copies of the images, or put it back"
        raise StoredDataError(message, experiment=published.experiment, plate=published.plate, key=key) from error
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as file:
        file.write(data)


def _add_barcode(path: Path, plate: str) -> int:
    """Add a plate to the batch's list, which may have plates of earlier exports; return how many it has."""
    listed = {row[_BARCODES[0]]: row for row in _read_barcodes(path)} if path.is_file() else {}
    listed[plate] = {**listed.get(plate, {}), **dict.fromkeys(_BARCODES, plate)}
    return _write_rows(path, [row for _, row in sorted(listed.items())])


def _read_barcodes(path: Path) -> list[Row]:
    """Rows of a list of plates with all their columns, for it may be somebody's own."""
    cure = "it is left as it is; move it, or choose another batch"
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(f"{path} cannot be read as a list of plates ({error}); {cure}") from error
    if any(None in row or None in row.values() or not set(_BARCODES) <= row.keys() for row in rows):
        raise ConfigurationError(f"{path} is no list of plates with the columns {' and '.join(_BARCODES)}; {cure}")
    return rows


def _write_rows(out: Path, rows: Sequence[Row] | Iterable[Row], *, delimiter: str = ",") -> int:
    rows = list(rows)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, delimiter=delimiter, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as file:
        file.write(text.getvalue().encode())
    return len(rows)
