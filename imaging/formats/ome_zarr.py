"""OME-Zarr 0.4 and 0.5 as input: a plate of wells and fields, or single images; level 0, each c, z, t one plane.

A plate says its rows, columns and wells, a well its images, an image its axes, channels and levels; all of that is what
should come, and a plane is there once at least one of its chunks is. Images of a well are its sites, counted in the
well's order, for each acquisition of the plate by itself. A Zarr that is no plate is an image, or a collection of them:
its name says the well, and where it says none, it is A01.
"""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any

from imaging.errors import ChangedObjectError, ForbiddenFileError, UnreadableImageError
from imaging.formats.contract import Address, Delivery, Folder, FoundPlane, PassedOver, Told, ToldChannel
from imaging.formats.inside import Inside
from imaging.formats.places import find_place
from imaging.formats.plates_by_name import join_acquisition
from imaging.formats.zarr_image import ZarrImage, parse_image
from imaging.formats.zarr_layout import MAX_DESCRIPTION, parse_json, parse_layout
from imaging.formats.zarr_planes import DESCRIPTIONS, HERE, plane_objects, token_of
from imaging.sentences import shorten
from imaging.store import StoredObject
from imaging.wells import PLATE_SHAPES, Well, parse_well

_DESCRIPTION = re.compile(r"(?:(?P<folder>.*)/)?(?:\.zattrs|\.zgroup|\.zarray|\.zmetadata|zarr\.json)", re.DOTALL)
_ROOT = re.compile(r"(?P<root>(?:.*/)?[^/]*\.zarr)/.*", re.DOTALL)
MAX_PLANES = 1_000_000
"""Planes that the Zarrs of a folder may claim."""
MAX_IMAGE_PLANES = 50_000
"""Planes that one image may claim."""
_MOST_SAID = 1_500
"""Characters of a sentence: paths in descriptions may be of any length."""


@dataclass(frozen=True, slots=True)
class _Field:
    """An image of a plate: its folder, and where it belongs."""

    folder: str
    well: Well
    site: int
    acquisition: str


@dataclass
class _Reading:
    """What reading the Zarrs of a folder gives, as it grows."""

    objects: dict[str, StoredObject]
    folder: Folder
    planes: list[FoundPlane] = field(default_factory=list)
    expected: set[Address] = field(default_factory=set)
    used: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    images: list[ZarrImage] = field(default_factory=list)
    imaged: set[Well] = field(default_factory=set)
    lost_wells: list[tuple[str, Well]] = field(default_factory=list)
    lost_fields: list[_Field] = field(default_factory=list)
    wells: int | None = None
    plate: str = ""

    def describe(self, folder: str) -> dict[str, Any] | None:
        """Attributes of a group; ``None`` where it has no description."""
        for name in (posixpath.join(folder, "zarr.json"), posixpath.join(folder, ".zattrs")):
            item = self.objects.get(name)
            if item is not None:
                described = parse_json(_read(self.folder, item.key, item.token))
                attributes = described.get("attributes", {}) if name.endswith("zarr.json") else described
                ome = attributes.get("ome", attributes) if isinstance(attributes, dict) else None
                if not isinstance(ome, dict):
                    raise UnreadableImageError("its description is damaged: it is no JSON object")
                return ome
        return None


class OmeZarr:
    """OME-Zarr of any writer."""

    name = "ome-zarr"
    title = "OME-Zarr 0.4 and 0.5 (plates and images)"
    example = "plate.zarr/B/03/0/0/0/0/0/0/0"

    def count(self, names: Sequence[str]) -> int:
        """Count the objects that lie in a Zarr."""
        roots = find_roots(names)
        return sum(_root_of(name, roots) is not None for name in names)

    def read(self, objects: Sequence[StoredObject], folder: Folder) -> Delivery:
        """Sort a listing."""
        roots = find_roots([item.key for item in objects])
        reading = _Reading({item.key: item for item in objects}, folder)
        for root in sorted(roots):
            _guarded(reading, root or "the folder", lambda root=root: _read_root(reading, root, alone=len(roots) == 1))
        _expect_lost(reading)
        return Delivery(tuple(reading.planes), tuple(_pass_over(reading, objects, roots)), _tell(reading, roots))


OME_ZARR = OmeZarr()


def find_roots(names: Sequence[str]) -> frozenset[str]:
    """Folders that are a Zarr: those named ``.zarr``, and the topmost ones of others that have a description."""
    roots = {match["root"] for name in names if (match := _ROOT.fullmatch(name))}
    described = {match["folder"] or "" for name in names if (match := _DESCRIPTION.fullmatch(name))}
    if "" in described:
        return frozenset([""])  # the folder itself is one
    for folder in sorted(described - {""}):
        if not any(_lies_in(folder, root) for root in roots):
            roots.add(folder)
    return frozenset(root for root in roots if not any(root != other and _lies_in(root, other) for other in roots))


