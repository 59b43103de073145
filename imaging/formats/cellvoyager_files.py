"""Files of Yokogawa's CellVoyager beside its images: .mlf (every image), .mrf and .mes (channels), .wpp (the plate)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache

from imaging.errors import ChangedObjectError, ForbiddenFileError, UnreadableImageError
from imaging.formats.contract import Folder, ToldChannel, is_length
from imaging.formats.xml_stream import PIECE, read_xml
from imaging.sentences import shorten
from imaging.wells import PLATE_SHAPES, Well

MAX_RECORDS = 5_000_000
LAST_COLUMN = 48
MAX_ELEMENTS = 100_000
"""Elements of a settings file: a channel or a well each."""
_MAX_BYTES = 4 * 1024**3
_GREATEST = 1_000_000


@dataclass(frozen=True, slots=True)
class Record:
    """An image that the instrument took, or could not: ``name`` is its file's, or what the instrument says went wrong.

    ``field``, ``channel``, ``z`` and ``t`` are 0 where a record of a failure leaves them out.
    """

    name: str
    is_error: bool
    well: Well
    field: int
    channel: int
    z: int
    t: int
    timeline: int
    action: int
    position_um: tuple[float, float] | None


@dataclass
class Settings:
    """What the other files say: ``channels`` by number, ``imaged`` the wells to be imaged."""

    plate: str = ""
    instrument: str = ""
    wells: int | None = None
    pixel_size_um: float | None = None
    z_step_um: float | None = None
    channels: dict[int, ToldChannel] = field(default_factory=dict)
    imaged: set[Well] = field(default_factory=set)


def read_records(folder: Folder, name: str, token: str, size: int) -> tuple[tuple[Record, ...], str | None]:
    """Read a .mlf once per version: its records, and what is wrong with it or ``None``.

    Raises
    ------
    ChangedObjectError, FileNotFoundError
        If that version is gone.
    """
    return _kept_records(folder, name, token, size)


@lru_cache(maxsize=8)
def _kept_records(folder: Folder, name: str, token: str, size: int) -> tuple[tuple[Record, ...], str | None]:
    reader = _RecordReader()
    problem = _read(folder, name, token, size, reader)
    if problem is None and not reader.is_known:
        problem = "it holds no MeasurementData"
    return tuple(reader.records), problem


def read_settings(folder: Folder, files: Iterable[tuple[str, str, int]], settings: Settings) -> Iterator[str]:
    """Add to the settings what .mrf, .mes and .wpp files say, and yield a sentence on each that cannot be read.

    Parameters
    ----------
    folder
        Where they lie.
    files
        Name, token and bytes of each; the .mrf first, for what was done goes before what was set.
    settings
        What is known so far.
    """
    for name, token, size in files:
        elements = _elements(folder, name, token, size)
        if isinstance(elements, str):
            yield f"{name}: {elements}; what it would say is not known"
            continue
        for element, attributes, text in elements:
            try:
                _take(settings, element, attributes, text)
            except (ValueError, KeyError) as error:
                yield f"{name}: a value of {element} cannot be read ({shorten(str(error), 200)})"


def _elements(folder: Folder, name: str, token: str, size: int) -> tuple[tuple[str, dict[str, str], str], ...] | str:
    try:
        return _kept_elements(folder, name, token, size)
    except (ChangedObjectError, FileNotFoundError):
        return "it changed after it was listed"


@lru_cache(maxsize=64)
def _kept_elements(
    folder: Folder, name: str, token: str, size: int
) -> tuple[tuple[str, dict[str, str], str], ...] | str:
    """The elements of a small file that are of use, in order, or what is wrong with it."""
    reader = _ElementReader()
    problem = _read(folder, name, token, size, reader)
    return tuple(reader.elements) if problem is None else problem


def _read(folder: Folder, name: str, token: str, size: int, reader: _RecordReader | _ElementReader) -> str | None:
    if size > _MAX_BYTES:
        return f"it has {size:,} bytes; {_MAX_BYTES:,} are the limit"
    pieces = (
        folder.read(name, token=token, start=start, size=min(PIECE, size - start)) for start in range(0, size, PIECE)
    )
    try:
        return read_xml(pieces, reader)
    except (ForbiddenFileError, UnreadableImageError) as error:
        return error.message


class _RecordReader:
    """Takes the MeasurementRecords of a .mlf."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.is_known = False
        self._attributes: dict[str, str] = {}

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        self._attributes = attributes
        self.is_known = self.is_known or name == "MeasurementData"

    def end(self, name: str, text: str) -> None:
        if name != "MeasurementRecord":
            return
        if len(self.records) >= MAX_RECORDS:
            raise ValueError(f"more than {MAX_RECORDS:,} records")
        get = self._attributes.get
        is_error = get("Type", "IMG") == "ERR"
        if get("Type", "IMG") not in ("IMG", "ERR") or (
            is_error and not (_is_set(get("Row")) and _is_set(get("Column")))
        ):
            return  # an error of no well stands for no plane
        number = {key: _count(get(key)) for key in ("FieldIndex", "Ch", "ZIndex", "TimePoint")}
        self.records.append(
            Record(
                " ".join((text or get("Message") or get("Code") or "").split()),
                is_error,
                well_at(int(get("Row") or 0), int(get("Column") or 0)),
                number["FieldIndex"],
                number["Ch"],
                number["ZIndex"] or (0 if is_error else 1),
                number["TimePoint"] or (0 if is_error else 1),
                _count(get("TimelineIndex")) or 1,
                _count(get("ActionIndex")) or 1,
                _position(get("X"), get("Y")),
            )
        )


