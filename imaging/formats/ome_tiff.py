"""OME-TIFF: one file with several planes, a set of files that name each other, or a set with a companion of XML.

The OME-XML in a file's first page, or in ``.companion.ome``, says which file and page holds which plane; a file that
it names and that is not there is expected. Where the XML describes a plate, wells and sites are the plate's. Where it
does not, the files' names say the well (``plate_B03_s2.ome.tif``); where they do not either, the images are the sites
of well A01, in the order of the XML and of the sets' names: one stack that somebody drops into a folder is one site.
"""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache

from imaging.errors import ChangedObjectError, ForbiddenFileError, UnreadableImageError
from imaging.formats.contract import Address, Delivery, Folder, FoundPlane, PassedOver, Told, ToldChannel
from imaging.formats.inside import WHOLE, Inside, open_pages
from imaging.formats.ome_xml import OmeDocument, OmeImage, OmeSite, parse_ome_xml
from imaging.formats.passed_over import pass_over
from imaging.formats.places import NamedPlace, find_place
from imaging.formats.xml_stream import PIECE
from imaging.store import StoredObject
from imaging.wells import Well

_IMAGE = re.compile(r".*\.ome\.(?:tiff?|tf[28]|btf)", re.IGNORECASE | re.DOTALL | re.ASCII)
_TIFF = re.compile(r".*\.(?:tiff?|tf[28]|btf)", re.IGNORECASE | re.DOTALL | re.ASCII)
_COMPANION = re.compile(r".*\.(?:companion\.ome|ome|ome\.xml)", re.IGNORECASE | re.DOTALL | re.ASCII)
_ENDING = re.compile(r"\.(?:companion\.ome|ome\.xml|ome\.[^.]+|[^.]+)$", re.IGNORECASE)
_MAX_XML = 64 * 1024 * 1024
_MAX_IMPLIED = 100_000  # planes of a folder that documents claim without listing them one by one
_READERS = 8
FIRST_WELL = Well(0, 1)


@dataclass(frozen=True)
class _Set:
    """A document and the object that it stands in; files that it names lie beside it.

    ``former`` is what the object was called when it was written, where somebody gave it another name.
    """

    item: StoredObject
    document: OmeDocument
    former: str = ""

    def path(self, file: str) -> str:
        """Path of a file of the set; of none, the object's own."""
        folder = posixpath.dirname(self.item.key)
        return posixpath.join(folder, file) if file and file != self.former else self.item.key


@dataclass
class _Reading:
    """What reading the sets of a folder gives, as it grows."""

    objects: dict[str, StoredObject]
    planes: list[FoundPlane] = field(default_factory=list)
    expected: set[Address] = field(default_factory=set)
    positions: dict[tuple[str, int], tuple[float, float]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)
    implied: int = 0


class OmeTiff:
    """OME-TIFF of any writer."""

    name = "ome-tiff"
    title = "OME-TIFF (one file, several files, companion)"
    example = "plate_B03_s1.ome.tif"

    def count(self, names: Sequence[str]) -> int:
        """Count the images by their ending; beside a companion, all TIFF files."""
        beside = {posixpath.dirname(name) for name in names if name.lower().endswith(".companion.ome")}
        return sum(
            _IMAGE.fullmatch(name) is not None
            or (_TIFF.fullmatch(name) is not None and posixpath.dirname(name) in beside)
            for name in names
        )

    def read(self, objects: Sequence[StoredObject], folder: Folder) -> Delivery:
        """Sort a listing."""
        reading = _Reading({item.key: item for item in objects})
        sets = _find_sets(reading, objects, folder)
        _place_sets(reading, sets)
        used = {plane.item.key for plane in reading.planes}
        passed = tuple(_pass_over(reading, sets, objects, used))
        return Delivery(tuple(reading.planes), passed, _tell(reading, sets))


OME_TIFF = OmeTiff()