def _lies_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def _root_of(name: str, roots: frozenset[str]) -> str | None:
    if "" in roots:
        return ""
    place = name.find("/")
    while place >= 0:
        if name[:place] in roots:
            return name[:place]
        place = name.find("/", place + 1)
    return None


def _guarded(reading: _Reading, what: str, read: Any) -> bool:
    """Read a part, and say whether it can be; what is wrong with it is told, and the other parts are read."""
    try:
        read()
        return True
    except (UnreadableImageError, ForbiddenFileError) as error:
        reading.problems.append(shorten(f"{what}: {error.message}", _MOST_SAID))
    except (ChangedObjectError, FileNotFoundError):
        changed = "its description changed after it was listed; it is read again at the next look"
        reading.problems.append(shorten(f"{what}: {changed}", _MOST_SAID))
    except (KeyError, IndexError, TypeError, AttributeError, ValueError, OverflowError) as error:
        damage = f"its description is damaged ({type(error).__name__}: {error})"
        reading.problems.append(shorten(f"{what}: {damage}", _MOST_SAID))
    return False


def _expect_lost(reading: _Reading) -> None:
    """Expect of wells and images that cannot be read what the first well that can be read has."""
    model = sorted(reading.expected, key=lambda address: (address.well, address.acquisition, address.site))
    if not model:
        return
    first = [address for address in model if address.well == model[0].well]
    lost = [
        replace(address, well=well)
        for of_plate, well in reading.lost_wells
        for address in first
        if address.acquisition.startswith(of_plate)
    ]
    for place in reading.lost_fields:
        same = [address for address in first if address.acquisition == place.acquisition] or first
        image = (address for address in same if address.site == same[0].site)
        lost += [replace(address, well=place.well, site=place.site, acquisition=place.acquisition) for address in image]
    if len(reading.expected) + len(lost) <= MAX_PLANES:
        reading.expected.update(lost)


def _read_root(reading: _Reading, root: str, *, alone: bool) -> None:
    described = reading.describe(root) or {}
    if "plate" in described:
        _read_plate(reading, root, described["plate"], "" if alone else root)
        return
    images = list(_images_of(reading, root, described))
    if not images:
        raise UnreadableImageError("it is no OME-Zarr plate or image: its description is missing or lists neither")
    place = find_place(posixpath.basename(root)) or find_place(root)
    if place is None and not alone:
        raise UnreadableImageError("neither its description nor its name says which well it shows")
    well, site = (place.well, place.site) if place else (Well(0, 1), None)
    for number, folder in enumerate(images, start=site or 1):
        _read_field(reading, _Field(folder, well, number, ""))


def _images_of(reading: _Reading, root: str, described: dict[str, Any]) -> Iterator[str]:
    """Folders of the images of a Zarr that is no plate: itself, or its numbered groups."""
    if "multiscales" in described:
        yield root
        return
    start = f"{root}/" if root else ""
    inner = {key[len(start) :].partition("/")[0] for key in reading.objects if key.startswith(start)}
    for name in sorted((name for name in inner if name.isdecimal()), key=int):
        if "multiscales" in (reading.describe(start + name) or {}):
            yield start + name


def _read_plate(reading: _Reading, root: str, plate: dict[str, Any], acquisition: str) -> None:
    """Read a plate; of several in a folder each is an acquisition."""
    rows, columns = ([str(item["name"]) for item in plate[axis]] for axis in ("rows", "columns"))
    reading.plate = reading.plate or str(plate.get("name") or "")
    shape = next((n for n, (r, c) in PLATE_SHAPES.items() if (r, c) == (len(rows), len(columns))), None)
    reading.wells = reading.wells or shape
    several = len(plate.get("acquisitions") or []) > 1
    for described in plate["wells"]:
        path = _inner_path(described["path"])
        well = _well_of(described, path, rows, columns)
        reading.imaged.add(well)
        folder = posixpath.join(root, path)
        part = partial(_read_well, reading, folder, well, acquisition, several)
        if not _guarded(reading, folder, part):
            reading.lost_wells.append((acquisition, well))


def _well_of(described: dict[str, Any], path: str, rows: list[str], columns: list[str]) -> Well:
    """A well by the names of its row and column; its path says the same, else nobody knows which it is."""
    row_name, _, column_name = path.partition("/")
    by_path = parse_well(row_name + column_name)
    row, column = described.get("rowIndex"), described.get("columnIndex")
    if row is not None and column is not None:
        by_index = parse_well(rows[row] + columns[column])
        if by_index != by_path:
            raise UnreadableImageError(f"its description is damaged: well {path} is said to be {by_index}")
    return by_path