class _ElementReader:
    """Keeps the few elements of a settings file that ``_take`` knows."""

    def __init__(self) -> None:
        self.elements: list[tuple[str, dict[str, str], str]] = []
        self._open: list[dict[str, str]] = []

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        self._open.append(attributes)

    def end(self, name: str, text: str) -> None:
        attributes = self._open.pop()
        if name in _TAKEN:
            if len(self.elements) >= MAX_ELEMENTS:
                raise ValueError(f"more than {MAX_ELEMENTS:,} elements of one kind")
            self.elements.append((name, attributes, text.strip()))


_TAKEN = frozenset(
    ("MeasurementDetail", "MeasurementSamplePlate", "MeasurementChannel", "TargetWell", "WellPlateProduct", "WellPlate")
) | {"LightSource", "LightSourceName", "Channel", "ActionAcquire3D"}


@lru_cache(maxsize=2048)
def well_at(row: int, column: int) -> Well:
    """Well of a row and column counted from 1; ``ValueError`` outside any plate."""
    if not (1 <= row <= 32 and 1 <= column <= LAST_COLUMN):
        raise ValueError(f"row {row}, column {column} is no well")
    return Well(row - 1, column)


def _take(settings: Settings, element: str, attributes: dict[str, str], text: str) -> None:
    if element == "MeasurementDetail":
        named = ("Yokogawa", attributes.get("TargetSystem", ""))
        settings.instrument = " ".join(part for part in named if part)
        _take_shape(settings, attributes.get("RowCount"), attributes.get("ColumnCount"))
    elif element == "MeasurementSamplePlate":
        settings.plate = settings.plate or attributes.get("Name", "")
    elif element in ("WellPlateProduct", "WellPlate"):
        _take_shape(settings, attributes.get("Rows"), attributes.get("Columns"))
    elif element == "MeasurementChannel":
        _take_detail(settings, attributes)
    elif element == "TargetWell" and text.lower() != "false":
        settings.imaged.add(well_at(int(attributes["Row"]), int(attributes["Column"])))
    elif element == "Channel" and "Ch" in attributes:
        _take_channel(settings, attributes)
    elif element == "ActionAcquire3D" and attributes.get("SliceLength"):
        step = abs(float(attributes["SliceLength"]))
        settings.z_step_um = settings.z_step_um or (step if is_length(step) else 0) or None


def _position(x: str | None, y: str | None) -> tuple[float, float] | None:
    """A place in the well; one that is no number is unknown, and the image is where it is all the same."""
    try:
        place = float(x or "nan"), float(y or "nan")
    except ValueError:
        return None
    return place if all(map(is_length, place)) else None


def _is_set(text: str | None) -> bool:
    return bool((text or "").strip("0 "))


def _count(text: str | None) -> int:
    """A number from 0 on; nothing is 0."""
    number = int(text or 0)
    if not 0 <= number <= _GREATEST:
        raise ValueError(f"the number {number}")
    return number


def _take_shape(settings: Settings, rows: str | None, columns: str | None) -> None:
    shapes = {(str(rows), str(columns)): wells for wells, (rows, columns) in PLATE_SHAPES.items()}
    settings.wells = settings.wells or shapes.get((rows or "", columns or ""))


def _take_detail(settings: Settings, attributes: dict[str, str]) -> None:
    """Take a channel of the .mrf: size of a pixel, bits of the camera, shading image."""
    size = float(attributes.get("HorizontalPixelDimension") or 0)
    settings.pixel_size_um = settings.pixel_size_um or (round(size, 9) if 0 < size <= 1_000 else None)
    bits = int(attributes.get("InputBitDepth") or 0)
    number = _count(attributes["Ch"])
    known = settings.channels.get(number, ToldChannel(str(number)))
    settings.channels[number] = replace(
        known,
        full_scale=(1 << bits) - 1 if 8 <= bits <= 16 else None,
        flat_field=attributes.get("ShadingCorrectionSource", ""),
    )


def _take_channel(settings: Settings, attributes: dict[str, str]) -> None:
    """Take a channel of the .mes: stain or filter, exposure, wavelengths."""
    number = _count(attributes["Ch"])
    known = settings.channels.get(number, ToldChannel(str(number)))
    exposure = float(attributes.get("ExposureTime") or 0)
    settings.channels[number] = replace(
        known,
        name=attributes.get("Fluorophore") or attributes.get("Acquisition") or attributes.get("Target") or "",
        emission_nm=_centre_of_filter(attributes.get("Acquisition", "")),
        excitation_nm=_wavelength(attributes.get("Target", "")),
        exposure_s=exposure / 1000 if exposure > 0 else None,
    )


def _centre_of_filter(text: str) -> float | None:
    """Centre of a band-pass filter such as ``BP445/45``."""
    centre = text.upper().removeprefix("BP").partition("/")[0]
    return float(centre) if text.upper().startswith("BP") and centre.isdecimal() and len(centre) < 10 else None


def _wavelength(text: str) -> float | None:
    digits = text.removesuffix("nm").strip()
    return float(digits) if digits.isdecimal() and len(digits) < 10 and 200 <= int(digits) <= 1_500 else None