def _find_sets(reading: _Reading, objects: Sequence[StoredObject], folder: Folder) -> list[_Set]:
    """Read the documents: companions first, then each TIFF file that none before it names."""
    companions = [item for item in objects if _COMPANION.fullmatch(item.key)]
    tiffs = sorted((item for item in objects if _TIFF.fullmatch(item.key)), key=lambda item: item.key)
    sets: list[_Set] = []
    named: set[str] = set()
    for item in sorted(companions, key=lambda item: item.key):
        _take(reading, sets, named, item, _document(folder, item))
    with ThreadPoolExecutor(_READERS) as pool:
        for start in range(0, len(tiffs), 4 * _READERS):  # few at once: the first of a set names all others
            batch = [item for item in tiffs[start : start + 4 * _READERS] if item.key not in named]
            for item, document in zip(batch, pool.map(lambda item: _document(folder, item), batch), strict=True):
                if item.key not in named:
                    _take(reading, sets, named, item, document)
    return sets


def _take(
    reading: _Reading, sets: list[_Set], named: set[str], item: StoredObject, document: OmeDocument | str
) -> None:
    """Add a document to the sets, unless it cannot be read or points to another one."""
    if isinstance(document, str):
        reading.broken[item.key] = document
    elif document.problem:
        reading.broken[item.key] = f"its OME-XML cannot be read: {document.problem}"
        reading.problems.append(f"{item.key}: {document.problem}; what it would say is not known")
    elif document.metadata_file and not document.images:
        target = posixpath.join(posixpath.dirname(item.key), document.metadata_file)
        if target not in reading.objects:
            reading.broken[item.key] = f"its OME-XML stands in {document.metadata_file}, which is not there"
    else:
        found = _Set(item, document, _former_name(reading, item, document))
        sets.append(found)
        named.update(found.path(data.file) for image in document.images for data in image.tiff_data if data.file)


def _former_name(reading: _Reading, item: StoredObject, document: OmeDocument) -> str:
    """The only file that the document of a TIFF file names, if it is not there: then it is the file itself."""
    files = {data.file for image in document.images for data in image.tiff_data if data.file}
    if len(files) != 1 or _TIFF.fullmatch(item.key) is None:
        return ""
    (file,) = files
    return "" if posixpath.join(posixpath.dirname(item.key), file) in reading.objects else file


def _place_sets(reading: _Reading, sets: Sequence[_Set]) -> None:
    """Give each set's planes their places; sets without any are numbered together, in order of their names."""
    number = 0
    for one in sorted(sets, key=lambda one: _natural(one.item.key)):
        try:
            if one.document.sites:
                _place_plate(reading, one)
                continue
            for series, image in enumerate(one.document.images, start=1):
                named = _named_place(one, image)
                number += named is None
                site = number if named is None else named.site or series
                _place_image(reading, one, image, named.well if named else FIRST_WELL, site, named)
        except (ValueError, KeyError) as error:
            reading.problems.append(f"{one.item.key}: its OME-XML contradicts itself ({error})")
            reading.broken[one.item.key] = "its OME-XML contradicts itself"


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Order names as people do: img2 before img10."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d{1,18})", name)]


def _named_place(one: _Set, image: OmeImage) -> NamedPlace | None:
    """Place by the name of the image's first file, of the document's own, or of the image."""
    first = next((data.file for data in image.tiff_data if data.file), "")
    names = [_ENDING.sub("", posixpath.basename(one.path(first))), _ENDING.sub("", posixpath.basename(one.item.key))]
    places = (find_place(name) for name in (*names, image.name))
    return next((place for place in places if place is not None), None)


def _place_plate(reading: _Reading, one: _Set) -> None:
    """Sites of each well and acquisition count from 1, in the order of the plate's own numbers."""
    images = {image.identifier: image for image in one.document.images}
    acquisitions = one.document.acquisitions
    several = len(set(acquisitions.values())) > 1
    sites: dict[tuple[Well, str], list[OmeSite]] = {}
    for site in one.document.sites:
        acquisition = acquisitions.get(site.identifier, "") if several else ""
        sites.setdefault((site.well, acquisition), []).append(site)
    for (well, acquisition), of_well in sites.items():
        for number, site in enumerate(sorted(of_well, key=lambda site: site.index), start=1):
            if site.image in images:
                _place_image(reading, one, images[site.image], well, number, None, acquisition)
            if site.position_um:
                reading.positions[str(well), number] = site.position_um