def _read_well(reading: _Reading, folder: str, well: Well, of_plate: str, several: bool) -> None:
    described = reading.describe(folder)
    if described is None:
        raise UnreadableImageError("the well's description is missing")
    paths = [_inner_path(image["path"]) for image in described["well"]["images"]]
    sites: Counter[str] = Counter()
    for image, path in zip(described["well"]["images"], paths, strict=True):
        if path.endswith("_mip") and path.removesuffix("_mip") in paths:
            continue  # a projection that a converter laid beside the planes
        acquisition = join_acquisition(of_plate, str(image.get("acquisition", "")) if several else "")
        sites[acquisition] += 1
        place = _Field(f"{folder}/{path}", well, sites[acquisition], acquisition)
        if not _guarded(reading, place.folder, lambda place=place: _read_field(reading, place)):
            reading.lost_fields.append(place)


def _inner_path(path: str) -> str:
    if path.startswith("/") or ".." in path.split("/") or not path:
        raise UnreadableImageError(f"its description is damaged: the path {path!r} leads out of it")
    return path.strip("/")


def _read_field(reading: _Reading, place: _Field) -> None:
    """Find the planes of an image: all that its array's shape claims are expected, those with a chunk are there."""
    described = reading.describe(place.folder)
    if described is None:
        raise UnreadableImageError("the image's description is missing")
    image = parse_image(described)
    reading.images.append(image)
    path = _inner_path(image.path)
    folder = f"{posixpath.join(place.folder, path)}/"
    item = next((reading.objects[folder + name] for name in DESCRIPTIONS if folder + name in reading.objects), None)
    if item is None:
        raise UnreadableImageError(f"the description of its array {image.path!r} is missing")
    layout = parse_layout(parse_json(_read(reading.folder, item.key, item.token)))
    claimed = image.count_planes(layout.shape)
    if claimed > MAX_IMAGE_PLANES or len(reading.expected) + claimed > MAX_PLANES:
        raise UnreadableImageError(f"it claims {claimed:,} planes; {MAX_IMAGE_PLANES:,} are the limit of an image")
    for index, c, z, t in image.planes(layout.shape):
        address = Address(place.well, place.site, str(c), z, t, place.acquisition)
        names = plane_objects(layout, image.axes, index)
        reading.expected.add(address)
        chunks = [reading.objects[folder + name] for name in names if folder + name in reading.objects]
        if chunks:
            reading.used.update(chunk.key for chunk in chunks)
            key, array = (place.folder, path) if place.folder else (path, HERE)
            plane = _stored_plane(key, [item, *chunks], folder)
            reading.planes.append(FoundPlane(plane, address, str(Inside(array=array, index=index))))


def _stored_plane(image: str, objects: list[StoredObject], folder: str) -> StoredObject:
    size, youngest = sum(item.size for item in objects[1:]), max(item.modified for item in objects)
    return StoredObject(image, size, token_of(objects, folder), youngest)


def _pass_over(reading: _Reading, objects: Sequence[StoredObject], roots: frozenset[str]) -> Iterator[PassedOver]:
    for item in objects:
        root = _root_of(item.key, roots)
        if root is None:
            yield PassedOver(item.key, "unknown", "it lies in no OME-Zarr")
        elif item.key not in reading.used:
            is_description = _DESCRIPTION.fullmatch(item.key) is not None
            yield PassedOver(
                item.key, "ignored", "a description of the Zarr" if is_description else "a part of the Zarr"
            )


def _tell(reading: _Reading, roots: frozenset[str]) -> Told:
    image = next(iter(reading.images), None)
    channels: dict[str, ToldChannel] = {}
    for other in reading.images:
        for channel in other.channels:
            channels.setdefault(channel.code, channel)
    codes = {address.code for address in reading.expected}
    named = [channels.get(code, ToldChannel(code)) for code in sorted(codes, key=lambda code: (len(code), code))]
    return Told(
        plate=reading.plate,
        wells=reading.wells,
        imaged=tuple(sorted(reading.imaged)),
        channels=tuple(named),
        pixel_size_um=image.pixel_size_um if image else None,
        z_step_um=image.z_step_um if image else None,
        expected=frozenset(reading.expected) if reading.images else None,
        manifests=tuple(sorted(roots)),
        problems=tuple(reading.problems),
    )


@lru_cache(maxsize=65_536)  # a plate of 1,536 wells with 9 fields has 29,000, and a cache too small keeps nothing
def _read(folder: Folder, name: str, token: str) -> bytes:
    """Read a description once per version."""
    return folder.read(name, token=token, size=MAX_DESCRIPTION)
