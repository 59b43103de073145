"""What OME-XML says: images with their channels and planes, where each plane lies, and the plate that they belong to.

Versions 2010 to 2016 of the schema; only what a plate's reading needs is kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from imaging.formats.contract import ToldChannel
from imaging.formats.xml_stream import read_xml
from imaging.wells import PLATE_SHAPES, Well

MAX_PLANES = 1_000_000
"""Planes that one document may describe."""
_MICROMETRES = {"µm": 1.0, "μm": 1.0, "um": 1.0, "nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6, "pm": 1e-6, "Å": 1e-4}
_SECONDS = {"s": 1.0, "ms": 1e-3, "µs": 1e-6, "μs": 1e-6, "us": 1e-6, "min": 60.0}


@dataclass(frozen=True, slots=True)
class TiffData:
    """Planes of a TIFF file: from ``ifd`` on, ``count`` planes from c, z, t on, in the image's order.

    ``ifd`` and ``count`` are ``None`` where the document leaves them out; ``file`` is empty for the file that the
    document is in.
    """

    c: int
    z: int
    t: int
    ifd: int | None
    count: int | None
    file: str = ""


@dataclass
class OmeImage:
    """An image of a document."""

    identifier: str
    name: str = ""
    order: str = "XYCZT"
    sizes: dict[str, int] = field(default_factory=dict)
    samples: int = 1
    channels: list[ToldChannel] = field(default_factory=list)
    tiff_data: list[TiffData] = field(default_factory=list)
    pixel_size_um: float | None = None
    z_step_um: float | None = None
    significant_bits: int | None = None

    def count_planes(self) -> int:
        """Count all planes that the image claims to have."""
        return max(1, self.sizes.get("C", 1) // self.samples) * self.sizes.get("Z", 1) * self.sizes.get("T", 1)

    def planes(self) -> list[tuple[int, int, int, int, str]]:
        """All planes that the document places: c, z, t from 0, the directory in the file, from 0, and the file.

        Raises
        ------
        ValueError
            If they are more than the limit, or lie outside the image.
        """
        n_channels = max(1, self.sizes["C"] // self.samples)
        lengths = {"C": n_channels, "Z": self.sizes["Z"], "T": self.sizes["T"]}
        total = self.count_planes()
        if not 0 < total <= MAX_PLANES:
            raise ValueError(f"an image of {total:,} planes; {MAX_PLANES:,} are the limit")
        order = [axis for axis in self.order[2:] if axis in lengths]
        found = {}
        for data in self.tiff_data or [TiffData(0, 0, 0, 0, total)]:
            first = _rank(order, lengths, {"C": data.c // self.samples, "Z": data.z, "T": data.t})
            count = data.count if data.count is not None else 1 if data.ifd is not None else total - first
            if first + count > total or count < 0:
                raise ValueError(f"planes beyond the {total:,} of the image")
            for step in range(count):
                place = _unrank(order, lengths, first + step)
                found[place] = (*place, (data.ifd or 0) + step, data.file)
        return list(found.values())


def _rank(order: list[str], lengths: dict[str, int], place: dict[str, int]) -> int:
    rank, step = 0, 1
    for axis in order:
        if not 0 <= place[axis] < lengths[axis]:
            raise ValueError(f"a plane at {axis} {place[axis]} of {lengths[axis]}")
        rank, step = rank + place[axis] * step, step * lengths[axis]
    return rank


def _unrank(order: list[str], lengths: dict[str, int], rank: int) -> tuple[int, int, int]:
    place = {}
    for axis in order:
        rank, place[axis] = divmod(rank, lengths[axis])
    return place["C"], place["Z"], place["T"]


@dataclass(frozen=True, slots=True)
class OmeSite:
    """A site of the plate: its well, the image that shows it, its number in the well, its acquisition and centre."""

    well: Well
    image: str
    index: int
    identifier: str
    position_um: tuple[float, float] | None = None


@dataclass
class OmeDocument:
    """What a document says; ``metadata_file`` where it only points to the one that says all."""

    images: list[OmeImage] = field(default_factory=list)
    sites: list[OmeSite] = field(default_factory=list)
    acquisitions: dict[str, str] = field(default_factory=dict)
    plate: str = ""
    wells: int | None = None
    instrument: str = ""
    metadata_file: str = ""
    problem: str | None = None


def parse_ome_xml(pieces: Iterable[bytes]) -> OmeDocument:
    """Read a document; what is wrong with it is said in ``problem``."""
    reader = _Reader()
    document = reader.document
    document.problem = read_xml(pieces, reader)
    if document.problem is None and not reader.is_ome:
        document.problem = "it is no OME-XML"
    return document


class _Reader:
    """Takes elements as they come; ``_image``, ``_well`` and ``_data`` are those that are open."""

    def __init__(self) -> None:
        self.document = OmeDocument()
        self.is_ome = False
        self._image: OmeImage | None = None
        self._well: Well | None = None
        self._sample: dict[str, str] = {}
        self._image_ref = ""
        self._acquisition = ""
        self._planes = 0

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        take = getattr(self, f"_begin_{name.lower()}", None)
        if name == "OME":
            self.is_ome = True
        if take is not None:
            take(attributes)

    def end(self, name: str, text: str) -> None:
        if name == "WellSample":
            self._end_sample()
        elif name == "Image":
            self._image = None
        elif name == "Well":
            self._well = None
        elif name == "PlateAcquisition":
            self._acquisition = ""

    def _begin_binaryonly(self, attributes: dict[str, str]) -> None:
        self.document.metadata_file = attributes.get("MetadataFile", "")

    def _begin_microscope(self, attributes: dict[str, str]) -> None:
        named = (attributes.get("Manufacturer", ""), attributes.get("Model", ""))
        self.document.instrument = self.document.instrument or " ".join(part for part in named if part)

    def _begin_image(self, attributes: dict[str, str]) -> None:
        self._image = OmeImage(attributes.get("ID", ""), attributes.get("Name", ""))
        self.document.images.append(self._image)

    def _begin_pixels(self, attributes: dict[str, str]) -> None:
        image = self._image
        if image is None:
            return
        image.order = attributes.get("DimensionOrder", image.order)
        if sorted(image.order) != ["C", "T", "X", "Y", "Z"]:
            raise ValueError(f"the order of dimensions {image.order!r}")
        image.sizes = {axis: int(attributes.get(f"Size{axis}", 1)) for axis in "CZT"}
        image.pixel_size_um = _length(attributes, "PhysicalSizeX")
        image.z_step_um = _length(attributes, "PhysicalSizeZ")
        bits = attributes.get("SignificantBits", "")
        image.significant_bits = int(bits) if bits.isdecimal() and 1 <= int(bits) <= 16 else None

    def _begin_channel(self, attributes: dict[str, str]) -> None:
        image = self._image
        if image is None or not image.sizes:
            return
        image.samples = max(1, int(attributes.get("SamplesPerPixel", 1)))
        channel = ToldChannel(
            str(len(image.channels) + 1),
            name=attributes.get("Name") or attributes.get("Fluor") or "",
            emission_nm=_nanometres(attributes, "EmissionWavelength"),
            excitation_nm=_nanometres(attributes, "ExcitationWavelength"),
            full_scale=(1 << image.significant_bits) - 1 if image.significant_bits else None,
        )
        image.channels.append(channel)

    def _begin_plane(self, attributes: dict[str, str]) -> None:
        image, number = self._image, int(attributes.get("TheC", 0))
        seconds = attributes.get("ExposureTime")
        factor = _SECONDS.get(attributes.get("ExposureTimeUnit", "s"))
        if image is None or not seconds or not factor or not 0 <= number < len(image.channels):
            return
        known = image.channels[number]
        if known.exposure_s is None:
            image.channels[number] = replace(known, exposure_s=float(seconds) * factor)

    def _begin_tiffdata(self, attributes: dict[str, str]) -> None:
        self._planes += 1
        if self._image is None or self._planes > MAX_PLANES:
            raise ValueError(f"more than {MAX_PLANES:,} planes")
        first = (int(attributes.get(f"First{axis}", 0)) for axis in "CZT")
        ifd, count = attributes.get("IFD"), attributes.get("PlaneCount")
        self._image.tiff_data.append(
            TiffData(*first, ifd=None if ifd is None else int(ifd), count=None if count is None else int(count))
        )

    def _begin_uuid(self, attributes: dict[str, str]) -> None:
        name = attributes.get("FileName", "")
        if self._image is not None and self._image.tiff_data and name:
            data = self._image.tiff_data[-1]
            self._image.tiff_data[-1] = TiffData(data.c, data.z, data.t, data.ifd, data.count, name)

    def _begin_plate(self, attributes: dict[str, str]) -> None:
        document = self.document
        document.plate = document.plate or attributes.get("Name", "") or attributes.get("ExternalIdentifier", "")
        shape = attributes.get("Rows", ""), attributes.get("Columns", "")
        document.wells = document.wells or next(
            (wells for wells, (rows, columns) in PLATE_SHAPES.items() if shape == (str(rows), str(columns))), None
        )

    def _begin_well(self, attributes: dict[str, str]) -> None:
        row, column = int(attributes["Row"]), int(attributes["Column"])
        if not (0 <= row < 32 and 0 <= column < 48):
            raise ValueError(f"a well in row {row}, column {column}")
        self._well = Well(row, column + 1)

    def _begin_wellsample(self, attributes: dict[str, str]) -> None:
        self._sample, self._image_ref = attributes, ""

    def _begin_imageref(self, attributes: dict[str, str]) -> None:
        self._image_ref = attributes.get("ID", "")

    def _begin_plateacquisition(self, attributes: dict[str, str]) -> None:
        self._acquisition = attributes.get("ID", "")

    def _begin_wellsampleref(self, attributes: dict[str, str]) -> None:
        if self._acquisition:
            self.document.acquisitions[attributes.get("ID", "")] = self._acquisition

    def _end_sample(self) -> None:
        if self._well is None or not self._image_ref:
            return
        index = self._sample.get("Index", "")
        number = int(index) if index.isdecimal() else len(self.document.sites)
        x, y = (_length(self._sample, f"Position{axis}", is_signed=True) for axis in "XY")
        position = (x, y) if x is not None and y is not None else None
        sample = OmeSite(self._well, self._image_ref, number, self._sample.get("ID", ""), position)
        self.document.sites.append(sample)


def _length(attributes: dict[str, str], name: str, *, is_signed: bool = False) -> float | None:
    """A length in micrometres; ``None`` where none is said in a unit of length."""
    text = attributes.get(name)
    factor = _MICROMETRES.get(attributes.get(f"{name}Unit", "µm"))
    if not text or not factor:
        return None
    value = round(float(text) * factor, 9)
    return value if is_signed or 0 < value <= 1_000 else None


def _nanometres(attributes: dict[str, str], name: str) -> float | None:
    text = attributes.get(name)
    factor = {"nm": 1.0, "µm": 1e3, "μm": 1e3}.get(attributes.get(f"{name}Unit", "nm"))
    return float(text) * factor if text and factor else None