def _place_image(
    reading: _Reading,
    one: _Set,
    image: OmeImage,
    well: Well,
    site: int,
    named: NamedPlace | None,
    acquisition: str = "",
) -> None:
    """Expect all planes of an image, and find those whose file is there."""
    if not image.tiff_data and _TIFF.fullmatch(one.item.key) is None:
        raise ValueError("it names no TIFF file that holds the pixels")
    reading.implied += max(0, image.count_planes() - len(image.tiff_data))
    if reading.implied > _MAX_IMPLIED:
        raise ValueError(f"more than {_MAX_IMPLIED:,} planes that it does not list one by one")
    planes = image.planes()
    in_file = Counter(file for *_, file in planes)
    single = {axis: image.sizes[axis] == 1 for axis in "CZT"}
    for c, z, t, ifd, file in planes:
        code = named.channel if named and named.channel and single["C"] else c + 1
        address = Address(
            well,
            site,
            str(code),
            named.z if named and named.z and single["Z"] else z + 1,
            named.t if named and named.t and single["T"] else t + 1,
            acquisition,
        )
        reading.expected.add(address)
        path = one.path(file)
        item = reading.objects.get(path)
        if item is not None and _TIFF.fullmatch(path):
            is_alone = ifd == 0 and in_file[file] == 1
            reading.planes.append(FoundPlane(item, address, "" if is_alone else str(Inside(page=ifd + 1))))


def _pass_over(
    reading: _Reading, sets: Sequence[_Set], objects: Iterable[StoredObject], used: set[str]
) -> Iterator[PassedOver]:
    documents = {one.item.key for one in sets}
    for item in objects:
        if item.key in used:
            continue
        reason = reading.broken.get(item.key)
        if reason:
            yield PassedOver(item.key, "unknown", reason)
        elif item.key in documents and _COMPANION.fullmatch(item.key):
            yield PassedOver(item.key, "ignored", "the OME-XML of other files")
        else:
            yield pass_over(item.key, "no OME-XML describes it")


def _tell(reading: _Reading, sets: Sequence[_Set]) -> Told:
    images = [image for one in sets for image in one.document.images]
    channels: dict[str, ToldChannel] = {}
    for image in images:
        for channel in image.channels:
            if channel.code not in channels or (channel.name and not channels[channel.code].name):
                channels[channel.code] = channel
    codes = sorted({address.code for address in reading.expected}, key=lambda code: (len(code), code))
    documents = [one.document for one in sets]
    return Told(
        plate=next((document.plate for document in documents if document.plate), ""),
        instrument=next((document.instrument for document in documents if document.instrument), ""),
        wells=next((document.wells for document in documents if document.wells), None),
        imaged=tuple(sorted({address.well for address in reading.expected})),
        channels=tuple(channels.get(code, ToldChannel(code)) for code in codes),
        pixel_size_um=next((image.pixel_size_um for image in images if image.pixel_size_um), None),
        z_step_um=next((image.z_step_um for image in images if image.z_step_um), None),
        expected=frozenset(reading.expected) if reading.expected else None,
        positions_um=reading.positions,
        manifests=tuple(sorted(one.item.key for one in sets if _COMPANION.fullmatch(one.item.key))),
        problems=tuple(reading.problems),
    )


def _document(folder: Folder, item: StoredObject) -> OmeDocument | str:
    """The document in an object, read once per version, or why there is none."""
    try:
        return _kept_document(folder, item.key, item.token, item.size)
    except (ChangedObjectError, FileNotFoundError):
        return "it changed after it was listed; it is read again at the next look"


@lru_cache(maxsize=131_072)  # a plate of 1,536 wells may have 80,000 files, and a cache that is too small keeps nothing
def _kept_document(folder: Folder, name: str, token: str, size: int) -> OmeDocument | str:
    try:
        if _COMPANION.fullmatch(name):
            return parse_ome_xml(_pieces(folder, name, token, min(size, _MAX_XML)))
        text = open_pages(folder, name, token, WHOLE, size).description(_MAX_XML)
    except (UnreadableImageError, ForbiddenFileError) as error:
        return error.message
    start = text.lstrip()[:1]
    if start != b"<" or b"OME" not in text[:4096]:
        return "it has no OME-XML in its first page"
    return parse_ome_xml([text.rstrip(b"\0")])


def _pieces(folder: Folder, name: str, token: str, size: int) -> Iterator[bytes]:
    for start in range(0, size, PIECE):
        yield folder.read(name, token=token, start=start, size=min(PIECE, size - start))
